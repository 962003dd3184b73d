/** The options of writes (metav1.CreateOptions, UpdateOptions, PatchOptions, DeleteOptions) out of query and body. */
import type { KubeObject } from '../api/object.ts'
import { badRequest, invalid, type FieldError } from '../api/status.ts'
import { noKind, notRegistered, rawObject } from './body.ts'
import { rulesOf } from './builtin-rules.ts'
import { managerFaults } from './apply/manager-name.ts'
import type { Call } from './core.ts'
import { isTrue } from './request-info.ts'

export type WriteOptionsKind = 'CreateOptions' | 'UpdateOptions' | 'PatchOptions'

export function writeOptions(kind: WriteOptionsKind, query: URLSearchParams, isApply = false): KubeObject {
  // The common case needs no look at each parameter.
  if (query.size === 0 && !isApply) return EMPTY[kind]
  const dryRun = query.getAll('dryRun')
  const fieldManager = query.get('fieldManager')
  const fieldValidation = query.get('fieldValidation')
  const force = kind === 'PatchOptions' && query.has('force')
  const errors = [
    ...applyErrors(isApply, fieldManager ?? '', force),
    ...managerFaults(fieldManager ?? '', 'fieldManager'),
    ...dryRunErrors(dryRun),
    ...validationErrors(fieldValidation ?? ''),
  ]
  if (errors.length > 0) throw invalid('meta.k8s.io', kind, '', errors)
  return {
    ...EMPTY[kind],
    ...(force ? { force: isTrue(query.get('force')) } : {}),
    ...(dryRun.length > 0 ? { dryRun } : {}),
    ...(fieldManager ? { fieldManager } : {}),
    ...(fieldValidation ? { fieldValidation } : {}),
  }
}

const EMPTY: Readonly<Record<WriteOptionsKind | 'DeleteOptions', KubeObject>> = {
  CreateOptions: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
  UpdateOptions: { kind: 'UpdateOptions', apiVersion: 'meta.k8s.io/v1' },
  PatchOptions: { kind: 'PatchOptions', apiVersion: 'meta.k8s.io/v1' },
  DeleteOptions: { kind: 'DeleteOptions', apiVersion: 'meta.k8s.io/v1' },
}

function applyErrors(isApply: boolean, fieldManager: string, isForceGiven: boolean): readonly FieldError[] {
  if (isApply && fieldManager === '')
    return [{ type: 'FieldValueRequired', field: 'fieldManager', detail: 'Required value: is required for apply patch' }]
  if (!isApply && isForceGiven)
    return [{ type: 'FieldValueForbidden', field: 'force', detail: 'Forbidden: may not be specified for non-apply patch' }]
  return []
}

export const isDryRun = (options: KubeObject): boolean => Array.isArray(options.dryRun) && options.dryRun.length > 0

function dryRunErrors(dryRun: readonly string[]): readonly FieldError[] {
  if (dryRun.every((value) => value === 'All')) return []
  const detail = `Unsupported value: ${JSON.stringify(dryRun)}: supported values: "All"`
  return [{ type: 'FieldValueNotSupported', field: 'dryRun', detail }]
}

const VALIDATIONS = ['', 'Ignore', 'Strict', 'Warn']

function validationErrors(fieldValidation: string): readonly FieldError[] {
  if (VALIDATIONS.includes(fieldValidation)) return []
  const supported = VALIDATIONS.map((value) => JSON.stringify(value)).join(', ')
  const detail = `Unsupported value: ${JSON.stringify(fieldValidation)}: supported values: ${supported}`
  return [{ type: 'FieldValueNotSupported', field: 'fieldValidation', detail }]
}

export interface DeleteOptions extends KubeObject {
  readonly gracePeriodSeconds?: number
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string }
  readonly orphanDependents?: boolean
  readonly propagationPolicy?: string
  readonly dryRun?: readonly string[]
}

const POLICIES: ReadonlySet<string> = new Set(['Foreground', 'Background', 'Orphan'])

/** From the body when there is one, else from the query. */
export function deleteOptions(call: Call): DeleteOptions {
  const sent = readDeleteOptions(call)
  if (sent) call.trail?.requestPatch(sent)
  return checkedDeleteOptions(sent ?? fromQuery(call.request.query))
}

const DELETE_OPTIONS = { group: '', version: 'v1', kind: 'DeleteOptions' } as const

/** Every group version of the API has the kind, and so may the body say. */
function readDeleteOptions(call: Call): DeleteOptions | undefined {
  const raw = rawObject(call)
  if (!raw) return undefined
  const value = raw.value ?? {}
  if (typeof value !== 'object' || Array.isArray(value)) throw badRequest(noKind(value))
  const { kind = 'DeleteOptions', apiVersion } = value as KubeObject
  if (kind !== 'DeleteOptions') throw badRequest(notRegistered(apiVersion ?? 'v1', kind))
  try {
    return rulesOf(DELETE_OPTIONS).decode(value).object
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'DecodeError') throw error
    throw badRequest(error.message)
  }
}

export function checkedDeleteOptions(given: DeleteOptions): DeleteOptions {
  const options: DeleteOptions = { ...given, ...EMPTY.DeleteOptions }
  const errors = [...dryRunErrors(options.dryRun ?? [])]
  if (options.propagationPolicy !== undefined && options.orphanDependents !== undefined) {
    const detail = `Invalid value: ${JSON.stringify(options.propagationPolicy)}: orphanDependents and deletionPropagation cannot be both set`
    errors.push({ type: 'FieldValueInvalid', field: 'propagationPolicy', detail })
  }
  if (options.propagationPolicy !== undefined && !POLICIES.has(options.propagationPolicy)) {
    const detail = `Unsupported value: ${JSON.stringify(options.propagationPolicy)}: supported values: "Foreground", "Background", "Orphan", "nil"`
    errors.push({ type: 'FieldValueNotSupported', field: 'propagationPolicy', detail })
  }
  if (errors.length > 0) throw invalid('meta.k8s.io', 'DeleteOptions', '', errors)
  return options
}

function fromQuery(query: URLSearchParams): DeleteOptions {
  const grace = query.get('gracePeriodSeconds')
  if (grace !== null && !/^-?\d+$/.test(grace)) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(grace)}: invalid syntax`)
  const propagationPolicy = query.get('propagationPolicy')
  const dryRun = query.getAll('dryRun')
  return {
    ...(grace === null ? {} : { gracePeriodSeconds: Number(grace) }),
    ...(propagationPolicy ? { propagationPolicy } : {}),
    ...(query.has('orphanDependents') ? { orphanDependents: isTrue(query.get('orphanDependents')) } : {}),
    ...(dryRun.length > 0 ? { dryRun } : {}),
  }
}
