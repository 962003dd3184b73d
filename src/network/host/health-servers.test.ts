import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EndpointSlice } from '../../api/generated/discovery/v1.ts'
import type { Service } from '../../api/generated/core/v1.ts'
import { silentLog } from '../../base/log.ts'
import { healthCheckOf } from '../health-check.ts'
import { createHealthServers } from './health-servers.ts'

/** An address of its own, so that nobody else listens there. */
const HOST = '127.83.7.1'
const port = 20_000 + (process.pid % 10_000)

const service = (changes: Service['spec'] = {}): Service => ({
  metadata: { namespace: 'default', name: 'web' },
  spec: { type: 'LoadBalancer', externalTrafficPolicy: 'Local', healthCheckNodePort: port, ...changes },
})
const slice = (...endpoints: (readonly [address: string, node: string, ready?: boolean])[]): EndpointSlice => ({
  addressType: 'IPv4',
  endpoints: endpoints.map(([address, nodeName, ready]) => ({
    addresses: [address],
    nodeName,
    conditions: ready === undefined ? {} : { ready },
  })),
})

test('health checks: only of load balancers with the policy Local', () => {
  assert.equal(healthCheckOf(service({ externalTrafficPolicy: 'Cluster' }), [], 'n1'), undefined)
  assert.equal(healthCheckOf(service({ type: 'NodePort' }), [], 'n1'), undefined)
})

test("health checks: count this node's ready addresses once, and answer by HTTP while the service is there", async () => {
  const servers = createHealthServers({ log: silentLog, host: HOST })
  const ask = async () => {
    const answer = await fetch(`http://${HOST}:${port}/healthz`)
    return [answer.status, answer.headers.get('x-load-balancing-endpoint-weight'), await answer.json()]
  }
  const said = (localEndpoints: number) => ({ service: { namespace: 'default', name: 'web' }, localEndpoints, serviceProxyHealthy: true })
  try {
    servers.set('default/web', healthCheckOf(service(), [slice(['10.0.0.1', 'n1'], ['10.0.0.2', 'n1', false], ['10.0.0.3', 'n2'])], 'n1'))
    assert.deepEqual(await ask(), [200, '1', said(1)])
    servers.set('default/web', healthCheckOf(service(), [slice(['10.0.0.3', 'n2'])], 'n1'))
    assert.deepEqual(await ask(), [503, '0', said(0)])
    servers.set('default/web', undefined)
    await assert.rejects(ask())
  } finally {
    servers.close()
  }
})
