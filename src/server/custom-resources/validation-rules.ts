/**
 * Where CEL rules (x-kubernetes-validations, KEP-2876) meet custom resources. The engine stands behind this interface; a server
 * without one refuses definitions that have rules, so that no rule is ever silently not applied.
 */
import type { JSONSchemaProps } from '../../api/generated/apiextensions/v1.ts'
import type { Json } from '../../api/object.ts'
import type { FieldError } from '../../api/status.ts'

/** What the rules of one version say of an object; `old` is undefined for a create. */
export type RuleCheck = (value: Json, old: Json | undefined, path: string) => readonly FieldError[]

export interface ValidationRules {
  /** The rules of a schema and all schemas within, compiled once; undefined when it has none. `isResource`: it is a whole object's. */
  compile(schema: JSONSchemaProps, isResource?: boolean): RuleCheck | undefined
  /** What is wrong with the rules themselves; `path` is the place of the schema in the definition. */
  validate(schema: JSONSchemaProps, path: string): readonly FieldError[]
}
