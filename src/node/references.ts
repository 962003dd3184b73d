/** The ConfigMaps and Secrets that a pod refers to, from every place of its spec that can. Pure. */
import type { Pod } from '../api/generated/core/v1.ts'
import type { Reference } from './followed-objects.ts'

export function referencesOf(pod: Pod): readonly Reference[] {
  const found = new Map<string, Reference>()
  const add = (kind: Reference['kind'], name: string | undefined) => {
    if (name) found.set(`${kind}/${name}`, { kind, name })
  }
  const spec = pod.spec!
  for (const { name } of spec.imagePullSecrets ?? []) add('v1/Secret', name)
  for (const volume of spec.volumes ?? []) {
    add('v1/ConfigMap', volume.configMap?.name)
    add('v1/Secret', volume.secret?.secretName)
    for (const source of volume.projected?.sources ?? []) {
      add('v1/ConfigMap', source.configMap?.name)
      add('v1/Secret', source.secret?.name)
    }
  }
  for (const container of [...(spec.initContainers ?? []), ...(spec.containers ?? []), ...(spec.ephemeralContainers ?? [])]) {
    for (const source of container.envFrom ?? []) {
      add('v1/ConfigMap', source.configMapRef?.name)
      add('v1/Secret', source.secretRef?.name)
    }
    for (const { valueFrom } of container.env ?? []) {
      add('v1/ConfigMap', valueFrom?.configMapKeyRef?.name)
      add('v1/Secret', valueFrom?.secretKeyRef?.name)
    }
  }
  return [...found.values()]
}
