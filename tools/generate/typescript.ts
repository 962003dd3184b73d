/** Writes the model as TypeScript interfaces: one file a group and version, and the map of kinds. */
import type { Field } from '../../src/api/schema.ts'
import type { ModelType } from './model.ts'

/** What stands at the head of every generated file. */
export const HEADER = '// Made by `npm run generate` from the API that Kubernetes publishes. Do not edit.\n'

/** Types that are no structs. They live in meta/v1. */
const ALIASES = `/** RFC 3339, in seconds. */
export type Time = string

/** RFC 3339, in microseconds. */
export type MicroTime = string

/** As Go writes it: "1h30m". */
export type Duration = string

/** "100m", "1Gi": see api/quantity.ts. */
export type Quantity = string

export type IntOrString = number | string
`

const SCALARS: Readonly<Record<Field['type'], string>> = {
  string: 'string',
  bytes: 'string',
  int32: 'number',
  int64: 'number',
  double: 'number',
  boolean: 'boolean',
  time: 'Time',
  microTime: 'MicroTime',
  duration: 'Duration',
  quantity: 'Quantity',
  intOrString: 'IntOrString',
  // oxlint would rather have unknown; but readers of a free-form field index into it.
  json: 'any',
  message: '',
}

const ALIAS_TYPES = new Set(['Time', 'MicroTime', 'Duration', 'Quantity', 'IntOrString'])

/** "core/v1.Pod" -> ["core/v1", "Pod"] */
export function splitTypeName(name: string): [file: string, type: string] {
  const slash = name.indexOf('/')
  const dot = name.indexOf('.', slash)
  return [name.slice(0, dot), name.slice(dot + 1)]
}

class Imports {
  readonly #byFile = new Map<string, Set<string>>()
  readonly #file: string

  constructor(file: string) {
    this.#file = file
  }

  use(file: string, type: string): string {
    if (file !== this.#file) this.#byFile.set(file, (this.#byFile.get(file) ?? new Set()).add(type))
    return type
  }

  print(): string {
    const line = ([file, types]: [string, Set<string>]): string =>
      `import type { ${[...types].toSorted().join(', ')} } from '../${file}.ts'\n`
    return [...this.#byFile]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(line)
      .join('')
  }
}

function fieldType(field: Field, imports: Imports): string {
  const scalar = SCALARS[field.type]
  const [file, type] = field.type === 'message' ? splitTypeName(field.ref ?? '') : ['meta/v1', scalar]
  const isImported = field.type === 'message' || ALIAS_TYPES.has(scalar)
  const value = isImported ? imports.use(file, type) : type
  switch (field.container) {
    case 'list':
      return `readonly ${value}[]`
    case 'map':
      return `Readonly<Record<string, ${value}>>`
    case 'mapOfLists':
      return `Readonly<Record<string, readonly ${value}[]>>`
    default:
      return value
  }
}

const isIdentifier = (name: string): boolean => /^[A-Za-z_$][\w$]*$/.test(name)

function printType(type: ModelType, imports: Imports): string {
  const [, name] = splitTypeName(type.name)
  const lines = type.fields.map((field) => {
    const key = isIdentifier(field.name) ? field.name : `'${field.name}'`
    return `  readonly ${key}${field.required ? '' : '?'}: ${fieldType(field, imports)}\n`
  })
  return `export interface ${name} {\n${lines.join('')}}\n`
}

/** The files of types by their path under src/api/generated, without the extension. */
export function printTypes(model: readonly ModelType[]): Map<string, string> {
  const files = new Map<string, string>()
  for (const [file, types] of Map.groupBy(model, (type) => splitTypeName(type.name)[0])) {
    const imports = new Imports(file)
    const bodies = types.map((type) => printType(type, imports))
    const head = imports.print()
    files.set(file, [HEADER, head, file === 'meta/v1' ? ALIASES : '', ...bodies].filter(Boolean).join('\n'))
  }
  return files
}

/** kinds.ts: every group, version and kind with its type. */
export function printKinds(model: readonly ModelType[]): string {
  const roots = model.filter((type) => type.kind !== undefined)
  const alias = (type: ModelType): string => {
    const [file, name] = splitTypeName(type.name)
    return `${file.replace(/(^|\/)(\w)/g, (_, __, letter: string) => letter.toUpperCase())}${name}`
  }
  const imports = [...Map.groupBy(roots, (type) => splitTypeName(type.name)[0])].map(
    ([file, types]) =>
      `import type {\n${types.map((type) => `  ${splitTypeName(type.name)[1]} as ${alias(type)},\n`).join('')}} from './${file}.ts'\n`,
  )
  const entries = roots.map(({ kind, ...type }) => {
    const apiVersion = kind?.group ? `${kind.group}/${kind.version}` : kind?.version
    return `  readonly '${apiVersion}/${kind?.kind}': ${alias(type as ModelType)}\n`
  })
  return `${HEADER}\n${imports.join('')}\n/** Every kind by "<apiVersion>/<kind>". */\nexport interface Kinds {\n${entries.join('')}}\n`
}
