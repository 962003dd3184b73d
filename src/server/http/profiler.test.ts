import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { createVirtualClock } from '../../simulation/virtual-clock.ts'
import { ProtobufReader } from '../../api/protobuf-reader.ts'
import { encodePprof, type ProfileNode } from '../debug/pprof.ts'
import type { ProfileKind } from '../debug/profiling.ts'
import { createProfiler } from './profiler.ts'

interface Read {
  readonly strings: readonly string[]
  readonly types: readonly (readonly [string, string])[]
  /** Function names from the innermost on, and what was measured. */
  readonly samples: readonly string[]
}

type Fields = Readonly<Record<number, readonly (number | Uint8Array)[]>>

function fieldsOf(bytes: Uint8Array): Fields {
  const fields: Record<number, (number | Uint8Array)[]> = {}
  for (const reader = new ProtobufReader(bytes); !reader.isDone;) {
    const tag = reader.varint()
    ;(fields[Math.floor(tag / 8)] ??= []).push(tag % 8 === 2 ? reader.bytes() : reader.varint())
  }
  return fields
}

const inner = (fields: Fields, number: number): readonly Fields[] => (fields[number] ?? []).map((one) => fieldsOf(one as Uint8Array))
const one = (fields: Fields, number: number): number => Number(fields[number]?.[0] ?? 0)

function numbers(bytes: Uint8Array): readonly number[] {
  const found: number[] = []
  for (const reader = new ProtobufReader(bytes); !reader.isDone;) found.push(reader.varint())
  return found
}

/** By profile.proto, as a reader of pprof's sees it. */
function read(bytes: Uint8Array): Read {
  const profile = fieldsOf(bytes)
  const strings = profile[6]!.map((text) => new TextDecoder().decode(text as Uint8Array))
  const names = new Map(inner(profile, 5).map((made) => [one(made, 1), strings[one(made, 2)]]))
  const places = new Map(
    inner(profile, 4).map((made) => [one(made, 1), `${names.get(one(inner(made, 4)[0]!, 1))}:${one(inner(made, 4)[0]!, 2)}`]),
  )
  return {
    strings,
    types: inner(profile, 1).map((type) => [strings[one(type, 1)]!, strings[one(type, 2)]!]),
    samples: inner(profile, 2).map((sample) => {
      const stack = numbers(sample[1]![0] as Uint8Array).map((id) => places.get(id))
      return `${stack.join(' < ')} = ${numbers(sample[2]![0] as Uint8Array).join(' ')}`
    }),
  }
}

test('a tree of calls becomes samples with their stacks', () => {
  const node = (functionName: string, values: readonly number[], children: readonly ProfileNode[] = [], lineNumber = 1): ProfileNode => ({
    callFrame: { functionName, url: 'file:///a.ts', lineNumber },
    values,
    children,
  })
  const root = node('(root)', [0, 0], [node('a', [1, 10], [node('b', [2, 300], [node('a', [0, 0])]), node('', [3, 5], [], 8)])])
  const types = [
    ['samples', 'count'],
    ['cpu', 'nanoseconds'],
  ] as const
  const made = read(encodePprof({ types, root, period: 1000, startMs: 1, durationMs: 2 }))
  assert.equal(made.strings[0], '')
  assert.deepEqual(made.types, types)
  assert.deepEqual(made.samples.toSorted(), ['(anonymous):9 < a:2 = 3 5', 'a:2 = 1 10', 'b:2 < a:2 = 2 300'])
})

const kept: number[][] = []

function allocateVisibly(): void {
  for (let i = 0; i < 4000; i++) kept.push(Array.from({ length: 200 }, (_, at) => at))
}

const UNITS: readonly (readonly [ProfileKind, type: string, unit: string])[] = [
  ['profile', 'cpu', 'nanoseconds'],
  ['heap', 'inuse_space', 'bytes'],
  ['allocs', 'alloc_space', 'bytes'],
]

for (const [kind, type, unit] of UNITS) {
  test(`${kind}: names the function that did it, in ${unit}`, async () => {
    const clock = createVirtualClock()
    const take = createProfiler(clock)
    const gone = new AbortController()
    const taken = take(kind, 30, gone.signal)
    assert.equal(await take(kind, 1, gone.signal), undefined, 'one at a time')
    allocateVisibly()
    gone.abort()
    const { strings, types } = read(gunzipSync((await taken)!))
    assert.deepEqual(types.at(-1), [type, unit])
    if (kind !== 'profile') assert.ok(strings.includes('allocateVisibly'), strings.join(' '))
    kept.length = 0
    assert.ok(await take(kind, 1, AbortSignal.abort()), 'and again')
  })
}
