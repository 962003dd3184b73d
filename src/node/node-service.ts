/** What the API server asks of this node: logs, exec, attach and port-forward, answered by the workers of its pods. */
import type { ContainerStatus } from '../api/generated/core/v1.ts'
import type { LogOptions, NodeService, PodRef } from '../api/node-service.ts'
import { badRequest, failure, type ApiError } from '../api/status.ts'
import type { Runtime } from '../base/runtime.ts'
import type { ContainerRuntime } from './container-runtime.ts'
import type { Host } from './host.ts'
import { readLogs } from './logs.ts'
import type { PodWorker } from './pod-worker.ts'
import type { UsageMeter } from './usage.ts'

export interface NodeServiceOptions {
  readonly containers: ContainerRuntime
  readonly host: Host
}

export interface WorkerSource {
  get(uid: string): PodWorker | undefined
  /** Of a static pod. */
  find(namespace: string, name: string): PodWorker | undefined
}

export function createNodeService(
  runtime: Runtime,
  { containers, host }: NodeServiceOptions,
  workers: WorkerSource,
  meter: UsageMeter,
): NodeService {
  function find(pod: PodRef): PodWorker {
    // The uid of a mirror pod is the API's alone.
    const worker = workers.get(pod.uid) ?? workers.find(pod.namespace, pod.name)
    if (!worker) throw failure('NotFound', `pod "${pod.name}" not found`, { details: { name: pod.name, kind: 'pods' } })
    return worker
  }

  function runningContainer(pod: PodRef, name: string): string {
    const id = find(pod).runningContainer(name)
    if (id === undefined) throw failure('NotFound', `container not found ("${name}")`)
    return id
  }

  return {
    usage: () => meter.usage(),
    async logs(pod, options, signal) {
      const worker = find(pod)
      const id = loggedContainer(pod, worker, options)
      const path = worker.logPath(id)
      // The container was removed to make room; upstream then says this.
      if (path === undefined) throw failure('InternalError', `unable to retrieve container logs for ${id}`)
      return readLogs(host, { ...options, path, nowMs: runtime.clock.now(), ended: worker.containerEnded(id), signal })
    },
    exec: (pod, { container, command, tty }, streams) =>
      call(() => containers.exec(runningContainer(pod, container), command, tty, streams)),
    attach: (pod, { container, tty }, streams) => call(() => containers.attach(runningContainer(pod, container), tty, streams)),
    portForward: (pod, port, connection, signal) =>
      call(() => {
        const sandbox = find(pod).sandboxId
        if (sandbox === undefined) throw failure('NotFound', `failed to find sandboxID for pod ${pod.name}_${pod.namespace}(${pod.uid})`)
        return containers.portForward(sandbox, port, connection, signal)
      }),
  }
}

/** What is thrown at once is a rejection too. */
const call = async <T>(start: () => Promise<T>): Promise<T> => start()

/** The id of the run whose log is wanted, by the status, as upstream chooses it and in its words. */
function loggedContainer(pod: PodRef, worker: PodWorker, { container, previous }: LogOptions): string {
  const { status } = worker
  const lists = [status.containerStatuses, status.initContainerStatuses, status.ephemeralContainerStatuses]
  const found = lists.flatMap((list) => list ?? []).find(({ name }) => name === container)
  const which = `container "${container}" in pod "${pod.name}"`
  if (!found) throw badRequest(`${which} is not available`)
  const id = previous ? found.lastState?.terminated?.containerID : currentRun(found)
  if (id) return id.slice(id.indexOf('://') + 3)
  if (previous) throw badRequest(`previous terminated ${which} not found`)
  throw complaint(which, found)
}

const currentRun = (status: ContainerStatus): string | undefined =>
  status.state?.running ? status.containerID : status.state?.terminated?.containerID || status.lastState?.terminated?.containerID

function complaint(which: string, status: ContainerStatus): ApiError {
  const waiting = status.state?.waiting
  if (!waiting || status.lastState?.terminated) return badRequest(`${which} is terminated`)
  if (waiting.reason === 'ErrImagePull') return badRequest(`${which} is waiting to start: image can't be pulled`)
  if (waiting.reason === 'ImagePullBackOff') return badRequest(`${which} is waiting to start: trying and failing to pull image`)
  return badRequest(`${which} is waiting to start: ${waiting.reason ?? 'no logs yet'}`)
}
