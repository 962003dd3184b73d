/** What the pipeline asks of a custom kind in one of its versions, out of the version's schema. */
import { DecodeError, repetitions } from '../../api/decode.ts'
import type { ApplyType } from '../../api/apply/schema.ts'
import type { Json, KubeObject } from '../../api/object.ts'
import type { FieldError } from '../../api/status.ts'
import type { KindRules } from '../kind-rules.ts'
import { invalid } from '../resources/rules.ts'
import { customApplyType } from './apply-type.ts'
import { coerce, goType } from './coerce.ts'
import { fillDefaults } from './defaulting.ts'
import { validateEmbedded } from './embedded-resources.ts'
import type { ScalePaths } from './scale-paths.ts'
import type { Structural } from './structural.ts'
import { validateUniqueLists } from './unique-lists.ts'
import type { RuleCheck } from './validation-rules.ts'
import { Findings, NEW, runChild, type Old } from './value-check.ts'

export interface CustomRules {
  /** Undefined: no schema, everything is kept. */
  readonly schema: Structural | undefined
  readonly hasStatus: boolean
  readonly scale: ScalePaths | undefined
  readonly ruleCheck: RuleCheck | undefined
}

/** With these wrong, rules would be told a value that is not of their type. */
const BLOCKING: ReadonlySet<FieldError['type']> = new Set([
  'FieldValueNotSupported',
  'FieldValueRequired',
  'FieldValueTooLong',
  'FieldValueTooMany',
  'FieldValueTypeInvalid',
])

const BLOCKED = invalid(
  '<nil>',
  undefined,
  'some validation rules were not checked because the object was invalid; correct the existing errors to complete validation',
)

export function customRules(custom: CustomRules): KindRules {
  const { schema, hasStatus, scale, ruleCheck } = custom
  let applyType: ApplyType | undefined
  return {
    decode(value, duplicates = []) {
      if (typeof value !== 'object' || value === null || Array.isArray(value))
        throw new DecodeError(`json: cannot unmarshal ${goType(value)} into Go value of type map[string]interface {}`)
      const { object, unknown } = coerce(value, schema)
      const repeated = repetitions(duplicates).map(({ text }) => text)
      return { object, strict: [...repeated, ...unknown.map((path) => `unknown field ${JSON.stringify(path)}`)] }
    },
    defaults: (object) => defaulted(object, schema),
    applyType: () => (applyType ??= customApplyType(schema)),
    validate(object, old, subresource) {
      const isStatus = subresource === 'status'
      const errors = [...shapeErrors(custom, object, old, isStatus)]
      if (scale) errors.push(...scale.validate(object, isStatus && hasStatus))
      if (schema) {
        errors.push(...(isStatus ? [] : validateEmbedded(object, schema)))
        errors.push(...listErrors(schema, object, old))
      }
      if (!ruleCheck) return errors
      if (errors.some(({ type }) => BLOCKING.has(type))) return [...errors, BLOCKED]
      return [...errors, ...ruleCheck(object, old, '')]
    },
  }
}

/** A write to the status is judged by the schema of the status alone. */
function shapeErrors({ schema }: CustomRules, object: KubeObject, old: KubeObject | undefined, isStatus: boolean): readonly FieldError[] {
  if (!schema) return []
  const findings = new Findings()
  if (!isStatus) {
    runChild(schema.check, object, (old as unknown as Old | undefined) ?? NEW, findings)
    return findings.errors()
  }
  const field = schema.properties.get('status')
  if (!field || object.status === undefined) return []
  runChild(field.check, object.status as Json, (old?.status as Old | undefined) ?? NEW, findings)
  return findings.errors('status')
}

/** Lists that were not unique before may stay so. */
function listErrors(schema: Structural, object: KubeObject, old: KubeObject | undefined): readonly FieldError[] {
  const errors = validateUniqueLists(object, schema)
  if (errors.length === 0 || !old) return errors
  return validateUniqueLists(old, schema).length === 0 ? errors : []
}

const defaulted = (object: KubeObject, schema: Structural | undefined): KubeObject =>
  schema ? (fillDefaults(object, schema) as unknown as KubeObject) : object

/** An object from the store, or of another version, as this version shows it: pruned, its metadata readable, defaults filled. */
export function shownBy(object: KubeObject, schema: Structural | undefined): KubeObject {
  return defaulted(coerce(object, schema, { isStored: true }).object, schema)
}

/** An object of any version as this version stores it: without what its schema does not know. */
export const storedBy = (object: KubeObject, schema: Structural | undefined): KubeObject =>
  coerce(object, schema, { isStored: true }).object
