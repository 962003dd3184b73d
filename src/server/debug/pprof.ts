/**
 * What V8's profilers saw, as a profile of pprof (github.com/google/pprof/proto/profile.proto), which `go tool pprof` and all that build
 * on it read. Not yet compressed: pprof's files are gzip'ed.
 */
import { ProtobufWriter } from '../../api/protobuf-writer.ts'

/** Where a function is: V8 counts lines from 0, pprof from 1. */
export interface CallFrame {
  readonly functionName: string
  readonly url: string
  readonly lineNumber: number
}

/** One place in the tree of calls, and what was measured there and not below it: a number for each of the profile's types. */
export interface ProfileNode {
  readonly callFrame: CallFrame
  readonly values: readonly number[]
  readonly children: readonly ProfileNode[]
}

/** What is measured ("cpu") and its unit ("nanoseconds"). */
export type ValueType = readonly [type: string, unit: string]

export interface Profile {
  readonly types: readonly ValueType[]
  readonly root: ProfileNode
  /** Between two samples, in the unit of the last type. */
  readonly period: number
  readonly startMs: number
  readonly durationMs: number
}

/** Field numbers of profile.proto. */
const PROFILE = {
  sampleType: 1,
  sample: 2,
  mapping: 3,
  location: 4,
  function: 5,
  strings: 6,
  time: 9,
  duration: 10,
  periodType: 11,
  period: 12,
}
const MAPPING = { id: 1, hasFunctions: 7, hasFilenames: 8, hasLineNumbers: 9 }
const LOCATION = { id: 1, mapping: 2, line: 4 }
const FUNCTION = { id: 1, name: 2, systemName: 3, file: 4, startLine: 5 }

const NANOSECONDS = 1e6

interface Place {
  readonly id: number
  readonly name: number
  readonly file: number
  readonly line: number
}

interface Sample {
  /** Innermost first. */
  readonly places: readonly number[]
  readonly values: readonly number[]
}

export function encodePprof({ types, root, period, startMs, durationMs }: Profile): Uint8Array {
  const strings = new Map([['', 0]])
  const text = (value: string): number => numbered(strings, value)
  const places = new Map<string, Place>()
  const placeOf = ({ functionName, url, lineNumber }: CallFrame): number => {
    const key = `${functionName}\n${url}\n${lineNumber}`
    let place = places.get(key)
    if (!place) {
      place = { id: places.size + 1, name: text(functionName || '(anonymous)'), file: text(url), line: lineNumber + 1 }
      places.set(key, place)
    }
    return place.id
  }
  const samples = [...samplesOf(root, placeOf)]
  const unit = types.at(-1)!
  const numberedTypes = types.map(([type, name]) => [text(type), text(name)] as const)

  const writer = new ProtobufWriter()
  const integer = (field: number, value: number): void => {
    writer.varint(value)
    writer.tag(field, 0)
  }
  const message = (field: number, write: () => void): void => {
    const before = writer.size
    write()
    writer.delimit(field, before)
  }
  const packed = (field: number, values: readonly number[]): void =>
    message(field, () => {
      for (const value of values.toReversed()) writer.varint(value)
    })
  const pair = (field: number, [first, second]: readonly [number, number]): void =>
    message(field, () => {
      integer(2, second)
      integer(1, first)
    })
  // From the last byte to the first: so the writer works.
  integer(PROFILE.period, period)
  pair(PROFILE.periodType, [text(unit[0]), text(unit[1])])
  integer(PROFILE.duration, Math.round(durationMs * NANOSECONDS))
  integer(PROFILE.time, Math.round(startMs * NANOSECONDS))
  for (const value of [...strings.keys()].toReversed()) message(PROFILE.strings, () => writer.text(value))
  for (const { id, name, file, line } of [...places.values()].toReversed()) {
    message(PROFILE.function, () => {
      integer(FUNCTION.startLine, line)
      integer(FUNCTION.file, file)
      integer(FUNCTION.systemName, name)
      integer(FUNCTION.name, name)
      integer(FUNCTION.id, id)
    })
    message(PROFILE.location, () => {
      pair(LOCATION.line, [id, line])
      integer(LOCATION.mapping, 1)
      integer(LOCATION.id, id)
    })
  }
  // Without a mapping that says so, names would be looked for in a binary.
  message(PROFILE.mapping, () => {
    for (const field of [MAPPING.hasLineNumbers, MAPPING.hasFilenames, MAPPING.hasFunctions, MAPPING.id]) integer(field, 1)
  })
  for (const { places: stack, values } of samples.toReversed()) {
    message(PROFILE.sample, () => {
      packed(2, values)
      packed(1, stack)
    })
  }
  for (const type of numberedTypes.toReversed()) pair(PROFILE.sampleType, type)
  return writer.finish()
}

function numbered(known: Map<string, number>, value: string): number {
  const number = known.get(value) ?? known.size
  known.set(value, number)
  return number
}

/** Every node at which something was measured, with the way from it to the root. The root itself is no function. */
function* samplesOf(root: ProfileNode, placeOf: (frame: CallFrame) => number): Iterable<Sample> {
  const waiting: { readonly node: ProfileNode; readonly places: readonly number[] }[] = root.children.map((node) => ({ node, places: [] }))
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const { node } = next
    const places = [placeOf(node.callFrame), ...next.places]
    if (node.values.some((value) => value > 0)) yield { places, values: node.values }
    for (const child of node.children) waiting.push({ node: child, places })
  }
}
