import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findResource, findResourceAt, groupVersions, resources, ResourceTable } from './resources.ts'
import { kindNameOf, type TypeSchema } from './schema.ts'
import { builtInTypeNames, ExtensibleSchemas, schemaOf, schemaOfKind, typeNameOfKind } from './schema-table.ts'

const field = (type: string, name: string) => schemaOf(type)?.fields.get(name)

test('every reference of every type leads to a type, or to a special JSON form', () => {
  for (const name of builtInTypeNames()) {
    for (const { name: fieldName, type, ref } of schemaOf(name)?.fields.values() ?? []) {
      if (type === 'message') assert.ok(ref && schemaOf(ref), `${name}.${fieldName} refers to ${ref}`)
    }
  }
})

test('fields carry what upstream publishes', () => {
  assert.deepEqual(field('core/v1.PodSpec', 'containers'), {
    name: 'containers',
    number: 2,
    type: 'message',
    ref: 'core/v1.Container',
    container: 'list',
    required: true,
    isNullWritten: true,
    listType: 'map',
    mapKeys: ['name'],
    patchStrategy: ['merge'],
    mergeKey: 'name',
  })
  assert.deepEqual(field('core/v1.PodSpec', 'volumes')?.patchStrategy, ['merge', 'retainKeys'])
  assert.equal(field('core/v1.ContainerPort', 'protocol')?.default, 'TCP')
  assert.deepEqual(field('core/v1.Probe', 'httpGet')?.embedded, [1])
  assert.deepEqual(field('admissionregistration/v1.NamedRuleWithOperations', 'apiGroups')?.embedded, [2, 2])
  assert.equal(field('apiextensions/v1.JSONSchemaProps', '$ref')?.number, 3)
  assert.equal(field('authentication/v1.UserInfo', 'extra')?.container, 'mapOfLists')
  assert.equal(field('core/v1.PodSpec', 'terminationGracePeriodSeconds')?.isPointer, true)
  assert.equal(field('core/v1.PodStatus', 'startTime')?.type, 'time')
  assert.equal(schemaOf('core/v1.Pod')?.openapi, 'io.k8s.api.core.v1.Pod')
  assert.equal(schemaOf('meta/v1.LabelSelector')?.isAtomic, true)
  assert.equal(schemaOf('toString'), undefined)
})

test('fields stand in the order of declaration', () => {
  assert.deepEqual([...(schemaOf('apps/v1.Deployment')?.fields.keys() ?? [])], ['kind', 'apiVersion', 'metadata', 'spec', 'status'])
})

test('every resource has a type of its kind', () => {
  for (const info of resources) assert.equal(typeNameOfKind(info), info.type, kindNameOf(info))
})

test('resources are found by kind and by path', () => {
  const deployments = findResource({ group: 'apps', version: 'v1', kind: 'Deployment' })
  assert.deepEqual(deployments?.shortNames, ['deploy'])
  assert.deepEqual(deployments?.categories, ['all'])
  assert.deepEqual(
    deployments?.subresources.map(({ name, kind }) => [name, kindNameOf(kind)]),
    [
      ['scale', 'autoscaling/v1/Scale'],
      ['status', 'apps/v1/Deployment'],
    ],
  )
  assert.equal(findResourceAt('', 'v1', 'pods')?.kind, 'Pod')
  assert.equal(findResourceAt('', 'v1', 'pod'), undefined)
  assert.deepEqual(groupVersions[0], { group: '', version: 'v1' })
  assert.deepEqual(
    groupVersions.filter(({ group }) => group === 'autoscaling').map(({ version }) => version),
    ['v2', 'v1'],
  )
})

test('custom kinds come and go without touching the built-in ones', () => {
  const widget: TypeSchema = {
    name: 'example.com/v1.Widget',
    fields: new Map(),
    groupVersionKinds: [{ group: 'example.com', version: 'v1', kind: 'Widget' }],
  }
  const gvk = { group: 'example.com', version: 'v1', kind: 'Widget' }
  const schemas = new ExtensibleSchemas()
  schemas.add(widget)
  assert.equal(schemas.schemaOfKind(gvk), widget)
  assert.equal(schemaOfKind(gvk), undefined)
  schemas.remove(widget.name)
  assert.equal(schemas.schemaOfKind(gvk), undefined)
  assert.ok(schemas.schemaOf('core/v1.Pod'))

  const table = new ResourceTable(resources)
  const info = {
    ...gvk,
    resource: 'widgets',
    singular: 'widget',
    shortNames: [],
    categories: [],
    namespaced: true,
    verbs: ['get'],
    subresources: [],
    type: undefined,
  } as const
  table.add(info)
  assert.equal(table.at('example.com', 'v1', 'widgets'), info)
  assert.deepEqual(table.groupVersions().at(-1), { group: 'example.com', version: 'v1' })
  table.remove(info)
  assert.equal(table.ofKind(gvk), undefined)
})
