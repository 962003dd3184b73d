/** The public entry `proa`. */
export { Cluster } from './cluster.ts'
export type { ClusterOptions, UntilOptions } from './cluster.ts'
export type { SchedulerSetup } from './scheduler-setup.ts'
export { definePlugin as defineSchedulerPlugin, impossible, insufficient } from '../scheduler/framework.ts'
export type { Plugin as SchedulerPlugin, Rejection as SchedulerRejection } from '../scheduler/framework.ts'
export type {
  Client,
  DeleteOptions,
  KindName,
  List,
  ListOptions,
  ObjectOf,
  PatchOptions,
  PatchType,
  TypedWatchEvent,
  WatchOptions,
  WriteOptions,
} from '../client/client.ts'
export type { KubeObject, ObjectKey } from '../api/object.ts'
export { ApiError, isApiError } from '../api/status.ts'
