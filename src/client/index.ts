/** The public entry `proa/client`: a typed client, informers and what controllers are made of. */
export { createBackOff } from './back-off.ts'
export type { BackOff, BackOffOptions } from './back-off.ts'
export type {
  Client,
  DeleteOptions,
  Discovery,
  KindName,
  List,
  ListOptions,
  ObjectOf,
  PatchOptions,
  PatchType,
  TypedWatchEvent,
  WatchOptions,
  WriteOptions,
} from './client.ts'
export { createClient } from './create-client.ts'
export type { CreateClientOptions } from './create-client.ts'
export { createEventRecorder } from './events.ts'
export type { EventRecorder, EventRecorderOptions } from './events.ts'
export { createInformer, revisionOf } from './informer.ts'
export type { Informer, InformerHandlers, InformerOptions } from './informer.ts'
export { createInformers } from './informers.ts'
export type { Informers } from './informers.ts'
export { runWhenLeading } from './leader-election.ts'
export type { LeaderElectionOptions } from './leader-election.ts'
export { byControllerUid, byNodeName, byOwnerUid } from './object-cache.ts'
export type { IndexFunction, ObjectCache } from './object-cache.ts'
export { controllerReference, referenceTo } from './object-reference.ts'
export { isUnknownKind, UnknownKind } from './unknown-kind.ts'
export { createWorkQueue } from './work-queue.ts'
export type { WorkQueue, WorkQueueOptions } from './work-queue.ts'
