/** What all pods of a node share: its options, the machine, and the ways to reach the API and the runtime. */
import type { Service } from '../api/generated/core/v1.ts'
import type { Runtime } from '../base/runtime.ts'
import type { Client } from '../client/client.ts'
import type { EventRecorder } from '../client/events.ts'
import type { NodeConfiguration } from './configuration.ts'
import type { ContainerRuntime } from './container-runtime.ts'
import type { Counters } from './counters.ts'
import type { CpuManager } from './cpu-manager.ts'
import type { CredentialPlugins } from './credential-plugins.ts'
import type { DeviceManager } from './devices/device-manager.ts'
import type { DnsConfig } from './dns.ts'
import type { ObjectFollower } from './followed-objects.ts'
import type { Host, MachineFacts } from './host.ts'
import type { ImageStore } from './images.ts'

export interface NodeContext {
  readonly runtime: Runtime
  readonly client: Client
  readonly containers: ContainerRuntime
  readonly host: Host
  readonly images: ImageStore
  readonly credentialPlugins: CredentialPlugins | undefined
  readonly objects: ObjectFollower
  readonly events: EventRecorder
  readonly facts: MachineFacts
  /** "containerd" */
  readonly runtimeName: string
  readonly nodeName: string
  readonly configuration: NodeConfiguration
  readonly counters: Counters
  /** When containers may have CPUs of their own. */
  readonly cpuManager: CpuManager | undefined
  readonly devices: DeviceManager
  readonly hostIPs: readonly string[]
  readonly clusterDns: readonly string[]
  readonly clusterDomain: string
  readonly dataDirectory: string
  readonly logsDirectory: string
  /** Before "/kubepods" in cgroup names; empty on a machine of its own. */
  readonly cgroupRoot: string
  /** The node's resolv.conf. */
  readonly nodeDns: DnsConfig
  /** The node's /etc/hosts. */
  readonly nodeHosts: string
  /** When the agent began, wall clock: containers older than that were adopted. */
  readonly startedAtMs: number
  services(): Iterable<Service>
}
