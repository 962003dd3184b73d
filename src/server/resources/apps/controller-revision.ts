/** ControllerRevisions: templates as they once were, kept for rolling back. */
import type { ControllerRevision } from '../../../api/generated/apps/v1.ts'
import { parseApiVersion } from '../../../api/schema.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text } from '../columns.ts'
import { checkImmutable, checkNotNegative, required, type FieldErrors } from '../rules.ts'

function controller({ metadata }: ControllerRevision): string {
  const owner = metadata?.ownerReferences?.find((reference) => reference.controller)
  if (!owner) return '<none>'
  const { group } = parseApiVersion(owner.apiVersion)
  return `${owner.kind.toLowerCase()}${group ? `.${group}` : ''}/${owner.name}`
}

export const controllerRevisions = defineResource({
  group: 'apps',
  version: 'v1',
  kind: 'ControllerRevision',
  hasGeneration: false,
  columns: nameToAge(text('Controller', controller), {
    ...text('Revision', () => ''),
    cell: ({ revision }: ControllerRevision) => revision ?? 0,
  }),
  validate({ revision }) {
    const errors: FieldErrors = []
    checkNotNegative(errors, 'revision', revision)
    return errors
  },
  validateCreate({ data }) {
    const fault = data === undefined || data === null ? 'data is mandatory' : 'data must be a valid JSON object'
    return typeof data === 'object' && data !== null && !Array.isArray(data) ? [] : [required('data', fault)]
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    checkImmutable(errors, 'data', next.data, old.data)
    return errors
  },
})
