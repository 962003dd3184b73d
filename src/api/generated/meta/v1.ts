// Made by `npm run generate` from the API that Kubernetes publishes. Do not edit.

/** RFC 3339, in seconds. */
export type Time = string

/** RFC 3339, in microseconds. */
export type MicroTime = string

/** As Go writes it: "1h30m". */
export type Duration = string

/** "100m", "1Gi": see api/quantity.ts. */
export type Quantity = string

export type IntOrString = number | string

export interface APIGroup {
  readonly kind?: string
  readonly apiVersion?: string
  readonly name: string
  readonly versions: readonly GroupVersionForDiscovery[]
  readonly preferredVersion?: GroupVersionForDiscovery
  readonly serverAddressByClientCIDRs?: readonly ServerAddressByClientCIDR[]
}

export interface APIGroupList {
  readonly kind?: string
  readonly apiVersion?: string
  readonly groups: readonly APIGroup[]
}

export interface APIResource {
  readonly name: string
  readonly singularName: string
  readonly namespaced: boolean
  readonly group?: string
  readonly version?: string
  readonly kind: string
  readonly verbs: readonly string[]
  readonly shortNames?: readonly string[]
  readonly categories?: readonly string[]
  readonly storageVersionHash?: string
}

export interface APIResourceList {
  readonly kind?: string
  readonly apiVersion?: string
  readonly groupVersion: string
  readonly resources: readonly APIResource[]
}

export interface APIVersions {
  readonly kind?: string
  readonly apiVersion?: string
  readonly versions: readonly string[]
  readonly serverAddressByClientCIDRs: readonly ServerAddressByClientCIDR[]
}

export interface ApplyOptions {
  readonly kind?: string
  readonly apiVersion?: string
  readonly dryRun?: readonly string[]
  readonly force?: boolean
  readonly fieldManager?: string
}

export interface Condition {
  readonly type: string
  readonly status: string
  readonly observedGeneration?: number
  readonly lastTransitionTime: Time
  readonly reason: string
  readonly message: string
}

export interface CreateOptions {
  readonly kind?: string
  readonly apiVersion?: string
  readonly dryRun?: readonly string[]
  readonly fieldManager?: string
  readonly fieldValidation?: string
}

export interface DeleteOptions {
  readonly kind?: string
  readonly apiVersion?: string
  readonly gracePeriodSeconds?: number
  readonly preconditions?: Preconditions
  readonly orphanDependents?: boolean
  readonly propagationPolicy?: string
  readonly dryRun?: readonly string[]
  readonly ignoreStoreReadErrorWithClusterBreakingPotential?: boolean
}

export interface FieldSelectorRequirement {
  readonly key: string
  readonly operator: string
  readonly values?: readonly string[]
}

export interface GetOptions {
  readonly kind?: string
  readonly apiVersion?: string
  readonly resourceVersion?: string
}

export interface GroupKind {
  readonly group?: string
  readonly kind?: string
}

export interface GroupResource {
  readonly group: string
  readonly resource: string
}

export interface GroupVersion {
  readonly group?: string
  readonly version?: string
}

export interface GroupVersionForDiscovery {
  readonly groupVersion: string
  readonly version: string
}

export interface GroupVersionKind {
  readonly group?: string
  readonly version?: string
  readonly kind?: string
}

export interface GroupVersionResource {
  readonly group?: string
  readonly version?: string
  readonly resource?: string
}

export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>
  readonly matchExpressions?: readonly LabelSelectorRequirement[]
}

export interface LabelSelectorRequirement {
  readonly key: string
  readonly operator: string
  readonly values?: readonly string[]
}

export interface List {
  readonly kind?: string
  readonly apiVersion?: string
  readonly metadata?: ListMeta
  readonly items?: readonly any[]
}

export interface ListMeta {
  readonly selfLink?: string
  readonly resourceVersion?: string
  readonly continue?: string
  readonly remainingItemCount?: number
  readonly shardInfo?: ShardInfo
}

export interface ListOptions {
  readonly kind?: string
  readonly apiVersion?: string
  readonly labelSelector?: string
  readonly fieldSelector?: string
  readonly watch?: boolean
  readonly allowWatchBookmarks?: boolean
  readonly resourceVersion?: string
  readonly resourceVersionMatch?: string
  readonly timeoutSeconds?: number
  readonly limit?: number
  readonly continue?: string
  readonly sendInitialEvents?: boolean
  readonly shardSelector?: string
}

export interface ManagedFieldsEntry {
  readonly manager?: string
  readonly operation?: string
  readonly apiVersion?: string
  readonly time?: Time
  readonly fieldsType?: string
  readonly fieldsV1?: any
  readonly subresource?: string
}

export interface ObjectMeta {
  readonly name?: string
  readonly generateName?: string
  readonly namespace?: string
  readonly selfLink?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly generation?: number
  readonly creationTimestamp?: Time
  readonly deletionTimestamp?: Time
  readonly deletionGracePeriodSeconds?: number
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly ownerReferences?: readonly OwnerReference[]
  readonly finalizers?: readonly string[]
  readonly managedFields?: readonly ManagedFieldsEntry[]
}

export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
  readonly blockOwnerDeletion?: boolean
}

export interface PartialObjectMetadata {
  readonly kind?: string
  readonly apiVersion?: string
  readonly metadata?: ObjectMeta
}

export interface PartialObjectMetadataList {
  readonly kind?: string
  readonly apiVersion?: string
  readonly metadata?: ListMeta
  readonly items?: readonly PartialObjectMetadata[]
}

export interface PatchOptions {
  readonly kind?: string
  readonly apiVersion?: string
  readonly dryRun?: readonly string[]
  readonly force?: boolean
  readonly fieldManager?: string
  readonly fieldValidation?: string
}

export interface Preconditions {
  readonly uid?: string
  readonly resourceVersion?: string
}

export interface RootPaths {
  readonly paths?: readonly string[]
}

export interface ServerAddressByClientCIDR {
  readonly clientCIDR: string
  readonly serverAddress: string
}

export interface ShardInfo {
  readonly selector: string
}

export interface Status {
  readonly kind?: string
  readonly apiVersion?: string
  readonly metadata?: ListMeta
  readonly status?: string
  readonly message?: string
  readonly reason?: string
  readonly details?: StatusDetails
  readonly code?: number
}

export interface StatusCause {
  readonly reason?: string
  readonly message?: string
  readonly field?: string
}

export interface StatusDetails {
  readonly name?: string
  readonly group?: string
  readonly kind?: string
  readonly uid?: string
  readonly causes?: readonly StatusCause[]
  readonly retryAfterSeconds?: number
}

export interface TableOptions {
  readonly kind?: string
  readonly apiVersion?: string
  readonly includeObject?: string
}

export interface Timestamp {
  readonly seconds?: number
  readonly nanos?: number
}

export interface TypeMeta {
  readonly kind?: string
  readonly apiVersion?: string
}

export interface UpdateOptions {
  readonly kind?: string
  readonly apiVersion?: string
  readonly dryRun?: readonly string[]
  readonly fieldManager?: string
  readonly fieldValidation?: string
}

export interface VersionInfo {
  readonly buildDate: string
  readonly compiler: string
  readonly emulationMajor?: string
  readonly emulationMinor?: string
  readonly gitCommit: string
  readonly gitTreeState: string
  readonly gitVersion: string
  readonly goVersion: string
  readonly major: string
  readonly minCompatibilityMajor?: string
  readonly minCompatibilityMinor?: string
  readonly minor: string
  readonly platform: string
}

export interface WatchEvent {
  readonly type: string
  readonly object: any
}
