/**
 * An operator as people write them (upstream/operator, with controller-runtime) against a cluster: it installs its definition and
 * webhooks as envtest does, elects itself, and keeps cakes.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { KubeObject } from '../src/api/object.ts'
import { Cluster } from '../src/cluster/cluster.ts'
import { parseEndpoint } from '../upstream/endpoint.ts'
import { builtPrograms } from '../upstream/programs.ts'
import { ask, type Question } from './upstream/exchange.ts'

const built = builtPrograms(['operator'])
const skip = 'missing' in built && 'the operator is not built (npm run operators)'

interface Seen {
  readonly status: number
  readonly warning: string
  readonly body: KubeObject & { readonly [field: string]: unknown; readonly message?: string }
}

const PATIENCE_MS = 20_000
/** What is kept of an operator's log, for a failure's message. */
const MAX_SAID = 4_000
const cakes = '/apis/bakery.test/v1/namespaces/default/cakes'
const cake = (name: string, spec: object, more: object = {}) => ({
  apiVersion: 'bakery.test/v1',
  kind: 'Cake',
  metadata: { name, ...more },
  spec,
})

function startOperator(t: TestContext, kubeconfig: string, directory: string): { readonly said: () => string; kill(): Promise<void> } {
  if ('missing' in built) throw new Error('not built')
  let said = ''
  const child = spawn(built.operator, {
    env: { ...process.env, KUBECONFIG: kubeconfig, TMPDIR: directory },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-MAX_SAID)))
  const ended = new Promise<void>((resolve) => child.on('exit', () => resolve()))
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await ended
  }
  t.after(kill)
  return { said: () => said, kill }
}

test('a controller-runtime operator with webhooks', { skip, timeout: 240_000 }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'proa-operator-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  await using cluster = await Cluster.start()
  const kubeconfig = await cluster.kubeconfig()
  const file = join(directory, 'kubeconfig')
  writeFileSync(file, kubeconfig, { mode: 0o600 })
  const endpoint = parseEndpoint(kubeconfig)
  const agent = new Agent({ keepAlive: true })
  t.after(() => agent.destroy())
  let operator = startOperator(t, file, directory)

  const request = async (path: string, method: Question['method'] & {} = 'GET', body?: object): Promise<Seen> => {
    const question: Question = {
      method,
      path,
      ...(body ? { body, type: method === 'PATCH' ? 'application/merge-patch+json' : 'application/json' } : {}),
    }
    const { status, headers, body: text } = await ask(endpoint, agent, question)
    const isJson = String(headers['content-type']).startsWith('application/json')
    return {
      status,
      warning: String(headers['warning'] ?? ''),
      body: isJson ? (JSON.parse(text.toString()) as Seen['body']) : { message: text.toString() },
    }
  }
  /** Asks until the answer is as wanted. */
  const until = async (what: string, path: string, isWanted: (seen: Seen) => boolean, body?: object): Promise<Seen> => {
    const end = Date.now() + PATIENCE_MS
    for (;;) {
      const seen = await request(path, body ? 'POST' : 'GET', body)
      if (isWanted(seen)) return seen
      if (Date.now() > end) assert.fail(`${what}: ${seen.status} ${JSON.stringify(seen.body)}\n${operator.said()}`)
      await delay(100)
    }
  }
  const isThere = ({ status }: Seen): boolean => status === 200
  const isBaked = ({ body }: Seen): boolean => {
    const status = body['status'] as { phase?: string; observedGeneration?: number } | undefined
    return status?.phase === 'Baked' && status.observedGeneration === (body.metadata as { generation?: number }).generation
  }

  // Once its webhooks are there, nothing gets past them.
  await until(
    'the webhooks are there',
    '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/validate.bakery.test',
    isThere,
  )
  await until('the operator serves', cakes, ({ status }) => status === 201, cake('first', { flavor: 'plum' }))
  const { body: first } = await until('the cake is baked', `${cakes}/first`, isBaked)
  assert.deepEqual(first['spec'], { flavor: 'plum', tiers: 3 }, 'defaulted by the webhook')
  assert.deepEqual(first.metadata?.finalizers, ['bakery.test/wash-up'])
  const { body: recipe } = await request('/api/v1/namespaces/default/configmaps/first-recipe')
  assert.deepEqual(recipe['data'], { flavor: 'plum', tiers: '3' })
  assert.equal(recipe.metadata?.ownerReferences?.[0]?.uid, first.metadata?.uid)

  // The validating webhook, in the words that a user reads.
  const tall = await request(cakes, 'POST', cake('tall', { flavor: 'plum', tiers: 11 }))
  assert.equal(tall.status, 403)
  assert.equal(tall.body.message, 'admission webhook "validate.bakery.test" denied the request: a cake of 11 tiers falls over')
  const high = await request(cakes, 'POST', cake('high', { flavor: 'lemon', tiers: 6 }, { annotations: { keep: 'yes' } }))
  assert.equal(high.status, 201)
  assert.match(high.warning, /that is a high cake/)
  const other = await request(`${cakes}/first`, 'PATCH', { spec: { flavor: 'nut' } })
  assert.equal(other.body.message, 'admission webhook "validate.bakery.test" denied the request: the flavor of a cake cannot change')
  assert.equal(
    (await request(`${cakes}/high`, 'DELETE')).body.message,
    'admission webhook "validate.bakery.test" denied the request: the cake is kept',
  )

  // A change is followed, and what was owned comes back.
  assert.equal((await request(`${cakes}/first`, 'PATCH', { spec: { tiers: 4 } })).status, 200)
  await until(
    'the recipe follows',
    '/api/v1/namespaces/default/configmaps/first-recipe',
    ({ body }) => (body['data'] as { tiers?: string } | undefined)?.tiers === '4',
  )
  await request('/api/v1/namespaces/default/configmaps/first-recipe', 'DELETE')
  await until(
    'the recipe comes back',
    '/api/v1/namespaces/default/configmaps/first-recipe',
    ({ body }) => body.metadata?.uid !== undefined && body.metadata.uid !== recipe.metadata?.uid,
  )

  // The other version, both ways.
  const old = '/apis/bakery.test/v1beta1/namespaces/default/cakes'
  const { body: converted } = await request(`${old}/first`)
  assert.deepEqual([converted.apiVersion, converted['spec']], ['bakery.test/v1beta1', { taste: 'plum', layers: 4 }])
  const made = await request(old, 'POST', {
    apiVersion: 'bakery.test/v1beta1',
    kind: 'Cake',
    metadata: { name: 'old' },
    spec: { taste: 'rye' },
  })
  assert.equal(made.status, 201, JSON.stringify(made.body))
  const { body: asNew } = await until('the old one is baked', `${cakes}/old`, isBaked)
  assert.equal((asNew['spec'] as { flavor?: string }).flavor, 'rye')
  const { body: listed } = await request(old)
  assert.equal((listed['items'] as unknown[]).length, 3)

  // It elected itself; killed, its webhooks are missed, and another takes its place.
  const { body: lease } = await request('/apis/coordination.k8s.io/v1/namespaces/default/leases/bakery.test')
  const { holderIdentity } = lease['spec'] as { readonly holderIdentity?: string }
  assert.ok(holderIdentity)
  await operator.kill()
  const missed = await request(cakes, 'POST', cake('missed', { flavor: 'plum' }))
  assert.equal(missed.status, 500)
  assert.match(
    String(missed.body.message),
    /^Internal error occurred: failed calling webhook "default\.bakery\.test": failed to call webhook: Post "https:/,
  )
  operator = startOperator(t, file, directory)
  await until('another serves', cakes, ({ status }) => status === 201, cake('missed', { flavor: 'plum' }))
  await until('another bakes', `${cakes}/missed`, isBaked)
  const { body: next } = await request('/apis/coordination.k8s.io/v1/namespaces/default/leases/bakery.test')
  assert.notEqual((next['spec'] as { readonly holderIdentity?: string }).holderIdentity, holderIdentity)

  // The finalizer holds the cake until the operator has washed up; what it owned goes with it.
  assert.equal((await request(`${cakes}/first`, 'DELETE')).status, 200)
  await until('the cake is gone', `${cakes}/first`, ({ status }) => status === 404)
  assert.equal((await request('/api/v1/namespaces/default/configmaps/first-crumbs')).status, 200)
  await until('its recipe is collected', '/api/v1/namespaces/default/configmaps/first-recipe', ({ status }) => status === 404)
})
