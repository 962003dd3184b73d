/** What the provisioner of local directories does about claims and volumes. Pure. */
import type { PersistentVolume, PersistentVolumeClaim } from '../../api/generated/core/v1.ts'
import type { StorageClass } from '../../api/generated/storage/v1.ts'

export const LOCAL_PROVISIONER = 'proa.dev/local-path'

const PROVISIONER_MARKS = ['volume.kubernetes.io/storage-provisioner', 'volume.beta.kubernetes.io/storage-provisioner']
export const SELECTED_NODE = 'volume.kubernetes.io/selected-node'
const PROVISIONED_BY = 'pv.kubernetes.io/provisioned-by'
const HOSTNAME_LABEL = 'kubernetes.io/hostname'
const MODES: ReadonlySet<string> = new Set(['ReadWriteOnce', 'ReadWriteOncePod'])

export type ClaimPlan =
  | { readonly do: 'nothing' }
  /** Only another claim or class can help. */
  | { readonly do: 'refuse'; readonly message: string }
  | { readonly do: 'provision'; readonly nodeName: string; readonly storageClass: StorageClass }

export function planClaim(claim: PersistentVolumeClaim, classOf: (name: string) => StorageClass | undefined): ClaimPlan {
  const { metadata, spec } = claim
  const isOurs = PROVISIONER_MARKS.some((mark) => metadata?.annotations?.[mark] === LOCAL_PROVISIONER)
  if (!isOurs || spec?.volumeName || metadata?.deletionTimestamp) return { do: 'nothing' }
  const storageClass = classOf(spec?.storageClassName ?? '')
  if (storageClass?.provisioner !== LOCAL_PROVISIONER) return { do: 'nothing' }
  const refuse = (message: string): ClaimPlan => ({ do: 'refuse', message })
  if (spec?.selector) return refuse('claim.Spec.Selector is not supported')
  if (spec?.volumeMode === 'Block') return refuse('volume mode Block is not supported: volumes are directories')
  const wrong = spec?.accessModes?.find((mode) => !MODES.has(mode))
  if (wrong) return refuse(`access mode ${wrong} is not supported: only ReadWriteOnce and ReadWriteOncePod are`)
  const nodeName = metadata?.annotations?.[SELECTED_NODE]
  if (nodeName) return { do: 'provision', nodeName, storageClass }
  if (storageClass.volumeBindingMode === 'WaitForFirstConsumer') return { do: 'nothing' }
  return refuse('configuration error, no node was specified: the class must wait for the first consumer')
}

export const volumeNameOf = (claim: PersistentVolumeClaim): string => `pvc-${claim.metadata?.uid}`

/** `hostname` is the label by which pods are kept to the node. */
export function volumeOf(claim: PersistentVolumeClaim, storageClass: StorageClass, hostname: string, path: string): PersistentVolume {
  const { name = '', namespace = '', uid = '', resourceVersion = '' } = claim.metadata ?? {}
  return {
    metadata: { name: volumeNameOf(claim), annotations: { [PROVISIONED_BY]: LOCAL_PROVISIONER } },
    spec: {
      capacity: { storage: claim.spec?.resources?.requests?.['storage'] ?? '0' },
      accessModes: claim.spec?.accessModes ?? [],
      persistentVolumeReclaimPolicy: storageClass.reclaimPolicy ?? 'Delete',
      storageClassName: storageClass.metadata?.name ?? '',
      volumeMode: 'Filesystem',
      ...(storageClass.mountOptions ? { mountOptions: storageClass.mountOptions } : {}),
      claimRef: { kind: 'PersistentVolumeClaim', apiVersion: 'v1', name, namespace, uid, resourceVersion },
      local: { path },
      nodeAffinity: {
        required: { nodeSelectorTerms: [{ matchExpressions: [{ key: HOSTNAME_LABEL, operator: 'In', values: [hostname] }] }] },
      },
    },
  }
}

/** Whether a volume's data is to go: nobody claims it any more, and it is not to be kept. */
export const isToBeDeleted = ({ metadata, spec, status }: PersistentVolume): boolean =>
  metadata?.annotations?.[PROVISIONED_BY] === LOCAL_PROVISIONER &&
  spec?.persistentVolumeReclaimPolicy === 'Delete' &&
  (status?.phase === 'Released' || status?.phase === 'Failed')

export const hostnameOf = ({ spec }: PersistentVolume): string | undefined =>
  spec?.nodeAffinity?.required?.nodeSelectorTerms?.[0]?.matchExpressions?.find(({ key }) => key === HOSTNAME_LABEL)?.values?.[0]
