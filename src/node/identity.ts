/**
 * How a pod is recognised on its node: the labels that every sandbox and container carries, so that a restarted agent finds its
 * own again, and the places on disk and in the cgroup tree that belong to a pod. The label names are upstream's: crictl and
 * other tools read them.
 */
import type { Container, Pod } from '../api/generated/core/v1.ts'
import type { QosClass } from './resources.ts'

export const POD_NAME_LABEL = 'io.kubernetes.pod.name'
export const POD_NAMESPACE_LABEL = 'io.kubernetes.pod.namespace'
export const POD_UID_LABEL = 'io.kubernetes.pod.uid'
export const CONTAINER_NAME_LABEL = 'io.kubernetes.container.name'

export const RESTART_COUNT_ANNOTATION = 'io.kubernetes.container.restartCount'
export const CONTAINER_HASH_ANNOTATION = 'io.kubernetes.container.hash'

const TERMINATION_MESSAGE_PATH_ANNOTATION = 'io.kubernetes.container.terminationMessagePath'
export const TERMINATION_MESSAGE_POLICY_ANNOTATION = 'io.kubernetes.container.terminationMessagePolicy'
/** Where the termination message lies on the host; ours, so that it is found without asking for the container's mounts. */
export const TERMINATION_MESSAGE_FILE_ANNOTATION = 'proa.dev/termination-message-file'
/** Only for simulated runtimes, which must know what a real one finds out: "init" or "regular" when the container is meant to end. */
export const RUNS_TO_COMPLETION_ANNOTATION = 'proa.dev/runs-to-completion'
const TERMINATION_GRACE_ANNOTATION = 'io.kubernetes.pod.terminationGracePeriod'

/** What the workers know a pod by. */
export interface PodIdentity {
  readonly uid: string
  readonly namespace: string
  readonly name: string
}

export const identityOf = (pod: Pod): PodIdentity => ({
  uid: pod.metadata?.uid ?? '',
  namespace: pod.metadata?.namespace ?? '',
  name: pod.metadata?.name ?? '',
})

/** The pod that a sandbox or container belongs to, by its labels; undefined when it is not one of Kubernetes' at all. */
export function identityOfLabels(labels: Readonly<Record<string, string>>): PodIdentity | undefined {
  const uid = labels[POD_UID_LABEL]
  return uid ? { uid, namespace: labels[POD_NAMESPACE_LABEL] ?? '', name: labels[POD_NAME_LABEL] ?? '' } : undefined
}

/** "name_namespace(uid)": how messages name a pod. */
export const describePod = ({ name, namespace, uid }: PodIdentity): string => `${name}_${namespace}(${uid})`

export const sandboxLabels = (pod: Pod): Record<string, string> => ({
  ...pod.metadata?.labels,
  [POD_NAME_LABEL]: pod.metadata?.name ?? '',
  [POD_NAMESPACE_LABEL]: pod.metadata?.namespace ?? '',
  [POD_UID_LABEL]: pod.metadata?.uid ?? '',
})

export const containerLabels = (pod: Pod, container: Container): Record<string, string> => ({
  [POD_NAME_LABEL]: pod.metadata?.name ?? '',
  [POD_NAMESPACE_LABEL]: pod.metadata?.namespace ?? '',
  [POD_UID_LABEL]: pod.metadata?.uid ?? '',
  [CONTAINER_NAME_LABEL]: container.name,
})

function completionOf(pod: Pod, container: Container): Record<string, string> {
  const isInit = pod.spec?.initContainers?.some(({ name }) => name === container.name) ?? false
  const policy = container.restartPolicy ?? (isInit ? 'OnFailure' : (pod.spec?.restartPolicy ?? 'Always'))
  if (policy === 'Always') return {}
  if (isInit) return { [RUNS_TO_COMPLETION_ANNOTATION]: 'init' }
  // That a pod is not restarted does not say that it ends; that it belongs to a Job does.
  const isOfJob = pod.metadata?.ownerReferences?.some(({ kind, controller }) => controller && kind === 'Job') ?? false
  return isOfJob ? { [RUNS_TO_COMPLETION_ANNOTATION]: 'regular' } : {}
}

export function containerAnnotations(
  pod: Pod,
  container: Container,
  restartCount: number,
  messageFile: string | undefined,
): Record<string, string> {
  return {
    [CONTAINER_HASH_ANNOTATION]: containerHash(container),
    [RESTART_COUNT_ANNOTATION]: String(restartCount),
    [TERMINATION_MESSAGE_PATH_ANNOTATION]: container.terminationMessagePath ?? '',
    [TERMINATION_MESSAGE_POLICY_ANNOTATION]: container.terminationMessagePolicy ?? 'File',
    ...(pod.spec?.terminationGracePeriodSeconds === undefined
      ? {}
      : { [TERMINATION_GRACE_ANNOTATION]: String(pod.spec.terminationGracePeriodSeconds) }),
    ...completionOf(pod, container),
    ...(messageFile === undefined ? {} : { [TERMINATION_MESSAGE_FILE_ANNOTATION]: messageFile }),
  }
}

/**
 * Tells whether a running container is still what its spec says. As upstream, only name and image count: they are all that may
 * change in a pod's containers without a restart being part of another mechanism.
 */
export function containerHash(container: Pick<Container, 'name' | 'image'>): string {
  let hash = 0x811c9dc5
  for (const character of `${container.name}\n${container.image ?? ''}`)
    hash = Math.imul(hash ^ character.codePointAt(0)!, 0x01000193) >>> 0
  return hash.toString(16)
}

export const restartCountOf = (status: {
  readonly annotations: Readonly<Record<string, string>>
  readonly metadata: { readonly attempt: number }
}): number => {
  const text = status.annotations[RESTART_COUNT_ANNOTATION]
  return text === undefined ? status.metadata.attempt : Number(text)
}

/** Everything that the agent keeps of a pod on disk, but for its logs. */
export const podDirectory = (dataDirectory: string, uid: string): string => `${dataDirectory}/pods/${uid}`

/** Its secrets, below a file system in memory that all pods of the node share. */
export const secretsRoot = (dataDirectory: string): string => `${dataDirectory}/secrets`
export const podSecretDirectory = (dataDirectory: string, uid: string): string => `${secretsRoot(dataDirectory)}/${uid}`

export const podLogDirectory = (logsDirectory: string, pod: PodIdentity): string =>
  `${logsDirectory}/${pod.namespace}_${pod.name}_${pod.uid}`

/** The cgroup of a pod as the sandbox names its parent: below "kubepods", by quality of service. */
export function podCgroup(root: string, uid: string, qos: QosClass): string {
  const tier = qos === 'Guaranteed' ? '' : `/${qos.toLowerCase()}`
  return `${root}/kubepods${tier}/pod${uid}`
}
