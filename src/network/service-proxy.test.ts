import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Endpoint, EndpointSlice } from '../api/generated/discovery/v1.ts'
import type { Pod, Service } from '../api/generated/core/v1.ts'
import { candidatesOf, chooseEndpoints } from './endpoint-choice.ts'
import { planHostPorts, planService, type ProxyNode, type ServiceRule } from './service-proxy.ts'

const node: ProxyNode = { nodeName: 'n1', zone: 'z1', family: 'ip', addresses: ['192.0.2.1', 'fd00::1'] }

const slice = (endpoints: readonly Endpoint[], more: Partial<EndpointSlice> = {}): EndpointSlice => ({
  metadata: { name: 's', namespace: 'default', labels: { 'kubernetes.io/service-name': 'web' } },
  addressType: 'IPv4',
  ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  endpoints,
  ...more,
})

const at = (address: string, more: Partial<Endpoint> = {}): Endpoint => ({
  addresses: [address],
  conditions: { ready: true },
  nodeName: 'n1',
  ...more,
})
const leaving = { ready: false, serving: true, terminating: true }
const port = { name: 'http', port: 80 }
const names = (candidates: readonly { readonly address: string }[]) => candidates.map((candidate) => candidate.address).join(' ')
const choose = (...endpoints: Endpoint[]) => {
  const { cluster, local, hasAny } = chooseEndpoints(candidatesOf([slice(endpoints)], port, 'IPv4', node), node)
  return [names(cluster), names(local), hasAny]
}

test('endpoint choice: ready, else serving while terminating, near ones by hints', () => {
  const zone = (name: string) => ({ forZones: [{ name }] })
  const hinted = (zoneName: string, nodeName: string) => ({ forZones: [{ name: zoneName }], forNodes: [{ name: nodeName }] })
  const table: [string, Endpoint[], unknown[]][] = [
    ['none', [], ['', '', false]],
    ['unknown readiness is ready', [at('10.0.0.1', { conditions: {} })], ['10.0.0.1', '10.0.0.1', true]],
    ['not ready', [at('10.0.0.1', { conditions: { ready: false } })], ['', '', false]],
    ['ready before terminating', [at('10.0.0.1', { conditions: leaving }), at('10.0.0.2')], ['10.0.0.2', '10.0.0.2', true]],
    [
      'terminating when nothing is ready',
      [at('10.0.0.1', { conditions: leaving }), at('10.0.0.2', { conditions: { ready: false } })],
      ['10.0.0.1', '10.0.0.1', true],
    ],
    [
      'local falls back by itself',
      [at('10.0.0.1', { conditions: leaving }), at('10.0.0.2', { nodeName: 'n2' })],
      ['10.0.0.2', '10.0.0.1', true],
    ],
    ['zone hints', [at('10.0.0.1', { hints: zone('z2') }), at('10.0.0.2', { hints: zone('z1') })], ['10.0.0.2', '10.0.0.1 10.0.0.2', true]],
    ['a hint is missing', [at('10.0.0.1'), at('10.0.0.2', { hints: zone('z1') })], ['10.0.0.1 10.0.0.2', '10.0.0.1 10.0.0.2', true]],
    ['no hint for us', [at('10.0.0.1', { hints: zone('z2') })], ['10.0.0.1', '10.0.0.1', true]],
    [
      'node before zone',
      [at('10.0.0.1', { hints: hinted('z1', 'n2') }), at('10.0.0.2', { hints: hinted('z1', 'n1') })],
      ['10.0.0.2', '10.0.0.1 10.0.0.2', true],
    ],
    ['no address', [at('not-an-address')], ['', '', false]],
  ]
  for (const [what, endpoints, wanted] of table) assert.deepEqual(choose(...endpoints), wanted, what)
})

test('endpoint choice: ports by name and protocol; an endpoint in two slices counts once, as ready', () => {
  const slices = [
    slice([at('10.0.0.1', { conditions: { ready: false } })]),
    slice([at('10.0.0.1'), at('10.0.0.2')]),
    slice([at('10.0.0.3')], {
      ports: [
        { name: 'http', port: 1, protocol: 'UDP' },
        { name: 'other', port: 2 },
      ],
    }),
    slice([at('fd00::3')], { addressType: 'IPv6' }),
  ]
  assert.deepEqual(
    candidatesOf(slices, port, 'IPv4', node).map(({ address, isReady }) => [address, isReady]),
    [
      ['10.0.0.1', true],
      ['10.0.0.2', true],
    ],
  )
})

const service = (spec: Service['spec'], status: Service['status'] = {}): Service => ({
  metadata: { name: 'web', namespace: 'default' },
  spec: { clusterIP: '10.96.0.1', ports: [port], ...spec },
  status,
})
const lines = (rules: readonly ServiceRule[], ...sets: ServiceRule['set'][]) =>
  rules.filter((rule) => sets.includes(rule.set)).map(({ set, key, value }) => `${set} ${key}${value ? ` : ${value}` : ''}`)
const two = [slice([at('10.0.0.1'), at('10.0.0.2', { nodeName: 'n2' })])]

test('service proxy: a cluster IP', () => {
  assert.deepEqual(lines(planService(service({}), two, node), 'cluster-ips', 'services', 'endpoints', 'hairpin', 'remote-endpoints'), [
    'cluster-ips 10.96.0.1',
    'endpoints 10.96.0.1 . tcp . 80 . 0 : 10.0.0.1 . 8080',
    'endpoints 10.96.0.1 . tcp . 80 . 1 : 10.0.0.2 . 8080',
    'services 10.96.0.1 . tcp . 80 : goto lb-2',
    'hairpin 10.0.0.1 . 10.0.0.1',
    'remote-endpoints 10.0.0.2',
  ])
})

test('service proxy: what has no address here has no rules', () => {
  assert.deepEqual(planService(service({ clusterIP: 'None' }), two, node), [])
  assert.deepEqual(planService(service({ type: 'ExternalName', externalName: 'example.com' }), two, node), [])
  assert.deepEqual(planService(service({ clusterIP: '' }), two, node), [])
  assert.deepEqual(planService(service({ clusterIP: 'fd00::1' }), two, node), [])
})

test('service proxy: every front of a load balancer', () => {
  const balanced = service(
    {
      type: 'LoadBalancer',
      ports: [{ ...port, nodePort: 30_000 }],
      externalIPs: ['203.0.113.1'],
      loadBalancerSourceRanges: ['10.0.0.0/8', ' 10.1.2.3/16'],
    },
    { loadBalancer: { ingress: [{ ip: '203.0.113.2' }, { ip: '203.0.113.3', ipMode: 'Proxy' }, { hostname: 'x' }] } },
  )
  assert.deepEqual(lines(planService(balanced, two, node), 'services', 'firewalled', 'allowed'), [
    'services 10.96.0.1 . tcp . 80 : goto lb-2',
    'services 203.0.113.1 . tcp . 80 : goto lb-2',
    'services 203.0.113.2 . tcp . 80 : goto lb-2',
    'firewalled 203.0.113.2 . tcp . 80',
    'allowed 203.0.113.2 . tcp . 80 . 10.0.0.0/8',
    'services 192.0.2.1 . tcp . 30000 : goto lb-2',
  ])
})

test('service proxy: refused without endpoints, silent when they are elsewhere, by policy', () => {
  const remote = [slice([at('10.0.0.2', { nodeName: 'n2' })])]
  const nodePort = { type: 'NodePort', ports: [{ ...port, nodePort: 30_000 }] }
  assert.deepEqual(lines(planService(service(nodePort), [], node), 'services', 'no-endpoints'), [
    'no-endpoints 10.96.0.1 . tcp . 80',
    'no-endpoints 192.0.2.1 . tcp . 30000',
  ])
  assert.deepEqual(
    lines(planService(service({ ...nodePort, externalTrafficPolicy: 'Local' }), remote, node), 'services', 'external', 'local-endpoints'),
    [
      'services 10.96.0.1 . tcp . 80 : goto lb-1',
      'services 192.0.2.1 . tcp . 30000 : goto lb-1',
      'external 192.0.2.1 . tcp . 30000 : drop',
    ],
  )
  assert.deepEqual(lines(planService(service({ internalTrafficPolicy: 'Local' }), remote, node), 'services'), [
    'services 10.96.0.1 . tcp . 80 : drop',
  ])
  assert.deepEqual(lines(planService(service({ internalTrafficPolicy: 'Local' }), two, node), 'services', 'local-endpoints'), [
    'local-endpoints 10.96.0.1 . tcp . 80 . 0 : 10.0.0.1 . 8080',
    'services 10.96.0.1 . tcp . 80 : goto local-lb-1',
  ])
})

test('service proxy: session affinity has a chain for the port and one an endpoint', () => {
  const rules = planService(
    service({ sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } }),
    two,
    node,
  )
  assert.deepEqual(lines(rules, 'services', 'endpoints'), ['services 10.96.0.1 . tcp . 80 : goto stick-10.96.0.1-tcp-80'])
  assert.deepEqual(
    rules.filter((rule) => rule.set === 'affinity').map((rule) => rule.value),
    [
      'update @stick-10.96.0.1-tcp-80-10.0.0.1-8080 { ip saddr timeout 60s }\nmeta l4proto { tcp, udp, sctp } dnat to 10.0.0.1:8080',
      'update @stick-10.96.0.1-tcp-80-10.0.0.2-8080 { ip saddr timeout 60s }\nmeta l4proto { tcp, udp, sctp } dnat to 10.0.0.2:8080',
    ],
  )
})

test('service proxy: more endpoints than there are chains for ask for one', () => {
  const many = Array.from({ length: 200 }, (_, i) => at(`10.0.1.${i}`))
  assert.deepEqual(lines(planService(service({}), [slice(many)], node), 'spread', 'services'), [
    'spread 200',
    'services 10.96.0.1 . tcp . 80 : goto lb-200',
  ])
})

test('service proxy: IPv6', () => {
  const rules = planService(
    service({ clusterIP: 'fd00::10', clusterIPs: ['fd00::10', '10.96.0.1'] }),
    [slice([at('fd00::20')], { addressType: 'IPv6' })],
    { ...node, family: 'ip6' },
  )
  assert.deepEqual(lines(rules, 'services', 'endpoints'), [
    'endpoints fd00::10 . tcp . 80 . 0 : fd00::20 . 8080',
    'services fd00::10 . tcp . 80 : goto lb-1',
  ])
})

test('host ports: of running pods of this node with a network of their own', () => {
  const pod = (spec: Partial<Pod['spec']>, status: Pod['status'] = { podIP: '10.0.0.9', phase: 'Running' }): Pod => ({
    metadata: { name: 'p', namespace: 'default' },
    spec: {
      nodeName: 'n1',
      containers: [
        {
          name: 'c',
          ports: [
            { containerPort: 80, hostPort: 8080 },
            { containerPort: 53, hostPort: 53, hostIP: '192.0.2.1', protocol: 'UDP' },
            { containerPort: 1 },
          ],
        },
      ],
      ...spec,
    },
    status,
  })
  assert.deepEqual(lines(planHostPorts(pod({}), node), 'services', 'endpoints'), [
    'services 192.0.2.1 . tcp . 8080 : goto lb-1',
    'endpoints 192.0.2.1 . tcp . 8080 . 0 : 10.0.0.9 . 80',
    'services 127.0.0.1 . tcp . 8080 : goto lb-1',
    'endpoints 127.0.0.1 . tcp . 8080 . 0 : 10.0.0.9 . 80',
    'services 192.0.2.1 . udp . 53 : goto lb-1',
    'endpoints 192.0.2.1 . udp . 53 . 0 : 10.0.0.9 . 53',
  ])
  for (const none of [pod({ hostNetwork: true }), pod({ nodeName: 'n2' }), pod({}, {}), pod({}, { podIP: '10.0.0.9', phase: 'Failed' })])
    assert.deepEqual(planHostPorts(none, node), [])
})
