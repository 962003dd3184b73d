/**
 * The arguments of the built-in plugins (kubescheduler.config.k8s.io/v1, types_pluginargs.go): read, defaulted and checked as
 * upstream does, and the plugin made of them.
 */
import type { NodeAffinity, TopologySpreadConstraint } from '../../api/generated/core/v1.ts'
import type { Plugin } from '../framework.ts'
import { createDefaultPreemption } from '../plugins/default-preemption.ts'
import { createDynamicResources } from '../plugins/dynamic-resources.ts'
import { createInterPodAffinity } from '../plugins/inter-pod-affinity.ts'
import { createNodeAffinity } from '../plugins/node-affinity.ts'
import { createNodeResourcesBalancedAllocation } from '../plugins/node-resources-balanced-allocation.ts'
import { createNodeResourcesFit } from '../plugins/node-resources-fit.ts'
import { createPodTopologySpread } from '../plugins/pod-topology-spread.ts'
import { createVolumeBinding } from '../plugins/volume-binding.ts'
import { CPU_AND_MEMORY } from '../resource-scoring.ts'
import type { ResourceSpec, ScoringStrategy, ShapePoint } from '../resource-scoring.ts'
import type { Fields } from './fields.ts'

function readInRange(fields: Fields, name: string, fallback: number, [least, most]: readonly [number, number], text: string): number {
  const value = fields.integer(name) ?? fallback
  if (value < least || value > most) fields.invalid(name, `not in valid range ${text}`)
  return value
}

function readResources(fields: Fields): readonly ResourceSpec[] {
  const resources = fields.objects('resources').map((element) => {
    const name = element.text('name') ?? ''
    const weight = element.integer('weight') || 1
    if (weight < 0 || weight > 100) element.invalid('weight', `resource weight of ${name} not in valid range (0, 100]`)
    element.done()
    return { name, weight }
  })
  return resources.length > 0 ? resources : CPU_AND_MEMORY
}

function readShape(fields: Fields): readonly ShapePoint[] {
  const shape = fields.objects('shape').map((element) => {
    const utilization = readInRange(element, 'utilization', 0, [0, 100], '[0, 100]')
    const score = readInRange(element, 'score', 0, [0, 10], '[0, 10]')
    element.done()
    return { utilization, score }
  })
  if (shape.length === 0) fields.error('shape', 'Required value: at least one point must be specified')
  if (shape.some(({ utilization }, i) => i > 0 && utilization <= shape[i - 1]!.utilization))
    fields.invalid('shape', 'values must be sorted in increasing order')
  return shape
}

const STRATEGIES = ['LeastAllocated', 'MostAllocated', 'RequestedToCapacityRatio'] as const

function readStrategy(fields: Fields | undefined): ScoringStrategy {
  if (!fields) return { type: 'LeastAllocated', resources: CPU_AND_MEMORY }
  const name = fields.text('type') ?? ''
  const type = STRATEGIES.find((strategy) => strategy === name)
  if (!type) fields.error('type', `Unsupported value: "${name}": supported values: ${STRATEGIES.map((one) => `"${one}"`).join(', ')}`)
  const resources = readResources(fields)
  const ratio = fields.object('requestedToCapacityRatio')
  const shape = ratio ? readShape(ratio) : []
  ratio?.done()
  fields.done()
  if (type !== 'RequestedToCapacityRatio') {
    if (ratio) fields.error('requestedToCapacityRatio', 'Forbidden: must be nil when type is not RequestedToCapacityRatio')
    return { type: type ?? 'LeastAllocated', resources }
  }
  if (!ratio) fields.error('requestedToCapacityRatio', 'Required value: must be specified when type is RequestedToCapacityRatio')
  return { type, resources, shape }
}

function readFit(args: Fields, ignoredByScheduler: readonly string[]): Plugin {
  const ignoredResources = [...args.texts('ignoredResources'), ...ignoredByScheduler]
  const ignoredResourceGroups = args.texts('ignoredResourceGroups')
  for (const group of ignoredResourceGroups)
    if (group.includes('/')) args.invalid('ignoredResourceGroups', "resource group name can't contain '/'")
  return createNodeResourcesFit({ ignoredResources, ignoredResourceGroups, scoringStrategy: readStrategy(args.object('scoringStrategy')) })
}

function readBalanced(args: Fields): Plugin {
  const resources = readResources(args)
  const names = new Set<string>()
  for (const { name, weight } of resources) {
    if (names.has(name)) args.error('resources', `Duplicate value: "${name}"`)
    names.add(name)
    if (weight !== 1) args.invalid('resources', 'must be 1')
  }
  return createNodeResourcesBalancedAllocation({ resources })
}

function readSpread(args: Fields): Plugin {
  const defaultingType = args.text('defaultingType') || 'System'
  const elements = args.objects('defaultConstraints')
  const seen = new Set<string>()
  const defaultConstraints = elements.map((element): TopologySpreadConstraint => {
    const maxSkew = element.integer('maxSkew') ?? 0
    const topologyKey = element.text('topologyKey') ?? ''
    const whenUnsatisfiable = element.text('whenUnsatisfiable') ?? ''
    const minDomains = element.integer('minDomains')
    const nodeAffinityPolicy = element.text('nodeAffinityPolicy')
    const nodeTaintsPolicy = element.text('nodeTaintsPolicy')
    if (maxSkew <= 0) element.invalid('maxSkew', 'not in valid range (0, inf)')
    if (!topologyKey) element.error('topologyKey', 'Required value: can not be empty')
    if (whenUnsatisfiable !== 'DoNotSchedule' && whenUnsatisfiable !== 'ScheduleAnyway')
      element.error('whenUnsatisfiable', `Unsupported value: "${whenUnsatisfiable}": supported values: "DoNotSchedule", "ScheduleAnyway"`)
    if (element.raw('labelSelector') !== undefined)
      element.error('labelSelector', 'Forbidden: constraint must not define a selector, as they deduced for each pod')
    const pair = `{${topologyKey}, ${whenUnsatisfiable}}`
    if (seen.has(pair)) args.error('defaultConstraints', `Duplicate value: "${pair}"`)
    seen.add(pair)
    element.done()
    return {
      maxSkew,
      topologyKey,
      whenUnsatisfiable,
      ...(minDomains === undefined ? {} : { minDomains }),
      ...(nodeAffinityPolicy === undefined ? {} : { nodeAffinityPolicy }),
      ...(nodeTaintsPolicy === undefined ? {} : { nodeTaintsPolicy }),
    }
  })
  if (defaultingType !== 'System' && defaultingType !== 'List')
    args.error('defaultingType', `Unsupported value: "${defaultingType}": supported values: "System", "List"`)
  if (defaultingType === 'System' && elements.length > 0) args.invalid('defaultingType', 'when .defaultConstraints are not empty')
  return createPodTopologySpread({ defaultingType: defaultingType === 'List' ? 'List' : 'System', defaultConstraints })
}

function readPreemption(args: Fields): Plugin {
  const minCandidateNodesPercentage = readInRange(args, 'minCandidateNodesPercentage', 10, [0, 100], '[0, 100]')
  const minCandidateNodesAbsolute = readInRange(args, 'minCandidateNodesAbsolute', 100, [0, Infinity], '[0, inf)')
  if (minCandidateNodesPercentage === 0 && minCandidateNodesAbsolute === 0)
    args.invalid('minCandidateNodesPercentage', 'cannot be zero at the same time as minCandidateNodesAbsolute')
  return createDefaultPreemption({ minCandidateNodesPercentage, minCandidateNodesAbsolute })
}

function readVolumeBinding(args: Fields): Plugin {
  const bindTimeoutSeconds = args.integer('bindTimeoutSeconds') ?? 600
  if (bindTimeoutSeconds < 0) args.invalid('bindTimeoutSeconds', 'invalid BindTimeoutSeconds, should not be a negative value')
  if (args.raw('shape') !== undefined)
    args.invalid('shape', 'unexpected field `shape`, remove it or turn on the feature gate StorageCapacityScoring')
  return createVolumeBinding({ bindTimeoutSeconds })
}

function readDynamicResources(args: Fields): Plugin {
  // Accepted: the search for devices ends by its steps, so that it ends alike on every machine.
  if ((args.durationMs('filterTimeout') ?? 0) < 0) args.invalid('filterTimeout', 'must be zero or positive')
  const bindingTimeoutMs = args.durationMs('bindingTimeout') ?? 600_000
  if (bindingTimeoutMs < 1_000) args.invalid('bindingTimeout', 'must be at least 1 second')
  return createDynamicResources({ bindingTimeoutMs })
}

/** Makes the plugin of its arguments; plugins that are not named here have none. `ignoredByScheduler`: resources that extenders manage. */
export const withArgs: Readonly<Record<string, (args: Fields, ignoredByScheduler: readonly string[]) => Plugin>> = {
  DefaultPreemption: readPreemption,
  DynamicResources: readDynamicResources,
  InterPodAffinity: (args) =>
    createInterPodAffinity({
      hardPodAffinityWeight: readInRange(args, 'hardPodAffinityWeight', 1, [0, 100], '[0, 100]'),
      ignorePreferredTermsOfExistingPods: args.flag('ignorePreferredTermsOfExistingPods') ?? false,
    }),
  NodeAffinity: (args) => createNodeAffinity({ addedAffinity: args.raw('addedAffinity') as NodeAffinity | undefined }),
  NodeResourcesBalancedAllocation: readBalanced,
  NodeResourcesFit: readFit,
  PodTopologySpread: readSpread,
  VolumeBinding: readVolumeBinding,
}
