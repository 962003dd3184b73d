// Made by `npm run generate` from the API that Kubernetes publishes. Do not edit.

import type { EventSource, ObjectReference } from '../core/v1.ts'
import type { ListMeta, MicroTime, ObjectMeta, Time } from '../meta/v1.ts'

export interface Event {
  readonly kind?: string
  readonly apiVersion?: string
  readonly metadata?: ObjectMeta
  readonly eventTime: MicroTime
  readonly series?: EventSeries
  readonly reportingController?: string
  readonly reportingInstance?: string
  readonly action?: string
  readonly reason?: string
  readonly regarding?: ObjectReference
  readonly related?: ObjectReference
  readonly note?: string
  readonly type?: string
  readonly deprecatedSource?: EventSource
  readonly deprecatedFirstTimestamp?: Time
  readonly deprecatedLastTimestamp?: Time
  readonly deprecatedCount?: number
}

export interface EventList {
  readonly kind?: string
  readonly apiVersion?: string
  readonly metadata?: ListMeta
  readonly items: readonly Event[]
}

export interface EventSeries {
  readonly count: number
  readonly lastObservedTime: MicroTime
}
