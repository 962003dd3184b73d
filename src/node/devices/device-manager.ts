/**
 * Extended resources that device plugins offer (pkg/kubelet/cm/devicemanager): which devices there are and are well, and which container
 * has which. A container's devices are chosen when its pod is admitted and asked of the plugin when the container is made; they are
 * written on the container, where a restarted agent finds them.
 */
import type { Container, Pod } from '../../api/generated/core/v1.ts'
import type { Clock } from '../../base/clock.ts'
import { isSidecar } from '../restart-policy.ts'

/** On a container that has devices: JSON of their ids by resource. */
export const DEVICES_ANNOTATION = 'proa.dev/devices'

export interface Device {
  readonly id: string
  readonly isHealthy: boolean
}

/** What a plugin wants a container with its devices to have. */
export interface DeviceGrant {
  readonly env: Readonly<Record<string, string>>
  readonly mounts: readonly { readonly containerPath: string; readonly hostPath: string; readonly readonly: boolean }[]
  readonly devices: readonly { readonly containerPath: string; readonly hostPath: string; readonly permissions: string }[]
  readonly annotations: Readonly<Record<string, string>>
  /** Qualified names of the Container Device Interface. */
  readonly cdiDevices: readonly string[]
}

/** A plugin as it is asked; rejections say why in its words. */
export interface DevicePlugin {
  allocate(ids: readonly string[]): Promise<DeviceGrant>
  /** For plugins that want to be told before each start. */
  preStart?(ids: readonly string[]): Promise<void>
}

/** What the machine tells of plugins. */
export interface DevicePluginEvents {
  registered(resource: string, plugin: DevicePlugin): void
  listed(resource: string, devices: readonly Device[]): void
  /** Its socket is gone; another may have taken its place already. */
  lost(resource: string, plugin: DevicePlugin): void
}

export interface DeviceCount {
  readonly capacity: number
  readonly allocatable: number
}

type Ids = Readonly<Record<string, readonly string[]>>

export interface DeviceManager extends DevicePluginEvents {
  /** By resource, for the Node's status. One that was registered once and is gone counts 0. */
  counts(): Readonly<Record<string, DeviceCount>>
  onChange(listener: () => void): void
  /** Chooses devices for the pod's containers; throws, in upstream's words and having chosen none, when there are not enough. */
  allocate(pod: Pod): void
  /** What an earlier agent chose, as the annotation tells it. */
  adopt(podUid: string, container: string, annotation: string): void
  /** What a container that is being made gets; undefined for one without devices. */
  grant(podUid: string, container: string): Promise<{ readonly grant: DeviceGrant; readonly annotation: string } | undefined>
  release(podUid: string): void
  /** Resources that were registered in an earlier life, of which nothing is known until their plugins come back. */
  remember(resources: readonly string[]): void
}

/** How long the devices of a plugin that is gone are still counted as capacity. */
const STOPPED_GRACE_MS = 300_000

interface Resource {
  plugin: DevicePlugin | undefined
  devices: readonly Device[]
  /** When its plugin went. */
  lostAtMs: number | undefined
}

export function createDeviceManager(clock: Clock): DeviceManager {
  const resources = new Map<string, Resource>()
  /** By pod and container. */
  const given = new Map<string, Map<string, Ids>>()
  let tell = () => {}

  const used = (name: string): Set<string> => {
    const ids = new Set<string>()
    for (const containers of given.values()) for (const own of containers.values()) for (const id of own[name] ?? []) ids.add(id)
    return ids
  }

  function choose(name: string, resource: Resource, count: number, reusable: ReadonlySet<string>): readonly string[] {
    if (!resource.plugin) throw new Error(`cannot allocate unregistered device ${name}`)
    const busy = used(name)
    const well = resource.devices.filter(({ isHealthy }) => isHealthy).map(({ id }) => id)
    if (resource.devices.length > 0 && well.length === 0)
      throw new Error(`no healthy devices present; cannot allocate unhealthy devices ${name}`)
    const free = well.filter((id) => !busy.has(id) || reusable.has(id))
    if (free.length < count) {
      throw new Error(`requested number of devices unavailable for ${name}. Requested: ${count}, Available: ${free.length}`)
    }
    // What an init container has left is taken again first.
    return [...free.filter((id) => reusable.has(id)), ...free.filter((id) => !reusable.has(id))].slice(0, count)
  }

  function allocateContainer(podUid: string, container: Container, reusable: Map<string, Set<string>>, isReusable: boolean): void {
    const ids: Record<string, readonly string[]> = {}
    for (const [name, quantity] of Object.entries(container.resources?.limits ?? {})) {
      const resource = resources.get(name)
      const count = Number(quantity)
      if (!resource || !(count > 0)) continue
      const left = reusable.get(name) ?? new Set()
      ids[name] = choose(name, resource, count, left)
      for (const id of ids[name])
        if (isReusable) left.add(id)
        else left.delete(id)
      reusable.set(name, left)
    }
    if (Object.keys(ids).length > 0) given.getOrInsertComputed(podUid, () => new Map()).set(container.name, ids)
  }

  return {
    registered(name, plugin) {
      resources.set(name, { plugin, devices: [], lostAtMs: undefined })
      tell()
    },
    listed(name, devices) {
      const resource = resources.get(name)
      if (!resource) return
      resource.devices = devices
      tell()
    },
    lost(name, plugin) {
      const resource = resources.get(name)
      if (resource?.plugin !== plugin) return
      resources.set(name, {
        plugin: undefined,
        devices: resource.devices.map(({ id }) => ({ id, isHealthy: false })),
        lostAtMs: clock.monotonic(),
      })
      clock.setTimeout(() => tell(), STOPPED_GRACE_MS)
      tell()
    },
    remember(names) {
      for (const name of names) if (!resources.has(name)) resources.set(name, { plugin: undefined, devices: [], lostAtMs: undefined })
    },
    counts() {
      const counts: Record<string, DeviceCount> = {}
      for (const [name, { devices, lostAtMs }] of resources) {
        const isOver = lostAtMs !== undefined && clock.monotonic() - lostAtMs >= STOPPED_GRACE_MS
        const allocatable = devices.filter(({ isHealthy }) => isHealthy).length
        counts[name] = isOver ? { capacity: 0, allocatable: 0 } : { capacity: devices.length, allocatable }
      }
      return counts
    },
    onChange(listener) {
      tell = listener
    },
    allocate(pod) {
      const uid = pod.metadata?.uid ?? ''
      if (given.has(uid)) return
      const reusable = new Map<string, Set<string>>()
      try {
        for (const container of pod.spec?.initContainers ?? []) allocateContainer(uid, container, reusable, !isSidecar(container))
        for (const container of pod.spec?.containers ?? []) allocateContainer(uid, container, reusable, false)
      } catch (error) {
        given.delete(uid)
        throw error
      }
    },
    adopt(podUid, container, annotation) {
      given.getOrInsertComputed(podUid, () => new Map()).set(container, JSON.parse(annotation) as Ids)
    },
    async grant(podUid, container) {
      const ids = given.get(podUid)?.get(container)
      if (!ids) return undefined
      const grants: DeviceGrant[] = []
      for (const [name, own] of Object.entries(ids)) {
        const { plugin } = resources.get(name) ?? {}
        if (!plugin) throw new Error(`cannot allocate unregistered device ${name}`)
        grants.push(await plugin.allocate(own))
        await plugin.preStart?.(own)
      }
      const grant: DeviceGrant = {
        env: Object.assign({}, ...grants.map(({ env }) => env)) as Record<string, string>,
        mounts: grants.flatMap(({ mounts }) => mounts),
        devices: grants.flatMap(({ devices }) => devices),
        annotations: Object.assign({}, ...grants.map(({ annotations }) => annotations)) as Record<string, string>,
        cdiDevices: grants.flatMap(({ cdiDevices }) => cdiDevices),
      }
      return { grant, annotation: JSON.stringify(ids) }
    },
    release: (podUid) => void given.delete(podUid),
  }
}
