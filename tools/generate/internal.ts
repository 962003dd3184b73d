/**
 * Writes internal.json: how upstream's API server holds objects in itself. Its types have no JSON names, so wherever an error shows
 * a value, or a diff of two, Go's names stand there in the order of declaration, with everything that is empty. Read by
 * src/server/resources/internal-form.ts. A type is the names of its fields; what follows a name tells the field's zero: nothing for
 * null, `"` a string, `#` a number, `!` a boolean, `~` a quantity, `{` a struct; `@` is embedded metadata.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ModelType } from './model.ts'
import { moduleDirectory } from './upstream.ts'

/** The packages of internal types, and the version by whose names their fields go in JSON. */
const VERSIONS: Readonly<Record<string, string>> = {
  admissionregistration: 'v1',
  apps: 'v1',
  autoscaling: 'v2',
  batch: 'v1',
  certificates: 'v1',
  core: 'v1',
  discovery: 'v1',
  flowcontrol: 'v1',
  networking: 'v1',
  node: 'v1',
  policy: 'v1',
  rbac: 'v1',
  resource: 'v1',
  storage: 'v1',
}

const FIELD = /^\t(?:(\w+)\s+)?(\*?(?:\[\w*\])*(?:map\[[\w.]+\])?[\w.[\]*{}]+)\s*(?:\/\/.*)?$/

interface Package {
  readonly structs: ReadonlyMap<string, string>
  /** Names of scalar types and what they are. */
  readonly scalars: ReadonlyMap<string, string>
}

function readInternal(directory: string): Package {
  const source = readdirSync(directory)
    .filter((name) => /^types.*\.go$/.test(name))
    .map((name) => readFileSync(join(directory, name), 'utf8').replace(/\/\*[^]*?\*\//g, ''))
    .join('\n')
  return {
    structs: new Map(Array.from(source.matchAll(/^type (\w+) struct \{\n([^]*?)^\}/gm), ([, name = '', body = '']) => [name, body])),
    scalars: new Map(
      Array.from(source.matchAll(/^(?:type |\t)(\w+) (string|bool|u?int(?:32|64)?|float64)$/gm), ([, name = '', of = '']) => [name, of]),
    ),
  }
}

/** What stands behind a field's name. */
function zeroOf(type: string, { structs, scalars }: Package): string {
  const scalar = scalars.get(type) ?? type
  if (scalar === 'string' || scalar === 'types.UID' || scalar === 'types.NodeName' || scalar.endsWith('.ConditionStatus')) return '"'
  if (scalar === 'bool') return '!'
  if (/^(u?int(32|64)?|float64|intstr\.IntOrString)$/.test(scalar)) return '#'
  if (scalar === 'resource.Quantity') return '~'
  if (structs.has(type) || /^(api|core|metav1)\.(?!Time|MicroTime|Duration|ResourceName)[A-Z]\w+$/.test(type)) return '{'
  return ''
}

function fieldsOf(name: string, from: Package): readonly string[] {
  return (from.structs.get(name) ?? '').split('\n').flatMap((line) => {
    const [, field, type = ''] = FIELD.exec(line) ?? []
    if (type === '' || field === '_') return []
    if (field !== undefined) return [`${field}${zeroOf(type, from)}`]
    if (type === 'metav1.ObjectMeta') return ['@']
    return from.structs.has(type) ? fieldsOf(type, from) : []
  })
}

/** Of the types that are published, without the kinds and their lists: those are never shown. */
export function printInternal(model: readonly ModelType[]): string {
  const root = join(moduleDirectory('k8s.io/kubernetes'), 'pkg/apis')
  const extensions = join(moduleDirectory('k8s.io/apiextensions-apiserver'), 'pkg/apis/apiextensions')
  const published = new Set(model.filter((type) => !type.kind || type.name.endsWith('Template')).map(({ name }) => name))
  const packages = [
    ...Object.entries(VERSIONS).map(([group, version]) => [`${group}/${version}`, readInternal(join(root, group))] as const),
    ['apiextensions/v1', readInternal(extensions)] as const,
  ]
  const types = packages.flatMap(([file, from]) =>
    [...from.structs.keys()]
      .filter((name) => published.has(`${file}.${name}`) && !name.endsWith('Status') && !name.endsWith('List'))
      .sort()
      .map((name) => [`${file}.${name}`, fieldsOf(name, from).join(' ')] as const),
  )
  return `${JSON.stringify(Object.fromEntries(types), undefined, 1)}\n`
}
