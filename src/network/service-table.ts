/**
 * Services with the EndpointSlices that belong to them: what the service proxy and DNS both look things up in. Fed by informer
 * handlers, and told to listeners by the service's key ("namespace/name"), so that both work on one service at a time however
 * many there are.
 */
import type { EndpointSlice } from '../api/generated/discovery/v1.ts'
import type { Service } from '../api/generated/core/v1.ts'
import type { ObjectMeta } from '../api/generated/meta/v1.ts'
import { keyOf } from '../api/object.ts'

/** The part of the client's informer handlers that is used here. */
export interface Handlers<T> {
  added(object: T): void
  updated(object: T, old: T): void
  deleted(object: T): void
}

const SERVICE_NAME = 'kubernetes.io/service-name'
const NO_SLICES: ReadonlyMap<string, EndpointSlice> = new Map()

export interface ServiceTable {
  readonly serviceHandlers: Handlers<Service>
  readonly sliceHandlers: Handlers<EndpointSlice>
  service(key: string): Service | undefined
  /** The slices of a service, whether or not the service itself is known yet. */
  slices(key: string): Iterable<EndpointSlice>
  keys(): Iterable<string>
  hasNamespace(namespace: string): boolean
  /** The services that have the address as cluster IP or endpoint. */
  keysOfAddress(address: string): Iterable<string>
  /** Calls back with the key of each service that has changed, itself or its endpoints. Returns what stops it. */
  onChange(listener: (key: string) => void): () => void
}

interface Row {
  service: Service | undefined
  readonly slices: Map<string, EndpointSlice>
  addresses: ReadonlySet<string>
}

export function createServiceTable(): ServiceTable {
  const rows = new Map<string, Row>()
  const namespaces = new Map<string, number>()
  const byAddress = new Map<string, Set<string>>()
  const listeners = new Set<(key: string) => void>()

  function change(key: string, update: (row: Row) => void): void {
    let row = rows.get(key)
    if (!row) rows.set(key, (row = { service: undefined, slices: new Map(), addresses: new Set() }))
    const hadService = row.service !== undefined
    update(row)
    if (hadService !== (row.service !== undefined)) countNamespace(key.slice(0, key.indexOf('/')), hadService ? -1 : 1)
    indexAddresses(key, row)
    if (!row.service && row.slices.size === 0) rows.delete(key)
    for (const listener of listeners) listener(key)
  }

  function countNamespace(namespace: string, difference: number): void {
    const count = (namespaces.get(namespace) ?? 0) + difference
    if (count > 0) namespaces.set(namespace, count)
    else namespaces.delete(namespace)
  }

  function indexAddresses(key: string, row: Row): void {
    const addresses = new Set<string>()
    if (row.service) {
      for (const address of clusterAddresses(row.service)) addresses.add(address)
      for (const slice of row.slices.values())
        for (const endpoint of slice.endpoints ?? []) for (const address of endpoint.addresses) addresses.add(address)
    }
    for (const address of row.addresses) {
      if (addresses.has(address)) continue
      const keys = byAddress.get(address)!
      keys.delete(key)
      if (keys.size === 0) byAddress.delete(address)
    }
    for (const address of addresses) byAddress.getOrInsertComputed(address, () => new Set()).add(key)
    row.addresses = addresses
  }

  const setService = (service: Service) => change(keyOf(service), (row) => (row.service = service))
  const setSlice = (slice: EndpointSlice) => {
    const key = ownerOf(slice)
    if (key) change(key, (row) => row.slices.set(slice.metadata!.name!, slice))
  }
  const removeSlice = (slice: EndpointSlice) => {
    const key = ownerOf(slice)
    if (key) change(key, (row) => row.slices.delete(slice.metadata!.name!))
  }

  return {
    serviceHandlers: {
      added: setService,
      updated: setService,
      deleted: (service) => change(keyOf(service), (row) => (row.service = undefined)),
    },
    sliceHandlers: {
      added: setSlice,
      updated(slice, old) {
        if (ownerOf(slice) !== ownerOf(old)) removeSlice(old)
        setSlice(slice)
      },
      deleted: removeSlice,
    },
    service: (key) => rows.get(key)?.service,
    slices: (key) => (rows.get(key)?.slices ?? NO_SLICES).values(),
    keys: () => rows.keys(),
    hasNamespace: (namespace) => namespaces.has(namespace),
    keysOfAddress: (address) => byAddress.get(address) ?? [],
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

/** The cluster IPs of a service; none for a headless one or an ExternalName. */
export function clusterAddresses(service: Service): readonly string[] {
  const { clusterIP, clusterIPs, type } = service.spec ?? {}
  if (type === 'ExternalName' || !clusterIP || clusterIP === 'None') return []
  return clusterIPs?.length ? clusterIPs : [clusterIP]
}

export const isHeadless = (service: Service): boolean => service.spec?.clusterIP === 'None' && service.spec.type !== 'ExternalName'

function ownerOf(slice: { readonly metadata?: ObjectMeta }): string | undefined {
  const name = slice.metadata?.labels?.[SERVICE_NAME]
  return name ? `${slice.metadata?.namespace}/${name}` : undefined
}
