/**
 * The query of lists, watches and collection deletes (metav1.ListOptions): parsed, checked against each other in upstream's words,
 * and turned into what the cache understands: a scope and a predicate.
 */
import {
  compileRequirements,
  parseFieldSelector,
  parseLabelRequirements,
  type FieldRequirement,
  type LabelRequirement,
} from '../api/selectors.ts'
import type { KubeObject } from '../api/object.ts'
import { badRequest, invalid, plainFailure, type FieldError } from '../api/status.ts'
import { isTrue } from './request-info.ts'
import type { ServedResource } from './resource-registry.ts'
import { labelTerm, type Predicate, type Term, type WatchScope } from './watch-scope.ts'

export interface ListOptions {
  readonly isWatch: boolean
  readonly labelSelector: string
  readonly fieldSelector: string
  readonly limit: number
  readonly continue: string
  readonly resourceVersion: string
  readonly resourceVersionMatch: string
  readonly sendInitialEvents: boolean | undefined
  readonly allowWatchBookmarks: boolean
  readonly timeoutSeconds: number | undefined
}

export function parseListOptions(query: URLSearchParams, isWatch: boolean): ListOptions {
  const options = withInitialEvents({
    isWatch,
    labelSelector: query.get('labelSelector') ?? '',
    fieldSelector: query.get('fieldSelector') ?? '',
    // Less than nothing is no limit.
    limit: Math.max(integer(query, 'limit') ?? 0, 0),
    continue: query.get('continue') ?? '',
    resourceVersion: query.get('resourceVersion') ?? '',
    resourceVersionMatch: query.get('resourceVersionMatch') ?? '',
    sendInitialEvents: query.has('sendInitialEvents') ? isTrue(query.get('sendInitialEvents')) : undefined,
    allowWatchBookmarks: isTrue(query.get('allowWatchBookmarks')),
    timeoutSeconds: integer(query, 'timeoutSeconds'),
  })
  const errors = isWatch ? watchErrors(options) : listErrors(options)
  if (errors.length > 0) throw invalid('meta.k8s.io', 'ListOptions', '', errors)
  return options
}

/** A watch from nowhere or from 0 begins with what there is, as if it had said so (upstream's defaulting of ListOptions). */
function withInitialEvents(options: ListOptions): ListOptions {
  const isLegacy = options.isWatch && (options.resourceVersion === '' || options.resourceVersion === '0')
  if (!isLegacy || options.sendInitialEvents !== undefined || options.resourceVersionMatch !== '') return options
  return { ...options, sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' }
}

function integer(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name)
  if (text === null) return undefined
  if (!/^[+-]?\d+$/.test(text)) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`)
  return Number(text)
}

const forbidden = (field: string, detail: string): FieldError => ({ type: 'FieldValueForbidden', field, detail: `Forbidden: ${detail}` })
const notSupported = (field: string, value: string, supported: readonly string[]): FieldError => ({
  type: 'FieldValueNotSupported',
  field,
  detail: `Unsupported value: ${JSON.stringify(value)}: supported values: ${supported.map((text) => JSON.stringify(text)).join(', ')}`,
})

const MATCH = 'resourceVersionMatch'

function listErrors(options: ListOptions): readonly FieldError[] {
  const errors: FieldError[] = []
  const match = options.resourceVersionMatch
  if (match !== '') {
    if (options.resourceVersion === '')
      errors.push(forbidden(MATCH, 'resourceVersionMatch is forbidden unless resourceVersion is provided'))
    if (options.continue !== '') errors.push(forbidden(MATCH, 'resourceVersionMatch is forbidden when continue is provided'))
    if (match !== 'Exact' && match !== 'NotOlderThan') errors.push(notSupported(MATCH, match, ['Exact', 'NotOlderThan', '']))
    if (match === 'Exact' && options.resourceVersion === '0')
      errors.push(forbidden(MATCH, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
  }
  if (options.sendInitialEvents !== undefined) errors.push(forbidden('sendInitialEvents', 'sendInitialEvents is forbidden for list'))
  return errors
}

function watchErrors(options: ListOptions): readonly FieldError[] {
  const errors: FieldError[] = []
  const match = options.resourceVersionMatch
  if (options.sendInitialEvents !== undefined && match !== 'NotOlderThan')
    errors.push(forbidden(MATCH, 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan'))
  if (match !== '') {
    if (options.sendInitialEvents === undefined)
      errors.push(forbidden(MATCH, 'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided'))
    if (match !== 'NotOlderThan') errors.push(notSupported(MATCH, match, ['NotOlderThan']))
    if (options.continue !== '') errors.push(forbidden(MATCH, 'resourceVersionMatch is forbidden when continue is provided'))
  }
  return errors
}

/** A revision as the wire spells it. What is no number upstream's lists refuse; its gets and watches have no reason for it. */
export function parseRevision(text: string, refuse: (why: string) => Error = plainFailure): number {
  if (text === '') return 0
  if (/^\d+$/.test(text)) return Number(text)
  const shown = JSON.stringify(text)
  throw refuse(`resourceVersion: Invalid value: ${shown}: strconv.ParseUint: parsing ${shown}: invalid syntax`)
}

export const refusedByList = (why: string): Error => badRequest(`invalid resource version: ${why}`)

export interface Selection {
  readonly scope: WatchScope
  /** Absent when everything in the scope is selected. */
  readonly predicate: Predicate | undefined
  /** True when neither labels nor fields are selected: counts of what remains are exact. */
  readonly isEverything: boolean
}

/** Selects within a namespace ("" is all), perhaps one name (a watch by path). */
export function select(
  served: ServedResource,
  namespace: string,
  name: string,
  options: Pick<ListOptions, 'labelSelector' | 'fieldSelector'>,
): Selection {
  const labelRequirements = options.labelSelector === '' ? [] : parseLabelRequirements(options.labelSelector)
  const labels = labelRequirements.length === 0 ? undefined : compileRequirements(labelRequirements)
  const requirements = options.fieldSelector === '' ? [] : parseFieldSelector(options.fieldSelector)
  const checks = requirements.map((requirement) => fieldCheck(served, requirement))
  const named = requirements.find(({ field, operator }) => field === 'metadata.name' && operator === '=')?.value
  if (name !== '' && requirements.length > 0 && named !== name) throw badRequest("fieldSelector metadata.name doesn't match requested name")
  let space = namespace
  const one = name || (named ?? '')
  const terms: Term[] = []
  for (const { field: path, operator, value } of requirements) {
    if (operator !== '=') continue
    if (path === 'metadata.namespace' && space === '' && served.stored.isNamespaced) space = value
    else if (path !== 'metadata.namespace' && path !== 'metadata.name')
      terms.push({ name: storedLabel(served, path), isLabel: false, value, read: fieldReader(served, path) })
  }
  const prefix = served.stored.isNamespaced && space !== '' ? `${space}/` : ''
  const isOneKey = one !== '' && (!served.stored.isNamespaced || space !== '')
  if (one !== '' && !isOneKey && name !== '') checks.push((object) => object.metadata?.name === name)
  if (one !== '' && !isOneKey) terms.push({ name: 'metadata.name', isLabel: false, value: one, read: nameOf })
  terms.push(...labelRequirements.flatMap(termOf))
  const scope: WatchScope = {
    prefix,
    ...(isOneKey ? { key: `${prefix}${one}` } : {}),
    ...(terms.length > 0 ? { terms } : {}),
    selector: JSON.stringify([name, options.labelSelector, options.fieldSelector]),
  }
  const isEverything = !labels && checks.length === 0
  const predicate: Predicate | undefined = isEverything
    ? undefined
    : (object) => checks.every((check) => check(object)) && (!labels || labels(object.metadata?.labels ?? {}))
  return { scope, predicate, isEverything }
}

const nameOf: (object: KubeObject) => string = ({ metadata }) => metadata?.name ?? ''

function termOf({ key, operator, values }: LabelRequirement): readonly Term[] {
  const isEquality = operator === '=' || operator === '==' || (operator === 'in' && values.length === 1)
  return isEquality ? [labelTerm(key, values[0] ?? '')] : []
}

function fieldCheck(served: ServedResource, { field, operator, value }: FieldRequirement): Predicate {
  const read = fieldReader(served, field)
  return operator === '=' ? (object) => read(object) === value : (object) => read(object) !== value
}

function fieldReader(served: ServedResource, field: string): (object: Parameters<Predicate>[0]) => string {
  if (field === 'metadata.name') return nameOf
  if (field === 'metadata.namespace' && served.stored.isNamespaced) return (object) => object.metadata?.namespace ?? ''
  const reader = (served.custom ?? served.stored.definition).fieldSelectors?.[storedLabel(served, field)]
  if (reader) return reader
  throw badRequest(served.stored.isCustom ? `field label not supported: ${field}` : unsupportedField(served, field))
}

/** events.k8s.io calls otherwise what v1 does, and knows it by its own names alone; its objects are stored as v1. */
function storedLabel({ info, stored }: ServedResource, field: string): string {
  if (info.group === stored.group) return field
  if (field.startsWith('regarding.')) return field.replace('regarding.', 'involvedObject.')
  if (field === 'reportingController') return 'reportingComponent'
  return /^involvedObject\.|^reportingComponent$|^source$/.test(field) ? '' : field
}

/** Upstream's conversion functions have a text each; kinds without one share another. */
function unsupportedField({ info, stored }: ServedResource, field: string): string {
  if (info.kind === 'Job') return `field label ${JSON.stringify(field)} not supported for Job`
  if (info.kind === 'ResourceSlice') return `field label not supported for ${info.group}/${info.version}, Kind=ResourceSlice: ${field}`
  return stored.definition.fieldSelectors
    ? `field label not supported: ${field}`
    : `${JSON.stringify(field)} is not a known field selector: only "metadata.name", "metadata.namespace"`
}
