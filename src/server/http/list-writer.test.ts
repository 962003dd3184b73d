import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { encodeProtobuf } from '../../api/protobuf-encode.ts'
import type { StoredObject } from '../../api/exchange.ts'
import { Computed, Revision, serialise } from '../revision.ts'
import {
  BlockTurns,
  jsonText,
  piecesText,
  protobufText,
  writeBlocks,
  writeCompressed,
  type Blocks,
  type ListAnswer,
} from './list-writer.ts'
import type { WireResponse } from './request.ts'

const configMap = (index: number, sizeBytes: number): StoredObject => {
  const object = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: `m-${index}`, namespace: 'd', labels: { 'a/b': 'ü' } },
    data: { value: 'ö'.repeat(sizeBytes / 2) },
  }
  // Some are of the cache, some are made for the answer.
  return index % 3 === 0 ? new Computed(object) : new Revision(`d/m-${index}`, index * 7 + 1, serialise(object))
}

const listOf = (items: readonly StoredObject[]): ListAnswer => ({
  type: 'list',
  status: 200,
  apiVersion: 'v1',
  kind: 'ConfigMapList',
  metadata: { resourceVersion: '12', continue: 'x' },
  items,
})
const whole = ({ kind, apiVersion, metadata, items }: ListAnswer) => ({
  kind,
  apiVersion,
  metadata,
  items: items.map(({ object }) => object),
})

function bytesOf(blocks: Blocks): Buffer {
  const parts: Buffer[] = []
  for (const { bytes, isLast } of blocks) {
    parts.push(Buffer.from(bytes))
    if (isLast) return Buffer.concat(parts)
  }
  throw new Error('no last block')
}

const shapes: Readonly<Record<string, readonly number[]>> = {
  nothing: [],
  'one small object': [10],
  'objects of all sizes around a block': [10, 130_800, 10, 131_072, 1, 1_500_000, 130_930, 30, 30, 200_000],
  many: Array.from({ length: 3000 }, (_, index) => 1000 + (index % 700)),
}

test('a list in blocks is the list', async () => {
  for (const [name, sizes] of Object.entries(shapes)) {
    const list = listOf(sizes.map((size, index) => configMap(index, size)))
    const [json, protobuf] = [jsonText(list), await protobufText(list)]
    const [jsonBytes, protobufBytes] = [bytesOf(json.blocks), bytesOf(protobuf.blocks)]
    assert.ok(isDeepStrictEqual(JSON.parse(jsonBytes.toString()), whole(list)), name)
    assert.ok(protobufBytes.equals(encodeProtobuf(whole(list))), name)
    assert.equal(protobuf.sizeBytes, protobufBytes.length)
    assert.ok(bytesOf((await protobufText(list)).blocks).equals(protobufBytes), `${name}, from what was kept`)
    if (json.sizeBytes !== undefined) assert.equal(json.sizeBytes, jsonBytes.length)
  }
  const ofCache = jsonText(listOf(Array.from({ length: 900 }, (_, index) => configMap(3 * index + 1, 20))))
  assert.equal(ofCache.sizeBytes, bytesOf(ofCache.blocks).length)
})

/** Takes bytes at its leisure. */
class Slow extends Writable {
  readonly chunks: Buffer[] = []
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    setImmediate(() => {
      this.chunks.push(Buffer.from(chunk))
      done()
    })
  }
}

test('what comes in pieces is whole, whatever their sizes', () => {
  const pieces = [
    Buffer.from('['),
    ...shapes['objects of all sizes around a block']!.map((size) => Buffer.from(`"${'x'.repeat(size)}",`)),
    Buffer.from('0]'),
  ]
  assert.ok(bytesOf(piecesText(pieces).blocks).equals(Buffer.concat(pieces)))
})

test('a long list is written whole, plain and compressed, and others get their turn meanwhile', async () => {
  const list = listOf(shapes['many']!.map((size, index) => configMap(index, size)))
  for (const write of [writeBlocks, writeCompressed]) {
    const response = new Slow()
    let turns = 0
    const timer = setInterval(() => turns++, 0)
    const { blocks } = jsonText(list)
    const finished = new Promise((resolve) => response.once('finish', resolve))
    await write(new BlockTurns(), response as unknown as WireResponse, blocks.next().value!, blocks)
    await finished
    clearInterval(timer)
    const bytes = Buffer.concat(response.chunks)
    const text = (write === writeCompressed ? gunzipSync(bytes) : bytes).toString()
    assert.ok(isDeepStrictEqual(JSON.parse(text), whole(list)))
    assert.ok(turns > 2, `${turns} turns`)
  }
})

test('a client that goes away ends the writing', async () => {
  for (const write of [writeBlocks, writeCompressed]) {
    const response = new Slow()
    const list = listOf(shapes['many']!.map((size, index) => configMap(index, size)))
    const { blocks } = jsonText(list)
    const writing = write(new BlockTurns(), response as unknown as WireResponse, blocks.next().value!, blocks)
    setImmediate(() => response.destroy())
    await writing
    assert.ok(response.destroyed)
  }
})

test('of many lists, few blocks are written in one turn of the event loop, in the order of asking', async () => {
  const turns = new BlockTurns()
  const order: string[] = []
  const list = async (name: string): Promise<void> => {
    for (let block = 0; block < 3; block++) {
      await turns.take()
      order.push(`${name}${block}`)
    }
  }
  const counts: number[] = []
  const lists = Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map(list))
  let isDone = false
  void lists.then(() => (isDone = true))
  for (let seen = 0; !isDone; seen = order.length) {
    await new Promise((resolve) => setImmediate(resolve))
    counts.push(order.length - seen)
  }
  // The first look sees the turn in which it all began, too.
  assert.ok(counts[0]! <= 8 && Math.max(...counts.slice(1)) <= 4, counts.join())
  assert.equal(order.length, 18)
  // Nobody is two blocks ahead of another that wants one.
  const at = (name: string) => order.indexOf(name)
  for (const name of ['b', 'c', 'd', 'e', 'f']) assert.ok(at(`${name}0`) < at('a2') && at(`${name}1`) < order.length)
})
