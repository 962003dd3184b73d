import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import * as grpc from '@grpc/grpc-js'
import { readEncryptionConfiguration } from '../../server/encryption/configuration.ts'
import { resources } from '../../server/resources/index.ts'
import { startServer } from '../../server/server.test-support.ts'
import { createEncryptedStore } from '../encrypted-store.ts'
import type { EncryptionRule } from '../encryption-rules.ts'
import { createMemoryStore } from '../memory.ts'
import { openSqliteStore } from '../sqlite/store.ts'
import type { Store } from '../store.ts'
import { createCiphers } from './ciphers.ts'
import { readMessage, writeMessage } from './messages.ts'

const SECRET = '/registry/core/secrets/default/s'
const key = (fill: number, length = 32) => btoa(String.fromCharCode(...new Uint8Array(length).fill(fill)))
const text = (value: Uint8Array | undefined) => new TextDecoder('latin1').decode(value)
const bytes = (value: string) => new TextEncoder().encode(value)

const rules = (lines: string): readonly EncryptionRule[] =>
  readEncryptionConfiguration(`kind: EncryptionConfiguration\napiVersion: apiserver.config.k8s.io/v1\nresources:\n${lines}`)

const secretsBy = (...providers: readonly string[]) => rules(`- {resources: [secrets], providers: [${providers.join(', ')}]}`)
const gcm = (name: string, fill: number) => `{aesgcm: {keys: [{name: ${name}, secret: "${key(fill)}"}]}}`
const cbc = (name: string, fill: number) => `{aescbc: {keys: [{name: ${name}, secret: "${key(fill, 16)}"}]}}`

const box = (name: string, fill: number) => `{secretbox: {keys: [{name: ${name}, secret: "${key(fill)}"}]}}`

/** The case of Go's nacl/secretbox: key, nonce and message of ones, twos and threes. */
const GO_BOX =
  '8442bc313f4626f1359e3b50122b6ce6fe66ddfe7d39d14e637eb4fd5b45beadab55198df6ab5368439792a23c87db70acb6156dc5ef957ac04f6276cf6093b84be77ff0849cc33e34b7254d5a8f65ad'

test('secretbox reads what Go has sealed, and nothing that was changed', async () => {
  const ciphers = await createCiphers(secretsBy(box('k', 1)))
  const sealed = (hex: string) => Buffer.concat([bytes('k8s:enc:secretbox:v1:k:'), Buffer.alloc(24, 2), Buffer.from(hex, 'hex')])
  assert.deepEqual(
    [...(await ciphers.decrypt(SECRET, sealed(GO_BOX)))],
    Array.from({ length: 64 }, () => 3),
  )
  assert.throws(() => ciphers.decrypt(SECRET, sealed(GO_BOX.replace('84', '85'))), /output array was not large enough/)
  assert.throws(() => ciphers.decrypt(SECRET, sealed('00')), /shorter than the required size/)
})

test('values are written as upstream writes them, and read back', async () => {
  for (const [provider, prefix] of [
    [gcm('k1', 1), 'k8s:enc:aesgcm:v1:k1:'],
    [cbc('k1', 1), 'k8s:enc:aescbc:v1:k1:'],
    [box('k1', 1), 'k8s:enc:secretbox:v1:k1:'],
  ] as const) {
    const beneath = createMemoryStore()
    const store = createEncryptedStore(beneath, await createCiphers(secretsBy(provider, '{identity: {}}')))
    await store.commit([{ key: SECRET, value: bytes('{"a":"hunter2"}'), expected: 0 }])
    const raw = text((await beneath.get(SECRET))?.value)
    assert.ok(raw.startsWith(prefix) && !raw.includes('hunter2'))
    assert.equal(text((await store.get(SECRET))?.value), '{"a":"hunter2"}')
    // Another process, which has seen nothing.
    const again = createEncryptedStore(beneath, await createCiphers(secretsBy(provider)))
    assert.equal(text((await again.range('/registry/')).entries[0]?.value), '{"a":"hunter2"}')
  }
})

test('a value of another key, another place or another hand is refused, and never told', async () => {
  const beneath = createMemoryStore()
  const write = createEncryptedStore(beneath, await createCiphers(secretsBy(gcm('k1', 1))))
  await write.commit([{ key: SECRET, value: bytes('{"a":"hunter2"}'), expected: 0 }])
  const { value } = (await beneath.get(SECRET))!
  const open = async (...providers: readonly string[]) => createEncryptedStore(beneath, await createCiphers(secretsBy(...providers)))
  await assert.rejects((await open(gcm('k2', 1))).get(SECRET), {
    message: `${SECRET} cannot be decrypted: no matching key was found for the provided AES transformer`,
  })
  await assert.rejects((await open(gcm('k1', 2))).get(SECRET), /cipher: message authentication failed/)
  await assert.rejects((await open('{identity: {}}')).get(SECRET), /no matching prefix found/)
  await beneath.commit([{ key: `${SECRET}2`, value, expected: 0 }])
  await assert.rejects((await open(gcm('k1', 1))).get(`${SECRET}2`), /message authentication failed/)
})

test('rules are by resource: exact ones, groups, everything, in upstream precedence', async () => {
  const ciphers = await createCiphers(
    rules(`
- {resources: [events], providers: [{identity: {}}]}
- {resources: [secrets, pandas.awesome.bears.example], providers: [${gcm('exact', 1)}]}
- {resources: ["*."], providers: [${gcm('core', 2)}]}
- {resources: ["*.apps"], providers: [${gcm('apps', 3)}]}
- {resources: ["*.*"], providers: [${gcm('all', 4)}]}`),
  )
  const nameFor = (path: string) =>
    /^k8s:enc:aesgcm:v1:(\w+):/.exec(text(ciphers.encrypt(`/registry/${path}`, bytes('{}')) as Uint8Array))?.[1]
  assert.deepEqual(
    [
      'core/events/a/b',
      'core/secrets/a/b',
      'awesome.bears.example/pandas/a/b',
      'core/pods/a/b',
      'apps/deployments/a/b',
      'batch/jobs/a/b',
      'core/nodes/n',
    ].map(nameFor),
    [undefined, 'exact', 'exact', 'core', 'apps', 'all', 'core'],
  )
})

test('a configuration that is wrong is refused with what is wrong, and no key is told', () => {
  const cases: readonly [string, RegExp][] = [
    [
      '- {resources: [secrets], providers: []}',
      /resources\[0\]\.providers: Required value: at least one resources\[0\]\.providers is required/,
    ],
    ['- {resources: [], providers: [{identity: {}}]}', /resources\[0\]\.resources: Required value/],
    ['- {resources: [Secrets], providers: [{identity: {}}]}', /resource name should not contain capital letters/],
    ['- {resources: ["*"], providers: [{identity: {}}]}', /use '\*\.' to encrypt all the resources from core API group/],
    ['- {resources: [secrets, "*."], providers: [{identity: {}}]}', /using overlapping resources such as 'secrets' and '\*\.'/],
    ['- {resources: [secrets, secrets], providers: [{identity: {}}]}', /the same resource cannot be specified multiple times/],
    ['- {resources: ["secrets.*"], providers: [{identity: {}}]}', /encrypting the same resource across groups is not supported/],
    ['- {resources: [events.events.k8s.io], providers: [{identity: {}}]}', /objects are stored using the 'events' API group/],
    ['- {resources: [secrets], providers: [{}]}', /provider does not contain any of the expected providers/],
    [`- {resources: [secrets], providers: [{identity: {}, aesgcm: {keys: []}}]}`, /more than one provider specified in a single element/],
    ['- {resources: [secrets], providers: [{aescbc: {keys: []}}]}', /at least one keys is required/],
    [
      `- {resources: [secrets], providers: [{aescbc: {keys: [{name: a, secret: "${key(7, 31)}"}]}}]}`,
      /secret is not of the expected length, got 31, expected one of \[16 24 32\]/,
    ],
    ['- {resources: [secrets], providers: [{aescbc: {keys: [{name: a, secret: "!!"}]}}]}', /secrets must be base64 encoded/],
    ['- {resources: [secrets], providers: [{kms: {apiVersion: v2, name: "a:b", endpoint: "unix:///x"}}]}', /must not contain ':'/],
    [
      '- {resources: [secrets], providers: [{kms: {apiVersion: v2, name: a, endpoint: "tcp://x"}}]}',
      /unsupported scheme "tcp" for KMS provider, only unix is supported/,
    ],
    ['- {resources: [secrets], provider: []}', /unknown field "resources\[0\]\.provider"/],
  ]
  for (const [lines, expected] of cases) {
    assert.throws(
      () => rules(lines),
      (error: Error) => expected.test(error.message) && error.name === 'ConfigurationError' && !error.message.includes(key(7, 31)),
      lines,
    )
  }
})

async function serve(t: TestContext, store: Store) {
  const server = await startServer(t, { resources, store })
  await server.call('POST', '/api/v1/namespaces', { metadata: { name: 'default' } })
  return server
}

test('keys are rotated by rewriting the objects; nobody who watches is told of that', async (t) => {
  const beneath = createMemoryStore()
  const ciphers = await createCiphers(secretsBy(gcm('old', 1), '{identity: {}}'))
  const { call } = await serve(t, createEncryptedStore(beneath, ciphers))
  const path = '/api/v1/namespaces/default/secrets'
  await call('POST', path, { metadata: { name: 's' }, stringData: { a: 'hunter2' } })
  const before = (await call('GET', `${path}/s`)).body
  const same = await call('PUT', `${path}/s`, before)
  assert.equal(same.body.metadata?.resourceVersion, before.metadata?.resourceVersion, 'nothing to do')
  await ciphers.replace(secretsBy(gcm('new', 2), gcm('old', 1), '{identity: {}}'))
  assert.equal((await call('GET', `${path}/s`)).body.data.a, btoa('hunter2'))
  const rewritten = await call('PUT', `${path}/s`, before)
  assert.equal(rewritten.status, 200)
  assert.ok(text((await beneath.get(SECRET))?.value).startsWith('k8s:enc:aesgcm:v1:new:'))
  // Back to plain text.
  await ciphers.replace(secretsBy('{identity: {}}', gcm('new', 2)))
  await call('PUT', `${path}/s`, rewritten.body)
  assert.ok(text((await beneath.get(SECRET))?.value).startsWith('{'))
})

test('the database holds no plain text, and a server that starts on it reads it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'encrypted-'))
  t.after(() => rm(folder, { recursive: true }))
  const path = join(folder, 'state.db')
  const ciphers = await createCiphers(secretsBy(gcm('k', 1)))
  const store = createEncryptedStore(await openSqliteStore({ path }), ciphers)
  const value = bytes(
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 's', namespace: 'default' },
      data: { a: btoa('correct horse battery staple') },
    }),
  )
  await store.commit([{ key: SECRET, value, expected: 0 }])
  await store.commit([{ key: '/registry/core/configmaps/default/m', value: bytes('{"plain":"to be seen"}'), expected: 0 }])
  const onDisk = async () =>
    Buffer.concat(await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name))))).toString('latin1')
  const before = await onDisk()
  assert.ok(before.includes('to be seen') && !before.includes(btoa('correct horse battery staple').slice(0, 12)))
  await store.close()
  assert.ok(!(await onDisk()).includes(btoa('correct horse battery staple').slice(0, 12)))
  const again = createEncryptedStore(await openSqliteStore({ path }), await createCiphers(secretsBy(gcm('k', 1))))
  const { call } = await serve(t, again)
  t.after(() => again.close())
  assert.equal((await call('GET', '/api/v1/namespaces/default/secrets/s')).body.data.a, btoa('correct horse battery staple'))
})

/** A key service that "encrypts" by turning bytes round, under the key that it is told to use. */
async function startKms(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'kms-'))
  const endpoint = `unix:${join(folder, 'kms.sock')}`
  const state = { keyId: 'first', calls: [] as string[], health: 'ok' }
  const server = new grpc.Server()
  const method = (name: string, answer: (request: ReturnType<typeof readMessage>) => Buffer) => ({
    definition: {
      path: `/v2.KeyManagementService/${name}`,
      requestStream: false as const,
      responseStream: false as const,
      requestSerialize: (value: Buffer) => value,
      requestDeserialize: (value: Buffer) => value,
      responseSerialize: (value: Buffer) => value,
      responseDeserialize: (value: Buffer) => value,
    },
    handle: (call: { request: Buffer }, done: (error: null, value: Buffer) => void) => {
      state.calls.push(name)
      done(null, answer(readMessage(call.request)))
    },
  })
  const turned = (value: unknown) => Buffer.from(value as Uint8Array).reverse()
  const methods = {
    Status: method('Status', () =>
      writeMessage([
        [1, Buffer.from('v2')],
        [2, Buffer.from(state.health)],
        [3, Buffer.from(state.keyId)],
      ]),
    ),
    Encrypt: method('Encrypt', (request) =>
      writeMessage([
        [1, turned(request.get(1)![0])],
        [2, Buffer.from(state.keyId)],
      ]),
    ),
    Decrypt: method('Decrypt', (request) => writeMessage([[1, turned(request.get(1)![0])]])),
  }
  server.addService(
    Object.fromEntries(Object.entries(methods).map(([name, { definition }]) => [name, definition])),
    Object.fromEntries(Object.entries(methods).map(([name, { handle }]) => [name, handle])),
  )
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(endpoint, grpc.ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve())),
  )
  t.after(async () => {
    server.forceShutdown()
    await rm(folder, { recursive: true, force: true })
  })
  return { state, provider: `{kms: {apiVersion: v2, name: turner, endpoint: "unix://${join(folder, 'kms.sock')}", timeout: 2s}}` }
}

test('a key service encrypts the seed, never a value, and is asked once a seed', async (t) => {
  const { state, provider } = await startKms(t)
  const beneath = createMemoryStore()
  const ciphers = await createCiphers(secretsBy(provider))
  const store = createEncryptedStore(beneath, ciphers)
  for (let i = 0; i < 5; i++) await store.commit([{ key: `${SECRET}${i}`, value: bytes(`{"a":"hunter${i}"}`), expected: 0 }])
  assert.deepEqual(state.calls, ['Status', 'Encrypt'])
  const raw = (await beneath.get(`${SECRET}1`))!.value
  assert.ok(text(raw).startsWith('k8s:enc:kms:v2:turner:') && !text(raw).includes('hunter'))
  ciphers.close()

  state.calls.length = 0
  const later = await createCiphers(secretsBy(provider))
  const again = createEncryptedStore(beneath, later)
  assert.deepEqual((await again.range('/registry/')).entries.map(({ value }) => text(value)).slice(0, 2), [
    '{"a":"hunter0"}',
    '{"a":"hunter1"}',
  ])
  assert.ok(state.calls.filter((name) => name === 'Decrypt').length <= 5)
  assert.equal(await again.isStale!(`${SECRET}1`), false)
  later.close()

  state.keyId = 'second'
  const rotated = await createCiphers(secretsBy(provider))
  assert.equal(await createEncryptedStore(beneath, rotated).isStale!(`${SECRET}1`), true)
  rotated.close()
  state.health = 'sick'
  await assert.rejects(
    createCiphers(secretsBy(provider)),
    /the KMS provider "turner" cannot be used: expected KMSv2 healthz status "ok", got "sick"/,
  )
})
