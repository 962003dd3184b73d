import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createClient } from '../client/create-client.ts'
import { ADMIN, startServer } from '../server/server.test-support.ts'
import { ensureAuthenticationConfig, ensureServiceCidr } from './system-objects.ts'

test('the service network is an object that is Ready; what somebody judged stays', async (t) => {
  const { server, clock } = await startServer(t)
  const client = createClient(server.transport(ADMIN), { userAgent: 'test' })
  const read = () => client.get('networking.k8s.io/v1/ServiceCIDR', { name: 'kubernetes' })
  await ensureServiceCidr(client, '10.96.0.0/16', clock)
  const made = await read()
  assert.deepEqual(made.spec?.cidrs, ['10.96.0.0/16'])
  assert.deepEqual(
    made.status?.conditions?.map(({ type, status }) => [type, status]),
    [['Ready', 'True']],
  )
  await ensureServiceCidr(client, '10.96.0.0/16', clock)
  assert.equal((await read()).metadata?.resourceVersion, made.metadata?.resourceVersion)
  const conditions = made.status.conditions.map((condition) => ({ ...condition, status: 'False' }))
  await client.update('networking.k8s.io/v1/ServiceCIDR', { ...made, status: { conditions } }, { subresource: 'status' })
  await ensureServiceCidr(client, '10.96.0.0/16', clock)
  assert.equal((await read()).status?.conditions?.[0]?.status, 'False')
})

test('aggregated servers find whom to believe, also after the authorities changed', async (t) => {
  const { server } = await startServer(t)
  const client = createClient(server.transport(ADMIN), { userAgent: 'test' })
  const read = async () => (await client.get('v1/ConfigMap', { namespace: 'kube-system', name: 'extension-apiserver-authentication' })).data
  await ensureAuthenticationConfig(client, 'CLIENTS', 'PROXY')
  assert.equal((await read())?.['requestheader-allowed-names'], '["front-proxy-client"]')
  await ensureAuthenticationConfig(client, 'CLIENTS', 'NEW')
  assert.deepEqual([(await read())?.['client-ca-file'], (await read())?.['requestheader-client-ca-file']], ['CLIENTS', 'NEW'])
})
