/** Reads the JSON shape of Go structs: field names in the order of declaration, and what encoding/json does with empty values. */
export interface GoField {
  /** As in JSON; empty for an embedded struct whose fields stand inline. */
  readonly json: string
  /** The Go type, e.g. "*int32", "[]Container", "metav1.TypeMeta". */
  readonly type: string
  readonly isOmittedWhenEmpty: boolean
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
      return [{ json, type: match[2] ?? '', isOmittedWhenEmpty: options.includes('omitempty') || options.includes('omitzero') }]
    }),
  }))
}
