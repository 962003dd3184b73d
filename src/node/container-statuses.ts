/**
 * The container statuses of a pod: what the runtime says, joined with what was said before (restart counts and last states
 * outlive the containers they tell of) and with the reasons why containers that should run do not.
 */
import type {
  Container,
  ContainerState,
  ContainerStateTerminated,
  ContainerStatus as ApiContainerStatus,
  Pod,
  PodStatus,
  ResourceRequirements,
} from '../api/generated/core/v1.ts'
import type { ContainerStatus } from './container-runtime.ts'
import { restartCountOf } from './identity.ts'
import { newestContainer, type PodObservation, type ProbeKind, type ProbeResult, type ProbeResults, type Waiting } from './observation.ts'
import { isSidecar, wantsStart } from './restart-policy.ts'

export interface StatusInput {
  readonly pod: Pod
  readonly observed: PodObservation
  /** The last status that was generated, or the API's when there is none. */
  readonly previous: PodStatus
  readonly waiting: ReadonlyMap<string, Waiting>
  readonly probes: ProbeResults
  /** What a termination message says, by container id. */
  readonly messages: ReadonlyMap<string, string>
  /** What a running container was given last, by its id. */
  applied(containerId: string): ResourceRequirements | undefined
  /** "containerd" in "containerd://...". */
  readonly runtimeName: string
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

const time = (ms: number): string | undefined => (ms > 0 ? `${new Date(ms).toISOString().slice(0, 19)}Z` : undefined)
/** Upstream writes a missing time as null here; clients want a value. */
const ZERO_TIME = '1970-01-01T00:00:00Z'

function stateOf(status: ContainerStatus, containerID: string, input: StatusInput, before: ApiContainerStatus | undefined): ContainerState {
  switch (status.state) {
    case 'RUNNING':
      return { running: { startedAt: time(status.startedAtMs) ?? ZERO_TIME } }
    case 'EXITED': {
      const message = input.messages.get(status.id) || status.message
      return {
        terminated: {
          exitCode: status.exitCode,
          ...(status.reason ? { reason: status.reason } : {}),
          ...(message ? { message } : {}),
          startedAt: time(status.startedAtMs) ?? ZERO_TIME,
          finishedAt: time(status.finishedAtMs) ?? ZERO_TIME,
          containerID,
        },
      }
    }
    case 'UNKNOWN':
      if (before?.state?.running) {
        return {
          terminated: {
            exitCode: 137,
            reason: 'ContainerStatusUnknown',
            message: 'The container could not be located when the pod was terminated',
          },
        }
      }
      return { waiting: {} }
    case 'CREATED':
      return { waiting: {} }
  }
}

/** Statuses of one of the pod's three lists of containers. */
export function containerStatuses(
  input: StatusInput,
  containers: readonly Container[],
  before: readonly ApiContainerStatus[] | undefined,
  kind: 'init' | 'regular' | 'ephemeral',
): ApiContainerStatus[] {
  const { pod, observed } = input
  const hasInit = (pod.spec?.initContainers?.length ?? 0) > 0
  const hasRegularStarted = (pod.spec?.containers ?? []).some((container) => newestContainer(observed, container.name))
  return containers.map((container) => {
    const previous = before?.find((status) => status.name === container.name)
    const status = statusOf(input, container, previous, hasInit)
    const newest = newestContainer(observed, container.name)
    if (kind === 'init') {
      if (newest?.state === 'EXITED' && newest.exitCode === 0 && !isSidecar(container)) return withProbes(input, container, status, kind)
      if (!newest && hasRegularStarted && !isSidecar(container) && status.state?.waiting) {
        status.state = {
          terminated: {
            exitCode: 0,
            reason: 'Completed',
            message: 'Unable to get init container status from container runtime and pod has been initialized, treat it as exited normally',
          },
        }
        return withProbes(input, container, status, kind)
      }
    }
    const waiting = input.waiting.get(container.name)
    if (waiting && wantsStart(container, pod, observed)) {
      if (status.state?.terminated) status.lastState = status.state
      status.state = { waiting: waiting.message ? { reason: waiting.reason, message: waiting.message } : { reason: waiting.reason } }
    }
    return withProbes(input, container, status, kind)
  })
}

function statusOf(
  input: StatusInput,
  container: Container,
  previous: ApiContainerStatus | undefined,
  hasInit: boolean,
): Mutable<ApiContainerStatus> {
  const runs = input.observed.containers.filter((run) => run.metadata.name === container.name)
  const volumeMounts = (container.volumeMounts ?? []).map(({ name, mountPath, readOnly }) => ({
    name,
    mountPath,
    ...(readOnly ? { readOnly, recursiveReadOnly: 'Disabled' } : {}),
  }))
  const common = {
    name: container.name,
    ready: false,
    ...(volumeMounts.length > 0 ? { volumeMounts } : {}),
    ...(container.resources?.requests ? { allocatedResources: container.resources.requests } : {}),
  }
  const [newest, older] = runs
  const resources = { resources: (newest?.state === 'RUNNING' ? input.applied(newest.id) : undefined) ?? container.resources ?? {} }
  if (!newest) {
    if (previous?.state?.terminated) return { ...previous }
    const lost = previous?.state?.running && !previous.lastState?.terminated
    return {
      ...common,
      ...resources,
      state: { waiting: { reason: hasInit ? 'PodInitializing' : 'ContainerCreating' } },
      lastState: lost
        ? {
            terminated: {
              exitCode: 137,
              reason: 'ContainerStatusUnknown',
              message: 'The container could not be located when the pod was deleted.  The container used to be Running',
            },
          }
        : (previous?.lastState ?? {}),
      restartCount: (previous?.restartCount ?? 0) + (lost && !input.pod.metadata?.deletionTimestamp ? 1 : 0),
      image: container.image ?? '',
      imageID: '',
    }
  }
  const containerID = `${input.runtimeName}://${newest.id}`
  return {
    ...common,
    ...resources,
    state: stateOf(newest, containerID, input, previous),
    lastState: lastStateOf(input, older, containerID, previous),
    restartCount: Math.max(restartCountOf(newest), previous?.restartCount ?? 0),
    image: newest.image,
    imageID: newest.imageRef,
    containerID,
  }
}

function lastStateOf(
  input: StatusInput,
  older: ContainerStatus | undefined,
  containerID: string,
  previous: ApiContainerStatus | undefined,
): ContainerState {
  if (older) return stateOf(older, `${input.runtimeName}://${older.id}`, input, undefined)
  const ended: ContainerStateTerminated | undefined =
    previous?.containerID !== containerID && previous?.state?.terminated ? previous.state.terminated : previous?.lastState?.terminated
  return ended ? { terminated: ended } : {}
}

/** Started and ready, as the probes say; a container without a probe is both as soon as it runs. */
function withProbes(
  input: StatusInput,
  container: Container,
  status: Mutable<ApiContainerStatus>,
  kind: 'init' | 'regular' | 'ephemeral',
): ApiContainerStatus {
  if (kind === 'ephemeral') return status
  const isRunning = status.state?.running !== undefined
  const newest = newestContainer(input.observed, container.name)
  const resultOf = (probe: ProbeKind): ProbeResult | undefined => (newest ? input.probes.get(newest.id, probe) : undefined)
  status.started = isRunning && (!container.startupProbe || resultOf('startup') === 'success')
  if (kind === 'init' && !isSidecar(container)) status.ready = status.state?.terminated?.exitCode === 0
  else status.ready = status.started && (!container.readinessProbe || resultOf('readiness') === 'success')
  return status
}
