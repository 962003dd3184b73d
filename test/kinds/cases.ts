/**
 * The requests by which a server is asked what it thinks of a seed and its mutations: creates, then updates of the seed itself once
 * it is stored, then updates of its status. All but the storing of seeds are dry runs. What comes back is told as text that does not
 * depend on chance or time, so that two servers' answers can be compared, and one server's recorded.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseAllDocuments } from 'yaml'
import type { Json, KubeObject } from '../../src/api/object.ts'
import { findResource } from '../../src/api/resources.ts'
import { parseApiVersion, type ResourceInfo, type TypeSchema } from '../../src/api/schema.ts'
import { schemaOf, schemaOfKind } from '../../src/api/schema-table.ts'
import { mutated, mutationsOf, type Mutation } from './mutations.ts'

export interface Reply {
  readonly code: number
  readonly body: KubeObject
  readonly warnings: readonly string[]
}

/** Sends one request as administrator. */
export type Ask = (method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: Json) => Promise<Reply>

export interface Seed {
  readonly object: KubeObject
  readonly info: ResourceInfo
  /** What is sent to subresources beside status, by their names. */
  readonly subresources: Readonly<Record<string, KubeObject>>
}

const here = import.meta.dirname
const NAMESPACE = 'kinds'

const documentsOf = (path: string): readonly KubeObject[] =>
  parseAllDocuments(readFileSync(path, 'utf8'), { merge: true }).map((document) => {
    const error = 'errors' in document ? document.errors[0] : undefined
    if (error) throw new Error(`${path}: ${error.message}`)
    return (document as { toJS(): KubeObject }).toJS()
  })

const infoOf = ({ apiVersion = '', kind = '' }: KubeObject): ResourceInfo => {
  const info = findResource({ ...parseApiVersion(apiVersion), kind })
  if (!info) throw new Error(`no such kind: ${apiVersion} ${kind}`)
  return info
}

/** Objects that are there before the first case. */
export const world = (): readonly KubeObject[] => documentsOf(join(here, 'world.yaml'))

/** The files of seeds, by name without ending: "pods", "deployments.apps". */
export const seedFiles = (): readonly string[] =>
  readdirSync(join(here, 'seeds'))
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => file.slice(0, -'.yaml'.length))
    .sort()

/** A document of subresources follows the seed that they are of: `of: NAME`, then a field a subresource. */
export function seedsOf(file: string): readonly Seed[] {
  const documents = documentsOf(join(here, 'seeds', `${file}.yaml`))
  const asides = documents.filter((document) => document['of'] !== undefined)
  return documents
    .filter((document) => document['of'] === undefined)
    .map((object) => {
      const aside = asides.find((candidate) => candidate['of'] === object.metadata?.name) ?? {}
      const subresources = Object.fromEntries(Object.entries(aside).filter(([field]) => field !== 'of')) as Record<string, KubeObject>
      return { object, info: infoOf(object), subresources }
    })
}

export const collectionPath = ({ group, version, resource, namespaced }: ResourceInfo, namespace = NAMESPACE): string =>
  `${group ? `/apis/${group}` : '/api'}/${version}/${namespaced ? `namespaces/${namespace}/` : ''}${resource}`

const objectPath = ({ object, info }: Seed): string => `${collectionPath(info, object.metadata?.namespace)}/${object.metadata?.name}`

export interface Case {
  /** "create web spec.type=-" */
  readonly name: string
  /** Asks, and tells the answer as text. */
  ask(): Promise<string>
  /** What is sent. */
  readonly body: Json
}

const typeOf = (info: ResourceInfo): TypeSchema => schemaOf(info.type ?? '')!

const withoutStatus = (object: KubeObject): KubeObject =>
  Object.fromEntries(Object.entries(object).filter(([field]) => field !== 'status')) as KubeObject

function mutationsFor({ object, info }: Seed, isUpdate: boolean): readonly Mutation[] {
  return mutationsOf(withoutStatus(object), typeOf(info), {
    hasWholeMetadata: info.kind === 'ConfigMap',
    except: ['status'],
    isUpdate,
  })
}

function statusMutations({ object, info }: Seed): readonly Mutation[] {
  const { apiVersion, kind, metadata, status } = object
  const all = mutationsOf({ apiVersion, kind, metadata, status } as never, typeOf(info))
  return all.filter(({ path }) => path[0] === 'status')
}

const DRY = '?dryRun=All'

/** The cases of one seed in their order; `next` runs what has to happen between. */
export async function* casesOf(seed: Seed, ask: Ask): AsyncGenerator<readonly Case[]> {
  const { object, info, subresources } = seed
  const name = object.metadata?.name ?? ''
  const collection = collectionPath(info, object.metadata?.namespace)
  const path = objectPath(seed)
  const one = (label: string, method: 'POST' | 'PUT', url: string, body: Json): Case => ({
    name: label,
    body,
    ask: async () => outcomeOf(await ask(method, `${url}${DRY}`, body)),
  })
  const fresh = withoutStatus(object) as Json
  yield [
    one(`create ${name}`, 'POST', collection, fresh),
    one(`create ${name} with status`, 'POST', collection, object),
    ...mutationsFor(seed, false).map((mutation) => one(`create ${name} ${mutation.name}`, 'POST', collection, mutated(fresh, mutation))),
  ]
  const made = await ask('POST', collection, fresh)
  if (made.code !== 201 && made.code !== 409) throw new Error(`${info.kind} ${name} is no good seed: ${JSON.stringify(made.body)}`)
  try {
    const stored = (await settled(ask, info, path)) as Json
    if (info.verbs.includes('update')) {
      yield mutationsFor(seed, true).map((mutation) => one(`update ${name} ${mutation.name}`, 'PUT', path, mutated(stored, mutation)))
    }
    if (object.status !== undefined && info.subresources.some((sub) => sub.name === 'status')) {
      const url = `${path}/status`
      const wanted = { ...(stored as KubeObject), status: object.status } as unknown as Json
      yield [one(`status ${name}`, 'PUT', url, wanted)]
      const set = await ask('PUT', url, wanted)
      if (set.code !== 200) throw new Error(`${info.kind} ${name} has no good status: ${JSON.stringify(set.body)}`)
      const current = (await settled(ask, info, path)) as Json
      yield statusMutations(seed).map((mutation) => one(`status ${name} ${mutation.name}`, 'PUT', url, mutated(current, mutation)))
    }
    for (const [subresource, sent] of Object.entries(subresources)) {
      const sub = info.subresources.find((candidate) => candidate.name === subresource)
      if (!sub) throw new Error(`${info.kind} has no ${subresource}`)
      const method = sub.verbs.includes('update') ? 'PUT' : 'POST'
      const url = `${path}/${subresource}`
      const isOwn = sub.kind.kind === info.kind
      const base = (isOwn ? { ...((await ask('GET', path)).body as object), ...sent } : sent) as Json
      const mutations = mutationsOf(sent as never, schemaOfKind(sub.kind)!).filter(
        ({ path: [first] }) => !isOwn || sent[String(first)] !== undefined,
      )
      yield [
        one(`${subresource} ${name}`, method, url, base),
        ...mutations.map((mutation) => one(`${subresource} ${name} ${mutation.name}`, method, url, mutated(base, mutation))),
      ]
    }
  } finally {
    await remove(ask, path)
  }
}

/** Kinds that the API server's own controllers write to a moment after they are made. */
const WATCHED: ReadonlySet<string> = new Set([
  'APIService',
  'CustomResourceDefinition',
  'FlowSchema',
  'PriorityLevelConfiguration',
  'ServiceCIDR',
])
const SETTLE_MS = 400

async function settled(ask: Ask, info: ResourceInfo, path: string): Promise<KubeObject> {
  if (WATCHED.has(info.kind)) await delay(SETTLE_MS)
  return (await ask('GET', path)).body
}

async function remove(ask: Ask, path: string): Promise<void> {
  const deleted = await ask('DELETE', `${path}?gracePeriodSeconds=0`)
  if (deleted.code >= 300) throw new Error(`cannot delete ${path}: ${JSON.stringify(deleted.body)}`)
  const { code, body } = await ask('GET', path)
  if (code === 200 && body.metadata?.finalizers)
    await ask('PUT', path, { ...body, metadata: { ...body.metadata, finalizers: [] } } as unknown as Json)
}

/** What chance and time put into an answer. */
const CHANCE: readonly (readonly [RegExp, string])[] = [
  [/kube-api-access-[a-z0-9]{5}/g, 'kube-api-access-*'],
  [/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, 'UID'],
  [/20(?!30)\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)/g, 'NOW'],
  [/\ba{300}/g, 'LONG'],
  [/X509SHA256=[0-9a-f]{64}/g, 'CREDENTIAL'],
  [/\beyJ[\w.-]+/g, 'TOKEN'],
  // Taken from the range of cluster IPs and of node ports, but for those that seeds ask for.
  [/\b10\.96\.(?!7\.7\b)\d+\.\d+\b/g, 'ADDRESS'],
  [/("nodePort": )(?!30080\b)3[0-2]\d{3}\b/g, '$1"PORT"'],
  // Go's names of embedded structs and of types of text are not in the schema.
  [/into Go struct field \S+ of type \S+/, 'into a field'],
]

function outcomeOf({ code, body, warnings }: Reply): string {
  let text = code < 300 ? `${code}\n${JSON.stringify(normal(body), undefined, 1)}` : failureText(code, body)
  for (const warning of warnings) text += `\nwarning: ${warning}`
  for (const [pattern, word] of CHANCE) text = text.replace(pattern, word)
  return text
}

function failureText(code: number, { reason, message, details }: KubeObject): string {
  const { causes = [], ...about } = (details ?? {}) as { readonly causes?: readonly { reason: string; message: string; field: string }[] }
  // Upstream checks some fields twice, in its general part and in the kind's own: that a cause comes again says nothing.
  const lines = [...new Set(causes.map((cause) => `${cause.reason} ${cause.field}: ${cause.message}`))]
  const told = [...new Set(causes.map((cause) => `${cause.field}: ${cause.message}`))]
  const joined = told.length === 1 ? told[0] : `[${told.join(', ')}]`
  const head = causes.length > 0 && message === `${subjectOf(about)} is invalid: ${joined}` ? 'causes' : String(message)
  return [`${code} ${String(reason)} ${JSON.stringify(about)} ${head}`, ...lines].join('\n')
}

const subjectOf = ({ group, kind, name = '' }: { readonly group?: string; readonly kind?: string; readonly name?: string }): string =>
  `${group ? `${kind}.${group}` : kind} "${name}"`

/** The object in a fixed order of fields, without what no two servers share. */
function normal(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(normal)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name, item]) => name !== 'managedFields' && name !== 'resourceVersion' && item !== null)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, item]) => [name, normal(item)]),
  )
}

/** In place of a hash, where upstream gave no answer. */
export const UNKNOWN = '-'

/** Short: that two answers to one case have the same by chance does no harm. */
export const hashOf = (text: string): string => createHash('sha256').update(text).digest('base64url').slice(0, 5)
