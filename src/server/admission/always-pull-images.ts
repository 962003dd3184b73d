/** Every start of a container asks the registry: who may use an image is decided there, not by what a node happens to have. */
import type { Container, Pod, PodSpec } from '../../api/generated/core/v1.ts'
import { plainFailure } from '../../api/status.ts'
import { admissionDenied, type AdmissionAttributes, type AdmissionPlugin } from '../admission.ts'
import { notSupported } from '../resources/rules.ts'
import { changeSpec, isPodWrite, podOf } from './pods.ts'

const ALWAYS = 'Always'

const KINDS = ['initContainers', 'containers', 'ephemeralContainers'] as const

const containersOf = (spec: PodSpec | undefined): readonly Container[] => KINDS.flatMap((kind) => spec?.[kind] ?? [])

function pulling<T extends { readonly imagePullPolicy?: string }>(containers: readonly T[]): readonly T[] {
  return containers.every(({ imagePullPolicy }) => imagePullPolicy === ALWAYS)
    ? containers
    : containers.map((container) => ({ ...container, imagePullPolicy: ALWAYS }))
}

function hasNewImage({ operation, object, oldObject }: AdmissionAttributes): boolean {
  if (operation !== 'UPDATE') return true
  const before = new Set(containersOf((oldObject as Pod).spec).map(({ image }) => image))
  return containersOf((object as Pod).spec).some(({ image }) => !before.has(image))
}

function* faults(spec: PodSpec) {
  for (const kind of KINDS) {
    for (const [index, { imagePullPolicy }] of (spec[kind] ?? []).entries()) {
      if (imagePullPolicy !== ALWAYS) yield notSupported(`spec.${kind}[${index}].imagePullPolicy`, imagePullPolicy ?? '', [ALWAYS])
    }
  }
  for (const [index, { image }] of (spec.volumes ?? []).entries()) {
    if (image && image.pullPolicy !== ALWAYS)
      yield notSupported(`spec.volumes[${index}].image.pullPolicy`, image.pullPolicy ?? '', [ALWAYS])
  }
}

export const alwaysPullImages: AdmissionPlugin = {
  name: 'AlwaysPullImages',
  handles: (attributes) =>
    (attributes.operation === 'CREATE' || attributes.operation === 'UPDATE') && isPodWrite(attributes) && hasNewImage(attributes),
  admit(attributes) {
    const pod = podOf(attributes)
    return (
      pod &&
      changeSpec(pod, (spec) => ({
        ...spec,
        containers: pulling(spec.containers),
        ...(spec.initContainers ? { initContainers: pulling(spec.initContainers) } : {}),
        ...(spec.ephemeralContainers ? { ephemeralContainers: pulling(spec.ephemeralContainers) } : {}),
        ...(spec.volumes
          ? {
              volumes: spec.volumes.map((volume) =>
                volume.image ? { ...volume, image: { ...volume.image, pullPolicy: ALWAYS } } : volume,
              ),
            }
          : {}),
      }))
    )
  },
  validate(attributes) {
    const spec = podOf(attributes)?.spec
    const found = spec ? [...faults(spec)] : []
    if (found.length === 0) return
    const texts = found.map(({ field, detail }) => admissionDenied(attributes, `${field}: ${detail}`).message)
    throw plainFailure(texts.length === 1 ? texts[0]! : `[${texts.join(', ')}]`)
  },
}
