/**
 * Reads the subset of the protobuf language that upstream's generated.proto files use: flat messages with `optional`, `repeated`
 * and `map` fields.
 */
export interface ProtoField {
  readonly name: string
  readonly number: number
  /** A scalar ("string", "int32"...), or a message by its full name ("k8s.io.api.core.v1.PodSpec"). */
  readonly type: string
  readonly container?: 'list' | 'map'
}

export interface ProtoMessage {
  readonly name: string
  readonly fields: readonly ProtoField[]
}

const SCALARS = new Set(['string', 'bytes', 'bool', 'int32', 'int64', 'uint32', 'uint64', 'double', 'float'])
const FIELD = /^(optional|repeated)\s+([.\w]+)\s+(\w+)\s*=\s*(\d+)/
const MAP = /^map<\s*string\s*,\s*([.\w]+)\s*>\s+(\w+)\s*=\s*(\d+)/

/** The messages of one file, by full name. */
export function parseProto(text: string): ReadonlyMap<string, ProtoMessage> {
  const packageName = /^package\s+([\w.]+);/m.exec(text)?.[1]
  if (packageName === undefined) throw new Error('a generated.proto without a package')
  const fullName = (type: string): string => (SCALARS.has(type) ? type : type.startsWith('.') ? type.slice(1) : `${packageName}.${type}`)

  const messages = new Map<string, ProtoMessage>()
  for (const [, name, body] of text.matchAll(/^message (\w+) \{\n([^]*?)^\}/gm)) {
    const fields: ProtoField[] = []
    for (const line of (body ?? '').split('\n').map((raw) => raw.trim())) {
      const map = MAP.exec(line)
      if (map) fields.push({ name: map[2] ?? '', number: Number(map[3]), type: fullName(map[1] ?? ''), container: 'map' })
      const field = FIELD.exec(line)
      if (!field) continue
      const base = { name: field[3] ?? '', number: Number(field[4]), type: fullName(field[2] ?? '') }
      fields.push(field[1] === 'repeated' ? { ...base, container: 'list' } : base)
    }
    messages.set(`${packageName}.${name}`, { name: name ?? '', fields })
  }
  return messages
}
