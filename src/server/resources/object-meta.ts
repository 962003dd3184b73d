/** Rules of metadata, the same for every kind (apimachinery's api/validation/objectmeta.go) and of the label selectors that match it. */
import type { LabelSelector, ManagedFieldsEntry, ObjectMeta, OwnerReference } from '../../api/generated/meta/v1.ts'
import type { FieldError } from '../../api/status.ts'
import { dns1123LabelFaults, dns1123SubdomainFaults, labelValueFaults, qualifiedNameFaults } from '../../api/names.ts'
import { managerFaults } from '../apply/manager-name.ts'
import {
  checkFormat,
  checkImmutable,
  checkNotNegative,
  forbidden,
  invalid,
  required,
  tooLong,
  type FieldErrors,
  type Format,
} from './rules.ts'

export interface ObjectMetaRules {
  readonly namespaced: boolean
  /** What a name of this kind looks like. Default: a DNS subdomain. */
  readonly nameFormat?: Format
  /** Default: "metadata". */
  readonly path?: string
}

/** A generateName: what it will end with is random, so a dash at its end is fine. */
const maskTrailingDash = (prefix: string): string => (prefix.length > 1 && prefix.endsWith('-') ? `${prefix.slice(0, -2)}a` : prefix)

const ANNOTATIONS_LIMIT_BYTES = 256 * 1024

export function validateObjectMeta(
  meta: ObjectMeta | undefined,
  { namespaced, nameFormat = dns1123SubdomainFaults, path = 'metadata' }: ObjectMetaRules,
): readonly FieldError[] {
  const errors: FieldErrors = []
  const { name, generateName, namespace } = meta ?? {}
  if (generateName)
    for (const problem of nameFormat(maskTrailingDash(generateName))) errors.push(invalid(`${path}.generateName`, generateName, problem))
  if (!name) errors.push(required(`${path}.name`, 'name or generateName is required'))
  else checkFormat(errors, `${path}.name`, name, nameFormat)
  if (namespaced) {
    if (!namespace) errors.push(required(`${path}.namespace`))
    else checkFormat(errors, `${path}.namespace`, namespace, dns1123LabelFaults)
  } else if (namespace) errors.push(forbidden(`${path}.namespace`, 'not allowed on this type'))
  checkNotNegative(errors, `${path}.generation`, meta?.generation)
  validateCommon(errors, path, meta)
  validateFinalizers(errors, `${path}.finalizers`, meta?.finalizers)
  return errors
}

export function validateObjectMetaUpdate(
  next: ObjectMeta | undefined,
  old: ObjectMeta | undefined,
  path = 'metadata',
): readonly FieldError[] {
  const errors: FieldErrors = []
  if (old?.deletionTimestamp) {
    const added = (next?.finalizers ?? []).filter((finalizer) => !old.finalizers?.includes(finalizer)).sort()
    if (added.length > 0) {
      const list = `[]string{${added.map((finalizer) => JSON.stringify(finalizer)).join(', ')}}`
      errors.push(
        forbidden(`${path}.finalizers`, `no new finalizers can be added if the object is being deleted, found new finalizers ${list}`),
      )
    }
  }
  if (!next?.resourceVersion)
    errors.push(invalid(`${path}.resourceVersion`, next?.resourceVersion ?? '', 'must be specified for an update'))
  if ((next?.generation ?? 0) < (old?.generation ?? 0))
    errors.push(invalid(`${path}.generation`, next?.generation ?? 0, 'must not be decremented'))
  for (const field of ['name', 'namespace', 'uid', 'creationTimestamp', 'deletionTimestamp', 'deletionGracePeriodSeconds'] as const) {
    checkImmutable(errors, `${path}.${field}`, next?.[field], old?.[field])
  }
  validateCommon(errors, path, next)
  return errors
}

function validateCommon(errors: FieldErrors, path: string, meta: ObjectMeta | undefined): void {
  validateLabels(errors, `${path}.labels`, meta?.labels)
  validateAnnotations(errors, `${path}.annotations`, meta?.annotations)
  validateOwnerReferences(errors, `${path}.ownerReferences`, meta?.ownerReferences)
  validateManagedFields(errors, `${path}.managedFields`, meta?.managedFields)
}

const SUBRESOURCE_LIMIT_BYTES = 256

/** Entries that cannot be read at all were dropped before; of the others, names have limits. */
function validateManagedFields(errors: FieldErrors, path: string, entries: readonly ManagedFieldsEntry[] | undefined): void {
  entries?.forEach(({ manager = '', subresource = '' }, index) => {
    errors.push(...managerFaults(manager, `${path}[${index}].manager`))
    if (utf8Length(subresource) > SUBRESOURCE_LIMIT_BYTES) errors.push(tooLong(`${path}[${index}].subresource`, SUBRESOURCE_LIMIT_BYTES))
  })
}

export function validateLabels(errors: FieldErrors, path: string, labels: Readonly<Record<string, string>> | undefined): void {
  for (const key in labels) {
    checkFormat(errors, path, key, qualifiedNameFaults)
    checkFormat(errors, path, labels[key] ?? '', labelValueFaults)
  }
}

export function validateAnnotations(errors: FieldErrors, path: string, annotations: Readonly<Record<string, string>> | undefined): void {
  let sizeBytes = 0
  for (const key in annotations) {
    for (const problem of qualifiedNameFaults(key.toLowerCase())) errors.push(invalid(path, key, problem))
    sizeBytes += utf8Length(key) + utf8Length(annotations[key] ?? '')
  }
  if (sizeBytes > ANNOTATIONS_LIMIT_BYTES) errors.push(tooLong(path, ANNOTATIONS_LIMIT_BYTES))
}

/** Bytes of a text in UTF-8, without making them. */
export function utf8Length(value: string): number {
  let length = value.length
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i)
    // A pair of surrogates is two units for four bytes; each half adds one.
    if (code >= 0x80) length += code >= 0x800 && (code < 0xd800 || code > 0xdfff) ? 2 : 1
  }
  return length
}

function validateOwnerReferences(errors: FieldErrors, path: string, references: readonly OwnerReference[] | undefined): void {
  let controller: string | undefined
  for (const reference of references ?? []) {
    // Upstream looks at each reference without its index.
    if (!reference.apiVersion) errors.push(invalid(`${path}.apiVersion`, reference.apiVersion ?? '', 'version must not be empty'))
    for (const field of ['kind', 'name', 'uid'] as const)
      if (!reference[field]) errors.push(invalid(`${path}.${field}`, '', 'must not be empty'))
    if (reference.apiVersion === 'v1' && reference.kind === 'Event')
      errors.push(invalid(path, reference, '/v1, Kind=Event is disallowed from being an owner'))
    if (!reference.controller) continue
    const name = `${reference.kind}/${reference.name}`
    if (controller === undefined) controller = name
    else {
      errors.push(
        invalid(
          path,
          references,
          `Only one reference can have Controller set to true. Found "true" in references for ${controller} and ${name}`,
        ),
      )
    }
  }
}

function validateFinalizers(errors: FieldErrors, path: string, finalizers: readonly string[] | undefined): void {
  for (const finalizer of finalizers ?? []) checkFormat(errors, path, finalizer, qualifiedNameFaults)
  if (finalizers?.includes('orphan') && finalizers.includes('foregroundDeletion')) {
    errors.push(invalid(path, finalizers, 'finalizer orphan and foregroundDeletion cannot be both set'))
  }
}

const STANDARD_FINALIZERS: ReadonlySet<string> = new Set(['kubernetes', 'orphan', 'foregroundDeletion'])

/** What Kubernetes' own kinds ask of finalizers beyond their form; custom resources are free. */
export const finalizerFaults = (meta: ObjectMeta | undefined, path = 'metadata'): readonly FieldError[] =>
  (meta?.finalizers ?? []).flatMap((finalizer, index) =>
    finalizer.includes('/') || STANDARD_FINALIZERS.has(finalizer)
      ? []
      : [invalid(`${path}.finalizers[${index}]`, finalizer, 'name is neither a standard finalizer name nor is it fully qualified')],
  )

export function validateLabelSelector(errors: FieldErrors, path: string, selector: LabelSelector | undefined): void {
  if (!selector) return
  validateLabels(errors, `${path}.matchLabels`, selector.matchLabels)
  selector.matchExpressions?.forEach(({ key, operator, values }, index) => {
    const at = `${path}.matchExpressions[${index}]`
    if (operator === 'In' || operator === 'NotIn') {
      if (!values?.length) errors.push(required(`${at}.values`, "must be specified when `operator` is 'In' or 'NotIn'"))
    } else if (operator === 'Exists' || operator === 'DoesNotExist') {
      if (values?.length) errors.push(forbidden(`${at}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
    } else errors.push(invalid(`${at}.operator`, operator ?? '', 'not a valid selector operator'))
    checkFormat(errors, `${at}.key`, key ?? '', qualifiedNameFaults)
    values?.forEach((value, i) => checkFormat(errors, `${at}.values[${i}]`, value, labelValueFaults))
  })
}

export const isEmptySelector = (selector: LabelSelector | undefined): boolean =>
  !selector || (Object.keys(selector.matchLabels ?? {}).length === 0 && (selector.matchExpressions?.length ?? 0) === 0)

/** Metadata of a template that may have labels and annotations alone. */
export function validateTemplateMeta(errors: FieldErrors, path: string, meta: ObjectMeta | undefined): void {
  validateAnnotations(errors, `${path}.annotations`, meta?.annotations)
  validateLabels(errors, `${path}.labels`, meta?.labels)
  for (const [field, value] of Object.entries(meta ?? {})) {
    if (field !== 'labels' && field !== 'annotations' && value !== undefined) errors.push(forbidden(`${path}.${field}`, 'cannot be set'))
  }
}
