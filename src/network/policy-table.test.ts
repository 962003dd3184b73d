import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '../api/generated/core/v1.ts'
import type { NetworkPolicy, NetworkPolicySpec } from '../api/generated/networking/v1.ts'
import { Ruleset } from './nft-ruleset.ts'
import { createPolicyTable, policyFilterTable } from './policy-table.ts'

function make() {
  const marked = new Set<string>()
  const table = createPolicyTable({ nodeName: 'n1', family: 'ip' }, (owner) => marked.add(owner))
  const ruleset = new Ruleset(policyFilterTable({ name: 'p', family: 'ip' }))
  return {
    table,
    /** The commands since the last call, without the table's name. */
    take() {
      for (const owner of marked) ruleset.set(owner, table.rulesOf(owner))
      marked.clear()
      return ruleset.take().commands.map((command) => command.replace(' ip p', ''))
    },
  }
}

const pod = (
  namespace: string,
  name: string,
  podIP: string,
  more: { nodeName?: string; phase?: string; hostNetwork?: boolean } = {},
): Pod => ({
  metadata: { namespace, name, labels: { app: name } },
  spec: {
    nodeName: more.nodeName ?? 'n1',
    hostNetwork: more.hostNetwork ?? false,
    containers: [
      {
        name: 'c',
        ports: [
          { name: 'web', containerPort: 80 },
          { name: 'dns', containerPort: 53, protocol: 'UDP' },
        ],
      },
    ],
  },
  status: { phase: more.phase ?? 'Running', podIP },
})
const policy = (name: string, spec: NetworkPolicySpec, generation = 1): NetworkPolicy => ({
  metadata: { namespace: 'x', name, generation },
  spec,
})

test('policy table: without policies pods cost nothing', () => {
  const { table, take } = make()
  table.namespaceHandlers.added({ metadata: { name: 'x' } })
  table.podHandlers.added(pod('x', 'a', '10.0.0.1'))
  assert.deepEqual(take(), [])
})

test('policy table: a chain a policy, a chain a pod that it isolates, elements for peers', () => {
  const { table, take } = make()
  table.podHandlers.added(pod('x', 'a', '10.0.0.1'))
  table.podHandlers.added(pod('x', 'b', '10.0.0.2', { nodeName: 'n2' }))
  const spec: NetworkPolicySpec = {
    podSelector: {},
    policyTypes: ['Ingress'],
    ingress: [
      { from: [{ podSelector: { matchLabels: { app: 'b' } } }], ports: [{ port: 80 }, { protocol: 'UDP', port: 53, endPort: 60 }] },
    ],
  }
  table.policyHandlers.added(policy('p', spec))
  assert.deepEqual(take(), [
    'add chain ingress-10.0.0.1',
    'add chain policy-1-ingress',
    'add set group-2 { type ipv4_addr; }',
    'add rule ingress-10.0.0.1 jump policy-1-ingress',
    'add rule ingress-10.0.0.1 drop',
    'add rule policy-1-ingress ip saddr @group-2 meta l4proto tcp th dport 80 accept',
    'add rule policy-1-ingress ip saddr @group-2 meta l4proto udp th dport 53-60 accept',
    'add element ingress { 10.0.0.1 : goto ingress-10.0.0.1 }',
    'add element self { 10.0.0.1 . 10.0.0.1 }',
    'add element group-2 { 10.0.0.2 }',
  ])
  // Another peer is one element; one that is over leaves.
  const c = pod('x', 'b2', '10.0.0.3')
  const peer = { ...c, metadata: { ...c.metadata, labels: { app: 'b' } }, spec: { ...c.spec!, nodeName: 'n2' } }
  table.podHandlers.added(peer)
  assert.deepEqual(take(), ['add element group-2 { 10.0.0.3 }'])
  table.podHandlers.updated({ ...peer, status: { ...peer.status, phase: 'Succeeded' } }, peer)
  assert.deepEqual(take(), ['delete element group-2 { 10.0.0.3 }'])
  // What only its status says is nothing here.
  table.policyHandlers.updated(policy('p', spec), policy('p', spec))
  assert.deepEqual(take(), [])
  table.policyHandlers.deleted(policy('p', spec))
  assert.deepEqual(take(), [
    'delete element ingress { 10.0.0.1 }',
    'delete element self { 10.0.0.1 . 10.0.0.1 }',
    'delete element group-2 { 10.0.0.2 }',
    'flush chain policy-1-ingress',
    'flush chain ingress-10.0.0.1',
    'delete chain policy-1-ingress',
    'delete set group-2',
    'delete chain ingress-10.0.0.1',
  ])
})

test('policy table: named ports are of the pods that have them', () => {
  const { table, take } = make()
  table.namespaceHandlers.added({ metadata: { name: 'x' } })
  table.podHandlers.added(pod('x', 'a', '10.0.0.1'))
  table.policyHandlers.added(
    policy('p', {
      podSelector: {},
      policyTypes: ['Ingress', 'Egress'],
      egress: [{ ports: [{ port: 'dns', protocol: 'UDP' }] }],
      ingress: [{ ports: [{ port: 'web' }, { port: 'none' }] }],
    }),
  )
  const commands = take()
  assert.ok(commands.includes('add rule policy-1-ingress ip daddr . meta l4proto . th dport @group-3 accept'))
  assert.deepEqual(
    commands.filter((command) => command.startsWith('add element group')),
    ['add element group-3 { 10.0.0.1 . tcp . 80 }', 'add element group-5 { 10.0.0.1 . udp . 53 }'],
  )
})

test('policy table: namespaces by label, blocks of the other family, hosts', () => {
  const { table, take } = make()
  table.podHandlers.added(pod('x', 'a', '10.0.0.1'))
  table.podHandlers.added(pod('y', 'b', '10.0.0.2'))
  table.podHandlers.added(pod('y', 'h', '192.0.2.1', { hostNetwork: true }))
  table.namespaceHandlers.added({ metadata: { name: 'y', labels: { team: 'one' } } })
  const from = [
    { namespaceSelector: { matchLabels: { team: 'one' } } },
    { ipBlock: { cidr: '2001:db8::/32' } },
    { ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16', '10.2.0.0/16'] } },
  ]
  table.policyHandlers.added(policy('p', { podSelector: { matchLabels: { app: 'a' } }, ingress: [{ from }] }))
  const commands = take()
  assert.deepEqual(
    commands.filter((command) => command.includes('policy-1-ingress ip')),
    [
      'add rule policy-1-ingress ip saddr @group-2 accept',
      'add rule policy-1-ingress ip saddr 10.0.0.0/8 ip saddr != 10.1.0.0/16 ip saddr != 10.2.0.0/16 accept',
    ],
  )
  assert.deepEqual(
    commands.filter((command) => command.includes('element group')),
    ['add element group-2 { 10.0.0.2 }'],
  )
  table.namespaceHandlers.updated({ metadata: { name: 'y', labels: {} } }, { metadata: { name: 'y', labels: { team: 'one' } } })
  assert.deepEqual(take(), ['delete element group-2 { 10.0.0.2 }'])
})
