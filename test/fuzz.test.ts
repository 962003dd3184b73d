/**
 * Ten thousand requests that make no sense, in every media type, out of a seed: each is answered, none is the server's own fault,
 * and the server holds no more memory afterwards than before. `PROA_SEED=n` plays another ten thousand.
 */
import assert from 'node:assert/strict'
import { Agent, request as httpsRequest } from 'node:https'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { stringify } from 'yaml'
import type { Json, KubeObject } from '../src/api/object.ts'
import { encodeProtobuf } from '../src/api/protobuf-encode.ts'
import { createLog } from '../src/base/log.ts'
import { randomInt, seededRandom, type Random } from '../src/base/random.ts'
import { parseEndpoint, type Endpoint } from '../upstream/endpoint.ts'
import { startLoneServer } from './api-server.ts'

const REQUESTS = 10_000
/** After as many, caches and compiled code are what they will be. */
const WARM_UP = 4_000
const AT_ONCE = 16
const MAX_GROWTH_MB = 16
const TIMEOUT_MS = 10_000
const seed = Number(process.env['PROA_SEED'] ?? 1)

interface Nonsense {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | undefined
}

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'GET', 'POST', 'PATCH', 'HEAD', 'OPTIONS', 'TRACE']
const TYPES = [
  'application/json',
  'application/yaml',
  'application/vnd.kubernetes.protobuf',
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
  'application/cbor',
  'text/plain',
  '',
]
const ACCEPTS = [
  'application/json',
  '*/*',
  'application/yaml',
  'application/vnd.kubernetes.protobuf',
  'application/json;as=Table;v=v1;g=meta.k8s.io',
  'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io',
  'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io',
  ';;=,q',
]
const PARTS = [
  'api',
  'apis',
  'v1',
  'apps',
  'namespaces',
  'default',
  'pods',
  'status',
  'scale',
  'log',
  'exec',
  'proxy',
  'token',
  'binding',
  '..',
  '%00',
  '%zz',
  'watch',
]
const RESOURCES = [
  '/api/v1/namespaces/default/pods',
  '/api/v1/namespaces/default/configmaps',
  '/api/v1/namespaces/default/services',
  '/api/v1/namespaces/default/events',
  '/api/v1/namespaces/default/serviceaccounts',
  '/api/v1/namespaces',
  '/api/v1/nodes',
  '/apis/apps/v1/namespaces/default/deployments',
  '/apis/batch/v1/namespaces/default/jobs',
  '/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers',
  '/apis/rbac.authorization.k8s.io/v1/clusterroles',
  '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
  '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies',
  '/apis/networking.k8s.io/v1/namespaces/default/ingresses',
  '/apis/policy/v1/namespaces/default/poddisruptionbudgets',
  '/apis/authorization.k8s.io/v1/subjectaccessreviews',
]
const SUBRESOURCES = ['status', 'scale', 'binding', 'eviction', 'ephemeralcontainers', 'resize', 'token', 'log', 'finalize', 'bogus']
const QUERIES = [
  'limit',
  'continue',
  'resourceVersion',
  'resourceVersionMatch',
  'labelSelector',
  'fieldSelector',
  'fieldManager',
  'force',
  'fieldValidation',
  'timeoutSeconds',
  'pretty',
  'gracePeriodSeconds',
  'propagationPolicy',
  'sendInitialEvents',
]
const WORDS = [
  '',
  '0',
  '-1',
  '1e99',
  'true',
  'null',
  'a',
  'a=b',
  'a in (b',
  '!',
  '99999999999999999999',
  '__proto__',
  'constructor',
  '{',
  '[]',
  '\u0000',
  'é',
  '💥',
  'x'.repeat(300),
  '..',
  'metadata.name=a',
]

const container = {
  name: 'c',
  image: 'i',
  resources: { limits: { cpu: '1' } },
  env: [{ name: 'A', value: '1' }],
  ports: [{ containerPort: 80 }],
}
const template = { metadata: { labels: { a: 'b' } }, spec: { containers: [container], restartPolicy: 'Always' } }
const OBJECTS: readonly KubeObject[] = [
  { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a', labels: { a: 'b' } }, spec: template.spec },
  { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', annotations: { a: 'b' } }, data: { a: 'b' } },
  { apiVersion: 'v1', kind: 'Service', metadata: { name: 'a' }, spec: { ports: [{ port: 80, targetPort: 'http' }], selector: { a: 'b' } } },
  {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'a' },
    spec: { replicas: 1, selector: { matchLabels: { a: 'b' } }, template },
  },
  { apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name: 'a' }, spec: { replicas: 2 } },
  { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 1, preconditions: { uid: 'x' }, propagationPolicy: 'Orphan' },
  {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'as.b.c' },
    spec: {
      group: 'b.c',
      scope: 'Namespaced',
      names: { plural: 'as', kind: 'A' },
      versions: [
        { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object', properties: { a: { type: 'string' } } } } },
      ],
    },
  },
]
/** Where objects of the kind are made. */
const COLLECTIONS: Readonly<Record<string, string>> = {
  Pod: '/api/v1/namespaces/default/pods',
  ConfigMap: '/api/v1/namespaces/default/configmaps',
  Service: '/api/v1/namespaces/default/services',
  Deployment: '/apis/apps/v1/namespaces/default/deployments',
  CustomResourceDefinition: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
}
const PATCHES: readonly Json[] = [
  [
    { op: 'add', path: '/metadata/labels', value: {} },
    { op: 'test', path: '/a/0', value: null },
    { op: 'move', from: '/a', path: '/b' },
  ],
  {
    spec: {
      $patch: 'replace',
      containers: [{ name: 'c', $patch: 'delete' }],
      $retainKeys: ['a'],
      '$setElementOrder/containers': [{ name: 'c' }],
    },
  },
  { metadata: { labels: null, managedFields: [{}], finalizers: ['a/b'] } },
]

class Nonsenses {
  readonly #random: Random

  constructor(random: Random) {
    this.#random = random
  }

  next(): Nonsense {
    const method = this.#one(METHODS)
    const type = this.#chance(0.4) ? 'application/json' : this.#one(TYPES)
    const object = this.#one(OBJECTS)
    const own = object.kind === undefined ? undefined : COLLECTIONS[object.kind]
    const hasBody = method !== 'GET' && method !== 'HEAD' && this.#chance(0.9)
    return {
      method,
      path: this.#path(own && this.#chance(0.6) ? own : undefined, method),
      headers: {
        Accept: this.#one(ACCEPTS),
        ...(type && hasBody ? { 'Content-Type': type } : {}),
        ...(this.#chance(0.05) ? { 'Impersonate-User': 'bob' } : {}),
      },
      body: hasBody ? this.#body(type, object) : undefined,
    }
  }

  #one<T>(choices: readonly T[]): T {
    return choices[randomInt(this.#random, choices.length)]!
  }

  #chance(share: number): boolean {
    return this.#random.next() < share
  }

  #path(own: string | undefined, method: string): string {
    const known = own !== undefined || this.#chance(0.7)
    const parts = known ? [own ?? this.#one(RESOURCES)] : Array.from({ length: randomInt(this.#random, 7) }, () => `/${this.#one(PARTS)}`)
    if (known && this.#chance(method === 'POST' ? 0.2 : 0.8))
      parts.push(`/${this.#chance(0.8) ? 'a' : encodeURIComponent(this.#one(WORDS))}`)
    if (known && parts.length === 2 && this.#chance(0.3)) parts.push(`/${this.#one(SUBRESOURCES)}`)
    const query = Array.from({ length: randomInt(this.#random, 3) }, () => `${this.#one(QUERIES)}=${encodeURIComponent(this.#one(WORDS))}`)
    // What would be stored is only looked at: the store must not grow.
    return `${parts.join('') || '/'}?${['dryRun=All', ...query].join('&')}`
  }

  #body(type: string, object: KubeObject): Uint8Array {
    const isPatch = type.includes('patch') && !type.includes('apply')
    const sane = isPatch && this.#chance(0.8) ? this.#one(PATCHES) : (object as Json)
    return this.#chance(0.2) ? this.#written(type, sane) : this.#torn(this.#written(type, this.#twisted(sane, 0)))
  }

  #written(type: string, value: Json): Uint8Array {
    if (type.endsWith('protobuf') && typeof value === 'object' && value !== null && !Array.isArray(value)) {
      // Only what is still an object of its kind has a protobuf form.
      const whole = this.#one(OBJECTS)
      return encodeProtobuf(whole.kind === 'DeleteOptions' ? OBJECTS[0]! : whole)
    }
    return Buffer.from(type.endsWith('yaml') && this.#chance(0.7) ? stringify(value) : JSON.stringify(value))
  }

  /** Some values become others, some fields get other names, some nest without end. */
  #twisted(value: Json, depth: number): Json {
    if (this.#chance(0.04)) return this.#any(depth)
    if (Array.isArray(value)) {
      const items = value.map((item: Json) => this.#twisted(item, depth + 1))
      return this.#chance(0.1) ? [...items, ...items] : items
    }
    if (typeof value !== 'object' || value === null) return value
    const entries = Object.entries(value).map(
      ([key, item]) => [this.#chance(0.03) ? this.#one(WORDS) : key, this.#twisted(item ?? null, depth + 1)] as const,
    )
    return Object.fromEntries(this.#chance(0.05) ? entries.slice(1) : entries)
  }

  #any(depth: number): Json {
    const leaf = this.#one<Json>([null, true, 0, -1, 1e300, 1.5, 2 ** 53, '', {}, [], this.#one(WORDS), [[[]]], { a: { b: 1 } }])
    if (depth > 3 || this.#chance(0.9)) return leaf
    let deep = leaf
    for (let level = 0; level < 200; level++) deep = level % 2 ? [deep] : { a: deep }
    return deep
  }

  /** Cut off, with bytes changed, or doubled. */
  #torn(bytes: Uint8Array): Uint8Array {
    if (this.#chance(0.75)) return bytes
    const torn = Uint8Array.from(bytes)
    switch (randomInt(this.#random, 3)) {
      case 0:
        return torn.subarray(0, randomInt(this.#random, torn.length + 1))
      case 1:
        for (let count = 0; count < 4; count++) torn[randomInt(this.#random, torn.length)] = randomInt(this.#random, 256)
        return torn
      default:
        return Uint8Array.from([...torn, ...torn])
    }
  }
}

interface Answer {
  readonly status: number
  readonly text: string
}

function ask(endpoint: Endpoint, agent: Agent, { method, path, headers, body }: Nonsense): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const length = body ? { 'Content-Length': body.length } : {}
    const call = httpsRequest({ ...endpoint, agent, method, path, headers: { ...headers, ...length }, timeout: TIMEOUT_MS }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }))
      response.on('error', reject)
    })
    call.on('timeout', () => call.destroy(new Error('no answer')))
    call.on('error', reject)
    call.end(body)
  })
}

/** What is in use after garbage is gone. */
function heapMb(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  return process.memoryUsage().heapUsed / 1024 / 1024
}

test(`ten thousand requests of nonsense (seed ${seed})`, async (t) => {
  const faults: string[] = []
  const log = createLog((level, message, fields) => {
    if (level === 'error') faults.push(`${message} ${JSON.stringify(fields)}`)
  })
  const server = await startLoneServer(log)
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE })
  t.after(async () => {
    agent.destroy()
    await server.stop()
  })
  const endpoint = parseEndpoint(server.kubeconfig)
  const nonsenses = new Nonsenses(seededRandom(seed))
  const codes = new Map<number, number>()
  const play = async (count: number): Promise<void> => {
    let left = count
    const worker = async () => {
      while (left-- > 0) {
        const nonsense = nonsenses.next()
        const { status, text } = await ask(endpoint, agent, nonsense)
        codes.set(status, (codes.get(status) ?? 0) + 1)
        // Upstream has no reason for a few things that a client does wrong, and answers them 500, too.
        if (/"reason":"InternalError"|InternalError/.test(text) && status === 500)
          faults.push(
            `${nonsense.method} ${nonsense.path} ${JSON.stringify(nonsense.headers)} ${Buffer.from(nonsense.body ?? [])
              .toString('latin1')
              .slice(0, 2000)}\n  ${text.slice(0, 500)}`,
          )
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
  }
  await play(WARM_UP)
  const before = heapMb()
  await play(REQUESTS - WARM_UP)
  const grown = heapMb() - before
  assert.deepEqual(faults.slice(0, 5), [])
  assert.ok(grown < MAX_GROWTH_MB, `the heap grew by ${grown.toFixed(1)} MB`)
  // Not everything was refused for one reason: all ways were gone.
  for (const code of [200, 201, 400, 404, 405, 406, 415, 422])
    assert.ok((codes.get(code) ?? 0) > 10, `${code} was answered ${codes.get(code) ?? 0} times`)
  assert.equal((await ask(endpoint, agent, { method: 'GET', path: '/readyz', headers: {}, body: undefined })).text, 'ok')
})
