/**
 * How the API server gets to nodes and pods of a cluster of several machines: directly where it can, else through the tunnel that the node
 * holds. Whether it can is tried with a connection and remembered for a while, for nodes and for pods apart: a server without a node of its
 * own has no routes to pods.
 */
import { connect } from 'node:net'
import type { Node } from '../../api/generated/core/v1.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import type { Runtime } from '../../base/runtime.ts'
import type { Informer } from '../../client/informer.ts'
import { isWithin } from '../../network/addresses.ts'
import type { Egress } from '../../server/http/outgoing.ts'
import type { Tunnels } from './tunnels.ts'

export type EgressMode = 'auto' | 'direct' | 'tunnel'

/** A machine on the way to which is nothing wrong answers sooner. */
const PROBE_MS = 1000
const REMEMBER_MS = 60_000

interface Remembered {
  readonly untilMs: number
  readonly isReached: Promise<boolean>
}

export interface TunnelEgress extends Egress {
  /** From now on addresses are known by what the Nodes say. */
  follow(nodes: Informer<Node>): void
}

export function createEgress(runtime: Runtime, mode: EgressMode, tunnels: Pick<Tunnels, 'has' | 'dial'>): TunnelEgress {
  const { clock } = runtime
  const byAddress = new Map<string, string>()
  const byRange = new Map<string, string>()
  const reached = new Map<string, Remembered>()

  function learn(node: Node): void {
    const name = node.metadata?.name ?? ''
    for (const { type, address } of node.status?.addresses ?? []) if (type !== 'Hostname') byAddress.set(address, name)
    for (const range of node.spec?.podCIDRs ?? []) byRange.set(range, name)
  }
  function forget(node: Node): void {
    const name = node.metadata?.name ?? ''
    for (const known of [byAddress, byRange]) for (const [place, owner] of known) if (owner === name) known.delete(place)
    for (const kind of ['node', 'pod']) reached.delete(`${kind} ${name}`)
  }

  function placeOf(host: string): { readonly node: string; readonly kind: 'node' | 'pod' } | undefined {
    const node = byAddress.get(host)
    if (node !== undefined) return { node, kind: 'node' }
    for (const [range, owner] of byRange) if (isWithin(host, range)) return { node: owner, kind: 'pod' }
    return undefined
  }

  function isReached(place: string, host: string, port: number): Promise<boolean> {
    const known = reached.get(place)
    if (known && known.untilMs > clock.monotonic()) return known.isReached
    const answer = canConnect(host, port)
    reached.set(place, { untilMs: clock.monotonic() + REMEMBER_MS, isReached: answer })
    return answer
  }

  return {
    follow(nodes) {
      nodes.addHandlers({
        added: learn,
        updated(node, old) {
          if (deepEqual([node.status?.addresses, node.spec?.podCIDRs], [old.status?.addresses, old.spec?.podCIDRs])) return
          forget(old)
          learn(node)
        },
        deleted: forget,
      })
    },
    roadTo(host, port) {
      const place = mode === 'direct' ? undefined : placeOf(host)
      if (!place || !tunnels.has(place.node)) return undefined
      const road = () => tunnels.dial(place.node, host, port)
      if (mode === 'tunnel') return Promise.resolve(road)
      return isReached(`${place.kind} ${place.node}`, host, port).then((can) => (can ? undefined : road))
    },
  }
}

/** Who refuses has been reached. */
function canConnect(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: PROBE_MS })
    const end = (isReached: boolean) => {
      socket.destroy()
      resolve(isReached)
    }
    socket.once('connect', () => end(true))
    socket.once('timeout', () => end(false))
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code === 'ECONNREFUSED'))
  })
}
