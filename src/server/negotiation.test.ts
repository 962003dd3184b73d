import assert from 'node:assert/strict'
import { test } from 'node:test'
import { negotiate } from './negotiation.ts'

const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io'

test('what clients really send', () => {
  const rows: readonly [string | undefined, unknown][] = [
    [undefined, { encoding: 'json' }],
    ['*/*', { encoding: 'json' }],
    ['application/json, */*', { encoding: 'json' }],
    ['application/yaml', { encoding: 'yaml' }],
    ['application/vnd.kubernetes.protobuf', { encoding: 'protobuf' }],
    // JSON lies ready: it is taken when the client takes both.
    ['application/vnd.kubernetes.protobuf,application/json', { encoding: 'json' }],
    [`${TABLE},application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json`, { encoding: 'json', as: 'Table', asVersion: 'v1' }],
    [
      'application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json',
      { encoding: 'json', as: 'PartialObjectMetadata', asVersion: 'v1' },
    ],
    ['application/json;as=Nothing;g=meta.k8s.io;v=v1,application/json;q=0.5', { encoding: 'json' }],
    ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', { encoding: 'json' }],
    ['image/png', undefined],
  ]
  for (const [header, expected] of rows) assert.deepEqual(negotiate(header), expected, header ?? 'no header')
})
