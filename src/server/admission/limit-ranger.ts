/** LimitRanges of a namespace: defaults for containers that ask for nothing, and bounds for what pods, containers and claims ask for. */
import type { Container, LimitRange, LimitRangeItem, PersistentVolumeClaim, Pod } from '../../api/generated/core/v1.ts'
import { admissionDenied, type AdmissionAttributes, type AdmissionPlugin } from '../admission.ts'
import { podTotals, type ResourceList } from '../../api/pod-resources.ts'
import { canonicalQuantity, compareQuantities, toFloat } from '../../api/quantity.ts'
import { containersOf, isPodWrite, isWriteOf, podOf } from './pods.ts'

const ANNOTATION = 'kubernetes.io/limit-ranger'

interface Demand {
  readonly requests: ResourceList
  readonly limits: ResourceList
}

const isClaimWrite = (attributes: AdmissionAttributes): boolean => isWriteOf(attributes, '', 'persistentvolumeclaims')

function rangesFor(attributes: AdmissionAttributes): readonly LimitRange[] {
  if (!attributes.namespace || attributes.oldObject?.metadata?.deletionTimestamp) return []
  return attributes.context.read.list('v1/LimitRange', attributes.namespace)
}

/** Defaults of one LimitRange, merged into what each container lacks; `notes` gets what was set. */
function fillContainer(container: Container, kind: string, defaults: Demand, notes: string[]): Container {
  const fill = (side: 'requests' | 'limits', word: string): ResourceList | undefined => {
    const own = container.resources?.[side]
    const missing = Object.keys(defaults[side]).filter((name) => own?.[name] === undefined)
    if (missing.length === 0) return own
    notes.push(`${missing.sort().join(', ')} ${word} for ${kind} ${container.name}`)
    return { ...own, ...Object.fromEntries(missing.map((name) => [name, defaults[side][name] ?? '0'])) }
  }
  const before = notes.length
  const requests = fill('requests', 'request')
  const limits = fill('limits', 'limit')
  return notes.length === before ? container : { ...container, resources: { ...container.resources, requests, limits } }
}

function applyDefaults(pod: Pod, range: LimitRange): Pod {
  const requests: Record<string, string> = {}
  const limits: Record<string, string> = {}
  for (const item of range.spec?.limits ?? []) {
    if (item.type !== 'Container') continue
    Object.assign(requests, item.defaultRequest)
    Object.assign(limits, item.default)
  }
  if (!pod.spec) return pod
  const notes: string[] = []
  const containers = (pod.spec.containers ?? []).map((container) => fillContainer(container, 'container', { requests, limits }, notes))
  const initContainers = pod.spec.initContainers?.map((container) =>
    fillContainer(container, 'init container', { requests, limits }, notes),
  )
  if (notes.length === 0) return pod
  const annotations = { ...pod.metadata?.annotations, [ANNOTATION]: `LimitRanger plugin set: ${notes.join('; ')}` }
  return {
    ...pod,
    metadata: { ...pod.metadata, annotations },
    spec: { ...pod.spec, containers, ...(initContainers ? { initContainers } : {}) },
  }
}

const show = (quantity: string | undefined): string => canonicalQuantity(quantity ?? '0')

function minimumProblem(type: string, name: string, least: string, { requests, limits }: Demand): string | undefined {
  const rule = `minimum ${name} usage per ${type} is ${show(least)}`
  const request = requests[name]
  const limit = limits[name]
  if (request === undefined) return `${rule}.  No request is specified`
  if (compareQuantities(request, least) < 0) return `${rule}, but request is ${show(request)}`
  return limit !== undefined && compareQuantities(limit, least) < 0 ? `${rule}, but limit is ${show(limit)}` : undefined
}

function maximumProblem(type: string, name: string, most: string, { requests, limits }: Demand): string | undefined {
  const rule = `maximum ${name} usage per ${type} is ${show(most)}`
  const request = requests[name]
  const limit = limits[name]
  if (limit === undefined) return `${rule}.  No limit is specified`
  if (compareQuantities(limit, most) > 0) return `${rule}, but limit is ${show(limit)}`
  return request !== undefined && compareQuantities(request, most) > 0 ? `${rule}, but request is ${show(request)}` : undefined
}

function ratioProblem(type: string, name: string, most: string, { requests, limits }: Demand): string | undefined {
  const rule = `${name} max limit to request ratio per ${type} is ${show(most)}`
  const request = toFloat(requests[name] ?? '0')
  const limit = toFloat(limits[name] ?? '0')
  if (request === 0) return `${rule}, but no request is specified or request is 0`
  if (limit === 0) return `${rule}, but no limit is specified or limit is 0`
  const ratio = limit / request
  return ratio > toFloat(most) ? `${rule}, but provided ratio is ${ratio.toFixed(6)}` : undefined
}

function problemsOf(type: string, item: LimitRangeItem, demand: Demand): readonly string[] {
  const all = [
    ...Object.entries(item.min ?? {}).map(([name, least]) => minimumProblem(type, name, least, demand)),
    ...Object.entries(item.max ?? {}).map(([name, most]) => maximumProblem(type, name, most, demand)),
    ...Object.entries(item.maxLimitRequestRatio ?? {}).map(([name, most]) => ratioProblem(type, name, most, demand)),
  ]
  return all.filter((problem) => problem !== undefined)
}

function podProblems(pod: Pod, range: LimitRange): readonly string[] {
  const spec = pod.spec
  if (!spec) return []
  return (range.spec?.limits ?? []).flatMap((item) => {
    if (item.type === 'Pod') return problemsOf('Pod', item, { requests: podTotals(spec, 'requests'), limits: podTotals(spec, 'limits') })
    if (item.type !== 'Container') return []
    // Containers before init containers, as upstream tells of them.
    return containersOf(spec)
      .toSorted((a, b) => Number(a.kind !== 'container') - Number(b.kind !== 'container'))
      .flatMap(({ container }) =>
        problemsOf('Container', item, { requests: container.resources?.requests ?? {}, limits: container.resources?.limits ?? {} }),
      )
  })
}

function claimProblems(claim: PersistentVolumeClaim, range: LimitRange): readonly string[] {
  const requests = claim.spec?.resources?.requests ?? {}
  return (range.spec?.limits ?? []).flatMap((item) => {
    if (item.type !== 'PersistentVolumeClaim') return []
    const tooMuch = Object.entries(item.max ?? {}).map(([name, most]) => {
      const rule = `maximum ${name} usage per ${item.type} is ${show(most)}`
      const request = requests[name]
      if (request === undefined) return `${rule}.  No request is specified`
      return compareQuantities(request, most) > 0 ? `${rule}, but request is ${show(request)}` : undefined
    })
    return [
      ...problemsOf(item.type, { ...item, max: {}, maxLimitRequestRatio: {} }, { requests, limits: {} }),
      ...tooMuch.filter((problem) => problem !== undefined),
    ]
  })
}

export const limitRanger: AdmissionPlugin = {
  name: 'LimitRanger',
  handles(attributes) {
    const { operation, resource, subresource } = attributes
    if (operation === 'UPDATE' && resource.group === '' && resource.resource === 'pods') return subresource === 'resize'
    return (operation === 'CREATE' || operation === 'UPDATE') && (isPodWrite(attributes) || isClaimWrite(attributes))
  },
  admit(attributes) {
    const pod = podOf(attributes)
    if (!pod || attributes.resource.resource !== 'pods') return attributes.object
    return rangesFor(attributes).reduce(applyDefaults, pod)
  },
  validate(attributes) {
    const { object } = attributes
    for (const range of rangesFor(attributes)) {
      const problems =
        attributes.resource.resource === 'pods' ? podProblems(object as Pod, range) : claimProblems(object as PersistentVolumeClaim, range)
      if (problems.length > 0) throw admissionDenied(attributes, problems.length === 1 ? (problems[0] ?? '') : `[${problems.join(', ')}]`)
    }
  },
}
