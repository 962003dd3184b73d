import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RecordType } from 'dns-packet'
import type { EndpointSlice } from '../api/generated/discovery/v1.ts'
import type { Service } from '../api/generated/core/v1.ts'
import { createDnsZone } from './dns-zone.ts'
import { createServiceTable } from './service-table.ts'

const services = createServiceTable()
const zone = createDnsZone({ services })
const service = (name: string, spec: Service['spec']): Service => ({
  metadata: { name, namespace: 'shop' },
  spec: { type: 'ClusterIP', ...spec },
})
const slice = (name: string, service_: string, more: Partial<EndpointSlice>): EndpointSlice => ({
  metadata: { name, namespace: 'shop', labels: { 'kubernetes.io/service-name': service_ } },
  addressType: 'IPv4',
  ...more,
})

services.serviceHandlers.added(
  service('web', {
    clusterIP: '10.96.0.7',
    clusterIPs: ['10.96.0.7', 'fd00::7'],
    ports: [
      { name: 'http', port: 80 },
      { name: 'dns', port: 53, protocol: 'UDP' },
    ],
  }),
)
services.serviceHandlers.added(service('db', { clusterIP: 'None', ports: [{ name: 'sql', port: 5432 }] }))
services.serviceHandlers.added(service('empty', { clusterIP: 'None' }))
services.serviceHandlers.added(service('ext', { type: 'ExternalName', externalName: 'foo.example.com' }))
services.sliceHandlers.added(slice('web-1', 'web', { endpoints: [{ addresses: ['10.0.0.7'] }] }))
services.sliceHandlers.added(
  slice('db-1', 'db', {
    ports: [{ name: 'sql', port: 15432, protocol: 'TCP' }],
    endpoints: [
      { addresses: ['10.0.0.1'], hostname: 'db-0', conditions: { ready: true } },
      { addresses: ['10.0.0.2'], conditions: { ready: true } },
      { addresses: ['10.0.0.3'], hostname: 'db-2', conditions: { ready: false } },
    ],
  }),
)

function ask(type: RecordType, name: string): string {
  const found = zone.resolve({ type, name })
  if (found.kind === 'elsewhere') return 'elsewhere'
  if (found.kind === 'alias') return `CNAME ${found.target}`
  if (!found.exists || found.answers.length === 0) {
    assert.equal(found.authorities[0]?.type, 'SOA', 'negative answers carry the SOA')
    return found.exists ? 'NODATA' : 'NXDOMAIN'
  }
  const data = found.answers.map((answer) => {
    assert.equal(answer.name, name.toLowerCase())
    if (answer.type !== 'SRV') return 'data' in answer ? `${answer.type === 'SOA' ? 'SOA' : answer.data}` : ''
    return `${answer.data.priority} ${answer.data.weight} ${answer.data.port} ${answer.data.target}`
  })
  return data.toSorted().join(', ')
}

const DB_SRV = '0 100 15432 10-0-0-2.db.shop.svc.cluster.local, 0 100 15432 db-0.db.shop.svc.cluster.local'

test('DNS zone: names and types', () => {
  const table: [RecordType, string, string][] = [
    ['A', 'web.shop.svc.cluster.local', '10.96.0.7'],
    ['A', 'WEB.Shop.svc.cluster.local', '10.96.0.7'],
    ['AAAA', 'web.shop.svc.cluster.local', 'fd00::7'],
    ['TXT', 'web.shop.svc.cluster.local', 'NODATA'],
    ['SRV', '_http._tcp.web.shop.svc.cluster.local', '0 100 80 web.shop.svc.cluster.local'],
    ['SRV', '_dns._udp.web.shop.svc.cluster.local', '0 100 53 web.shop.svc.cluster.local'],
    ['SRV', '_http._udp.web.shop.svc.cluster.local', 'NXDOMAIN'],
    ['A', '_http._tcp.web.shop.svc.cluster.local', 'NODATA'],
    ['A', '_tcp.web.shop.svc.cluster.local', 'NODATA'],
    ['A', 'x.web.shop.svc.cluster.local', 'NXDOMAIN'],
    ['A', 'db.shop.svc.cluster.local', '10.0.0.1, 10.0.0.2'],
    ['AAAA', 'db.shop.svc.cluster.local', 'NODATA'],
    ['A', 'db-0.db.shop.svc.cluster.local', '10.0.0.1'],
    ['AAAA', 'db-0.db.shop.svc.cluster.local', 'NODATA'],
    ['A', '10-0-0-2.db.shop.svc.cluster.local', '10.0.0.2'],
    ['A', 'db-2.db.shop.svc.cluster.local', 'NXDOMAIN'],
    ['SRV', '_sql._tcp.db.shop.svc.cluster.local', DB_SRV],
    ['SRV', 'db.shop.svc.cluster.local', DB_SRV],
    ['A', 'empty.shop.svc.cluster.local', 'NODATA'],
    ['A', 'ext.shop.svc.cluster.local', 'CNAME foo.example.com'],
    ['A', 'none.shop.svc.cluster.local', 'NXDOMAIN'],
    ['A', 'web.none.svc.cluster.local', 'NXDOMAIN'],
    ['A', 'shop.svc.cluster.local', 'NODATA'],
    ['A', 'none.svc.cluster.local', 'NXDOMAIN'],
    ['A', 'svc.cluster.local', 'NODATA'],
    ['A', 'cluster.local', 'NODATA'],
    ['SOA', 'cluster.local', 'SOA'],
    ['A', 'other.cluster.local', 'NXDOMAIN'],
    ['TXT', 'dns-version.cluster.local', '1.1.0'],
    ['A', '10-1-2-3.shop.pod.cluster.local', '10.1.2.3'],
    ['A', 'nonsense.shop.pod.cluster.local', 'NXDOMAIN'],
    ['PTR', '7.0.96.10.in-addr.arpa', 'web.shop.svc.cluster.local'],
    ['PTR', '1.0.0.10.in-addr.arpa', 'db-0.db.shop.svc.cluster.local'],
    ['PTR', '2.0.0.10.in-addr.arpa', '10-0-0-2.db.shop.svc.cluster.local'],
    ['PTR', `7.${'0.'.repeat(27)}0.0.d.f.ip6.arpa`, 'web.shop.svc.cluster.local'],
    ['PTR', '7.0.0.10.in-addr.arpa', 'elsewhere'],
    ['PTR', '96.10.in-addr.arpa', 'elsewhere'],
    ['A', 'example.com', 'elsewhere'],
    ['A', 'notcluster.local', 'elsewhere'],
    ['A', 'web.shop.svc.cluster.local.example.com', 'elsewhere'],
  ]
  for (const [type, name, wanted] of table) assert.equal(ask(type, name), wanted, `${type} ${name}`)
})

test('DNS zone: SRV answers bring the addresses of their targets', () => {
  const found = zone.resolve({ type: 'SRV', name: '_sql._tcp.db.shop.svc.cluster.local' })
  assert.ok(found.kind === 'answer')
  assert.deepEqual(
    found.additionals.map((record) => `${record.name} ${record.type} ${'data' in record ? record.data : ''}`),
    ['db-0.db.shop.svc.cluster.local A 10.0.0.1', '10-0-0-2.db.shop.svc.cluster.local A 10.0.0.2'],
  )
})

test('DNS zone: the addresses of a headless service take turns', () => {
  const firsts = new Set<unknown>()
  for (let i = 0; i < 4; i++) {
    const found = zone.resolve({ type: 'A', name: 'db.shop.svc.cluster.local' })
    if (found.kind === 'answer') firsts.add((found.answers[0] as { data: string }).data)
  }
  assert.equal(firsts.size, 2)
})

test('DNS zone: follows changes', () => {
  const added = service('late', { clusterIP: '10.96.0.9' })
  assert.equal(ask('A', 'late.shop.svc.cluster.local'), 'NXDOMAIN')
  services.serviceHandlers.added(added)
  assert.equal(ask('PTR', '9.0.96.10.in-addr.arpa'), 'late.shop.svc.cluster.local')
  const moved = service('late', { clusterIP: 'None' })
  services.serviceHandlers.updated(moved, added)
  services.sliceHandlers.added(slice('late-1', 'late', { endpoints: [{ addresses: ['10.0.0.9'] }] }))
  assert.equal(ask('A', 'late.shop.svc.cluster.local'), '10.0.0.9')
  assert.equal(ask('PTR', '9.0.96.10.in-addr.arpa'), 'elsewhere')
  services.serviceHandlers.deleted(moved)
  assert.equal(ask('A', 'late.shop.svc.cluster.local'), 'NXDOMAIN')
  assert.equal(ask('PTR', '9.0.0.10.in-addr.arpa'), 'elsewhere')
})
