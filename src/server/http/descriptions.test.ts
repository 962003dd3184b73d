import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isServedByDefault, resources } from '../../api/resources.ts'
import { builtInTypeNames, schemaOf } from '../../api/schema-table.ts'
import { createDescriptions, parseDeclaration } from './descriptions.ts'

test('types and fields are explained', () => {
  const describe = createDescriptions()
  assert.match(describe('core/v1.PodSpec') ?? '', /description of a pod/)
  assert.match(describe('core/v1.PodSpec', 'containers') ?? '', /^List of containers belonging to the pod\./)
  assert.match(describe('core/v1.Event', 'involvedObject') ?? '', /object that this event is about/)
  assert.equal(describe('core/v1.PodSpec', 'nothing'), undefined)
  assert.equal(describe('core/v1.Nothing'), undefined)
})

test('nearly every field of what is served by default has a text', () => {
  const describe = createDescriptions()
  const groups = new Set(resources.filter(isServedByDefault).flatMap(({ type }) => type?.slice(0, type.indexOf('.')) ?? []))
  const fields = builtInTypeNames().flatMap((name) => {
    const type = schemaOf(name)
    return type?.openapi && groups.has(name.slice(0, name.indexOf('.'))) ? [...type.fields.keys()].map((field) => [name, field] as const) : []
  })
  const missing = fields.filter(([name, field]) => !describe(name, field))
  assert.ok(fields.length > 2000)
  assert.ok(missing.length < fields.length / 50, missing.slice(0, 20).join(' '))
})

test('escapes of the generator are undone', () => {
  const source = "/**\n* A \\'thing\\'.\n*/\nexport declare class V1X {\n    /**\n    * One \\\"line\\\".\n    * Two.\n    */\n    '_default'?: string;\n}"
  const { text, fields } = parseDeclaration(source)
  assert.equal(text, "A 'thing'.")
  assert.equal(fields.get('default'), 'One "line".\nTwo.')
})

test('without the client there are no texts', () => {
  assert.equal(createDescriptions('/nonexistent')('core/v1.Pod'), undefined)
})
