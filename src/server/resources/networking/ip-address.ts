import type { IPAddress } from '../../../api/generated/networking/v1.ts'
import { dns1123SubdomainFaults, pathSegmentFaults } from '../../../api/names.ts'
import { defineResource } from '../../resource.ts'
import { isIP } from '../addresses.ts'
import { nameToAge, text } from '../columns.ts'
import { checkFormat, checkImmutable, required, type FieldErrors } from '../rules.ts'

function parent({ spec }: IPAddress): string {
  const ref = spec?.parentRef
  if (!ref) return '<none>'
  const resource = `${ref.resource ?? ''}${ref.group ? `.${ref.group}` : ''}`.toLowerCase()
  return [resource, ...(ref.namespace ? [ref.namespace] : []), ref.name ?? ''].join('/')
}

const nameFormat = (name: string): readonly string[] =>
  isIP(name) ? [] : ['must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)']

/** IPAddresses: each address in use, and by what. */
export const ipAddresses = defineResource({
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'IPAddress',
  hasGeneration: false,
  nameFormat,
  columns: nameToAge(text('ParentRef', parent)),
  validate({ spec }) {
    const errors: FieldErrors = []
    const ref = spec?.parentRef
    if (!ref) errors.push(required('spec.parentRef'))
    else {
      if (ref.group) checkFormat(errors, 'spec.parentRef.group', ref.group, dns1123SubdomainFaults)
      for (const field of ['resource', 'name', 'namespace'] as const) {
        if (ref[field]) checkFormat(errors, `spec.parentRef.${field}`, ref[field], pathSegmentFaults)
        else if (field !== 'namespace') errors.push(required(`spec.parentRef.${field}`))
      }
    }
    return errors
  },
  validateUpdate(next, old) {
    const errors: FieldErrors = []
    const { generateName } = next.metadata ?? {}
    if (generateName) checkFormat(errors, 'metadata.generateName', generateName, nameFormat)
    checkImmutable(errors, 'spec.parentRef', next.spec?.parentRef, old.spec?.parentRef, 'networking/v1.ParentReference')
    return errors
  },
})
