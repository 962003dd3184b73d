/**
 * A client that speaks protobuf (client-go's default) and one that speaks JSON see the same, of every kind: what one writes the other
 * reads, alone, in lists and in watches.
 */
import assert from 'node:assert/strict'
import { Agent } from 'node:https'
import { test } from 'node:test'
import type { Json, KubeObject } from '../../src/api/object.ts'
import { decodeProtobuf } from '../../src/api/protobuf-decode.ts'
import { encodeProtobuf } from '../../src/api/protobuf-encode.ts'
import { ProtobufReader } from '../../src/api/protobuf-reader.ts'
import { parseEndpoint } from '../../upstream/endpoint.ts'
import { startLoneServer } from '../api-server.ts'
import { ask, type Question } from '../upstream/exchange.ts'
import { storeWorld } from './ask.ts'
import { collectionPath, seedFiles, seedsOf, type Reply } from './cases.ts'

const PROTOBUF = 'application/vnd.kubernetes.protobuf'

/**
 * The parts of a list tell what they are, as they do in proa's JSON. The format has no place for what claim templates are, and none for
 * a list that is there and empty.
 */
function plain(object: KubeObject): unknown {
  const { items, kind = '', apiVersion } = object as KubeObject & { readonly items?: readonly KubeObject[] }
  const whole = items ? { ...object, items: items.map((item) => ({ kind: kind.slice(0, -'List'.length), apiVersion, ...item })) } : object
  const bare = ({ kind: _kind, apiVersion: _apiVersion, ...rest }: KubeObject): object => rest
  const shown = (key: string, value: unknown): unknown => {
    if (key === 'volumeClaimTemplates') return (value as readonly KubeObject[]).map(bare)
    return key === 'finalizers' && (value as readonly string[]).length === 0 ? undefined : value
  }
  return JSON.parse(JSON.stringify(whole, shown))
}

test('JSON and protobuf tell the same of every kind', async (t) => {
  const server = await startLoneServer()
  t.after(server.stop)
  const endpoint = parseEndpoint(server.kubeconfig)
  const agent = new Agent({ keepAlive: true })
  t.after(() => agent.destroy())
  const send = (question: Question) => ask(endpoint, agent, question)
  const json = async (method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: Json): Promise<Reply> => {
    const answer = await send({ method, path, ...(body === undefined ? {} : { body: body as object }) })
    return { code: answer.status, body: JSON.parse(answer.body.toString()) as KubeObject, warnings: [] }
  }
  const protobuf = async (question: Question): Promise<unknown> => {
    const answer = await send({ ...question, accept: PROTOBUF })
    assert.equal(answer.headers['content-type'], PROTOBUF, answer.body.toString())
    return plain(decodeProtobuf(answer.body))
  }
  await storeWorld(json)
  const { body: before } = await json('GET', '/api/v1/namespaces')
  const collections = new Set<string>()
  for (const file of seedFiles()) {
    await t.test(file, async () => {
      for (const { object, info } of seedsOf(file)) {
        const collection = collectionPath(info, object.metadata?.namespace)
        const path = `${collection}/${object.metadata?.name}`
        const { code, body: made } = await json('POST', `${collection}?dryRun=All`, object)
        assert.ok(code === 201 || code === 409, JSON.stringify(made))
        if (code === 409) continue
        // Sent in protobuf it is the same object.
        const sent = await send({ method: 'POST', path: `${collection}?dryRun=All`, body: encodeProtobuf(object), type: PROTOBUF })
        assert.equal(sent.status, 201, sent.body.toString())
        assert.deepEqual(withoutChance(JSON.parse(sent.body.toString())), withoutChance(made))
        collections.add(collection)
        const stored = await json('POST', collection, object)
        assert.equal(stored.code, 201)
        const [one, list] = [await json('GET', path), await json('GET', collection)]
        assert.deepEqual(await protobuf({ path }), plain(one.body))
        assert.deepEqual(withoutRevision(await protobuf({ path: collection })), withoutRevision(plain(list.body)))
        await json('DELETE', `${path}?gracePeriodSeconds=0`)
      }
    })
  }
  await t.test('watches of all that', async () => {
    const since = `watch=1&timeoutSeconds=1&resourceVersion=${before.metadata!.resourceVersion}`
    const compared = Array.from(collections, async (collection) => {
      const path = `${collection}?${since}`
      const [text, frames] = await Promise.all([send({ path }), send({ path, accept: PROTOBUF })])
      const lines = text.body.toString().split('\n').filter(Boolean)
      const told = lines.map((line) => JSON.parse(line) as { readonly type: string; readonly object: KubeObject })
      assert.deepEqual(
        eventsOf(frames.body),
        told.map(({ type, object }) => [type, plain(object)]),
        collection,
      )
      return told.length
    })
    const counts = await Promise.all(compared)
    assert.ok(
      counts.every((count) => count >= 2),
      'each was told of as made and as gone',
    )
  })
})

/** Of a watch in protobuf: each event with its length before it, the object a document of its own. */
function eventsOf(bytes: Buffer): readonly (readonly [type: string, object: unknown])[] {
  const events: (readonly [string, unknown])[] = []
  for (let at = 0; at < bytes.length; at += 4 + bytes.readUInt32BE(at)) {
    const reader = new ProtobufReader(bytes, at + 4, at + 4 + bytes.readUInt32BE(at))
    let type = ''
    let object: unknown
    while (!reader.isDone) {
      if (Math.floor(reader.varint() / 8) === 1) type = reader.text()
      else {
        const extension = reader.message()
        extension.varint()
        object = plain(decodeProtobuf(extension.bytes()))
      }
    }
    events.push([type, object])
  }
  return events
}

const OF_ITS_OWN: ReadonlySet<string> = new Set(['managedFields', 'resourceVersion', 'clusterIP', 'clusterIPs', 'nodePort'])

/** Without what each of two creates has of its own. */
const withoutChance = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (key, item: unknown) => (OF_ITS_OWN.has(key) ? undefined : item))
      .replaceAll(/kube-api-access-\w{5}/g, 'kube-api-access')
      .replaceAll(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'uid')
      .replaceAll(/"20\d\d-\d\d-\d\dT[^"]*"/g, '"time"'),
  )

/** Something else may have been written meanwhile: the list tells a later revision. */
const withoutRevision = (value: unknown): unknown => {
  const { metadata: _, ...rest } = value as KubeObject
  return rest
}
