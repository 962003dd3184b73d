/**
 * YAML as sigs.k8s.io/yaml reads it: version 1.1, where `yes`, `on` and `y` are true and `010` is eight, but dates stay strings and
 * there are no base-60 numbers; every value becomes JSON, every key a string.
 */
import { isMap, isScalar, parseAllDocuments, visit, type Document, type ScalarTag, type Tags } from 'yaml'
import type { ParsedJson } from './json.ts'
import type { Json } from './object.ts'

/** Text that is no YAML. */
export class YamlSyntaxError extends Error {
  override readonly name = 'YamlSyntaxError'
}

/** Tags of YAML 1.1 that Go's reader does not have: dates, base-60 numbers, and collections of other languages. */
const LEFT_OUT = new Set(['timestamp', 'intTime', 'floatTime', 'binary', 'omap', 'pairs', 'set'])

/** Names by which the library knows what it resolves; a tag is told by its object, so compare what it would resolve. */
const isWanted = (tag: Tags[number]): boolean => {
  if (typeof tag === 'string') return !LEFT_OUT.has(tag)
  const name = tag.tag.replace('tag:yaml.org,2002:', '')
  return !LEFT_OUT.has(name) && !('format' in tag && tag.format === 'TIME')
}

/** A point alone is a string: the library's numbers would take it, and the fields of managed fields are full of it. */
const point: ScalarTag = { tag: 'tag:yaml.org,2002:str', default: true, identify: () => false, test: /^[-+]?\.$/, resolve: (text) => text }

/** Octal numbers as Go also takes them, beside YAML's own `010`. */
const goOctal: ScalarTag = {
  tag: 'tag:yaml.org,2002:int',
  default: true,
  identify: () => false,
  test: /^[-+]?0o[0-7_]+$/,
  resolve: (text) => Number.parseInt(text.replace(/0o|_/g, ''), 8),
}

/** Documents of one text that are read; the rest is refused. */
const MAX_DOCUMENTS = 10_000
/** Aliases that one document may expand to: against "billion laughs". */
const MAX_ALIASES = 100

function readDocuments(text: string): Document.Parsed[] {
  const documents = parseAllDocuments(text, {
    version: '1.1',
    merge: true,
    uniqueKeys: false,
    logLevel: 'silent',
    customTags: (tags) => [goOctal, point, ...tags.filter(isWanted)],
  })
  if (!Array.isArray(documents)) return []
  if (documents.length > MAX_DOCUMENTS) throw new YamlSyntaxError(`more than ${MAX_DOCUMENTS} documents`)
  return documents as Document.Parsed[]
}

/** Keys set twice in one map, as go-yaml words them. */
function duplicateKeys(document: Document.Parsed, text: string): string[] {
  const found: string[] = []
  visit(document, {
    Map(_, map) {
      const seen = new Set<unknown>()
      for (const { key } of isMap(map) ? map.items : []) {
        if (!isScalar(key) || key.value === '<<') continue
        if (seen.has(key.value)) {
          const line = text.slice(0, key.range?.[0] ?? 0).split('\n').length
          found.push(`line ${line}: key ${JSON.stringify(key.value)} already set in map`)
        }
        seen.add(key.value)
      }
    },
  })
  return found
}

function toJson(document: Document.Parsed): Json {
  const [error] = document.errors
  if (error) throw new YamlSyntaxError(`yaml: line ${error.linePos?.[0].line ?? 0}: ${error.message.split('\n')[0]}`)
  try {
    return document.toJS({ maxAliasCount: MAX_ALIASES, mapAsMap: false }) as Json
  } catch (cause) {
    throw new YamlSyntaxError(`yaml: ${(cause as Error).message}`, { cause })
  }
}

/** The first document of a text, as a request body is read. Duplicates are whole messages in go-yaml's words. */
export function parseYaml(input: string | Uint8Array): ParsedJson {
  const text = typeof input === 'string' ? input : new TextDecoder().decode(input)
  const [document] = readDocuments(text)
  if (!document) return { value: null, duplicates: [] }
  return { value: toJson(document), duplicates: duplicateKeys(document, text) }
}

/** Every document of a text, empty ones left out. */
export const parseYamlDocuments = (text: string): readonly Json[] =>
  readDocuments(text)
    .map(toJson)
    .filter((value) => value !== null)
