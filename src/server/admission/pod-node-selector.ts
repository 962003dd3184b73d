/** PodNodeSelector: a namespace says on which nodes its pods run, by an annotation; the configuration says what it may choose from. */
import type { Namespace, Pod } from '../../api/generated/core/v1.ts'
import { notFound, plainFailure } from '../../api/status.ts'
import { admissionDenied, type AdmissionAttributes, type AdmissionPlugin } from '../admission.ts'
import { ConfigurationError } from '../configuration/decode.ts'
import { changeSpec, isPodWrite, podOf } from './pods.ts'

const ANNOTATION = 'scheduler.alpha.kubernetes.io/node-selector'
const DEFAULT_KEY = 'clusterDefaultNodeSelector'

type Labels = Readonly<Record<string, string>>

export function podNodeSelector(given: unknown): AdmissionPlugin {
  const { podNodeSelectorPluginConfig: selectors = {} } = (given ?? {}) as { readonly podNodeSelectorPluginConfig?: Labels }
  for (const text of Object.values(selectors)) {
    if (typeof text !== 'string') throw new ConfigurationError('podNodeSelectorPluginConfig: expected texts')
  }
  return {
    name: 'PodNodeSelector',
    handles: (attributes) => attributes.operation === 'CREATE' && isPodWrite(attributes),
    admit(attributes) {
      const pod = podOf(attributes)
      const wanted = selectorOf(attributes, selectors)
      checkConflicts(attributes, wanted, pod)
      return (
        pod &&
        (Object.keys(wanted).length === 0
          ? pod
          : changeSpec(pod, (spec) => ({ ...spec, nodeSelector: { ...wanted, ...spec.nodeSelector } })))
      )
    },
    validate(attributes) {
      const pod = podOf(attributes)
      checkConflicts(attributes, selectorOf(attributes, selectors), pod)
      const allowed = parseLabels(selectors[attributes.namespace ?? ''] ?? '')
      const isOutside = ([key, value]: readonly [string, string]): boolean => allowed[key] !== value
      if (Object.keys(allowed).length > 0 && Object.entries(pod?.spec?.nodeSelector ?? {}).some(isOutside))
        throw admissionDenied(attributes, 'pod node label selector labels conflict with its namespace whitelist')
    },
  }
}

function selectorOf({ context, namespace }: AdmissionAttributes, selectors: Labels): Labels {
  const found: Namespace | undefined = context.read.get('v1/Namespace', undefined, namespace ?? '')
  if (!found) throw notFound('', 'namespaces', namespace ?? '')
  return parseLabels(found.metadata?.annotations?.[ANNOTATION] ?? selectors[DEFAULT_KEY] ?? '')
}

function checkConflicts(attributes: AdmissionAttributes, wanted: Labels, pod: Pod | undefined): void {
  const own = pod?.spec?.nodeSelector ?? {}
  if (Object.keys(wanted).some((key) => own[key] !== undefined && own[key] !== wanted[key]))
    throw admissionDenied(attributes, 'pod node label selector conflicts with its namespace node label selector')
}

/** "a=b,c=d", as apimachinery's ConvertSelectorToLabelsMap reads it. */
function parseLabels(text: string): Labels {
  if (text === '') return {}
  return Object.fromEntries(
    text.split(',').map((part) => {
      const [key = '', value, ...more] = part.split('=')
      if (value === undefined || more.length > 0) throw plainFailure(`invalid selector: [${part.split('=').join(' ')}]`)
      return [key.trim(), value.trim()] as const
    }),
  )
}
