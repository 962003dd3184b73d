// Made by `npm run generate` from the API that Kubernetes publishes. Do not edit.

import type { ListMeta, MicroTime, ObjectMeta } from '../meta/v1.ts'

export interface Lease {
  readonly kind?: string
  readonly apiVersion?: string
  readonly metadata?: ObjectMeta
  readonly spec?: LeaseSpec
}

export interface LeaseList {
  readonly kind?: string
  readonly apiVersion?: string
  readonly metadata?: ListMeta
  readonly items: readonly Lease[]
}

export interface LeaseSpec {
  readonly holderIdentity?: string
  readonly leaseDurationSeconds?: number
  readonly acquireTime?: MicroTime
  readonly renewTime?: MicroTime
  readonly leaseTransitions?: number
  readonly strategy?: string
  readonly preferredHolder?: string
}
