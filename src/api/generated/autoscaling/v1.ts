// Made by `npm run generate` from the API that Kubernetes publishes. Do not edit.

import type { LabelSelector, ListMeta, ObjectMeta, Quantity, Time } from '../meta/v1.ts'

export interface ContainerResourceMetricSource {
  readonly name?: string
  readonly targetAverageUtilization?: number
  readonly targetAverageValue?: Quantity
  readonly container?: string
}

export interface ContainerResourceMetricStatus {
  readonly name?: string
  readonly currentAverageUtilization?: number
  readonly currentAverageValue?: Quantity
  readonly container?: string
}

export interface CrossVersionObjectReference {
  readonly kind: string
  readonly name: string
  readonly apiVersion?: string
}

export interface ExternalMetricSource {
  readonly metricName?: string
  readonly metricSelector?: LabelSelector
  readonly targetValue?: Quantity
  readonly targetAverageValue?: Quantity
}

export interface ExternalMetricStatus {
  readonly metricName?: string
  readonly metricSelector?: LabelSelector
  readonly currentValue?: Quantity
  readonly currentAverageValue?: Quantity
}

export interface HorizontalPodAutoscaler {
  readonly kind?: string
  readonly apiVersion?: string
  readonly metadata?: ObjectMeta
  readonly spec: HorizontalPodAutoscalerSpec
  readonly status?: HorizontalPodAutoscalerStatus
}

export interface HorizontalPodAutoscalerCondition {
  readonly type?: string
  readonly status?: string
  readonly lastTransitionTime?: Time
  readonly reason?: string
  readonly message?: string
}

export interface HorizontalPodAutoscalerList {
  readonly kind?: string
  readonly apiVersion?: string
  readonly metadata?: ListMeta
  readonly items: readonly HorizontalPodAutoscaler[]
}

export interface HorizontalPodAutoscalerSpec {
  readonly scaleTargetRef: CrossVersionObjectReference
  readonly minReplicas?: number
  readonly maxReplicas: number
  readonly targetCPUUtilizationPercentage?: number
}

export interface HorizontalPodAutoscalerStatus {
  readonly observedGeneration?: number
  readonly lastScaleTime?: Time
  readonly currentReplicas: number
  readonly desiredReplicas: number
  readonly currentCPUUtilizationPercentage?: number
}

export interface MetricSpec {
  readonly type?: string
  readonly object?: ObjectMetricSource
  readonly pods?: PodsMetricSource
  readonly resource?: ResourceMetricSource
  readonly containerResource?: ContainerResourceMetricSource
  readonly external?: ExternalMetricSource
}

export interface MetricStatus {
  readonly type?: string
  readonly object?: ObjectMetricStatus
  readonly pods?: PodsMetricStatus
  readonly resource?: ResourceMetricStatus
  readonly containerResource?: ContainerResourceMetricStatus
  readonly external?: ExternalMetricStatus
}

export interface ObjectMetricSource {
  readonly target?: CrossVersionObjectReference
  readonly metricName?: string
  readonly targetValue?: Quantity
  readonly selector?: LabelSelector
  readonly averageValue?: Quantity
}

export interface ObjectMetricStatus {
  readonly target?: CrossVersionObjectReference
  readonly metricName?: string
  readonly currentValue?: Quantity
  readonly selector?: LabelSelector
  readonly averageValue?: Quantity
}

export interface PodsMetricSource {
  readonly metricName?: string
  readonly targetAverageValue?: Quantity
  readonly selector?: LabelSelector
}

export interface PodsMetricStatus {
  readonly metricName?: string
  readonly currentAverageValue?: Quantity
  readonly selector?: LabelSelector
}

export interface ResourceMetricSource {
  readonly name?: string
  readonly targetAverageUtilization?: number
  readonly targetAverageValue?: Quantity
}

export interface ResourceMetricStatus {
  readonly name?: string
  readonly currentAverageUtilization?: number
  readonly currentAverageValue?: Quantity
}

export interface Scale {
  readonly kind?: string
  readonly apiVersion?: string
  readonly metadata?: ObjectMeta
  readonly spec?: ScaleSpec
  readonly status?: ScaleStatus
}

export interface ScaleSpec {
  readonly replicas?: number
}

export interface ScaleStatus {
  readonly replicas: number
  readonly selector?: string
}
