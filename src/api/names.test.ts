import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  configMapKeyFaults,
  dns1035LabelFaults,
  dns1123LabelFaults,
  dns1123SubdomainFaults,
  environmentNameFaults,
  labelValueFaults,
  portNameFaults,
  qualifiedNameFaults,
} from './names.ts'

const LABEL_FAULT =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"

test('names that fit have no faults', () => {
  for (const value of ['a', '0', 'my-name', 'a'.repeat(63)]) assert.deepEqual(dns1123LabelFaults(value), [], value)
  for (const value of ['a.b', 'example.com', 'a'.repeat(253)]) assert.deepEqual(dns1123SubdomainFaults(value), [], value)
  for (const value of ['a', 'A.b_c', 'example.com/Name', 'kubernetes.io/os']) assert.deepEqual(qualifiedNameFaults(value), [], value)
  for (const value of ['', 'v1', 'A-b.c_d']) assert.deepEqual(labelValueFaults(value), [], value)
  for (const value of ['A=B'.replace('=', ''), 'with space', '1']) assert.deepEqual(environmentNameFaults(value), [], value)
})

test("faults are in upstream's words", () => {
  assert.deepEqual(dns1123LabelFaults('A'), [LABEL_FAULT])
  assert.deepEqual(dns1123LabelFaults('a.b'), ['must not contain dots'])
  assert.deepEqual(dns1123LabelFaults('a'.repeat(64)), ['must be no more than 63 characters'])
  assert.deepEqual(dns1123SubdomainFaults('a_b'), [
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
  ])
  assert.match(dns1035LabelFaults('1a')[0] ?? '', /^a DNS-1035 label must consist of/)
  assert.deepEqual(qualifiedNameFaults('/a'), ['prefix part must be non-empty'])
  assert.deepEqual(qualifiedNameFaults('a/').slice(0, 1), ['name part must be non-empty'])
  assert.match(
    qualifiedNameFaults('a/b/c')[0] ?? '',
    /^a valid label key must consist .* with an optional DNS subdomain prefix and '\/' \(e\.g\. 'example\.com\/MyName'\)$/,
  )
  assert.deepEqual(configMapKeyFaults('..'), ["must not be '..'"])
  assert.deepEqual(portNameFaults('a--b'), ['must not contain consecutive hyphens'])
  assert.deepEqual(environmentNameFaults('a=b'), [
    "a valid environment variable name must consist only of printable ASCII characters other than '='",
  ])
})
