/** Network policies with real packets between pods of one node, from outside and to it: see network-node.ts. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Namespace, Pod } from '../src/api/generated/core/v1.ts'
import type { NetworkPolicy, NetworkPolicySpec } from '../src/api/generated/networking/v1.ts'
import { createFilterLoop, type FilterLoop } from '../src/network/filter-loop.ts'
import { mustRun } from '../src/network/host/command.ts'
import { createPolicyTable, policyFilterTable, type PolicyTable } from '../src/network/policy-table.ts'
import { ask, NODE_IP, OUTSIDE_IP, startNetworkNode, whatIsMissing, type NetworkNode } from './network-node.ts'

const missing = await whatIsMissing()
const options = { skip: missing ? `needs ${missing}` : false }
const stop = new AbortController()
/** Pods by namespace; each has the label pod=<name>, and the port 8080 under the name "web". */
const PODS = { x: ['a', 'b'], y: ['c'] } as const
let world: NetworkNode
let loop: FilterLoop
let policies: PolicyTable
let running: Promise<void>

before(async () => {
  if (missing) return
  world = await startNetworkNode()
  const { id, runtime, filter } = world
  policies = createPolicyTable({ nodeName: 'node-1', family: 'ip' }, (owner) => loop.mark(owner))
  loop = createFilterLoop(runtime, {
    filter,
    table: policyFilterTable({ name: `proa-${id}-policy`, family: 'ip' }),
    rulesOf: policies.rulesOf,
  })
  running = loop.run(stop.signal)
  for (const [namespace, names] of Object.entries(PODS)) {
    policies.namespaceHandlers.added({ metadata: { name: namespace, labels: { ns: namespace } } } satisfies Namespace)
    for (const name of names) {
      await world.addPod(name)
      policies.podHandlers.added(pod(namespace, name))
    }
  }
})

after(async () => world?.close())

const pod = (namespace: string, name: string): Pod => ({
  metadata: { namespace, name, labels: { pod: name } },
  spec: { nodeName: 'node-1', containers: [{ name: 'c', ports: [{ name: 'web', containerPort: 8080, protocol: 'TCP' }] }] },
  status: { phase: 'Running', podIP: world.pods.get(name)!.ip },
})

/** Holds while `work` runs, in namespace x. */
async function withPolicies(specs: readonly NetworkPolicySpec[], work: () => Promise<void>): Promise<void> {
  const made = specs.map((spec, i): NetworkPolicy => ({ metadata: { namespace: 'x', name: `p${i}`, generation: 1 }, spec }))
  for (const policy of made) policies.policyHandlers.added(policy)
  await loop.settled()
  await work()
  for (const policy of made) policies.policyHandlers.deleted(policy)
  await loop.settled()
}

type Who = 'a' | 'b' | 'c' | 'node'
const place = (who: Who) => (who === 'node' ? world.machine : world.pods.get(who)!)

/** Who of those that try gets an answer, by TCP. */
async function reach(...tries: readonly `${Who}>${'a' | 'b' | 'c'}`[]): Promise<string[]> {
  const answers = await Promise.all(
    tries.map(async (one) => {
      const [from, to] = one.split('>') as [Who, 'a' | 'b' | 'c']
      return [one, await ask(place(from), 'tcp', world.pods.get(to)!.ip, 8080)] as const
    }),
  )
  return answers.filter(([, answer]) => answer !== 'silence').map(([one]) => one)
}

const toA = { podSelector: { matchLabels: { pod: 'a' } }, policyTypes: ['Ingress'] } as const

test('policy: without any, everybody reaches everybody', options, async () => {
  assert.deepEqual(await reach('b>a', 'c>a', 'a>c'), ['b>a', 'c>a', 'a>c'])
})

test('policy: what isolates a pod leaves the others alone, itself, its node and what it asks', options, async () => {
  await withPolicies([{ ...toA }], async () => {
    const [heard, byUdp] = await Promise.all([
      reach('b>a', 'c>a', 'a>b', 'c>b', 'a>a', 'node>a'),
      ask(place('b'), 'udp', world.pods.get('a')!.ip, 8080),
    ])
    assert.deepEqual([heard, byUdp], [['a>b', 'c>b', 'a>a', 'node>a'], 'silence'])
  })
  assert.deepEqual(await reach('b>a'), ['b>a'])
})

test('policy: peers by pod and namespace', options, async () => {
  const from = (...peers: NonNullable<NonNullable<NetworkPolicySpec['ingress']>[number]['from']>) => [
    { ...toA, ingress: [{ from: peers }] },
  ]
  const all = () => reach('b>a', 'c>a')
  await withPolicies(from({ podSelector: {} }), async () => assert.deepEqual(await all(), ['b>a']))
  await withPolicies(from({ namespaceSelector: { matchLabels: { ns: 'y' } } }), async () => assert.deepEqual(await all(), ['c>a']))
  await withPolicies(from({ namespaceSelector: {}, podSelector: { matchLabels: { pod: 'b' } } }), async () =>
    assert.deepEqual(await all(), ['b>a']),
  )
  await withPolicies(from({ namespaceSelector: {} }), async () => assert.deepEqual(await all(), ['b>a', 'c>a']))
  // Labels that change make and end membership.
  await withPolicies(from({ namespaceSelector: { matchLabels: { team: 'z' } } }), async () => {
    assert.deepEqual(await all(), [])
    const before = { metadata: { name: 'y', labels: { ns: 'y' } } }
    const after = { metadata: { name: 'y', labels: { ns: 'y', team: 'z' } } }
    policies.namespaceHandlers.updated(after, before)
    await loop.settled()
    assert.deepEqual(await all(), ['c>a'])
    policies.namespaceHandlers.updated(before, after)
  })
})

test('policy: blocks of addresses with exceptions', options, async () => {
  const ip = world.pods.get('b')!.ip
  await withPolicies([{ ...toA, ingress: [{ from: [{ ipBlock: { cidr: '10.244.0.0/16', except: [`${ip}/32`] } }] }] }], async () => {
    assert.deepEqual(await reach('b>a', 'c>a'), ['c>a'])
  })
})

test('policy: ports by number, range, name and protocol; several rules and policies add up', options, async () => {
  const ports = (...list: NonNullable<NonNullable<NetworkPolicySpec['ingress']>[number]['ports']>) => [
    { ...toA, ingress: [{ ports: list }] },
  ]
  const all = async () => (await Promise.all([reach('b>a'), ask(place('b'), 'udp', world.pods.get('a')!.ip, 8080)])).flat()
  await withPolicies(ports({ port: 80 }), async () => assert.deepEqual(await all(), ['silence']))
  await withPolicies(ports({ port: 8000, endPort: 8080 }), async () => assert.deepEqual(await all(), ['b>a', 'silence']))
  await withPolicies(ports({ port: 'web' }), async () => assert.deepEqual(await all(), ['b>a', 'silence']))
  await withPolicies(ports({ port: 'other' }), async () => assert.deepEqual(await all(), ['silence']))
  await withPolicies(ports({ protocol: 'UDP' }), async () => assert.match((await all()).join(), /^a /))
  await withPolicies([...ports({ port: 80 }), ...ports({ protocol: 'UDP', port: 8080 }, { port: 8080 })], async () =>
    assert.match((await all()).join(), /^b>a,a /),
  )
})

test('policy: what a pod may ask is checked at its end, and both ends must agree', options, async () => {
  const egress = { podSelector: { matchLabels: { pod: 'a' } }, policyTypes: ['Egress'] }
  await withPolicies([egress], async () => {
    assert.deepEqual(await reach('a>b', 'a>c', 'b>a'), ['b>a'])
    // Nobody listens there, but the node says so.
    assert.match(await ask(place('a'), 'tcp', world.network.gateway.split('/')[0]!, 8081), /refused/)
  })
  await withPolicies([{ ...egress, egress: [{ to: [{ namespaceSelector: {} }], ports: [{ port: 'web' }] }] }], async () => {
    assert.deepEqual(await reach('a>b', 'a>c'), ['a>b', 'a>c'])
    assert.equal(await ask(place('a'), 'tcp', OUTSIDE_IP, 9), 'silence')
  })
  await withPolicies(
    [
      { ...egress, egress: [{ to: [{ podSelector: {} }] }] },
      { podSelector: { matchLabels: { pod: 'b' } }, policyTypes: ['Ingress'] },
    ],
    async () => assert.deepEqual(await reach('a>b', 'c>b'), []),
  )
})

test('policy: from outside', options, async () => {
  await mustRun({}, ['ip', 'route', 'replace', world.network.podCidr, 'via', NODE_IP])
  const outside = () => ask({}, 'tcp', world.pods.get('a')!.ip, 8080)
  assert.match(await outside(), /^a /)
  await withPolicies([{ ...toA, ingress: [{ from: [{ namespaceSelector: {} }] }] }], async () => assert.equal(await outside(), 'silence'))
  await withPolicies([{ ...toA, ingress: [{ from: [{ ipBlock: { cidr: `${OUTSIDE_IP}/32` } }] }] }], async () =>
    assert.match(await outside(), /^a /),
  )
  await mustRun({}, ['ip', 'route', 'delete', world.network.podCidr])
})

test('policy: nothing stays when pods, policies and the node go', options, async () => {
  const rules = async () => (await mustRun(world.machine, ['nft', 'list', 'ruleset'])).match(/group-|policy-\d|elements/g)
  await withPolicies([{ ...toA, ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 'web' }] }] }], async () => {
    assert.ok((await rules())!.length > 0)
    policies.podHandlers.deleted(pod('x', 'b'))
    await loop.settled()
    assert.deepEqual(await reach('b>a'), [])
  })
  assert.equal(await rules(), null)
  stop.abort()
  await running
  await world.filter.close()
  await world.teardown()
  assert.equal(await mustRun(world.machine, ['nft', 'list', 'ruleset']), '')
  assert.deepEqual(world.lines, [])
})
