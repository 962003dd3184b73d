import type { PodTemplate } from '../../../api/generated/core/v1.ts'
import { defineResource } from '../../resource.ts'
import { containerColumns, formatLabels, nameColumn, text } from '../columns.ts'
import { changeField } from '../immutable.ts'
import type { FieldErrors } from '../rules.ts'
import { podTemplateDefaults } from './pod-spec-defaults.ts'
import { templateWarnings } from './pod-warnings.ts'
import { validatePodTemplate } from './pod-validation.ts'
import type { Column } from '../../resource.ts'

/** PodTemplates: stored for later use, never run by themselves. */
export const podTemplates = defineResource({
  group: '',
  version: 'v1',
  kind: 'PodTemplate',
  hasGeneration: true,
  columns: [
    nameColumn as Column<PodTemplate>,
    ...containerColumns(({ template }: PodTemplate) => template?.spec?.containers).map(({ wide: _wide, ...column }) => column),
    text('Pod Labels', ({ template }: PodTemplate) => formatLabels(template?.metadata?.labels)),
  ],
  setDefaults: (object) => changeField(object, 'template', podTemplateDefaults),
  warnings: ({ metadata, template }, old) =>
    old && metadata?.generation === old.metadata?.generation ? [] : templateWarnings('template', template),
  validate({ template }) {
    const errors: FieldErrors = []
    if (template) validatePodTemplate(errors, 'template', template)
    return errors
  },
})
