import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Node } from '../api/generated/core/v1.ts'
import { silentLog } from '../base/log.ts'
import { systemClock, systemRandom } from '../base/system.ts'
import type { Informer, InformerHandlers } from '../client/informer.ts'
import type { PodRoute } from '../network/pod-network.ts'
import { followPodRoutes } from './pod-routes.ts'

const node = (name: string, cidr: string, address: string): Node => ({
  metadata: { name },
  spec: { podCIDR: cidr, podCIDRs: [cidr] },
  status: { addresses: [{ type: 'InternalIP', address }] },
})

/** An informer whose objects the test sets. */
function fakeInformer() {
  const objects = new Map<string, Node>()
  let handlers: InformerHandlers<Node> = {}
  const synced = Promise.withResolvers<void>()
  const informer = {
    cache: { values: () => objects.values() },
    synced: synced.promise,
    hasSynced: false,
    addHandlers(added: InformerHandlers<Node>) {
      handlers = added
      return () => undefined
    },
  }
  return {
    informer: informer as unknown as Informer<Node>,
    set(object: Node) {
      objects.set(object.metadata?.name ?? '', object)
      handlers.added?.(object)
    },
    remove(name: string) {
      const object = objects.get(name)!
      objects.delete(name)
      handlers.deleted?.(object)
    },
    sync() {
      informer.hasSynced = true
      synced.resolve()
    },
  }
}

test('routes follow the nodes, from the first complete list on, and are set again after a failure', async () => {
  const nodes = fakeInformer()
  const calls: (readonly PodRoute[])[] = []
  let waiting = Promise.withResolvers<void>()
  let failures = 0
  const network = {
    async setRoutes(routes: readonly PodRoute[]) {
      calls.push(routes)
      waiting.resolve()
      if (failures-- > 0) throw new Error('Nexthop has invalid gateway')
    },
  }
  const called = async (): Promise<readonly PodRoute[] | undefined> => {
    await waiting.promise
    waiting = Promise.withResolvers()
    return calls.at(-1)
  }
  const pauses: number[] = []
  const clock = {
    ...systemClock,
    setTimeout(callback: () => void, ms: number) {
      pauses.push(ms)
      queueMicrotask(callback)
      return () => undefined
    },
  }
  const stop = new AbortController()
  const following = followPodRoutes({ clock, random: systemRandom, log: silentLog }, nodes.informer, network, 'one', stop.signal)
  nodes.set(node('one', '10.244.0.0/24', '172.30.1.1'))
  nodes.set(node('two', '10.244.1.0/24', '172.30.1.2'))
  await Promise.resolve()
  assert.deepEqual(calls, [], 'nothing is known for sure yet')
  nodes.sync()
  assert.deepEqual(await called(), [{ cidr: '10.244.1.0/24', via: '172.30.1.2' }])
  failures = 1
  nodes.set(node('three', '10.244.2.0/24', '172.30.1.3'))
  const both = [
    { cidr: '10.244.1.0/24', via: '172.30.1.2' },
    { cidr: '10.244.2.0/24', via: '172.30.1.3' },
  ]
  assert.deepEqual(await called(), both)
  assert.deepEqual(await called(), both)
  assert.deepEqual(pauses, [1000])
  nodes.remove('two')
  assert.deepEqual(await called(), [{ cidr: '10.244.2.0/24', via: '172.30.1.3' }])
  stop.abort()
  await following
})
