// Made by `npm run generate` from the API that Kubernetes publishes. Do not edit.

import type { ListMeta, ObjectMeta } from '../meta/v1.ts'

export interface PriorityClass {
  readonly kind?: string
  readonly apiVersion?: string
  readonly metadata?: ObjectMeta
  readonly value?: number
  readonly globalDefault?: boolean
  readonly description?: string
  readonly preemptionPolicy?: string
}

export interface PriorityClassList {
  readonly kind?: string
  readonly apiVersion?: string
  readonly metadata?: ListMeta
  readonly items: readonly PriorityClass[]
}
