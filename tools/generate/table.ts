/**
 * Writes the model as compact tables. One line of text a field, read on first use of its type (src/api/schema-table.ts holds the
 * other half of this encoding), so that a start pays for one JSON.parse of strings only.
 *
 * A line: name, number[/embedded...], type, then flags: `!` required, `*` pointer, `0` always written, `~` written as null, `a` atomic map, `g` granular, `l=` list type,
 * `k=` map keys, `p=` patch strategy, `m=` merge key, `e=` enum, `d=` default as JSON. A type is a letter, or the name of a message
 * (without "group/version." when it is of the same package), after `[` for a list, `{` for a map, `<` for a map of lists.
 */
import type { Field } from '../../src/api/schema.ts'
import type { ModelType } from './model.ts'
import { splitTypeName } from './typescript.ts'
import type { DiscoveryDocument, DiscoveryResource } from './upstream.ts'

const LETTERS: Readonly<Record<Field['type'], string>> = {
  string: 's',
  int32: 'i',
  int64: 'l',
  double: 'd',
  boolean: 'b',
  bytes: 'y',
  time: 't',
  microTime: 'u',
  duration: 'n',
  quantity: 'q',
  intOrString: 'x',
  json: 'j',
  message: '',
}
const CONTAINERS = { list: '[', map: '{', mapOfLists: '<' } as const

function encodeField(field: Field, file: string): string {
  const ref = field.ref?.startsWith(`${file}.`) ? field.ref.slice(file.length + 1) : field.ref
  const type = `${field.container ? CONTAINERS[field.container] : ''}${LETTERS[field.type]}${field.type === 'json' ? ':' : ''}${ref ?? ''}`
  const flags = [
    field.required ? '!' : '',
    field.isPointer ? '*' : '',
    field.isAlwaysWritten ? '0' : '',
    field.isNullWritten ? '~' : '',
    field.atomicMap ? 'a' : '',
    field.granularMap ? 'g' : '',
    field.listType ? `l=${field.listType}` : '',
    field.mapKeys ? `k=${field.mapKeys.join(',')}` : '',
    field.patchStrategy ? `p=${field.patchStrategy.join(',')}` : '',
    field.mergeKey ? `m=${field.mergeKey}` : '',
    field.enum ? `e=${field.enum.join(',')}` : '',
    field.default === undefined ? '' : `d=${JSON.stringify(field.default)}`,
  ].filter(Boolean)
  const line = [field.name, [field.number, ...(field.embedded ?? [])].join('/'), type, ...flags]
  if (line.some((token) => /[\s]/.test(token))) throw new Error(`a space in a fact about ${field.name}`)
  return line.join(' ')
}

const kindName = ({ group, version, kind }: { group: string; version: string; kind: string }): string =>
  `${group ? `${group}/` : ''}${version}/${kind}`

/** schema.json: what schema-table.ts reads. */
export function printSchema(model: readonly ModelType[]): string {
  const types = model.map((type) => [type.name, type.fields.map((field) => encodeField(field, splitTypeName(type.name)[0])).join('\n')])
  const kinds = model.flatMap((type) => (type.kind ? [[kindName(type.kind), type.name]] : []))
  // A type's name in OpenAPI is its package's and its own; the few that differ stand by themselves.
  const packages = new Map<string, string>()
  const irregular: [string, string][] = []
  for (const type of model.filter(({ isPublished }) => isPublished)) {
    const [file, name] = splitTypeName(type.name)
    const own = type.openapi.endsWith(`.${name}`) ? type.openapi.slice(0, -name.length - 1) : undefined
    if (own !== undefined && (packages.get(file) ?? own) === own) packages.set(file, own)
    else irregular.push([type.name, type.openapi])
  }
  return lines({
    packages: Object.fromEntries(packages),
    irregular: Object.fromEntries(irregular),
    unpublished: model.filter(({ isPublished }) => !isPublished).map(({ name }) => name),
    atomic: model.filter(({ isAtomic }) => isAtomic).map(({ name }) => name),
    kinds: Object.fromEntries(kinds),
    types: Object.fromEntries(types),
  })
}

/** JSON with one entry of each section a line, so that a change of upstream's reads well in a diff. */
function lines(sections: Readonly<Record<string, object>>): string {
  const section = (value: object): string =>
    Array.isArray(value)
      ? `[\n${value.map((item) => `    ${JSON.stringify(item)}`).join(',\n')}\n  ]`
      : `{\n${Object.entries(value)
          .map(([key, item]) => `    ${JSON.stringify(key)}: ${JSON.stringify(item)}`)
          .join(',\n')}\n  }`
  return `{\n${Object.entries(sections)
    .map(([key, value]) => `  ${JSON.stringify(key)}: ${section(value)}`)
    .join(',\n')}\n}\n`
}

const fullKind = (kind: DiscoveryResource['responseKind'], group: string, version: string): string =>
  kindName(kind.version ? kind : { group, version, kind: kind.kind })

/** resources.json: every resource in upstream's order of group versions, as rows that resources.ts reads. */
export function printResources(discovery: DiscoveryDocument, model: readonly ModelType[]): string {
  const typeByKind = new Map(model.flatMap((type) => (type.kind ? [[kindName(type.kind), type.name]] : [])))
  const rows = discovery.items.flatMap(({ metadata: { name: group = '' }, versions }) =>
    versions.flatMap(({ version, resources }) =>
      resources.map((resource) => [
        fullKind(resource.responseKind, group, version),
        resource.resource,
        resource.singularResource,
        resource.scope === 'Namespaced' ? 1 : 0,
        resource.verbs.join(','),
        (resource.shortNames ?? []).join(','),
        (resource.categories ?? []).join(','),
        typeByKind.get(fullKind(resource.responseKind, group, version)) ?? '',
        (resource.subresources ?? []).map((sub) => [sub.subresource, fullKind(sub.responseKind, group, version), sub.verbs.join(',')]),
      ]),
    ),
  )
  return `[\n${rows.map((row) => `  ${JSON.stringify(row)}`).join(',\n')}\n]\n`
}
