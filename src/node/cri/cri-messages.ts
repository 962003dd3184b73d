/** What comes back over CRI, as the gRPC library hands it over: names as on the wire, 64-bit integers as text, every field there. */
export interface WireMetadata {
  readonly name: string
  readonly uid: string
  readonly namespace: string
  readonly attempt: number
}

export interface WireSandbox {
  readonly id: string
  readonly metadata: WireMetadata
  readonly state: 'SANDBOX_READY' | 'SANDBOX_NOTREADY'
  /** Nanoseconds since 1970. */
  readonly created_at: string
  readonly labels: Record<string, string>
  readonly annotations: Record<string, string>
}

export interface WireSandboxStatus extends WireSandbox {
  readonly network: { readonly ip: string; readonly additional_ips: readonly { readonly ip: string }[] } | null
}

export type WireContainerState = 'CONTAINER_CREATED' | 'CONTAINER_RUNNING' | 'CONTAINER_EXITED' | 'CONTAINER_UNKNOWN'

export interface WireContainer {
  readonly id: string
  readonly pod_sandbox_id: string
  readonly image_ref: string
  readonly metadata: { readonly name: string; readonly attempt: number }
  readonly state: WireContainerState
  readonly created_at: string
  readonly labels: Record<string, string>
  readonly annotations: Record<string, string>
}

/** A wrapped number that may not have been measured. */
type WireCount = { readonly value: string } | null

/** Measurements are missing for a container that has just ended. */
export interface WireContainerStats {
  readonly attributes: { readonly id: string; readonly labels: Readonly<Record<string, string>> }
  readonly cpu: { readonly timestamp: string; readonly usage_core_nano_seconds: WireCount } | null
  readonly memory: Readonly<
    Record<'working_set_bytes' | 'usage_bytes' | 'rss_bytes' | 'page_faults' | 'major_page_faults', WireCount>
  > | null
  readonly writable_layer: WireFilesystemUsage | null
}

export interface WireFilesystemUsage {
  readonly fs_id: { readonly mountpoint: string } | null
  readonly used_bytes: WireCount
  readonly inodes_used: WireCount
}

export interface WireInterface {
  readonly name: string
  readonly rx_bytes: WireCount
  readonly rx_errors: WireCount
  readonly tx_bytes: WireCount
  readonly tx_errors: WireCount
}

export interface WireSandboxStats {
  readonly attributes: { readonly id: string; readonly labels: Readonly<Record<string, string>> }
  readonly linux: {
    readonly network: { readonly default_interface: WireInterface | null; readonly interfaces: readonly WireInterface[] } | null
  } | null
}

export interface WireContainerStatus extends Omit<WireContainer, 'pod_sandbox_id' | 'image_ref'> {
  readonly started_at: string
  readonly finished_at: string
  readonly exit_code: number
  readonly image: { readonly image: string } | null
  readonly image_ref: string
  readonly reason: string
  readonly message: string
  readonly log_path: string
}

export interface WireImage {
  readonly id: string
  readonly repo_tags: readonly string[]
  readonly repo_digests: readonly string[]
  readonly size: string
  readonly uid: { readonly value: string } | null
  readonly username: string
  readonly pinned: boolean
}

export interface WireCondition {
  readonly type: string
  readonly status: boolean
  readonly reason: string
  readonly message: string
}
