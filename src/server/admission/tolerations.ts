/**
 * PodTolerationRestriction, by which a namespace says what its pods tolerate, and ExtendedResourceToleration, by which a pod that asks
 * for a special resource tolerates the nodes that are kept for it. Both off by default.
 */
import type { PodSpec, Toleration } from '../../api/generated/core/v1.ts'
import { notFound, plainFailure } from '../../api/status.ts'
import type { AdmissionAttributes, AdmissionPlugin } from '../admission.ts'
import { checkConfiguration } from '../configuration/decode.ts'
import { isExtendedResource } from '../resources/core/resource-requirements-validation.ts'
import { podQosClass } from '../resources/core/pod-qos.ts'
import { isEqual } from '../resources/immutable.ts'
import { changeSpec, isPodWrite, podOf } from './pods.ts'

const DEFAULTS = 'scheduler.alpha.kubernetes.io/defaultTolerations'
const WHITELIST = 'scheduler.alpha.kubernetes.io/tolerationsWhitelist'

type Tolerations = readonly Toleration[]

interface Configuration {
  readonly default?: Tolerations
  readonly whitelist?: Tolerations
}

const toleration = {
  fields: { key: 'string', operator: 'string', value: 'string', effect: 'string', tolerationSeconds: 'integer' },
} as const

export function podTolerationRestriction(given: unknown): AdmissionPlugin {
  const configuration =
    given === undefined
      ? {}
      : checkConfiguration<Configuration>(given, {
          kind: 'Configuration',
          apiVersions: ['podtolerationrestriction.admission.k8s.io/v1alpha1'],
          shape: { fields: { default: { list: toleration }, whitelist: { list: toleration } } },
        })
  return {
    name: 'PodTolerationRestriction',
    handles: (attributes) => (attributes.operation === 'CREATE' || attributes.operation === 'UPDATE') && isPodWrite(attributes),
    admit(attributes) {
      const pod = podOf(attributes)
      if (!pod) return pod
      const extra = attributes.operation === 'CREATE' ? (ofNamespace(attributes, DEFAULTS) ?? configuration.default ?? []) : []
      const pressure: Tolerations =
        podQosClass(pod) === 'BestEffort' ? [] : [{ key: 'node.kubernetes.io/memory-pressure', operator: 'Exists', effect: 'NoSchedule' }]
      const all = [...extra, ...pressure]
      return all.length === 0
        ? pod
        : changeSpec(pod, (spec) => ({ ...spec, tolerations: mergeTolerations([...(spec.tolerations ?? []), ...all]) }))
    },
    validate(attributes) {
      const own = podOf(attributes)?.spec?.tolerations ?? []
      if (own.length === 0) return
      const ofOwn = ofNamespace(attributes, WHITELIST)
      const allowed = ofOwn ?? configuration.whitelist ?? []
      if (allowed.length === 0 || own.every((one) => allowed.some((wider) => covers(wider, one)))) return
      throw plainFailure(
        `pod tolerations (possibly merged with namespace default tolerations) conflict with its ${ofOwn ? 'namespace' : 'cluster'} whitelist`,
      )
    },
  }
}

/** What the annotation of the namespace lists; undefined without one. */
function ofNamespace({ context, namespace = '' }: AdmissionAttributes, annotation: string): Tolerations | undefined {
  const found = context.read.get('v1/Namespace', undefined, namespace)
  if (!found) throw notFound('', 'namespaces', namespace)
  const text = found.metadata?.annotations?.[annotation]
  if (!text) return text === undefined ? undefined : []
  try {
    const parsed = JSON.parse(text) as Tolerations
    return Array.isArray(parsed) ? parsed : []
  } catch (error) {
    throw plainFailure(error instanceof Error ? error.message : String(error))
  }
}

/** Of tolerations that one of the others covers, the wider one stays. */
export const mergeTolerations = (all: Tolerations): Tolerations =>
  all.reduce<Tolerations>((merged, one, index) => {
    const isRedundant =
      merged.some((kept) => covers(kept, one)) || all.slice(index + 1).some((later) => !isEqual(one, later) && covers(later, one))
    return isRedundant ? merged : [...merged, one]
  }, [])

/** Whether the first tolerates all that the second does. */
function covers(wide: Toleration, narrow: Toleration): boolean {
  if (isEqual(wide, narrow)) return true
  if ((narrow.key ?? '') !== (wide.key ?? '') && (wide.key || wide.operator !== 'Exists')) return false
  if (wide.effect && narrow.effect !== wide.effect) return false
  if (wide.effect === 'NoExecute' && wide.tolerationSeconds !== undefined) {
    if (narrow.tolerationSeconds === undefined || narrow.tolerationSeconds > wide.tolerationSeconds) return false
  }
  if (wide.operator === 'Exists') return true
  return (wide.operator ?? 'Equal') === 'Equal' && narrow.operator === 'Equal' && (narrow.value ?? '') === (wide.value ?? '')
}

const extendedResourcesOf = ({ containers, initContainers = [] }: PodSpec): readonly string[] =>
  [...new Set([...containers, ...initContainers].flatMap(({ resources }) => Object.keys(resources?.requests ?? {})))]
    .filter(isExtendedResource)
    .toSorted()

export const extendedResourceToleration: AdmissionPlugin = {
  name: 'ExtendedResourceToleration',
  handles: (attributes) => (attributes.operation === 'CREATE' || attributes.operation === 'UPDATE') && isPodWrite(attributes),
  admit(attributes) {
    const pod = podOf(attributes)
    return (
      pod &&
      changeSpec(pod, (spec) => {
        const have = spec.tolerations ?? []
        const missing = extendedResourcesOf(spec)
          .map((key): Toleration => ({ key, operator: 'Exists', effect: 'NoSchedule' }))
          .filter((wanted) => !have.some((own) => isEqual(own, wanted)))
        return missing.length === 0 ? spec : { ...spec, tolerations: [...have, ...missing] }
      })
    )
  },
}
