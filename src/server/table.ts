/**
 * Tables and bare metadata, as kubectl and the metadata client ask for them instead of objects.
 */
import type { ApiResponse, StoredObject, WatchEvent } from '../api/exchange.ts'
import type { KubeObject } from '../api/object.ts'
import { badRequest, failure } from '../api/status.ts'
import type { Accepted } from './negotiation.ts'
import type { Column } from './resource.ts'
import { ageColumn, nameColumn } from './resources/columns.ts'
import type { ServedResource } from './resource-registry.ts'
import { Computed, Happening } from './revision.ts'

const DEFAULT_COLUMNS: readonly Column[] = [
  { name: 'Name', type: 'string', format: 'name', description: 'The name of the object.', cell: (object) => object.metadata?.name ?? '' },
  {
    name: 'Created At',
    type: 'date',
    description: 'When the object was created, as the server wrote it down.',
    cell: (object) => object.metadata?.creationTimestamp ?? null,
  },
]

type IncludeObject = 'None' | 'Metadata' | 'Object'

function includeObject(query: URLSearchParams): IncludeObject {
  const value = query.get('includeObject') || 'Metadata'
  if (value === 'None' || value === 'Metadata' || value === 'Object') return value
  throw badRequest(
    `Unable to convert to Table as requested: includeObject: Invalid value: ${JSON.stringify(value)}: must be 'Metadata', 'Object', 'None', or empty`,
  )
}

const columnDefinitions = (columns: readonly Column[]) =>
  columns.map(({ name, type, format, description, wide, priority }) => ({
    name,
    type,
    format: format ?? '',
    description,
    priority: priority ?? (wide ? 1 : 0),
  }))

export interface TableShape {
  readonly served: ServedResource
  readonly accepted: Accepted
  readonly query: URLSearchParams
  readonly nowMs: number
}

/** What upstream's printer shows of a Scale, whatever is scaled. */
const SCALE_COLUMNS: readonly Column[] = [
  { name: 'Name', type: 'string', description: 'The name of what is scaled.', cell: nameColumn.cell },
  { name: 'Desired', type: 'integer', description: 'How many replicas are wanted.', cell: ({ spec }) => spec?.replicas ?? 0 },
  { name: 'Available', type: 'integer', description: 'How many replicas there are.', cell: ({ status }) => status?.replicas ?? 0 },
  { ...ageColumn, format: '' },
]

const columnsOf = (served: ServedResource, isScale: boolean): readonly Column[] =>
  isScale ? SCALE_COLUMNS : (served.custom?.columns ?? served.stored.definition.columns ?? DEFAULT_COLUMNS)

/**
 * `items` are in the served version; columns are of the stored one, those of custom resources of the served one. Rows are made when
 * they are asked for, one by one for the wire: a table of very many holds nobody back.
 */
function table(shape: TableShape, items: readonly StoredObject[], metadata: KubeObject['metadata'], isHeadless = false): StoredObject {
  const include = includeObject(shape.query)
  const isScale = items[0]?.object.kind === 'Scale'
  const { served } = shape
  const columns = columnsOf(served, isScale)
  const rowOf = ({ object }: StoredObject) => ({
    ...cellsOf(served, columns, served.view.convert && !served.custom && !isScale ? served.toStored(object) : object, shape.nowMs),
    object: include === 'Object' ? object : include === 'None' ? null : partial(object, shape.accepted),
  })
  const head = {
    kind: 'Table',
    apiVersion: apiVersion(shape.accepted),
    metadata,
    columnDefinitions: isHeadless ? null : columnDefinitions(columns),
  }
  return new TableObject(head, items, rowOf)
}

const encoder = new TextEncoder()

class TableObject implements StoredObject {
  readonly object: KubeObject
  readonly #head: KubeObject
  readonly #items: readonly StoredObject[]
  readonly #rowOf: (item: StoredObject) => object

  constructor(head: KubeObject, items: readonly StoredObject[], rowOf: (item: StoredObject) => object) {
    this.#head = head
    this.#items = items
    this.#rowOf = rowOf
    let rows: readonly object[] | undefined
    this.object = {
      ...head,
      get rows() {
        return (rows ??= items.map(rowOf))
      },
    }
  }

  get bytes(): Uint8Array {
    return encoder.encode(JSON.stringify(this.object))
  }

  *pieces(): Generator<Uint8Array, undefined> {
    yield encoder.encode(`${JSON.stringify(this.#head).slice(0, -1)},"rows":[`)
    for (let index = 0; index < this.#items.length; index++)
      yield encoder.encode(`${index > 0 ? ',' : ''}${JSON.stringify(this.#rowOf(this.#items[index]!))}`)
    yield encoder.encode(']}')
    return undefined
  }
}

function cellsOf({ stored }: ServedResource, columns: readonly Column[], object: KubeObject, nowMs: number) {
  const conditions = stored.definition.rowConditions?.(object) ?? []
  return { cells: columns.map((column) => column.cell(object, nowMs)), ...(conditions.length > 0 ? { conditions } : {}) }
}

const apiVersion = (accepted: Accepted): string => `meta.k8s.io/${accepted.asVersion ?? 'v1'}`

const partial = (object: KubeObject, accepted: Accepted): KubeObject => ({
  kind: 'PartialObjectMetadata',
  apiVersion: apiVersion(accepted),
  metadata: object.metadata!,
})

/** Gives an answer about a resource the shape that was asked for; Status answers stay as they are. */
export function shapeAnswer(shape: TableShape, answer: ApiResponse): ApiResponse {
  const { accepted } = shape
  if (answer.type === 'list') {
    if (accepted.as === 'Table') return { type: 'object', status: 200, stored: table(shape, answer.items, answer.metadata) }
    if (accepted.as === 'PartialObjectMetadataList') {
      const items = answer.items.map(({ object }) => new Computed(partial(object, accepted)))
      return { ...answer, apiVersion: apiVersion(accepted), kind: 'PartialObjectMetadataList', items }
    }
    throw failure(
      'NotAcceptable',
      `you requested PartialObjectMetadata, but the requested object is a list (${goType(shape.served, answer.kind)})`,
    )
  }
  if (answer.type !== 'object' || answer.stored.object.kind === 'Status') return answer
  if (accepted.as === 'Table') {
    const { resourceVersion } = answer.stored.object.metadata ?? {}
    const made = table(shape, [answer.stored], resourceVersion === undefined ? {} : { resourceVersion })
    return { ...answer, stored: new Computed(made.object) }
  }
  if (accepted.as === 'PartialObjectMetadata') return { ...answer, stored: new Computed(partial(answer.stored.object, accepted)) }
  const type = goType(shape.served, answer.stored.object.kind ?? '')
  throw failure('NotAcceptable', `you requested PartialObjectMetadataList, but the requested object is not a list (${type})`)
}

/** How Go prints the type: upstream's internal one, or that of all custom resources. */
function goType({ custom, stored }: ServedResource, kind: string): string {
  if (custom) return kind.endsWith('List') ? '*unstructured.UnstructuredList' : '*unstructured.Unstructured'
  return `*${stored.group.split('.')[0] || 'core'}.${kind}`
}

/** Makes the events of one watch into Tables; only the first carries the column definitions, as upstream's. */
export function tableEvents(shape: TableShape): (event: WatchEvent) => WatchEvent {
  let isHeadless = false
  return (event) => {
    if (event.type === 'ERROR') return event
    const { object } = event
    const metadata = { resourceVersion: object.metadata?.resourceVersion ?? '' }
    const made = table(shape, [new Computed(object)], metadata, isHeadless)
    isHeadless = true
    return new Happening(event.type, new Computed(made.object))
  }
}
