/** Reads the JSON shape of Go structs: field names in the order of declaration, and what encoding/json does with empty values. */
export interface GoField {
  /** As in JSON; empty for an embedded struct whose fields stand inline. */
  readonly json: string
  /** The Go type, e.g. "*int32", "[]Container", "metav1.TypeMeta". */
  readonly type: string
  /** The number of its protobuf tag; 0 where it has none. */
  readonly number: number
  /** What of an empty value is left out of the JSON: `omitempty` spares structs, `omitzero` does not. */
  readonly omits: 'omitempty' | 'omitzero' | undefined
}

export interface GoStruct {
  readonly name: string
  readonly fields: readonly GoField[]
}

const STRUCT = /^type (\w+) struct \{\n([^]*?)^\}/gm
const FIELD = /^\t(?:(\w+(?:, \w+)*)\s+)?([*\w[\].{}]+)\s+`([^`]*)`/

export function parseGoStructs(source: string): GoStruct[] {
  return Array.from(source.matchAll(STRUCT), ([, name, body]) => ({
    name: name ?? '',
    fields: (body ?? '').split('\n').flatMap((line) => {
      const match = FIELD.exec(line)
      const tag = /json:"([^"]*)"/.exec(match?.[3] ?? '')?.[1]
      if (!match || tag === undefined || tag === '-') return []
      const [json = '', ...options] = tag.split(',')
      return [
        {
          json,
          type: match[2] ?? '',
          number: Number(/protobuf:"\w+,(\d+)/.exec(match[3] ?? '')?.[1] ?? 0),
          omits: (['omitzero', 'omitempty'] as const).find((option) => options.includes(option)),
        },
      ]
    }),
  }))
}

/** String types marked `+enum`, with their constants in order. */
export function parseGoEnums(sources: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const text = sources.join('\n')
  const enums = new Map<string, string[]>()
  for (const [, name] of text.matchAll(/^\/\/ \+enum\n(?:\/\/.*\n)*type (\w+) string/gm)) enums.set(name ?? '', [])
  for (const [, type, value] of text.matchAll(/^\s+\w+\s+(\w+)\s*=\s*"([^"]*)"/gm)) enums.get(type ?? '')?.push(value ?? '')
  return enums
}
