import type { IPAddress } from '../../../api/generated/networking/v1.ts'
import { defineResource } from '../../resource.ts'
import { familyOfIP } from '../addresses.ts'
import { nameToAge, text } from '../columns.ts'
import { checkImmutable, required, type FieldErrors } from '../rules.ts'

function parent({ spec }: IPAddress): string {
  const ref = spec?.parentRef
  if (!ref) return '<none>'
  const resource = `${ref.resource ?? ''}${ref.group ? `.${ref.group}` : ''}`.toLowerCase()
  return [resource, ...(ref.namespace ? [ref.namespace] : []), ref.name ?? ''].join('/')
}

/** IPAddresses: each address in use, and by what. */
export const ipAddresses = defineResource({
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'IPAddress',
  hasGeneration: false,
  nameFormat: (name) => (familyOfIP(name) === undefined ? ['must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'] : []),
  columns: nameToAge(text('ParentRef', parent)),
  validate({ spec }) {
    const errors: FieldErrors = []
    const ref = spec?.parentRef
    if (!ref) errors.push(required('spec.parentRef'))
    else {
      if (!ref.resource) errors.push(required('spec.parentRef.resource'))
      if (!ref.name) errors.push(required('spec.parentRef.name'))
    }
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    checkImmutable(errors, 'spec.parentRef', next.spec?.parentRef, old.spec?.parentRef)
    return errors
  },
})
