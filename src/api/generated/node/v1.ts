// Made by `npm run generate` from the API that Kubernetes publishes. Do not edit.

import type { Toleration } from '../core/v1.ts'
import type { ListMeta, ObjectMeta, Quantity } from '../meta/v1.ts'

export interface Overhead {
  readonly podFixed?: Readonly<Record<string, Quantity>>
}

export interface RuntimeClass {
  readonly kind?: string
  readonly apiVersion?: string
  readonly metadata?: ObjectMeta
  readonly handler: string
  readonly overhead?: Overhead
  readonly scheduling?: Scheduling
}

export interface RuntimeClassList {
  readonly kind?: string
  readonly apiVersion?: string
  readonly metadata?: ListMeta
  readonly items: readonly RuntimeClass[]
}

export interface Scheduling {
  readonly nodeSelector?: Readonly<Record<string, string>>
  readonly tolerations?: readonly Toleration[]
}
