/** Paths by which definitions point at fields of their own schema: selectable fields and the fields that rules speak of. */
import type { JSONSchemaProps } from '../../api/generated/apiextensions/v1.ts'
import { additionalSchemaOf } from '../../cel/json-schema.ts'

export type FoundField =
  | { readonly schema: JSONSchemaProps | undefined; readonly names: readonly string[] }
  /** What upstream says of a path that leads nowhere. */
  | { readonly fault: string }

/** `.spec.color`, or with brackets `.spec['color']`. */
export function fieldAt(path: string, root: JSONSchemaProps, options: { readonly allowsBrackets?: boolean } = {}): FoundField {
  const tokens = path.match(/'(?:[^'\\]|\\.)*'|[.[\]]|[^.[\]']+|'/g) ?? []
  const names: string[] = []
  let schema: JSONSchemaProps | undefined = root
  const step = (name: string): string | undefined => {
    const { properties } = schema ?? {}
    if (properties && Object.keys(properties).length > 0) {
      if (!Object.hasOwn(properties, name)) return 'does not refer to a valid field'
      schema = properties[name]
    } else if (schema?.additionalProperties !== undefined) schema = additionalSchemaOf(schema)
    else return 'does not refer to a valid field'
    names.push(name)
    return undefined
  }
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index]!
    if (token !== '.' && token !== '[') return { fault: `expected [ or . but got: ${token}` }
    if (token === '[' && options.allowsBrackets === false) return { fault: 'array notation is not allowed' }
    const next = tokens[++index]
    if (next === undefined) return { fault: 'unexpected end of JSON path' }
    const isQuoted = /^'.*'$/.test(next) && next.length > 1
    if (token === '[' && !isQuoted) return { fault: `expected single quoted string but got ${next}` }
    const fault = step(token === '[' ? next.slice(1, -1).replaceAll(/\\(.)/g, '$1') : next)
    if (fault) return { fault }
    if (token !== '[') continue
    const close = tokens[++index]
    if (close === undefined) return { fault: 'unexpected end of JSON path' }
    if (close !== ']') return { fault: `expected ] but got ${close}` }
  }
  return { schema, names }
}
