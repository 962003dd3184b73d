import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { silentLog } from '../base/log.ts'
import { systemClock, systemRandom } from '../base/system.ts'
import { createOutgoing } from './http/outgoing.ts'
import { createWebhookCall, type WebhookTarget } from './webhook-call.ts'

const NAME = 'hook.default.svc'
const runtime = { clock: systemClock, random: systemRandom, log: silentLog }
const outgoing = createOutgoing(runtime)
const callWebhook = createWebhookCall(runtime, outgoing)
let server: Server
let caBundle: string
let target: WebhookTarget
let answer: (response: ServerResponse, body: string) => void
const directory = mkdtempSync(join(tmpdir(), 'proa-webhook-'))

before(async () => {
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')]
  const subject = ['-subj', `/CN=${NAME}`, '-addext', `subjectAltName=DNS:${NAME},IP:127.0.0.1`]
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
      ...subject,
      '-keyout',
      key,
      '-out',
      cert,
    ],
    { stdio: 'ignore' },
  )
  caBundle = readFileSync(cert).toString('base64')
  server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => answer(response, body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  target = { url: `https://${NAME}:443/review?timeout=1s`, connectTo: { host: '127.0.0.1', port }, caBundle }
})

after(() => {
  outgoing.close()
  server.closeAllConnections()
  server.close()
  rmSync(directory, { recursive: true })
})

test('JSON goes to the endpoint and comes back, under the certificate of the service', async () => {
  answer = (response, body) => response.end(JSON.stringify({ got: JSON.parse(body) }))
  assert.deepEqual(await callWebhook(target, { kind: 'Q' }, 5_000), { got: { kind: 'Q' } })
})

test('what goes wrong is told in the words of Go', async () => {
  const message = (of: WebhookTarget, timeoutMs = 5_000): Promise<string> =>
    callWebhook(of, {}, timeoutMs).then(
      () => 'no error',
      (error: Error) => error.message,
    )
  const { url } = target
  assert.equal(
    await message({ url, connectTo: target.connectTo! }),
    `Post "${url}": tls: failed to verify certificate: x509: certificate signed by unknown authority`,
  )
  assert.equal(
    await message({ ...target, url: 'https://other.default.svc:443/' }),
    'Post "https://other.default.svc:443/": tls: failed to verify certificate: x509: certificate is not valid for other.default.svc',
  )
  answer = () => {}
  assert.equal(await message(target, 50), `Post "${url}": context deadline exceeded`)
  answer = (response) => response.writeHead(500).end('broken')
  assert.equal(await message(target), 'an error on the server ("broken") has prevented the request from succeeding')
  answer = (response) => response.writeHead(418).end(JSON.stringify({ kind: 'Status', message: 'no coffee' }))
  assert.equal(await message(target), 'no coffee')
  answer = (response) => response.end('{')
  assert.match(await message(target), /^couldn't parse the webhook's answer: /)
  answer = (response) => response.end('x'.repeat(4 * 1024 * 1024))
  assert.match(await message(target), /response body is larger than 3145728 bytes/)
})

test('an address needs no name; a server that tidies paths sends us on, within itself only', async () => {
  let calls = 0
  const send = (location: string) => (response: ServerResponse, body: string) =>
    calls++ === 0 ? response.writeHead(307, { location }).end() : response.end(JSON.stringify({ got: JSON.parse(body) }))
  const byAddress = { url: `https://127.0.0.1:${target.connectTo!.port}//review`, caBundle }
  answer = send('/review')
  assert.deepEqual(await callWebhook(byAddress, { kind: 'Q' }, 5_000), { got: { kind: 'Q' } })
  calls = 0
  answer = send('https://elsewhere.example/review')
  await assert.rejects(callWebhook(byAddress, { kind: 'Q' }, 5_000), /responded with the status code 307/)
  answer = (response) => response.writeHead(308, { location: '/again' }).end()
  await assert.rejects(callWebhook(byAddress, { kind: 'Q' }, 5_000), /stopped after 10 redirects/)
})
