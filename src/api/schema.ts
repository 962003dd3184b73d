/**
 * The one truth about fields: tables of facts that drive decoding, validation of shape, defaulting, patching, apply, protobuf,
 * OpenAPI, explain and the typed client. The generated tables hold upstream's v1.36 API; a CustomResourceDefinition yields the
 * same shape at run time.
 */

/** What a single value is. `message` refers to another type; `json` is any JSON value that is kept as it is. */
export type FieldType =
  | 'string'
  | 'int32'
  | 'int64'
  | 'double'
  | 'boolean'
  | 'bytes'
  | 'time'
  | 'microTime'
  | 'duration'
  | 'quantity'
  | 'intOrString'
  | 'json'
  | 'message'

export interface Field {
  readonly name: string
  /** Protobuf field number; 0 where the type has no protobuf form. */
  readonly number: number
  readonly type: FieldType
  /** The type's name in the schema, when `type` is `message`. */
  readonly ref?: string
  /** A `list` of, or a `map` from string to, values of `type`; `mapOfLists` maps strings to lists of them. */
  readonly container?: 'list' | 'map' | 'mapOfLists'
  /** Go embeds the field's struct: JSON shows the field in place, protobuf within messages of these numbers, outermost first. */
  readonly embedded?: readonly number[]
  readonly required?: true
  /** Go holds a pointer: a zero value differs from an absent one. */
  readonly isPointer?: true
  /** Upstream's JSON always holds the field: "" or 0 or false or {} when nothing was given. */
  readonly isAlwaysWritten?: true
  /** Go's JSON holds `null` when nothing was given: a list, map or pointer that is not left out. Here it is absent; only managed fields tell. */
  readonly isNullWritten?: true
  /** An empty list or map stays one. Most kinds upstream stores as protobuf, which knows none: it is as if it had not been given. */
  readonly isEmptyKept?: true
  /** Of a feature that is off by default: whatever is given is dropped. See disabled-fields.ts. */
  readonly isDisabled?: true
  /** The constants that upstream declares. Built-in kinds check them in their own validation, not by the schema. */
  readonly enum?: readonly string[]
  /** The published default, as JSON. */
  readonly default?: unknown
  /** x-kubernetes-list-type. */
  readonly listType?: 'atomic' | 'set' | 'map'
  /** x-kubernetes-list-map-keys. */
  readonly mapKeys?: readonly string[]
  /** x-kubernetes-map-type: atomic. */
  readonly atomicMap?: true
  /** x-kubernetes-map-type: granular, where the type of the value is atomic otherwise. */
  readonly granularMap?: true
  /** x-kubernetes-patch-strategy, split at commas: merge, replace, retainKeys. */
  readonly patchStrategy?: readonly ('merge' | 'replace' | 'retainKeys')[]
  /** x-kubernetes-patch-merge-key. */
  readonly mergeKey?: string
}

/** What Go writes for a single value that nobody gave, by type; others have none or a form of their own. */
export const ZEROS: Readonly<Partial<Record<FieldType, string | number | boolean>>> = {
  string: '',
  int32: 0,
  int64: 0,
  double: 0,
  boolean: false,
  quantity: '0',
  intOrString: 0,
}

export interface TypeSchema {
  /** "core/v1.Pod", "meta/v1.ObjectMeta": group's first label, version, name. */
  readonly name: string
  /** "io.k8s.api.core.v1.Pod": its name in OpenAPI documents; undefined for types that those do not list. */
  readonly openapi?: string
  /** x-kubernetes-map-type: atomic. */
  readonly isAtomic?: true
  /** In the order of upstream's declaration (and so of `kubectl explain`). */
  readonly fields: ReadonlyMap<string, Field>
  /** The kind, when an object of this type is a root: has apiVersion and kind. */
  readonly groupVersionKinds: readonly GroupVersionKind[]
}

export interface GroupVersionKind {
  readonly group: string
  readonly version: string
  readonly kind: string
}

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection'

export interface SubresourceInfo {
  /** "status", "scale", "log", "token"... */
  readonly name: string
  readonly verbs: readonly Verb[]
  /** The kind that the subresource speaks: Scale for scale, Binding for pods/binding, else the resource's own. */
  readonly kind: GroupVersionKind
}

/** One served resource, as discovery tells of it. */
export interface ResourceInfo {
  readonly group: string
  readonly version: string
  readonly kind: string
  /** The kind of lists of it. Default: the kind with "List" behind it. */
  readonly listKind?: string
  /** The plural that paths use: "pods". */
  readonly resource: string
  readonly singular: string
  readonly shortNames: readonly string[]
  readonly categories: readonly string[]
  readonly namespaced: boolean
  readonly verbs: readonly Verb[]
  readonly subresources: readonly SubresourceInfo[]
  /** The name of its type in the schema; undefined for a custom resource without a schema. */
  readonly type: string | undefined
}

export const listKindOf = ({ kind, listKind }: Pick<ResourceInfo, 'kind' | 'listKind'>): string => listKind ?? `${kind}List`

/** "v1" or "apps/v1". */
export const apiVersionOf = (gv: { readonly group: string; readonly version: string }): string =>
  gv.group ? `${gv.group}/${gv.version}` : gv.version

/** "v1/Pod", "apps/v1/Deployment": how code names a kind. */
export const kindNameOf = (gvk: GroupVersionKind): string => `${apiVersionOf(gvk)}/${gvk.kind}`

/** Splits "v1" or "apps/v1". */
export function parseApiVersion(apiVersion: string): { group: string; version: string } {
  const slash = apiVersion.indexOf('/')
  return slash < 0 ? { group: '', version: apiVersion } : { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1) }
}

/** The inverse of kindNameOf. */
export function parseKindName(kindName: string): GroupVersionKind {
  const slash = kindName.lastIndexOf('/')
  return { ...parseApiVersion(kindName.slice(0, slash)), kind: kindName.slice(slash + 1) }
}
