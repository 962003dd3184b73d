// Made by `npm run generate` from the API that Kubernetes publishes. Do not edit.

import type { ListMeta, ObjectMeta, Time } from '../meta/v1.ts'

export interface ServerStorageVersion {
  readonly apiServerID: string
  readonly encodingVersion: string
  readonly decodableVersions: readonly string[]
  readonly servedVersions?: readonly string[]
}

export interface StorageVersion {
  readonly kind?: string
  readonly apiVersion?: string
  readonly metadata: ObjectMeta
  readonly spec?: StorageVersionSpec
  readonly status?: StorageVersionStatus
}

export interface StorageVersionCondition {
  readonly type: string
  readonly status: string
  readonly observedGeneration?: number
  readonly lastTransitionTime?: Time
  readonly reason: string
  readonly message: string
}

export interface StorageVersionList {
  readonly kind?: string
  readonly apiVersion?: string
  readonly metadata?: ListMeta
  readonly items: readonly StorageVersion[]
}

export interface StorageVersionSpec {
}

export interface StorageVersionStatus {
  readonly storageVersions?: readonly ServerStorageVersion[]
  readonly commonEncodingVersion?: string
  readonly conditions?: readonly StorageVersionCondition[]
}
