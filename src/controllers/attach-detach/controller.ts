/**
 * Has volumes of CSI drivers attached to the nodes that pods need them on, and detached when none does: a VolumeAttachment asks the
 * driver's attacher, and the node's status tells the kubelet what it may mount. A volume for one node is attached to one at a time.
 */
import type { Node, PersistentVolume, Pod } from '../../api/generated/core/v1.ts'
import type { VolumeAttachment } from '../../api/generated/storage/v1.ts'
import { isApiError } from '../../api/status.ts'
import { byNodeName } from '../../client/object-cache.ts'
import { referenceTo } from '../../client/object-reference.ts'
import { read, watch } from '../controller.ts'
import type { Caches, Controller, ReconcileContext } from '../controller.ts'
import { NODE_INDEX } from '../node-lifecycle/controller.ts'
import { isPodTerminal } from '../pods/pod-state.ts'
import { planAttachments } from './plan.ts'
import type { AttachPlan, WantedVolume } from './plan.ts'

const ATTACHMENT = 'storage.k8s.io/v1/VolumeAttachment'
const DRIVER = 'storage.k8s.io/v1/CSIDriver'
const CLAIM = 'v1/PersistentVolumeClaim'
const VOLUME = 'v1/PersistentVolume'
const VOLUME_INDEX = 'persistent-volume'

const byNode = ({ spec }: VolumeAttachment): string => spec.nodeName
const byVolume = ({ spec }: VolumeAttachment): string | undefined => spec.source.persistentVolumeName

const hasClaims = ({ spec }: Pod): boolean => spec?.volumes?.some((volume) => volume.persistentVolumeClaim ?? volume.ephemeral) ?? false

/** The attachable volumes behind a pod's claims. */
function volumesOf(pod: Pod, caches: Caches): readonly PersistentVolume[] {
  const { namespace, name } = pod.metadata!
  return (pod.spec?.volumes ?? []).flatMap(({ name: volumeName, persistentVolumeClaim, ephemeral }) => {
    const claimName = persistentVolumeClaim?.claimName ?? (ephemeral ? `${name}-${volumeName}` : undefined)
    const claim = claimName === undefined ? undefined : caches.of(CLAIM).get(`${namespace}/${claimName}`)
    const volume = claim?.status?.phase === 'Bound' ? caches.of(VOLUME).get(claim.spec?.volumeName ?? '') : undefined
    const driver = volume?.spec?.csi?.driver
    const isAttachable = driver !== undefined && caches.of(DRIVER).get(driver)?.spec.attachRequired !== false
    return isAttachable ? [volume!] : []
  })
}

function wantedOn(nodeName: string, caches: Caches): readonly WantedVolume[] {
  const wanted = new Map<string, { volume: PersistentVolume; pods: Pod[] }>()
  for (const pod of caches.of('v1/Pod').byIndex(NODE_INDEX, nodeName)) {
    if (isPodTerminal(pod)) continue
    for (const volume of volumesOf(pod, caches)) {
      const name = volume.metadata!.name!
      const known = wanted.get(name)
      if (known) known.pods.push(pod)
      else wanted.set(name, { volume, pods: [pod] })
    }
  }
  return [...wanted.values()]
}

/** SHA-256 of a text in hexadecimal. */
export type Sha256 = (text: string) => string

/** Upstream's name, which the kubelet looks for. */
const attachmentName = ({ spec }: PersistentVolume, nodeName: string, sha256: Sha256): string =>
  `csi-${sha256(`${spec?.csi?.volumeHandle}${spec?.csi?.driver}${nodeName}`)}`

/** Attachments of other names are somebody else's, and left alone: upstream keeps to those that it made, too. */
const isOurs = ({ metadata }: VolumeAttachment): boolean => /^csi-[0-9a-f]{64}$/.test(metadata?.name ?? '')

export function createAttachDetachController(sha256: Sha256): Controller {
  /** Attachments that no pod wants any more, and since when, by uid. */
  const unwanted = new Map<string, number>()
  /** Failures that were told: each once. */
  const told = new Map<string, string>()
  /** The volumes that each node waited for when it was last looked at: told when that begins. */
  const blocked = new Map<string, ReadonlySet<string>>()

  return {
    name: 'attach-detach',
    component: 'attachdetach-controller',
    reads: ['v1/Pod', 'v1/Node', CLAIM, VOLUME, DRIVER, ATTACHMENT],
    writes: [ATTACHMENT, 'v1/Node/status'],
    watches: [
      watch(
        'v1/Pod',
        ({ type, object, old }) => {
          if (!object.spec?.nodeName || !hasClaims(object)) return undefined
          const isNews = type !== 'updated' || object.spec.nodeName !== old?.spec?.nodeName || isPodTerminal(object) !== isPodTerminal(old)
          return isNews ? object.spec.nodeName : undefined
        },
        { [NODE_INDEX]: byNodeName },
      ),
      watch('v1/Node', ({ type, object, old }) => {
        const isNews = object.status?.volumesInUse !== old?.status?.volumesInUse || object.spec?.taints !== old?.spec?.taints
        return type === 'updated' && isNews ? object.metadata!.name! : undefined
      }),
      // What was attached elsewhere may be free for another node.
      watch(
        ATTACHMENT,
        ({ type, object }, caches) => {
          if (type !== 'deleted') return object.spec.nodeName
          unwanted.delete(object.metadata!.uid!)
          told.delete(object.metadata!.uid!)
          return [object.spec.nodeName, ...nodesThatWait(object, caches)]
        },
        { [NODE_INDEX]: byNode, [VOLUME_INDEX]: byVolume },
      ),
      watch(CLAIM, ({ object, old }, caches) => {
        const isBound = object.status?.phase === 'Bound' && old?.status?.phase !== 'Bound'
        return isBound ? nodesOfClaim(object.metadata!.namespace!, object.metadata!.name!, caches) : undefined
      }),
      read(VOLUME),
      read(DRIVER),
    ],

    async reconcile(key, context) {
      const { caches, client, runtime } = context
      const node = caches.of('v1/Node').get(key)
      const attachments = caches.of(ATTACHMENT).byIndex(NODE_INDEX, key).filter(isOurs)
      if (!node) {
        blocked.delete(key)
        await Promise.all(attachments.map((attachment) => remove(context, attachment)))
        return
      }
      const nowMs = runtime.clock.now()
      const wanted = wantedOn(key, caches)
      if (wanted.length === 0 && attachments.length === 0 && !node.status?.volumesAttached) return
      const plan = planAttachments({
        node,
        wanted,
        attachments,
        attachmentsOf: (volume) => caches.of(ATTACHMENT).byIndex(VOLUME_INDEX, volume.metadata!.name!),
        volumeNamed: (name) => caches.of(VOLUME).get(name),
        unwantedSinceMs(attachment) {
          const uid = attachment.metadata!.uid!
          const sinceMs = unwanted.get(uid) ?? nowMs
          unwanted.set(uid, sinceMs)
          return sinceMs
        },
        nowMs,
      })
      for (const { volume } of wanted)
        for (const { metadata } of caches.of(ATTACHMENT).byIndex(VOLUME_INDEX, volume.metadata!.name!)) unwanted.delete(metadata!.uid!)
      tell(context, key, wanted, told)
      const before = blocked.get(key)
      for (const one of plan.blocked) if (!before?.has(one.wanted.volume.metadata!.name!)) tellBlocked(context, one)
      if (plan.blocked.length > 0) blocked.set(key, new Set(plan.blocked.map(({ wanted: { volume } }) => volume.metadata!.name!)))
      else blocked.delete(key)
      if (
        plan.volumesAttached !== (node.status?.volumesAttached ?? plan.volumesAttached) ||
        (!node.status?.volumesAttached && plan.volumesAttached.length > 0)
      )
        await report(client, node, plan)
      await Promise.all(plan.detach.map((attachment) => remove(context, attachment)))
      await Promise.all(plan.attach.map(({ volume }) => attach(context, volume, key, attachmentName(volume, key, sha256))))
      return { afterMs: plan.afterMs }
    },
  }
}

/** Merged, not replaced by strategic merge, which would keep the entries of old. */
const report = (client: ReconcileContext['client'], { metadata }: Node, { volumesAttached }: AttachPlan): Promise<unknown> =>
  client.patch(
    'v1/Node',
    { name: metadata!.name! },
    'merge',
    { metadata: { uid: metadata!.uid }, status: { volumesAttached } },
    { subresource: 'status' },
  )

async function attach({ client }: ReconcileContext, volume: PersistentVolume, nodeName: string, name: string): Promise<void> {
  const spec = { attacher: volume.spec!.csi!.driver, source: { persistentVolumeName: volume.metadata!.name! }, nodeName }
  try {
    await client.create(ATTACHMENT, { metadata: { name }, spec })
  } catch (error) {
    if (!isApiError(error, 'AlreadyExists')) throw error
  }
}

async function remove({ client }: ReconcileContext, { metadata }: VolumeAttachment): Promise<void> {
  if (metadata?.deletionTimestamp) return
  try {
    await client.delete(ATTACHMENT, { name: metadata!.name! }, { preconditions: { uid: metadata!.uid! } })
  } catch (error) {
    if (!isApiError(error, 'NotFound')) throw error
  }
}

function tell({ caches, events }: ReconcileContext, nodeName: string, wanted: readonly WantedVolume[], told: Map<string, string>): void {
  for (const { volume, pods } of wanted) {
    const name = volume.metadata!.name!
    const attachment = caches
      .of(ATTACHMENT)
      .byIndex(VOLUME_INDEX, name)
      .find(({ spec }) => spec.nodeName === nodeName)
    const { attached, attachError } = attachment?.status ?? {}
    const problem = attached ? undefined : attachError?.message
    if (!attachment || (!attached && problem === undefined)) continue
    const about = `for volume ${JSON.stringify(name)}`
    const message = attached ? `AttachVolume.Attach succeeded ${about} ` : `AttachVolume.Attach failed ${about} : ${problem}`
    if (told.get(attachment.metadata!.uid!) === message) continue
    told.set(attachment.metadata!.uid!, message)
    for (const pod of pods) {
      if (attached) events.record(referenceTo('v1/Pod', pod), 'Normal', 'SuccessfulAttachVolume', message)
      else events.record(referenceTo('v1/Pod', pod), 'Warning', 'FailedAttachVolume', message)
    }
  }
}

function tellBlocked({ caches, events }: ReconcileContext, { wanted, by }: AttachPlan['blocked'][number]): void {
  const users = by.flatMap(({ spec }) =>
    wantedOn(spec.nodeName, caches)
      .filter(({ volume }) => volume === wanted.volume)
      .flatMap(({ pods }) => pods),
  )
  const why =
    users.length > 0
      ? `Volume is already used by pod(s) ${users.map(({ metadata }) => metadata?.name).join(', ')}`
      : "Volume is already exclusively attached to one node and can't be attached to another"
  const message = `Multi-Attach error for volume ${JSON.stringify(wanted.volume.metadata?.name)} ${why}`
  for (const pod of wanted.pods) events.record(referenceTo('v1/Pod', pod), 'Warning', 'FailedAttachVolume', message)
}

const nodesOf = (pods: Iterable<Pod>): readonly string[] =>
  [...new Set(Array.from(pods, ({ spec }) => spec?.nodeName ?? ''))].filter(Boolean)

const nodesOfClaim = (namespace: string, claimName: string, caches: Caches): readonly string[] =>
  nodesOf(
    caches
      .of('v1/Pod')
      .byNamespace(namespace)
      .filter(({ metadata, spec }) =>
        spec?.volumes?.some(
          (volume) =>
            volume.persistentVolumeClaim?.claimName === claimName || (volume.ephemeral && `${metadata?.name}-${volume.name}` === claimName),
        ),
      ),
  )

function nodesThatWait({ spec }: VolumeAttachment, caches: Caches): readonly string[] {
  const claim = caches.of(VOLUME).get(spec.source.persistentVolumeName ?? '')?.spec?.claimRef
  return claim?.namespace && claim.name ? nodesOfClaim(claim.namespace, claim.name, caches) : []
}
