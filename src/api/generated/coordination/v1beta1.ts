// Made by `npm run generate` from the API that Kubernetes publishes. Do not edit.

import type { ListMeta, MicroTime, ObjectMeta } from '../meta/v1.ts'

export interface Lease {
  readonly kind?: string
  readonly apiVersion?: string
  readonly metadata?: ObjectMeta
  readonly spec?: LeaseSpec
}

export interface LeaseCandidate {
  readonly kind?: string
  readonly apiVersion?: string
  readonly metadata?: ObjectMeta
  readonly spec: LeaseCandidateSpec
}

export interface LeaseCandidateList {
  readonly kind?: string
  readonly apiVersion?: string
  readonly metadata?: ListMeta
  readonly items: readonly LeaseCandidate[]
}

export interface LeaseCandidateSpec {
  readonly leaseName: string
  readonly pingTime?: MicroTime
  readonly renewTime?: MicroTime
  readonly binaryVersion: string
  readonly emulationVersion?: string
  readonly strategy: string
}

export interface LeaseList {
  readonly kind?: string
  readonly apiVersion?: string
  readonly metadata?: ListMeta
  readonly items?: readonly Lease[]
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
