/** What an earlier agent left of pods that the API does not know any more: ended and removed, with everything on disk. */
import type { NodeContext } from './node-context.ts'
import { identityOfLabels, podCgroup, podDirectory, podLogDirectory, podSecretDirectory, type PodIdentity } from './identity.ts'
import type { QosClass } from './resources.ts'

/** Orphans get no more time than this to end. */
const GRACE_SECONDS = 1
const QOS_CLASSES: readonly QosClass[] = ['Guaranteed', 'Burstable', 'BestEffort']

/** `isKnown` says whether a pod of this uid has a worker, which then looks after its own. */
export async function removeOrphans(node: NodeContext, isKnown: (uid: string) => boolean): Promise<void> {
  const { log } = node.runtime
  const [sandboxes, containers] = await Promise.all([node.containers.listPodSandboxes(), node.containers.listContainers()])
  const orphans = new Map<string, PodIdentity>()
  const note = (labels: Readonly<Record<string, string>>): string | undefined => {
    const identity = identityOfLabels(labels)
    if (!identity || isKnown(identity.uid)) return undefined
    orphans.set(identity.uid, identity)
    return identity.uid
  }
  const deadContainers = containers.filter(({ labels }) => note(labels) !== undefined)
  const deadSandboxes = sandboxes.filter(({ labels }) => note(labels) !== undefined)
  await Promise.all(
    deadContainers.map(async ({ id }) => {
      await node.containers.stopContainer(id, GRACE_SECONDS)
      await node.containers.removeContainer(id)
    }),
  )
  for (const { id } of deadSandboxes) {
    await node.containers.stopPodSandbox(id)
    await node.containers.removePodSandbox(id)
  }
  for (const uid of await node.host.listDirectory(`${node.dataDirectory}/pods`))
    if (!isKnown(uid) && !orphans.has(uid)) orphans.set(uid, { uid, namespace: '', name: '' })
  for (const identity of orphans.values()) {
    log.info('orphaned pod removed', { uid: identity.uid, pod: identity.name, namespace: identity.namespace })
    await node.host.removeTree(podDirectory(node.dataDirectory, identity.uid))
    await node.host.removeTree(podSecretDirectory(node.dataDirectory, identity.uid))
    if (identity.name !== '') await node.host.removeTree(podLogDirectory(node.logsDirectory, identity))
    for (const qos of QOS_CLASSES) await node.host.removePodCgroup(podCgroup(node.cgroupRoot, identity.uid, qos))
  }
  await node.containers.releaseImages?.(isKnown)
}
