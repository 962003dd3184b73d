import type { PodGroup } from '../../../api/generated/scheduling/v1alpha2.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text } from '../columns.ts'

function state({ status }: PodGroup): string {
  const of = (type: string) => status?.conditions?.findLast((condition) => condition.type === type)
  const disrupted = of('DisruptionTarget')
  if (disrupted) return disrupted.reason
  const scheduled = of('PodGroupScheduled')
  return scheduled ? (scheduled.status === 'True' ? 'Scheduled' : 'Unschedulable') : 'Pending'
}

/** PodGroups: pods that are scheduled together. */
export const podGroups = defineResource({
  group: 'scheduling.k8s.io',
  version: 'v1alpha2',
  kind: 'PodGroup',
  hasGeneration: false,
  columns: nameToAge(
    text('Policy', ({ spec }: PodGroup) => (spec?.schedulingPolicy?.gang ? 'Gang' : 'Basic')),
    text('Workload', ({ spec }: PodGroup) => spec?.podGroupTemplateRef?.workload?.workloadName ?? '<none>'),
    text('Status', state),
  ),
})
