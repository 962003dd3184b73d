/**
 * The plugins that are built in, by name, and the default profile: upstream's default plugins, in their order and with their weights
 * (apis/config/v1/default_plugins.go with the feature gates as v1.36 has them by default).
 */
import { profileOf } from './framework.ts'
import type { Plugin, Profile, WeightedPlugin } from './framework.ts'
import { defaultBinder } from './plugins/default-binder.ts'
import { createDefaultPreemption } from './plugins/default-preemption.ts'
import { createDynamicResources } from './plugins/dynamic-resources.ts'
import { imageLocality } from './plugins/image-locality.ts'
import { createInterPodAffinity } from './plugins/inter-pod-affinity.ts'
import { createNodeAffinity } from './plugins/node-affinity.ts'
import { nodeDeclaredFeatures } from './plugins/node-declared-features.ts'
import { nodeName } from './plugins/node-name.ts'
import { nodePorts } from './plugins/node-ports.ts'
import { createNodeResourcesBalancedAllocation } from './plugins/node-resources-balanced-allocation.ts'
import { createNodeResourcesFit } from './plugins/node-resources-fit.ts'
import { nodeUnschedulable } from './plugins/node-unschedulable.ts'
import { nodeVolumeLimits } from './plugins/node-volume-limits.ts'
import { createPodTopologySpread } from './plugins/pod-topology-spread.ts'
import { prioritySort } from './plugins/priority-sort.ts'
import { schedulingGates } from './plugins/scheduling-gates.ts'
import { taintToleration } from './plugins/taint-toleration.ts'
import { createVolumeBinding } from './plugins/volume-binding.ts'
import { volumeRestrictions } from './plugins/volume-restrictions.ts'
import { volumeZone } from './plugins/volume-zone.ts'

const always = (plugin: Plugin) => () => plugin

/** In the order of the default profile; each makes a plugin with upstream's default arguments. */
const defaults: readonly { readonly make: () => Plugin; readonly weight?: number }[] = [
  { make: always(schedulingGates) },
  { make: always(prioritySort) },
  { make: always(nodeUnschedulable) },
  { make: always(nodeName) },
  { make: always(taintToleration), weight: 3 },
  { make: createNodeAffinity, weight: 2 },
  { make: always(nodePorts) },
  { make: createNodeResourcesFit, weight: 1 },
  { make: always(volumeRestrictions) },
  { make: always(nodeVolumeLimits) },
  { make: createVolumeBinding },
  { make: always(volumeZone) },
  { make: createPodTopologySpread, weight: 2 },
  { make: createInterPodAffinity, weight: 2 },
  // Before preemption: an idle claim is better given up than a pod that works.
  { make: createDynamicResources, weight: 2 },
  { make: createDefaultPreemption },
  { make: createNodeResourcesBalancedAllocation, weight: 1 },
  { make: always(imageLocality), weight: 1 },
  { make: always(defaultBinder) },
  { make: always(nodeDeclaredFeatures) },
]

export const defaultPlugins = (): readonly WeightedPlugin[] => defaults.map(({ make, weight = 1 }) => ({ plugin: make(), weight }))

/** Made anew for each scheduler: plugins remember what its pods have chosen. */
export const createDefaultProfile = (): Profile => profileOf('default-scheduler', defaultPlugins())
