/** Whatever a definition says, and whatever is sent to the kind that it makes, is answered, and never as the server's own fault. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../../api/object.ts'
import { seededRandom } from '../../base/random.ts'
import { resources } from '../resources/index.ts'
import { startServer } from '../server.test-support.ts'

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const ROUNDS = 600

const list = {
  type: 'array',
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': ['k'],
  items: {
    type: 'object',
    required: ['k'],
    properties: { k: { type: 'string' }, m: { type: 'object', additionalProperties: { type: 'integer' } } },
  },
}
const embedded = {
  type: 'object',
  'x-kubernetes-embedded-resource': true,
  properties: { metadata: { type: 'object', properties: { name: { type: 'string', default: 'n' } } } },
}
const spec = {
  type: 'object',
  default: { a: 'x' },
  'x-kubernetes-validations': [{ rule: "self.a != ''" }],
  properties: { a: { type: 'string', enum: ['x'], default: 'x' }, list, embedded },
}
const definition: KubeObject = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'odds.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'odds', kind: 'Odd' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        selectableFields: [{ jsonPath: '.spec.a' }],
        additionalPrinterColumns: [{ name: 'a', type: 'string', jsonPath: '.spec.a' }],
        subresources: {
          status: {},
          scale: { specReplicasPath: '.spec.r', statusReplicasPath: '.status.r', labelSelectorPath: '.status.s' },
        },
        schema: { openAPIV3Schema: { type: 'object', properties: { spec } } },
      },
    ],
  },
}
const SPECS: readonly unknown[] = [
  {},
  { a: 'x', list: [{ k: 'a', m: { z: 1 } }] },
  1,
  [],
  'x',
  { a: 5, list: 'x', embedded: 'x' },
  { embedded: { metadata: 5 } },
]
const JUNK: readonly unknown[] = [null, 1, 'x', [], {}, [1], { a: 1 }, true, undefined]

type Place = readonly [parent: Record<string, unknown>, key: string]

function placesOf(value: unknown): Place[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.keys(value).flatMap((key) => [
    [value as Record<string, unknown>, key] as const,
    ...placesOf((value as Record<string, unknown>)[key]),
  ])
}

test('malformed definitions and objects are refused, not stumbled over', async (t) => {
  const server = await startServer(t, { resources })
  const random = seededRandom(20)
  const one = <T>(values: readonly T[]): T => values[Math.floor(random.next() * values.length)]!
  let served = 0
  for (let round = 0; round < ROUNDS; round++) {
    const changed = structuredClone(definition) as Record<string, unknown>
    for (let change = 0; change <= round % 3; change++) {
      const [parent, key] = one(placesOf(changed))
      const junk = one(JUNK)
      if (junk === undefined) delete parent[key]
      else parent[key] = structuredClone(junk)
    }
    const made = await server.call('POST', DEFINITIONS, { ...changed, apiVersion: definition.apiVersion, kind: definition.kind })
    assert.ok(made.status < 500, `${made.body.message}: ${JSON.stringify(changed)}`)
    if (made.status !== 201) continue
    served++
    const { group, names, versions } = made.body.spec
    await new Promise((resolve) => setImmediate(resolve))
    for (const value of SPECS) {
      const object = { apiVersion: `${group}/${versions[0].name}`, kind: names.kind, metadata: { name: 'a' }, spec: value }
      const answer = await server.call('POST', `/apis/${object.apiVersion}/namespaces/default/${names.plural}`, object)
      assert.ok(answer.status < 500, `${answer.body.message}: ${JSON.stringify([value, changed])}`)
    }
    const path = `${DEFINITIONS}/${made.body.metadata!.name}`
    await server.call('DELETE', path)
    while ((await server.call('GET', path)).status !== 404) await new Promise((resolve) => setImmediate(resolve))
  }
  assert.ok(served > 10, 'some of the definitions are right')
})
