import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startServer } from './server.test-support.ts'

test('a Table of a list is the same whole and in the pieces that go onto the wire', async (t) => {
  const { call } = await startServer(t)
  for (const name of ['a', 'b', 'c']) await call('POST', '/api/v1/namespaces/default/configmaps', { metadata: { name, labels: { name } } })
  const headers = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' }
  for (const query of ['', '?labelSelector=name%3Db', '?labelSelector=name%3Dnone', '?includeObject=Object']) {
    const { response, body } = await call('GET', `/api/v1/namespaces/default/configmaps${query}`, undefined, { headers })
    assert.ok(response.type === 'object' && response.stored.pieces)
    const text = Buffer.concat([...response.stored.pieces()]).toString()
    assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(body)), query)
    assert.equal(Buffer.from(response.stored.bytes).toString(), text)
    assert.equal(body.kind, 'Table')
  }
})
