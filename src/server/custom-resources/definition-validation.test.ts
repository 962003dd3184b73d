import assert from 'node:assert/strict'
import { test } from 'node:test'
import type {
  CustomResourceDefinition,
  CustomResourceDefinitionSpec,
  CustomResourceDefinitionVersion,
  JSONSchemaProps,
} from '../../api/generated/apiextensions/v1.ts'
import { celRules } from './cel-rules.ts'
import { validateDefinition, validateDefinitionUpdate } from './definition-validation.ts'

const text: JSONSchemaProps = { type: 'string' }
const ofSpec = (spec: JSONSchemaProps): JSONSchemaProps => ({ type: 'object', properties: { spec } })

const versionOf = (over: Partial<CustomResourceDefinitionVersion> = {}): CustomResourceDefinitionVersion => ({
  name: 'v1',
  served: true,
  storage: true,
  schema: { openAPIV3Schema: ofSpec({ type: 'object', properties: { a: text } }) },
  ...over,
})

const definitionOf = (over: Partial<CustomResourceDefinitionSpec> = {}): CustomResourceDefinition => ({
  metadata: { name: 'widgets.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'widgets', singular: 'widget', kind: 'Widget', listKind: 'WidgetList' },
    conversion: { strategy: 'None' },
    versions: [versionOf()],
    ...over,
  },
  status: { storedVersions: ['v1'], conditions: [], acceptedNames: { plural: '', kind: '' } },
})

const checks = { rules: celRules }
const told = (errors: readonly { readonly field: string; readonly detail: string }[]) =>
  errors.map(({ field, detail }) => `${field}: ${detail}`)
const errorsOf = (over: Partial<CustomResourceDefinitionSpec>) => told(validateDefinition(definitionOf(over), checks))
const versionErrors = (over: Partial<CustomResourceDefinitionVersion>) =>
  errorsOf({ versions: [versionOf(over)] }).map((error) => error.replace(/^spec\.(?:versions\[0\]\.)?/, ''))
const schemaErrors = (spec: JSONSchemaProps) =>
  versionErrors({ schema: { openAPIV3Schema: ofSpec(spec) } }).map((error) =>
    error.replace('validation.openAPIV3Schema.properties[spec]', 'spec'),
  )

test('a right definition has no fault', () => assert.deepEqual(errorsOf({}), []))

test('names, groups and versions', () => {
  assert.deepEqual(errorsOf({ group: 'example' }), [
    'metadata.name: Invalid value: "widgets.example.com": must be spec.names.plural+"."+spec.group',
    'spec.group: Invalid value: "example": should be a domain with at least one dot',
  ])
  assert.deepEqual(errorsOf({ scope: 'Galaxy' }), ['spec.scope: Unsupported value: "Galaxy": supported values: "Cluster", "Namespaced"'])
  const { names } = definitionOf().spec
  assert.deepEqual(errorsOf({ names: { ...names, listKind: 'Widget' } }), [
    'spec.names.listKind: Invalid value: "Widget": kind and listKind may not be the same',
  ])
  assert.match(
    errorsOf({ names: { ...names, shortNames: ['W'] } })[0] ?? '',
    /^spec\.names\.shortNames\[0\]: Invalid value: "W": a DNS-1035 label/,
  )
  const twice = errorsOf({ versions: [versionOf(), versionOf({ storage: false })] })
  assert.match(twice[0] ?? '', /^spec\.versions: Invalid value: .*: must contain unique version names$/)
  const none = errorsOf({ versions: [versionOf({ storage: false })] })
  assert.match(none[0] ?? '', /must have exactly one version marked as storage version$/)
  const { schema: _schema, ...bare } = versionOf()
  assert.deepEqual(errorsOf({ versions: [bare] }), ['spec.versions[0].schema.openAPIV3Schema: Required value'])
  assert.deepEqual(errorsOf({ preserveUnknownFields: true }), [
    'spec.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead',
  ])
})

test('groups of the community want an approval', () => {
  const definition = { ...definitionOf({ group: 'x.k8s.io' }), metadata: { name: 'widgets.x.k8s.io' } }
  const missing =
    'protected groups must have approval annotation "api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111'
  assert.deepEqual(told(validateDefinition(definition, checks)), [
    `metadata.annotations[api-approved.kubernetes.io]: Required value: ${missing}`,
  ])
  for (const value of ['https://github.com/x/y/pull/1', 'unapproved, an experiment']) {
    const annotated = { ...definition, metadata: { ...definition.metadata, annotations: { 'api-approved.kubernetes.io': value } } }
    assert.deepEqual(validateDefinition(annotated, checks), [], value)
  }
})

test('schemas are structural', () => {
  const cases: readonly (readonly [spec: JSONSchemaProps, ...expected: string[]])[] = [
    [{ properties: { a: text } }, 'spec.type: Required value: must not be empty for specified object fields'],
    [{ type: 'array' }, 'spec.items: Required value: must be specified'],
    [{ type: 'array', items: {} }, 'spec.items.type: Required value: must not be empty for specified array items'],
    [{ type: 'string', allOf: [{ type: 'string' }] }, 'spec.allOf[0].type: Forbidden: must be empty to be structural'],
    [{ type: 'string', not: { description: 'x' } }, 'spec.not.description: Forbidden: must be empty to be structural'],
    [
      { 'x-kubernetes-int-or-string': true, 'x-kubernetes-preserve-unknown-fields': true },
      'spec.x-kubernetes-preserve-unknown-fields: Invalid value: true: must be false if x-kubernetes-int-or-string is true',
    ],
    [
      { type: 'object', 'x-kubernetes-embedded-resource': true },
      'spec.properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields',
    ],
  ]
  for (const [spec, ...expected] of cases) assert.deepEqual(schemaErrors(spec), expected)
  assert.match(
    schemaErrors({ type: 'string', pattern: '(?=a)' })[0] ?? '',
    /^spec\.pattern: Invalid value: "\(\?=a\)": must be a valid regular expression, but isn't: error parsing regexp: invalid or unsupported Perl syntax/,
  )
  assert.deepEqual(schemaErrors({ 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] }), [])
  // Upstream looks for fields that are narrowed but not declared at the root alone.
  const narrowed: JSONSchemaProps = { type: 'object', anyOf: [{ properties: { b: { minLength: 1 } } }] }
  assert.deepEqual(versionErrors({ schema: { openAPIV3Schema: narrowed } }), [
    'validation.openAPIV3Schema.properties[b]: Required value: because it is defined in spec.validation.openAPIV3Schema.anyOf[0].properties[b]',
  ])
  assert.deepEqual(versionErrors({ schema: { openAPIV3Schema: { type: 'object', additionalProperties: text } } }), [
    'validation.openAPIV3Schema.additionalProperties: Forbidden: must not be used at the root',
  ])
})

test('keywords that schemas may not have, and list types', () => {
  const keyed = (
    more: JSONSchemaProps,
    items: JSONSchemaProps = { type: 'object', required: ['k'], properties: { k: text } },
  ): JSONSchemaProps => ({ type: 'array', items, 'x-kubernetes-list-type': 'map', ...more })
  const cases: readonly (readonly [spec: JSONSchemaProps, ...expected: string[]])[] = [
    [
      { type: 'array', items: text, uniqueItems: true },
      'spec.uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic',
    ],
    [
      { type: 'object', properties: { a: text }, additionalProperties: text },
      'spec.additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive',
    ],
    [
      { type: 'null' },
      'spec.type: Unsupported value: "null": supported values: "array", "boolean", "integer", "number", "object", "string"',
      'spec.type: Forbidden: type cannot be set to null, use nullable as an alternative',
    ],
    [{ ...text, $ref: '#/x' }, 'spec.$ref: Forbidden: $ref is not supported'],
    [
      { ...text, 'x-kubernetes-map-type': 'atomic' },
      'spec.type: Invalid value: "string": must be object if x-kubernetes-map-type is specified',
    ],
    [
      { type: 'array', items: text, 'x-kubernetes-list-type': 'bag' },
      'spec.x-kubernetes-list-type: Unsupported value: "bag": supported values: "atomic", "set", "map"',
    ],
    [keyed({}), 'spec.x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map'],
    [
      keyed({ 'x-kubernetes-list-map-keys': ['none'] }),
      'spec.x-kubernetes-list-map-keys: Invalid value: ["none"]: entries must all be names of item properties',
    ],
    [
      keyed({ 'x-kubernetes-list-map-keys': ['k'] }, { type: 'object', properties: { k: text } }),
      'spec.items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property',
    ],
    [
      { type: 'array', items: { type: 'object' }, 'x-kubernetes-list-type': 'set' },
      'spec.items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set',
    ],
    [
      { ...text, 'x-kubernetes-validations': [{ rule: ' ' }] },
      'spec.x-kubernetes-validations[0].rule: Required value: rule is not specified',
    ],
  ]
  for (const [spec, ...expected] of cases) assert.deepEqual(schemaErrors(spec), expected)
})

test('defaults are pruned and right', () => {
  const cases: readonly (readonly [spec: JSONSchemaProps, expected: string])[] = [
    [
      { type: 'integer', default: 'x' },
      'spec.default: Invalid value: "string": schema.openAPIV3Schema.properties[spec].default in body must be of type integer: "string"',
    ],
    [{ type: 'object', properties: { a: text }, default: { b: 1 } }, 'spec.default: Invalid value: {"b":1}: must not have unknown fields'],
    [
      { type: 'object', properties: { a: { ...text, maxLength: 1 } }, default: { a: 'xy' } },
      'spec.default.a: Too long: may not be more than 1 byte',
    ],
    [
      { ...text, default: 'x', 'x-kubernetes-validations': [{ rule: "self == 'y'" }] },
      'spec.default: Invalid value: "x": failed rule: self == \'y\'',
    ],
  ]
  for (const [spec, expected] of cases) {
    const [error = ''] = schemaErrors(spec)
    assert.equal(
      error.replace(/(?:schema|validation).openAPIV3Schema.properties\[spec\].default in body/, ' in body'),
      expected.replace(/(?:schema|validation).openAPIV3Schema.properties\[spec\].default in body/, ' in body'),
    )
  }
  assert.deepEqual(
    versionErrors({ schema: { openAPIV3Schema: { type: 'object', properties: { apiVersion: { ...text, default: 'v1' } } } } }),
    ['validation.openAPIV3Schema.properties[apiVersion].default: Forbidden: must not be set in top-level apiVersion'],
  )
})

test('columns, subresources and selectable fields', () => {
  assert.deepEqual(versionErrors({ additionalPrinterColumns: [{ name: 'A', type: 'colour', jsonPath: 'spec' }] }), [
    'additionalPrinterColumns[0].type: Invalid value: "colour": must be one of boolean,date,integer,number,string',
    'additionalPrinterColumns[0].JSONPath: Invalid value: "spec": must be a simple json path starting with .',
  ])
  assert.deepEqual(versionErrors({ subresources: { scale: { specReplicasPath: '.status.x', statusReplicasPath: '' } } }), [
    'subresources.scale.specReplicasPath: Invalid value: ".status.x": should be a json path under .spec',
    'subresources.scale.statusReplicasPath: Required value',
  ])
  assert.deepEqual(
    versionErrors({
      selectableFields: [{ jsonPath: '.spec.none' }, { jsonPath: '.spec' }, { jsonPath: '.spec.a' }, { jsonPath: '.spec.a' }],
    }),
    [
      'selectableFields[0].jsonPath: Invalid value: ".spec.none": is an invalid path: does not refer to a valid field',
      'selectableFields[1].jsonPath: Invalid value: ".spec": must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.',
      'selectableFields[3].jsonPath: Duplicate value: ".spec.a"',
    ],
  )
  assert.deepEqual(versionErrors({ deprecationWarning: 'old' }), [
    'deprecationWarning: Invalid value: "old": can only be set for deprecated versions',
  ])
})

test('conversion', () => {
  assert.deepEqual(errorsOf({ conversion: { strategy: 'Webhook' } }), [
    'spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook',
    'spec.conversion.conversionReviewVersions: Required value',
  ])
  const webhook = { clientConfig: { service: { namespace: 'a', name: 'b' } }, conversionReviewVersions: ['v9'] }
  assert.deepEqual(errorsOf({ conversion: { strategy: 'Webhook', webhook } }), [
    'spec.conversion.conversionReviewVersions: Invalid value: ["v9"]: must include at least one of v1, v1beta1',
  ])
  assert.deepEqual(errorsOf({ conversion: { strategy: 'None', webhook: { conversionReviewVersions: ['v1'] } } }), [
    'spec.conversion.conversionReviewVersions: Forbidden: should not be set when strategy is not set to Webhook',
  ])
})

test('updates: what stays, what is borne, what must not go', () => {
  const established = { ...definitionOf(), status: { ...definitionOf().status!, conditions: [{ type: 'Established', status: 'True' }] } }
  const change = (over: Partial<CustomResourceDefinitionSpec>, old = established) =>
    told(validateDefinitionUpdate({ ...old, spec: { ...old.spec, ...over } }, old, checks))
  assert.deepEqual(change({ scope: 'Cluster' }), ['spec.scope: Invalid value: "Cluster": field is immutable'])
  const odd = versionOf({ schema: { openAPIV3Schema: ofSpec({ type: 'object', properties: { a: {} } }) } })
  const borne = { ...established, spec: { ...established.spec, versions: [odd] } }
  assert.deepEqual(change({ names: { ...borne.spec.names, shortNames: ['w'] } }, borne), [])
  const gone = change({ versions: [versionOf({ name: 'v2' })] })
  assert.equal(gone[0], 'status.storedVersions: Invalid value: ["v1"]: must have the storage version v2')
  assert.match(
    gone[1] ?? '',
    /^status\.storedVersions\[0\]: Invalid value: "v1": missing from spec\.versions; v1 was previously a storage version/,
  )
})
