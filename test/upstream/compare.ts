/**
 * Scenarios: requests that both servers get one after the other, in a namespace of the scenario's own. Whatever they answer
 * differently is told by path.
 *
 *     compare('config maps', [{ name: 'get what is not there', steps: [{ path: '{ns}/configmaps/none' }] }])
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { ListMeta } from '../../src/api/generated/meta/v1.ts'
import type { KubeObject } from '../../src/api/object.ts'
import type { Answer, Question } from './exchange.ts'
import { normalise } from './normalise.ts'
import { noUpstream, startServers, type Server, type Servers } from './servers.ts'

/**
 * In paths {ns} is /api/v1/namespaces/NAME and {apps} /apis/apps/v1/namespaces/NAME of the scenario's namespace; {name} anywhere is
 * the namespace's name.
 */
export interface Step extends Question {
  /** Paths of the answer (like "body.status.phase") that may differ, and what lies below them. */
  readonly except?: readonly string[]
  /** It is asked again until the answer has this status. */
  readonly until?: number
}

/** What the server answered so far, body parsed. */
export interface Seen {
  readonly status: number
  readonly headers: Answer['headers']
  readonly body: KubeObject & { readonly metadata?: ListMeta }
}

export interface Scenario {
  readonly name: string
  /** A step may be made of what the same server answered before. */
  readonly steps: readonly (Step | ((seen: readonly Seen[]) => Step))[]
}

interface Difference {
  readonly path: string
  readonly upstream: unknown
  readonly proa: unknown
}

let count = 0

/** Declares a test of each scenario. */
export function compare(about: string, scenarios: readonly Scenario[], start: () => Promise<Servers> = startServers): void {
  test(about, { skip: noUpstream() }, async (t) => {
    const { upstream, proa } = await start()
    for (const scenario of scenarios) {
      await t.test(scenario.name, async () => {
        const namespace = `s${process.pid}-${count++}`
        const [expected, got] = await Promise.all([play(upstream, scenario, namespace), play(proa, scenario, namespace)])
        const told = expected.map((step, index) => tell(step, got[index]!)).filter((text) => text !== '')
        assert.ok(told.length === 0, `\n${told.join('\n')}`)
      })
    }
  })
}

interface Played {
  readonly step: Step
  readonly answer: Answer
}

async function play(server: Server, { steps }: Scenario, namespace: string): Promise<readonly Played[]> {
  const filled = (step: Step): Step => {
    const text = (value: string) =>
      value
        .replaceAll('{ns}', `/api/v1/namespaces/${namespace}`)
        .replaceAll('{apps}', `/apis/apps/v1/namespaces/${namespace}`)
        .replaceAll('{name}', namespace)
    const { body } = step
    if (body === undefined || body instanceof Uint8Array) return { ...step, path: text(step.path) }
    return { ...step, path: text(step.path), body: text(typeof body === 'string' ? body : JSON.stringify(body)) }
  }
  if (JSON.stringify(steps).includes('{n') || steps.some((step) => typeof step === 'function')) await makeNamespace(server, namespace)
  const played: Played[] = []
  const seen: Seen[] = []
  for (const given of steps) {
    const step = filled(typeof given === 'function' ? given(seen) : given)
    const answer = await askUntil(server, step)
    played.push({ step, answer })
    seen.push({ status: answer.status, headers: answer.headers, body: jsonOf(answer) })
  }
  return played
}

const AGAIN_MS = 250
const MAX_AGAIN = 120

async function askUntil(server: Server, step: Step): Promise<Answer> {
  for (let count = 0; count < MAX_AGAIN; count++) {
    const answer = await server.ask(step)
    if (step.until === undefined || answer.status === step.until) return answer
    await delay(AGAIN_MS)
  }
  throw new Error(`${server.name}: ${step.path}: never ${step.until}`)
}

/** A document as it is, anything else as its text. */
function jsonOf({ body, headers }: Answer): KubeObject {
  const text = body.toString()
  const isDocument = String(headers['content-type']).startsWith('application/json') && text.trim().split('\n').length === 1 && text !== ''
  return isDocument ? (JSON.parse(text) as KubeObject) : { text }
}

/** With the account that pods need: nothing makes it by itself here. */
async function makeNamespace(server: Server, name: string): Promise<void> {
  const objects: [path: string, body: object][] = [
    ['/api/v1/namespaces', { metadata: { name } }],
    [`/api/v1/namespaces/${name}/serviceaccounts`, { metadata: { name: 'default' } }],
  ]
  for (const [path, body] of objects) {
    const { status, body: text } = await server.ask({ method: 'POST', path, body })
    if (status !== 201) throw new Error(`${server.name}: ${path}: ${status} ${text.toString()}`)
  }
}

function tell({ step, answer }: Played, got: Played): string {
  const except = step.except ?? []
  const found = [...differences('', normalise(answer), normalise(got.answer))].filter(
    ({ path }) => !except.some((prefix) => path === prefix || path.startsWith(`${prefix}.`) || path.startsWith(`${prefix}[`)),
  )
  if (found.length === 0) return ''
  const lines = found.flatMap(({ path, upstream, proa }) => {
    const [expected, given] = parted(shown(upstream), shown(proa))
    return [`  ${path}`, `    upstream: ${expected}`, `    proa:     ${given}`]
  })
  return [`${step.method ?? 'GET'} ${step.path}${step.body === undefined ? '' : ` ${shortly(step.body)}`}`, ...lines].join('\n')
}

const LONG = 150
const BEFORE = 60

/** Long texts from shortly before they part. */
function parted(a: string, b: string): readonly [string, string] {
  let same = 0
  while (same < a.length && a[same] === b[same]) same++
  const from = same > LONG ? same - BEFORE : 0
  return from === 0 ? [a, b] : [`...${a.slice(from)}`, `...${b.slice(from)}`]
}

const shown = (value: unknown): string => (value === undefined ? '-' : JSON.stringify(value))
const shortly = (body: NonNullable<Step['body']>): string => {
  const text = body instanceof Uint8Array ? `${body.length} bytes` : typeof body === 'string' ? body : JSON.stringify(body)
  return text.length > 200 ? `${text.slice(0, 200)}...` : text
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

function* differences(path: string, upstream: unknown, proa: unknown): Iterable<Difference> {
  if (isRecord(upstream) && isRecord(proa)) {
    for (const key of new Set([...Object.keys(upstream), ...Object.keys(proa)]))
      yield* differences(path === '' ? key : `${path}.${key}`, upstream[key], proa[key])
  } else if (Array.isArray(upstream) && Array.isArray(proa) && upstream.length === proa.length) {
    for (const [index, item] of upstream.entries()) yield* differences(`${path}[${index}]`, item, proa[index])
  } else if (JSON.stringify(upstream) !== JSON.stringify(proa)) yield { path, upstream, proa }
}
