/** What the runtime says of one pod: the input of every decision about it. */
import type { ContainerStatus, SandboxStatus } from './container-runtime.ts'

export interface PodObservation {
  /** Newest first. */
  readonly sandboxes: readonly SandboxStatus[]
  /** Of all sandboxes, newest first. */
  readonly containers: readonly ContainerStatus[]
}

export type ProbeKind = 'startup' | 'readiness' | 'liveness'
export type ProbeResult = 'success' | 'failure' | 'unknown'

/** The last settled result of a container's probe; undefined when the probe has not been heard of. */
export interface ProbeResults {
  get(containerId: string, kind: ProbeKind): ProbeResult | undefined
}

/** Why a container does not run, as its status says it. */
export interface Waiting {
  readonly reason: string
  readonly message: string
}

export const newestContainer = (observed: PodObservation, name: string): ContainerStatus | undefined =>
  observed.containers.find((container) => container.metadata.name === name)

/** Newest first; equal times (a clock of whole milliseconds) are settled by the attempt. */
export const byAge = (
  a: { readonly createdAtMs: number; readonly metadata: { readonly attempt: number } },
  b: { readonly createdAtMs: number; readonly metadata: { readonly attempt: number } },
): number => b.createdAtMs - a.createdAtMs || b.metadata.attempt - a.metadata.attempt
