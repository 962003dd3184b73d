import type { ComponentStatus } from '../../../api/generated/core/v1.ts'
import { defineResource } from '../../resource.ts'
import { nameColumn, text } from '../columns.ts'
import type { Column } from '../../resource.ts'

const healthy = ({ conditions }: ComponentStatus) => conditions?.find((condition) => condition.type === 'Healthy')

/** ComponentStatuses: computed when read, deprecated, and still what `kubectl get cs` shows. */
export const componentStatuses = defineResource({
  group: '',
  version: 'v1',
  kind: 'ComponentStatus',
  hasGeneration: false,
  columns: [
    nameColumn as Column<ComponentStatus>,
    text('Status', (object: ComponentStatus) => {
      const condition = healthy(object)
      return condition ? (condition.status === 'True' ? 'Healthy' : 'Unhealthy') : 'Unknown'
    }),
    text('Message', (object: ComponentStatus) => healthy(object)?.message ?? ''),
    text('Error', (object: ComponentStatus) => healthy(object)?.error ?? ''),
  ],
})
