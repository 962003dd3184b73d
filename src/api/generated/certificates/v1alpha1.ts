// Made by `npm run generate` from the API that Kubernetes publishes. Do not edit.

import type { ListMeta, ObjectMeta } from '../meta/v1.ts'

export interface ClusterTrustBundle {
  readonly kind?: string
  readonly apiVersion?: string
  readonly metadata?: ObjectMeta
  readonly spec: ClusterTrustBundleSpec
}

export interface ClusterTrustBundleList {
  readonly kind?: string
  readonly apiVersion?: string
  readonly metadata?: ListMeta
  readonly items: readonly ClusterTrustBundle[]
}

export interface ClusterTrustBundleSpec {
  readonly signerName?: string
  readonly trustBundle: string
}
