import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { test, type TestContext } from 'node:test'
import * as grpc from '@grpc/grpc-js'
import { healthRequest, healthStatus, probeGrpc } from './grpc-probe.ts'

const HOST = '127.0.0.1'

/** A real gRPC server whose health service gives this answer, or fails with this code. */
async function startHealth(t: TestContext, answer: (service: string) => number | grpc.status): Promise<number> {
  const server = new grpc.Server()
  t.after(() => server.forceShutdown())
  const check = {
    path: '/grpc.health.v1.Health/Check',
    requestStream: false,
    responseStream: false,
    requestSerialize: healthRequest,
    requestDeserialize: (bytes: Buffer) => ({ service: bytes.subarray(2).toString() }),
    responseSerialize: (status: number) => Buffer.from(status === 0 ? [] : [8, status]),
    responseDeserialize: healthStatus,
  } as const
  server.addService(
    { Check: check },
    {
      Check(call: { request: { service: string } }, callback: grpc.sendUnaryData<number>) {
        const status = answer(call.request.service)
        if (status < 10) callback(null, status)
        else callback({ code: status, details: 'not today' })
      },
    },
  )
  return new Promise((resolve, reject) =>
    server.bindAsync(`${HOST}:0`, grpc.ServerCredentials.createInsecure(), (error, port) => (error ? reject(error) : resolve(port))),
  )
}

test('a health service is asked about the service that the probe names', async (t) => {
  const port = await startHealth(t, (service) => (service === 'liveness' ? 1 : 2))
  assert.deepEqual(await probeGrpc(HOST, port, 'liveness', 2_000), { status: 'SERVING' })
  assert.deepEqual(await probeGrpc(HOST, port, '', 2_000), { status: 'NOT_SERVING' })
})

test('a server without the health service, and one that fails, are told apart', async (t) => {
  const without = await startHealth(t, () => grpc.status.UNIMPLEMENTED)
  assert.deepEqual(await probeGrpc(HOST, without, '', 2_000), {
    error: 'error: this server does not implement the grpc health protocol (grpc.health.v1.Health): not today',
  })
  const failing = await startHealth(t, () => grpc.status.UNAVAILABLE)
  assert.deepEqual(await probeGrpc(HOST, failing, '', 2_000), {
    error: 'error: health rpc probe failed: rpc error: code = Unavailable desc = not today',
  })
})

test('a port that nobody listens on is a failure within the time of the probe', async () => {
  const taken = createServer()
  const port = await new Promise<number>((resolve) =>
    taken.listen(0, HOST, () => resolve((taken.address() as { readonly port: number }).port)),
  )
  await new Promise((resolve) => taken.close(resolve))
  const answer = await probeGrpc(HOST, port, '', 200)
  assert.deepEqual(answer, { error: `timeout: failed to connect service "${HOST}:${port}" within 0.2s: context deadline exceeded` })
})

test('messages of the health protocol', () => {
  assert.deepEqual([...healthRequest('')], [])
  assert.deepEqual([...healthRequest('ab')], [0x0a, 2, 97, 98])
  assert.deepEqual([...healthRequest('x'.repeat(200)).subarray(0, 3)], [0x0a, 0xc8, 1])
  assert.equal(healthStatus(Buffer.from([])), 'UNKNOWN')
  assert.equal(healthStatus(Buffer.from([8, 3])), 'SERVICE_UNKNOWN')
})
