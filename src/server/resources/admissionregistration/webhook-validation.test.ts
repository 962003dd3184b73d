import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FieldError } from '../../../api/status.ts'
import { validateClientConfig } from './webhook-validation.ts'

function faultsOf(service: { readonly namespace: string; readonly name: string; readonly path?: string; readonly port?: number }) {
  const errors: FieldError[] = []
  validateClientConfig(errors, 'clientConfig', { service })
  return errors.map(({ field, detail }) => `${field}: ${detail}`)
}

test('the path of a service is empty, or segments that are names', () => {
  const service = { namespace: 'n', name: 's' }
  for (const path of ['', '/', '/a', '/a/b.c/', '/apis/x']) assert.deepEqual(faultsOf({ ...service, path }), [], path)
  const at = 'clientConfig.service.path: Invalid value: '
  assert.deepEqual(faultsOf({ ...service, path: '//' }), [`${at}"//": segment[0] may not be empty`])
  assert.deepEqual(faultsOf({ ...service, path: '/a//b' }), [`${at}"/a//b": segment[1] may not be empty`])
  assert.match(faultsOf({ ...service, path: 'ab' })[0]!, /must start with a '\/'$/)
  assert.match(faultsOf({ ...service, path: '/A' })[0]!, /segment\[0\]: a lowercase RFC 1123 subdomain must consist of/)
  assert.deepEqual(faultsOf({ namespace: '', name: '' }), [
    'clientConfig.service.name: Required value',
    'clientConfig.service.namespace: Required value',
  ])
})
