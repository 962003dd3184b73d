import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isServedByDefault, resources } from '../../api/resources.ts'
import { builtInTypeNames, schemaOf } from '../../api/schema-table.ts'
import { createDescriptions, parseDeclaration } from './descriptions.ts'

test('types and fields are explained', () => {
  const describe = createDescriptions()
  assert.match(describe('core/v1.PodSpec') ?? '', /description of a pod/)
  assert.match(describe('core/v1.PodSpec', 'containers') ?? '', /^List of containers belonging to the pod\./)
  assert.match(describe('core/v1.Event', 'reason') ?? '', /reason/)
  assert.equal(describe('core/v1.PodSpec', 'nothing'), undefined)
  assert.equal(describe('core/v1.Nothing'), undefined)
})

test('nearly every plain field of what is served by default has a text; the client has none for fields of other types', () => {
  const describe = createDescriptions()
  const groups = new Set(resources.filter(isServedByDefault).flatMap(({ type }) => type?.slice(0, type.indexOf('.')) ?? []))
  const fields = builtInTypeNames().flatMap((name) => {
    const type = schemaOf(name)
    if (!type?.openapi || !groups.has(name.slice(0, name.indexOf('.')))) return []
    return [...type.fields.values()].flatMap((field) => (field.ref && !field.container ? [] : [[name, field.name] as const]))
  })
  const missing = fields.filter(([name, field]) => !describe(name, field))
  assert.ok(fields.length > 1500)
  assert.ok(missing.length < fields.length / 40, `${missing.length} of ${fields.length}: ${missing.slice(0, 30).join(' ')}`)
})

test('escapes of the generator are undone', () => {
  const source =
    "/**\n* A \\'thing\\'.\n*/\nexport declare class V1X {\n    /**\n    * One \\\"line\\\".\n    * Two.\n    */\n    '_default'?: string;\n}"
  const { text, fields } = parseDeclaration(source)
  assert.equal(text, "A 'thing'.")
  assert.equal(fields.get('default'), 'One "line".\nTwo.')
})

test('without the client there are no texts', () => {
  assert.equal(createDescriptions('/nonexistent')('core/v1.Pod'), undefined)
})
