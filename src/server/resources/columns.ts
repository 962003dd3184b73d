/**
 * Building blocks of printed columns: what several kinds show in the same way. A cell is computed for every row of every list
 * that kubectl asks for, so cells read fields and build one string.
 */
import type { Container } from '../../api/generated/core/v1.ts'
import type { LabelSelector } from '../../api/generated/meta/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import type { Column } from '../resource.ts'
import { timeSince } from './duration.ts'

type Cell<T, R> = (object: T, nowMs: number) => R

export const text = <T>(name: string, cell: Cell<T, string>, description = ''): Column<T> => ({ name, type: 'string', description, cell })
export const integer = <T>(name: string, cell: Cell<T, number | undefined>, description = ''): Column<T> => ({
  name,
  type: 'integer',
  description,
  cell: (object, nowMs) => cell(object, nowMs) ?? 0,
})
export const boolean = <T>(name: string, cell: Cell<T, boolean>, description = ''): Column<T> => ({
  name,
  type: 'boolean',
  description,
  cell,
})
/** Shown by `-o wide` only. */
export const wide = <T>(column: Column<T>): Column<T> => ({ ...column, wide: true })

export const nameColumn: Column<KubeObject> = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description: 'Name of the object, unique within its namespace.',
  cell: (object) => object.metadata?.name ?? '',
}

export const ageColumn: Column<KubeObject> = {
  name: 'Age',
  type: 'string',
  description: 'How long ago the object was created.',
  cell: (object, nowMs) => timeSince(object.metadata?.creationTimestamp, nowMs),
}

/** Name, the given columns, Age: the usual order. */
export const nameToAge = <T>(...columns: readonly Column<T>[]): readonly Column<T>[] => [
  nameColumn as Column<T>,
  ...columns,
  ageColumn as Column<T>,
]

/** The wide columns of the names and images of a pod template's containers. */
export const containerColumns = <T>(containers: (object: T) => readonly Container[] | undefined): readonly Column<T>[] => [
  wide(text('Containers', (object) => (containers(object) ?? []).map((container) => container.name).join(','))),
  wide(text('Images', (object) => (containers(object) ?? []).map((container) => container.image ?? '').join(','))),
]

const labelTerms = (labels: Readonly<Record<string, string>>): [string, string][] =>
  Object.entries(labels).map(([key, value]) => [key, `${key}=${value}`])

const joinByKey = (terms: [string, string][]): string =>
  terms
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([, term]) => term)
    .join(',')

/** "a=b,c=d" in the order of keys, or "<none>". */
export const formatLabels = (labels: Readonly<Record<string, string>> | undefined): string =>
  (labels && joinByKey(labelTerms(labels))) || '<none>'

/** A label selector as a query would write it; "" when it selects everything or nothing. */
export function selectorText(selector: LabelSelector | undefined): string {
  const terms = labelTerms(selector?.matchLabels ?? {})
  for (const { key, operator, values = [] } of selector?.matchExpressions ?? []) {
    const list = `(${[...values].sort().join(',')})`
    if (operator === 'In') terms.push([key, `${key} in ${list}`])
    else if (operator === 'NotIn') terms.push([key, `${key} notin ${list}`])
    else if (operator === 'Exists') terms.push([key, key])
    else terms.push([key, `!${key}`])
  }
  return joinByKey(terms)
}

export const selectorColumn = <T>(selector: (object: T) => LabelSelector | undefined): Column<T> =>
  wide(text('Selector', (object) => selectorText(selector(object)) || '<none>'))

/** The first items, and how many more there are. */
export function firstItems(items: readonly string[], maximum: number, none: string, separator = ','): string {
  if (items.length > maximum) return `${items.slice(0, maximum).join(separator)} + ${items.length - maximum} more...`
  return items.join(separator) || none
}

/** "ip,hostname": the sorted addresses of a load balancer. */
export const loadBalancerText = (ingress: readonly { readonly ip?: string; readonly hostname?: string }[] | undefined): string =>
  [...new Set((ingress ?? []).map((entry) => entry.ip || entry.hostname || '').filter((address) => address !== ''))].sort().join(',')

const ACCESS_MODES: readonly (readonly [string, string])[] = [
  ['ReadWriteOnce', 'RWO'],
  ['ReadOnlyMany', 'ROX'],
  ['ReadWriteMany', 'RWX'],
  ['ReadWriteOncePod', 'RWOP'],
]

/** "RWO,ROX": volume access modes in their fixed order. */
export const accessModesText = (modes: readonly string[] | undefined): string =>
  ACCESS_MODES.filter(([mode]) => modes?.includes(mode))
    .map(([, short]) => short)
    .join(',')
