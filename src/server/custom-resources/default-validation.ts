/**
 * Defaults must themselves be right: pruned, valid by the schema they stand in, and, within metadata, part of valid metadata
 * (apiextensions-apiserver pkg/apiserver/schema/defaulting).
 */
import type { Json } from '../../api/object.ts'
import type { FieldError } from '../../api/status.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { invalid, type FieldErrors } from '../resources/rules.ts'
import { coerceEmbedded, isMetaField, pruneValue } from './coerce.ts'
import { validateEmbedded } from './embedded-resources.ts'
import type { Structural } from './structural.ts'
import type { RuleCheck } from './validation-rules.ts'
import { Findings, NEW } from './value-check.ts'

/** Puts a value where it would stand within the resource that holds it. */
type Surround = (value: Json) => Json

const withTypeMeta: Surround = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? { kind: 'Validation', apiVersion: 'validation/v1', ...(value as Readonly<Record<string, Json>>) }
    : value

interface Context {
  readonly root: Structural
  readonly surround: Surround
  readonly isInsideMeta: boolean
  /** The rules of the schema alone that a default belongs to. */
  readonly rulesOf: (schema: Structural) => RuleCheck | undefined
}

export function validateDefaults(schema: Structural, path: string, rulesOf: Context['rulesOf'] = () => undefined): readonly FieldError[] {
  const errors: FieldErrors = []
  const root = { ...schema, isEmbedded: true, hasEmbedded: true }
  visit(root, path, { root, surround: withTypeMeta, isInsideMeta: false, rulesOf }, errors)
  return errors
}

function visit(schema: Structural, path: string, outer: Context, errors: FieldErrors): void {
  const context = schema.isEmbedded ? { ...outer, root: schema, surround: withTypeMeta, isInsideMeta: false } : outer
  // The default as it is written: what is filled into it is checked where it stands.
  const given = schema.props.default as Json | undefined
  if (given !== undefined)
    errors.push(...(context.isInsideMeta ? metaErrors(given, schema, path, context) : ownErrors(given, schema, path, context)))
  if (schema.items) visit(schema.items, `${path}.items`, { ...context, surround: (value) => context.surround([value]) }, errors)
  for (const [name, field] of schema.properties) {
    const isInsideMeta = context.isInsideMeta || (schema.isEmbedded && isMetaField(name))
    visit(
      field,
      `${path}.properties[${name}]`,
      { ...context, isInsideMeta, surround: (value) => context.surround({ [name]: value }) },
      errors,
    )
  }
}

function ownErrors(given: Json, schema: Structural, path: string, context: Context): readonly FieldError[] {
  const at = `${path}.default`
  const errors: FieldErrors = []
  if (!deepEqual(pruneValue(given, schema, schema.isEmbedded), given)) errors.push(invalid(at, given, 'must not have unknown fields'))
  const fault = metadataFault(given, schema, at)
  if (fault) return [...errors, fault]
  const embedded = validateEmbedded(given, schema, at, schema.isEmbedded)
  if (embedded.length > 0) return [...errors, ...embedded]
  return [...errors, ...valueErrors(given, schema, at, context)]
}

function metaErrors(given: Json, schema: Structural, path: string, context: Context): readonly FieldError[] {
  const at = `${path}.default`
  const whole = context.surround(given)
  const fault = metadataFault(whole, context.root, '')
  if (fault) return [invalid(at, given, `must result in valid metadata: ${fault.field}: ${fault.detail}`)]
  const embedded = validateEmbedded(whole, context.root, '', true)
  if (embedded.length > 0) {
    const texts = embedded.map(({ field, detail }) => `${field}: ${detail}`)
    return [invalid(at, given, `must result in valid metadata: ${texts.length === 1 ? texts[0] : `[${texts.join(', ')}]`}`)]
  }
  return valueErrors(given, schema, at, context)
}

function metadataFault(value: Json, schema: Structural, path: string): FieldError | undefined {
  try {
    coerceEmbedded(value, schema, path, [])
    return undefined
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'DecodeError') throw error
    const [field = path, ...rest] = error.message.split(': ')
    return { type: 'FieldValueInvalid', field, detail: rest.join(': ') }
  }
}

function valueErrors(given: Json, schema: Structural, at: string, { rulesOf }: Context): readonly FieldError[] {
  const findings = new Findings()
  schema.check.run(given, NEW, findings)
  const errors = findings.errors(at)
  return errors.length > 0 ? errors : (rulesOf(schema)?.(given, undefined, at) ?? [])
}
