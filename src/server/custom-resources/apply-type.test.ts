import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEDUCED } from '../../api/apply/schema.ts'
import type { JSONSchemaProps } from '../../api/generated/apiextensions/v1.ts'
import { customApplyType } from './apply-type.ts'
import { compileSchema } from './structural.ts'

const typeOf = (props: JSONSchemaProps) => customApplyType(compileSchema(props))

test('lists and maps are owned as the schema says', () => {
  const type = typeOf({
    type: 'object',
    properties: {
      spec: {
        type: 'object',
        properties: {
          name: { type: 'string', default: 'x' },
          when: { type: 'string', format: 'date-time' },
          port: { 'x-kubernetes-int-or-string': true },
          plain: { type: 'array', items: { type: 'string' } },
          set: { type: 'array', items: { type: 'string' }, 'x-kubernetes-list-type': 'set' },
          keyed: {
            type: 'array',
            items: { type: 'object', properties: { k: { type: 'string' } } },
            'x-kubernetes-list-type': 'map',
            'x-kubernetes-list-map-keys': ['k'],
          },
          whole: { type: 'object', additionalProperties: { type: 'integer' }, 'x-kubernetes-map-type': 'atomic' },
          free: {
            type: 'object',
            'x-kubernetes-preserve-unknown-fields': true,
            properties: { known: { type: 'object', properties: { a: { type: 'string' } } } },
          },
        },
      },
    },
  })
  const fields = (of: typeof type | undefined) => of?.map?.fields
  assert.deepEqual([...(fields(type)?.keys() ?? [])], ['spec', 'apiVersion', 'kind', 'metadata'])
  assert.equal(customApplyType(undefined).map?.element, DEDUCED)
  assert.equal(type.map?.element, undefined)
  const metadata = fields(type)?.get('metadata')?.type
  assert.deepEqual(fields(metadata)?.get('ownerReferences')?.type.list?.keys, ['uid'])
  const spec = fields(fields(type)?.get('spec')?.type)
  const of = (name: string) => spec?.get(name)?.type
  assert.deepEqual(
    [of('name')?.scalar, spec?.get('name')?.default, of('when')?.scalar, of('port')?.scalar],
    ['string', 'x', 'untyped', 'untyped'],
  )
  assert.deepEqual(
    [of('plain')?.list?.isAtomic, of('set')?.list?.isAtomic, of('set')?.list?.keys, of('keyed')?.list?.keys],
    [true, false, [], ['k']],
  )
  assert.deepEqual([of('whole')?.map?.isAtomic, of('whole')?.map?.element], [true, { scalar: 'numeric' }])
  assert.equal(of('free')?.map?.element, DEDUCED)
  assert.equal(fields(of('free'))?.get('known')?.type.map?.element, DEDUCED)
})
