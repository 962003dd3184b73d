import { defineResource } from '../../resource.ts'
import { nameToAge } from '../columns.ts'

/** Workloads: templates of groups of pods. */
export const workloads = defineResource({
  group: 'scheduling.k8s.io',
  version: 'v1alpha2',
  kind: 'Workload',
  hasGeneration: false,
  columns: nameToAge(),
})
