/**
 * Built-in kinds as type checking sees them: by the published schema (apiserver pkg/cel/common/schemas.go). What has no one type there
 * (quantities) is not seen, what may be anything has no fields, and a type within itself is seen once.
 */
import type { Field } from '../api/schema.ts'
import { builtInSchemas } from '../api/schema-table.ts'
import type { TypeProvider } from './checker.ts'
import { escapeName } from './json-schema.ts'
import { BOOL, BYTES, DOUBLE, DYN, INT, listOf, mapOf, objectOf, STRING, TIMESTAMP, type Type } from './types.ts'

/** The name of a type says within which others it lies. */
const WITHIN = '>'
const NO_FIELDS = `${WITHIN}any`

const SCALARS: Readonly<Partial<Record<Field['type'], Type>>> = {
  string: STRING,
  int32: INT,
  int64: INT,
  double: DOUBLE,
  boolean: BOOL,
  bytes: BYTES,
  time: TIMESTAMP,
  microTime: TIMESTAMP,
  duration: STRING,
  intOrString: DYN,
  json: objectOf(NO_FIELDS),
}

function typeOf({ type, ref = '', container }: Field, outer: string): Type | undefined {
  const within = outer.split(WITHIN)
  const message = within.includes(ref) ? NO_FIELDS : `${outer}${WITHIN}${ref}`
  const single = type === 'message' ? objectOf(message) : SCALARS[type]
  if (!single || !container) return single
  if (container === 'list') return listOf(single)
  return mapOf(STRING, container === 'map' ? single : listOf(single))
}

const isBuiltIn = (typeName: string): boolean => builtInSchemas.schemaOf(typeName.split(WITHIN).at(-1)!) !== undefined

/** Types are named as the schema names them: `objectOf('core/v1.Pod')`. */
export const builtInTypes: TypeProvider = {
  hasType: (typeName) => typeName === NO_FIELDS || isBuiltIn(typeName),
  fieldOf(typeName, field) {
    const schema = builtInSchemas.schemaOf(typeName.split(WITHIN).at(-1)!)
    for (const [name, found] of schema?.fields ?? []) if (name === field || escapeName(name) === field) return typeOf(found, typeName)
    return undefined
  },
}
