/**
 * Turns our shorthand of protobuf definitions into the JSON form that protobuf libraries take. A shorthand rather than .proto
 * files, so that nothing but code has to be found at run time. One declaration a line, or a block closed by a brace:
 *
 *   package a.b
 *   service S { … Method([stream] Request) [stream] Response … }
 *   message M { [repeated] type name = number; map<string,string> name = number … }
 *   enum E { NAME = 0; … }
 */
interface Field {
  readonly type: string
  readonly id: number
  readonly rule?: 'repeated'
  readonly keyType?: string
}

interface Method {
  readonly requestType: string
  readonly responseType: string
  readonly requestStream?: true
  readonly responseStream?: true
}

export interface Namespace {
  readonly nested: Record<
    string,
    Namespace | { fields: Record<string, Field> } | { values: Record<string, number> } | { methods: Record<string, Method> }
  >
}

const DECLARATION = /(service|message|enum)\s+(\w+)\s*\{([^}]*)\}/g
const FIELD = /^(?:(repeated)\s+)?(?:map<(\w+),\s*(\w+)>|([\w.]+))\s+(\w+)\s*=\s*(\d+)$/
const METHOD = /^(\w+)\((stream\s+)?(\w+)\)\s+(stream\s+)?(\w+)$/
const VALUE = /^(\w+)\s*=\s*(\d+)$/

export function parseProto(text: string): Namespace {
  const packageName = /^\s*package\s+([\w.]+)/m.exec(text)?.[1]
  if (!packageName) throw new Error('a protobuf text names no package')
  const nested: Namespace['nested'] = {}
  for (const [, sort, name, body] of text.matchAll(DECLARATION)) {
    const lines = body!
      .split(/[;\n]/)
      .map((line) => line.trim())
      .filter((line) => line !== '')
    if (sort === 'message') nested[name!] = { fields: Object.fromEntries(lines.map(parseField)) }
    else if (sort === 'enum') nested[name!] = { values: Object.fromEntries(lines.map(parseValue)) }
    else nested[name!] = { methods: Object.fromEntries(lines.map(parseMethod)) }
  }
  return packageName
    .split('.')
    .toReversed()
    .reduce<Namespace>((inner, part) => ({ nested: { [part]: inner } }), { nested })
}

function parseField(line: string): [string, Field] {
  const match = FIELD.exec(line)
  if (!match) throw new Error(`not a protobuf field: ${line}`)
  const [, repeated, keyType, valueType, type, name, id] = match
  const field = {
    type: type ?? valueType!,
    id: Number(id),
    ...(repeated ? { rule: 'repeated' as const } : {}),
    ...(keyType ? { keyType } : {}),
  }
  return [name!, field]
}

function parseMethod(line: string): [string, Method] {
  const match = METHOD.exec(line)
  if (!match) throw new Error(`not a protobuf method: ${line}`)
  const [, name, asked, requestType, answered, responseType] = match
  return [
    name!,
    {
      requestType: requestType!,
      responseType: responseType!,
      ...(asked ? { requestStream: true as const } : {}),
      ...(answered ? { responseStream: true as const } : {}),
    },
  ]
}

function parseValue(line: string): [string, number] {
  const match = VALUE.exec(line)
  if (!match) throw new Error(`not a protobuf enum value: ${line}`)
  return [match[1]!, Number(match[2])]
}
