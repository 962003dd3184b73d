/**
 * Changes of a pod that its node must be able to follow: PodResizeValidator refuses more than the node has (KEP-1287), and
 * NodeDeclaredFeatureValidator what the node does not say it can do (KEP-5328). Both look at bound pods whose spec changed.
 */
import type { Node, Pod } from '../../api/generated/core/v1.ts'
import { podTotals } from '../../api/pod-resources.ts'
import { compareQuantities, toMilli, toNumber } from '../../api/quantity.ts'
import { ApiError } from '../../api/status.ts'
import { admissionDenied, type AdmissionAttributes, type AdmissionPlugin } from '../admission.ts'
import { isSemanticallyEqual } from '../resources/immutable.ts'

/** The bound pod, before and after; undefined when its spec stays. */
function changeOf({ object, oldObject }: AdmissionAttributes): { readonly pod: Pod; readonly old: Pod } | undefined {
  const pod = object as Pod
  const old = oldObject as Pod
  return pod.spec?.nodeName && pod.metadata?.generation !== old.metadata?.generation ? { pod, old } : undefined
}

function nodeOf(attributes: AdmissionAttributes, name: string): Node {
  const node = attributes.context.read.get('v1/Node', undefined, name)
  if (!node) throw admissionDenied(attributes, `node ${JSON.stringify(name)} not found`)
  return node
}

const isPodUpdate = ({ operation, resource }: AdmissionAttributes): boolean =>
  operation === 'UPDATE' && resource.resource === 'pods' && resource.group === ''

export const podResizeValidator: AdmissionPlugin = {
  name: 'PodResizeValidator',
  handles: (attributes) => isPodUpdate(attributes) && attributes.subresource === 'resize',
  validate(attributes) {
    const change = changeOf(attributes)
    if (!change) return
    const { pod } = change
    const name = pod.spec!.nodeName!
    const node = nodeOf(attributes, name)
    const system = node.metadata?.labels?.['kubernetes.io/os'] ?? 'linux'
    if (system !== 'linux')
      throw because(
        admissionDenied(
          attributes,
          `pod resize is only supported on linux nodes, node ${JSON.stringify(name)} is ${JSON.stringify(system)}`,
        ),
        'UnsupportedPlatform',
      )
    const missing = shortage(pod, node)
    if (missing.length > 0)
      throw because(admissionDenied(attributes, `node didn't have enough allocatable resources: ${missing.join('; ')}`), 'NodeCapacity')
  },
}

const MEASURES = { cpu: toMilli, memory: toNumber } as const

function shortage({ spec }: Pod, { status }: Node): readonly string[] {
  const requests = podTotals(spec!, 'requests', { withOverhead: true })
  return (['cpu', 'memory'] as const).flatMap((name) => {
    const requested = requests[name] ?? '0'
    const allocatable = String(status?.allocatable?.[name] ?? '0')
    if (compareQuantities(requested, allocatable) <= 0) return []
    return [`${name}, requested: ${MEASURES[name](requested)}, allocatable: ${MEASURES[name](allocatable)}`]
  })
}

/** The refusal with a cause by which clients tell it from others. */
function because(refusal: ApiError, reason: string): ApiError {
  const { status } = refusal
  return new ApiError({ ...status, details: { ...status.details, causes: [{ reason }] } })
}

/** Which changes need what (component-helpers/nodedeclaredfeatures). */
const FEATURES: readonly (readonly [name: string, isNeeded: (next: NonNullable<Pod['spec']>, old: NonNullable<Pod['spec']>) => boolean])[] =
  [
    ['InPlacePodLevelResourcesVerticalScaling', (next, old) => !isSemanticallyEqual(next.resources, old.resources)],
    [
      'InPlacePodVerticalScalingInitContainers',
      (next, old) =>
        (old.initContainers ?? []).some(
          ({ restartPolicy, resources }, index) =>
            restartPolicy !== 'Always' && !isSemanticallyEqual(resources, next.initContainers?.[index]?.resources),
        ),
    ],
  ]

export const nodeDeclaredFeatureValidator: AdmissionPlugin = {
  name: 'NodeDeclaredFeatureValidator',
  handles: (attributes) => isPodUpdate(attributes) && (attributes.subresource === undefined || attributes.subresource === 'resize'),
  validate(attributes) {
    const change = changeOf(attributes)
    if (!change) return
    const { pod, old } = change
    const needed = FEATURES.filter(([, isNeeded]) => isNeeded(pod.spec!, old.spec!)).map(([name]) => name)
    if (needed.length === 0) return
    const name = pod.spec!.nodeName!
    const declared = nodeOf(attributes, name).status?.declaredFeatures ?? []
    const missing = needed.filter((feature) => !declared.includes(feature))
    if (missing.length > 0)
      throw admissionDenied(
        attributes,
        `pod update requires features ${missing.join(', ')} which are not available on node ${JSON.stringify(name)}`,
      )
  },
}
