/** What several plugins ask of a write: is it one of a pod itself? */
import type { Container, Pod, PodSpec } from '../../api/generated/core/v1.ts'
import type { AdmissionAttributes } from '../admission.ts'

/** A write of a resource itself, no subresource. */
export const isWriteOf = ({ resource, subresource }: AdmissionAttributes, group: string, plural: string): boolean =>
  subresource === undefined && resource.resource === plural && resource.group === group

export const isPodWrite = (attributes: AdmissionAttributes): boolean => isWriteOf(attributes, '', 'pods')

export const podOf = (attributes: AdmissionAttributes): Pod | undefined => attributes.object

/** Changes the spec, sharing all else; the same pod when nothing changes. */
export function changeSpec(pod: Pod, change: (spec: PodSpec) => PodSpec): Pod {
  if (!pod.spec) return pod
  const spec = change(pod.spec)
  return spec === pod.spec ? pod : { ...pod, spec }
}

export const isMirrorPod = (pod: Pod): boolean => pod.metadata?.annotations?.['kubernetes.io/config.mirror'] !== undefined

export interface NamedContainer {
  readonly container: Container
  /** "container", "init container", "ephemeral container": as messages say. */
  readonly kind: string
}

export function containersOf(spec: PodSpec | undefined): readonly NamedContainer[] {
  return [
    ...(spec?.initContainers ?? []).map((container) => ({ container, kind: 'init container' })),
    ...(spec?.containers ?? []).map((container) => ({ container, kind: 'container' })),
  ]
}
