/** The columns that a definition gives to `kubectl get` (additionalPrinterColumns; apiextensions-apiserver tableconvertor). */
import type { CustomResourceColumnDefinition } from '../../api/generated/apiextensions/v1.ts'
import type { Json } from '../../api/object.ts'
import type { Column } from '../resource.ts'
import { nameColumn } from '../resources/columns.ts'
import { humanDuration } from '../resources/duration.ts'
import { parseJsonPath } from './json-path.ts'

const AGE: CustomResourceColumnDefinition = {
  name: 'Age',
  type: 'date',
  description: 'When the object was created, as the server wrote it down.',
  jsonPath: '.metadata.creationTimestamp',
}

type Cell = string | number | boolean | null

export function printerColumns(definitions: readonly CustomResourceColumnDefinition[] | undefined): readonly Column[] {
  const given = definitions && definitions.length > 0 ? definitions : [AGE]
  return [nameColumn, ...given.map(columnOf)]
}

function columnOf({ name, type, format, description, priority, jsonPath }: CustomResourceColumnDefinition): Column {
  const read = parseJsonPath(jsonPath)
  return {
    name,
    type: type as Column['type'],
    ...(format ? { format } : {}),
    ...(priority ? { priority } : {}),
    description: description || `Custom resource definition column (in JSONPath format): ${jsonPath}`,
    cell(object, nowMs) {
      const [found] = read?.(object) ?? []
      return found === undefined ? null : cellOf(type, found, nowMs)
    },
  }
}

function cellOf(type: string, value: Json, nowMs: number): Cell {
  if (type === 'string') return textOf(value)
  if (value === null) return null
  switch (type) {
    case 'integer':
      return typeof value === 'number' ? Math.trunc(value) : null
    case 'number':
      return typeof value === 'number' ? value : null
    case 'boolean':
      return typeof value === 'boolean' ? value : null
    case 'date':
      return typeof value === 'string' ? ageOf(value, nowMs) : null
    default:
      return null
  }
}

/** As client-go's JSONPath prints: text as it is, all else as JSON. */
const textOf = (value: Json): string => (typeof value === 'string' ? value : value === null ? '<nil>' : JSON.stringify(value))

function ageOf(text: string, nowMs: number): string {
  if (text === '') return '<unknown>'
  const timeMs = Date.parse(text)
  return Number.isNaN(timeMs) ? '<invalid>' : humanDuration(nowMs - timeMs)
}
