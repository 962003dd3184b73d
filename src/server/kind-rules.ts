/**
 * What the pipeline asks of a kind's schema: one interface for the built-in kinds, whose rules come from the generated tables, and
 * for custom resources, whose rules come from their definitions.
 */
import type { ApplyType } from '../api/apply/schema.ts'
import type { KubeObject } from '../api/object.ts'
import type { FieldError } from '../api/status.ts'

export interface Decoded {
  readonly object: KubeObject
  /** Unknown and duplicate fields, in the words of upstream's strict decoder: `unknown field "spec.foo"`. */
  readonly strict: readonly string[]
}

export interface KindRules {
  /** Takes JSON apart into an object of this kind, without what its schema does not know; throws a DecodeError on a wrong type. */
  decode(value: unknown, duplicates?: readonly string[], positions?: ReadonlyMap<string, number>): Decoded
  /** Fills the defaults of the schema. */
  defaults(object: KubeObject): KubeObject
  /** What the schema of a custom resource requires. Built-in kinds have their own rules instead (Resource.validate), as upstream. */
  validate?(object: KubeObject, old?: KubeObject, subresource?: string): readonly FieldError[]
  /** Absent where strategic merge patches are not supported: custom resources. */
  strategicMerge?(current: KubeObject, patch: KubeObject): KubeObject
  /** How server-side apply sees the kind, root included; the same value each time. Absent: deduced from the values. */
  applyType?(): ApplyType
  /** What a new object begins as, before anything is known of it; the same value each time. Absent: with its kind alone. */
  emptyObject?(): KubeObject
}
