/**
 * Static pods: pods that a node runs from files of its own, whether there is an API server or not. From the text of a file to the pod
 * (pkg/kubelet/config): its name ends with the node's, its uid tells its content and place, it bears with everything. Pure.
 */
import type { Pod, Toleration } from '../../api/generated/core/v1.ts'
import type { ObjectMeta } from '../../api/generated/meta/v1.ts'
import { decodeObject } from '../../api/decode.ts'
import { applyDefaults } from '../../api/defaults.ts'
import { schemaOf } from '../../api/schema-table.ts'
import { parseYamlDocuments } from '../../api/yaml.ts'
import { referencesOf } from '../references.ts'
import { textDigest } from '../text-digest.ts'

export const CONFIG_HASH = 'kubernetes.io/config.hash'
export const CONFIG_MIRROR = 'kubernetes.io/config.mirror'
const CONFIG_SEEN = 'kubernetes.io/config.seen'
export const CONFIG_SOURCE = 'kubernetes.io/config.source'

const UID_DIGITS = 32
const BEARS_ALL: Toleration = { operator: 'Exists', effect: 'NoExecute' }

/** Throws, with what is wrong with it, when the text is no pod that can run without the API. `seen` is the time, as it is to be written. */
export function parseManifest(text: string, path: string, nodeName: string, seen: string): Pod {
  const [document] = parseYamlDocuments(text)
  const type = schemaOf('core/v1.Pod')
  if (!document || !type) throw new Error(`${path} holds no object`)
  const { kind, apiVersion } = document as { readonly kind?: unknown; readonly apiVersion?: unknown }
  if (kind !== 'Pod' || apiVersion !== 'v1') throw new Error(`invalid pod: it is ${String(apiVersion)}/${String(kind)}`)
  const pod = applyDefaults(decodeObject(document, type).object as Pod, type)
  if (!pod.metadata?.name) throw new Error('invalid pod: name is needed for the pod')
  if (!pod.spec?.containers?.length) throw new Error('invalid pod: spec.containers: Required value')
  const reference = apiReference(pod)
  if (reference) throw new Error(`static pods may not reference ${reference}`)
  const uid = textDigest(`${JSON.stringify(document)}\nhost:${nodeName}\nfile:${path}`, UID_DIGITS)
  const metadata: ObjectMeta = {
    ...pod.metadata,
    uid: pod.metadata.uid || uid,
    name: `${pod.metadata.name}-${nodeName.toLowerCase()}`,
    namespace: pod.metadata.namespace || 'default',
    annotations: { ...pod.metadata.annotations, [CONFIG_HASH]: uid, [CONFIG_SEEN]: seen, [CONFIG_SOURCE]: 'file' },
  }
  const tolerations = [
    ...(pod.spec.tolerations ?? []).filter(({ operator, effect }) => operator !== 'Exists' || effect !== 'NoExecute'),
    BEARS_ALL,
  ]
  return { ...pod, metadata, spec: { ...pod.spec, nodeName, tolerations }, status: { phase: 'Pending' } }
}

/** What of the API it would need, in upstream's words. */
function apiReference(pod: Pod): string | undefined {
  const spec = pod.spec!
  if (spec.serviceAccountName) return 'serviceaccounts'
  for (const { kind } of referencesOf(pod)) if (kind === 'v1/Secret') return 'secrets'
  if (referencesOf(pod).length > 0) return 'configmaps'
  if (spec.resourceClaims?.length) return 'resourceclaims'
  for (const volume of spec.volumes ?? []) {
    if (volume.persistentVolumeClaim) return 'persistentvolumeclaims'
    if (volume.ephemeral) return 'persistentvolumeclaims (via ephemeral volumes)'
    if (volume.csi) return 'csidrivers (via CSI volumes)'
    for (const source of volume.projected?.sources ?? []) {
      if (source.serviceAccountToken) return 'serviceaccounts (via projected volumes)'
      if (source.clusterTrustBundle) return 'clustertrustbundles'
      if (source.podCertificate) return 'podcertificates'
    }
  }
  return undefined
}

/** What stands for a static pod in the API, so that others see it; nothing but its status follows it. */
export function mirrorOf(pod: Pod, nodeUid: string): Pod {
  const { uid: _uid, ...metadata } = pod.metadata ?? {}
  const owner = { apiVersion: 'v1', kind: 'Node', name: pod.spec?.nodeName ?? '', uid: nodeUid, controller: true }
  const annotations = { ...metadata.annotations, [CONFIG_MIRROR]: hashOf(pod) }
  return { ...pod, metadata: { ...metadata, annotations, ownerReferences: [owner] } }
}

export const hashOf = (pod: Pod): string => pod.metadata?.annotations?.[CONFIG_HASH] ?? ''
export const mirroredHash = (pod: Pod): string | undefined => pod.metadata?.annotations?.[CONFIG_MIRROR]
