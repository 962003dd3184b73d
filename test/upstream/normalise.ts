/**
 * What of an answer must be equal on both servers. Times, uids, resource versions, tokens and names that are made by chance are
 * replaced by what they are; everything else, texts and headers too, has to be the same.
 */
import { decodeProtobuf } from '../../src/api/protobuf-decode.ts'
import type { ManagedFieldsEntry } from '../../src/api/generated/meta/v1.ts'
import { parseYamlDocuments } from '../../src/api/yaml.ts'
import type { Answer } from './exchange.ts'

export interface Normal {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: unknown
}

/** What clients act on. Of the others each server has its own. */
const HEADERS = [
  'content-type',
  'warning',
  'retry-after',
  'location',
  'www-authenticate',
  'content-encoding',
  'cache-control',
  'vary',
  'allow',
]
/** That they are there matters, not what they say. */
const PRESENT = ['etag', 'last-modified', 'audit-id']

const UID = /\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g
const TIME = /\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g
/** Numbers of the store in texts: "current: 12", "too old resource version: 1 (12)". */
const REVISIONS = /(?<=current: |: \d+ \(|in record \()\d+/g
/** A volume's name is made by chance, too. */
const TOKEN_VOLUME = /(?<=kube-api-access-)[a-z0-9]{5}\b/g
const ADDRESS = /\b10\.96\.\d+\.\d+\b/g

/** Values within messages: the order of their fields is that of a serialiser, not of the API. */
const SHOWN = /(?<=Invalid value: )(?:"(?:[^"\\]|\\.)*"|\[\{.*?\}\])(?=: )/g

function sortedShown(shown: string): string {
  const inner = parsed(shown)
  return JSON.stringify(sorted(typeof inner === 'string' && inner.startsWith('{') ? parsed(inner) : inner))
}

function sorted(given: unknown): unknown {
  if (Array.isArray(given)) return given.map(sorted)
  if (typeof given !== 'object' || given === null) return given
  const entries = Object.entries(given).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, item]) => [key, key === 'resourceVersion' ? '<revision>' : sorted(item)]))
}

const text = (value: string): string =>
  value
    .replaceAll(SHOWN, sortedShown)
    .replaceAll(UID, '<uid>')
    .replaceAll(TIME, '<time>')
    .replaceAll(REVISIONS, '<revision>')
    .replaceAll(ADDRESS, '<cluster ip>')
    .replaceAll(TOKEN_VOLUME, '<chance>')

const CHANCE: Readonly<Record<string, string>> = { resourceVersion: '<revision>', continue: '<token>', token: '<token>' }

interface Metadata {
  readonly name?: unknown
  readonly generateName?: unknown
}

const isGenerated = ({ name, generateName }: Metadata): boolean =>
  typeof name === 'string' && typeof generateName === 'string' && generateName !== '' && name.startsWith(generateName)

/** Items of proa's lists tell what they are (docs/api-server.md); upstream's built-in ones leave it to the list. */
function asListed(list: object, items: unknown): unknown {
  const { kind } = list as { readonly kind?: unknown }
  if (typeof kind !== 'string' || !kind.endsWith('List') || !Array.isArray(items)) return items
  const of = kind.slice(0, -'List'.length)
  return items.map((item: unknown) => {
    const { kind: own, apiVersion: _apiVersion, ...rest } = item as { readonly kind?: unknown; readonly apiVersion?: unknown }
    return own === of ? rest : item
  })
}

const ownerOf = ({ manager, operation, subresource = '' }: ManagedFieldsEntry): string => [manager, operation, subresource].join(' ')

const sortedByText = (given: unknown): unknown =>
  (given as readonly object[]).toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))

function value(given: unknown, key: string): unknown {
  if (typeof given === 'string') {
    const chance = CHANCE[key]
    return chance !== undefined && given !== '' && given !== '0' ? chance : text(given)
  }
  if (key === 'cells' && Array.isArray(given))
    return value(
      (given as readonly unknown[]).map((cell) => (/^\d+s$/.test(String(cell)) ? '<age>' : cell)),
      '',
    )
  // Owners are sorted by time, and a second may begin between two writes.
  if (key === 'managedFields' && Array.isArray(given))
    return (value(given, '') as readonly ManagedFieldsEntry[]).toSorted((a, b) => (ownerOf(a) < ownerOf(b) ? -1 : 1))
  // Upstream tells the managers in conflict in the order of a Go map.
  if (key === 'causes') return value(JSON.stringify(given).includes('FieldManagerConflict') ? sortedByText(given) : given, '')
  if (Array.isArray(given)) return given.map((item) => value(item, key === 'columnDefinitions' ? key : ''))
  if (typeof given !== 'object' || given === null) return given
  const made: Record<string, unknown> = {}
  // Go writes null where proa writes nothing. Columns are described in each server's own words.
  const { description: _, ...rest } = given as { readonly description?: unknown }
  for (const [name, item] of Object.entries(key === 'columnDefinitions' ? rest : given))
    if (item !== null && !(name === 'continue' && item === ''))
      made[text(name)] = value(name === 'items' ? asListed(given, item) : item, name)
  if (isGenerated(given)) made['name'] = `${String((given as Metadata).generateName)}<chance>`
  return made
}

const PROTOBUF_MAGIC = 'k8s\0'

function bodyOf({ body, headers }: Answer): unknown {
  if (body.length === 0) return undefined
  const type = String(headers['content-type'] ?? '')
  if (body.toString('latin1', 0, 4) === PROTOBUF_MAGIC) return decodeProtobuf(body)
  const written = body.toString()
  if (type.startsWith('application/yaml')) return parseYamlDocuments(written)
  if (!type.startsWith('application/json')) return written
  // A watch is a line an event.
  const lines = written.split('\n').filter((line) => line !== '')
  return lines.length > 1 && lines.every((line) => line.startsWith('{')) ? lines.map((line) => parsed(line)) : parsed(written)
}

function parsed(written: string): unknown {
  try {
    return JSON.parse(written)
  } catch {
    // Not JSON after all: compared as it stands.
    return written
  }
}

export function normalise(answer: Answer): Normal {
  const headers: Record<string, unknown> = {}
  for (const name of HEADERS) if (answer.headers[name] !== undefined) headers[name] = value(answer.headers[name], '')
  for (const name of PRESENT) if (answer.headers[name] !== undefined) headers[name] = '<present>'
  return { status: answer.status, headers, body: value(bodyOf(answer), '') }
}
