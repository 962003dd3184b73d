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
  validate({ data, revision }) {
    const errors: FieldErrors = []
    if (data === undefined) errors.push(required('data', 'data is mandatory'))
    checkNotNegative(errors, 'revision', revision)
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    checkImmutable(errors, 'data', next.data, old.data)
    return errors
  },
})
