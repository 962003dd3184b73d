import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Container, Pod, Service } from '../api/generated/core/v1.ts'
import { fieldValue, resourceValue } from './downward.ts'
import { environmentOf, serviceVariables } from './environment.ts'
import { expand } from './expansion.ts'

const service = (namespace: string, name: string, clusterIP: string): Service => ({
  metadata: { namespace, name },
  spec: {
    clusterIP,
    ports: [
      { port: 443, name: 'https', protocol: 'TCP' },
      { port: 53, name: 'dns-udp', protocol: 'UDP' },
    ],
  },
})
const services = [
  service('default', 'kubernetes', '10.96.0.1'),
  service('ns', 'my-db', '10.96.0.7'),
  service('other', 'far', '10.96.0.8'),
  service('ns', 'headless', 'None'),
]
const pod: Pod = {
  metadata: { name: 'p', namespace: 'ns', uid: 'u', labels: { b: '2', a: 'x"y' }, annotations: { note: 'n' } },
  spec: {
    containers: [{ name: 'main', resources: { limits: { cpu: '1500m' }, requests: { memory: '64Mi' } } }],
    nodeName: 'n1',
    serviceAccountName: 'sa',
  },
}
const facts = { cpuCount: 4, memoryBytes: 8 * 2 ** 30, ephemeralStorageBytes: 100 }
const context = { pod, podIPs: ['10.0.0.2'], hostIPs: ['192.168.0.1'], facts }

const envOf = (container: Partial<Container>, more: Partial<Pod['spec']> = {}) =>
  environmentOf({
    ...context,
    pod: { ...pod, spec: { ...pod.spec!, ...more } },
    container: { ...pod.spec!.containers[0]!, ...container },
    services,
    configMap: (name) => (name === 'settings' ? { data: { color: 'red', size: '3' } } : undefined),
    secret: (name) => (name === 'keys' ? { data: { key: btoa('s3cret') } } : undefined),
  })

for (const [text, expected] of [
  ['$(A) and $(B)', '1 and $(B)'],
  ['$$(A)', '$(A)'],
  ['$$$(A)', '$1'],
  ['$(A', '$(A'],
  ['100% $x $', '100% $x $'],
  ['$(A)$(A)', '11'],
] as const)
  test(`expands ${text}`, () =>
    assert.equal(
      expand(text, (name) => (name === 'A' ? '1' : undefined)),
      expected,
    ))

test('services become variables, as Docker links made them', () => {
  assert.deepEqual(serviceVariables([services[1]!, services[3]!]), {
    MY_DB_SERVICE_HOST: '10.96.0.7',
    MY_DB_SERVICE_PORT: '443',
    MY_DB_SERVICE_PORT_HTTPS: '443',
    MY_DB_SERVICE_PORT_DNS_UDP: '53',
    MY_DB_PORT: 'tcp://10.96.0.7:443',
    MY_DB_PORT_443_TCP: 'tcp://10.96.0.7:443',
    MY_DB_PORT_443_TCP_PROTO: 'tcp',
    MY_DB_PORT_443_TCP_PORT: '443',
    MY_DB_PORT_443_TCP_ADDR: '10.96.0.7',
    MY_DB_PORT_53_UDP: 'udp://10.96.0.7:53',
    MY_DB_PORT_53_UDP_PROTO: 'udp',
    MY_DB_PORT_53_UDP_PORT: '53',
    MY_DB_PORT_53_UDP_ADDR: '10.96.0.7',
  })
})

test('links to services of the namespace only, and none but the API server without enableServiceLinks', () => {
  assert.equal(envOf({})['MY_DB_SERVICE_HOST'], '10.96.0.7')
  assert.equal(envOf({})['FAR_SERVICE_HOST'], undefined)
  const without = envOf({}, { enableServiceLinks: false })
  assert.equal(without['MY_DB_SERVICE_HOST'], undefined)
  assert.equal(without['KUBERNETES_SERVICE_HOST'], '10.96.0.1')
})

test('env wins over envFrom, and refers to what came before it', () => {
  const env = envOf({
    envFrom: [
      { prefix: 'CM_', configMapRef: { name: 'settings' } },
      { secretRef: { name: 'keys' } },
      { configMapRef: { name: 'none', optional: true } },
    ],
    env: [
      { name: 'CM_size', value: '4' },
      { name: 'BOTH', value: '$(CM_color)-$(CM_size)-$(LATER)-$(MY_DB_SERVICE_PORT)' },
      { name: 'LATER', value: 'x' },
      { name: 'EMPTY' },
      { name: 'ME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      { name: 'CPUS', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } },
      { name: 'MAYBE', valueFrom: { secretKeyRef: { name: 'keys', key: 'none', optional: true } } },
    ],
  })
  assert.equal(env['BOTH'], 'red-4-$(LATER)-443')
  assert.deepEqual([env['key'], env['EMPTY'], env['ME'], env['CPUS'], 'MAYBE' in env], ['s3cret', '', 'p', '2', false])
})

for (const [what, container, message] of [
  ['a ConfigMap', { envFrom: [{ configMapRef: { name: 'none' } }] }, 'configmap "none" not found'],
  ['a Secret', { env: [{ name: 'X', valueFrom: { secretKeyRef: { name: 'none', key: 'k' } } }] }, 'secret "none" not found'],
  [
    'a key',
    { env: [{ name: 'X', valueFrom: { configMapKeyRef: { name: 'settings', key: 'none' } } }] },
    "couldn't find key none in ConfigMap ns/settings",
  ],
  [
    "a Secret's key",
    { env: [{ name: 'X', valueFrom: { secretKeyRef: { name: 'keys', key: 'none' } } }] },
    "couldn't find key none in Secret ns/keys",
  ],
] as const)
  test(`says that ${what} is missing`, () => assert.throws(() => envOf(container), { name: 'ConfigurationError', message }))

for (const [fieldPath, expected] of [
  ['metadata.labels', 'a="x\\"y"\nb="2"'],
  ["metadata.labels['b']", '2'],
  ["metadata.annotations['none']", ''],
  ['spec.serviceAccountName', 'sa'],
  ['status.podIPs', '10.0.0.2'],
  ['status.hostIP', '192.168.0.1'],
  ['spec.none', undefined],
] as const)
  test(`the field ${fieldPath}`, () => assert.equal(fieldValue({ fieldPath }, context), expected))

for (const [resource, divisor, expected] of [
  ['limits.cpu', '1', '2'],
  ['limits.cpu', '1m', '1500'],
  ['requests.cpu', '1m', '1500'],
  ['requests.memory', '1Mi', '64'],
  ['limits.memory', '1Gi', '8'],
  ['limits.ephemeral-storage', '0', '100'],
] as const)
  test(`the resource ${resource} in ${divisor}`, () =>
    assert.equal(resourceValue({ resource, divisor }, pod.spec!.containers[0]!, context), expected))
