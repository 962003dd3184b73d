/**
 * /statusz and /flagz: how long the server has been up, and with which flags it was started (KEP-4827, KEP-4828). Text for people, or
 * config.k8s.io objects for those who name them in their Accept header.
 */
import type { ApiResponse } from '../../api/exchange.ts'
import { failure } from '../../api/status.ts'
import type { Clock } from '../../base/clock.ts'
import type { PathHandler } from '../router.ts'
import { textAnswer, VERSION } from '../server-paths.ts'

const COMPONENT = 'apiserver'
const GROUP = 'config.k8s.io'
const WARNING =
  'Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is for debugging purposes only.'
/** What is told of the paths: those that are for looking into the server. */
const PATHS = ['/flagz', '/healthz', '/livez', '/metrics', '/readyz', '/statusz', '/version']

interface Page {
  readonly kind: 'Statusz' | 'Flagz'
  /** Beside kind, apiVersion and metadata. */
  object(): object
  lines(): readonly string[]
}

export interface ZpagesOptions {
  readonly clock: Clock
  /** Values of the flags by name. */
  readonly flags: Readonly<Record<string, string>>
}

export function createZpages({ clock, flags }: ZpagesOptions): PathHandler {
  const startMs = Math.floor(clock.now() / 1000) * 1000
  const upSeconds = (): number => Math.max(0, Math.floor((clock.now() - startMs) / 1000))
  const binaryVersion = VERSION.gitVersion.slice(1)
  const emulationVersion = `${VERSION.emulationMajor}.${VERSION.emulationMinor}`
  const sorted = Object.fromEntries(Object.entries(flags).toSorted(([a], [b]) => (a < b ? -1 : 1)))
  const pages: Readonly<Record<string, Page>> = {
    '/statusz': {
      kind: 'Statusz',
      object: () => ({
        startTime: `${new Date(startMs).toISOString().slice(0, 19)}Z`,
        uptimeSeconds: upSeconds(),
        goVersion: VERSION.goVersion,
        binaryVersion,
        emulationVersion,
        paths: PATHS,
      }),
      lines: () => [
        '',
        `Started: ${unixDate(startMs)}`,
        `Up: ${uptime(upSeconds())}`,
        `Go version: ${VERSION.goVersion}`,
        `Binary version: ${binaryVersion}`,
        `Emulation version: ${emulationVersion}`,
        `Paths: ${PATHS.join(' ')}`,
      ],
    },
    '/flagz': {
      kind: 'Flagz',
      object: () => ({ flags: sorted }),
      lines: () => Object.entries(sorted).map(([name, value]) => `${name}: ${value}`),
    },
  }
  return (_core, { request, info }) => {
    const page = info.isResource ? undefined : pages[info.path]
    return page && answer(page, request.headers.accept)
  }
}

const TYPES = ['application/json', 'application/yaml', 'text/plain']

function answer(page: Page, accept = ''): ApiResponse {
  if (accept.trim() === '') return asText(page)
  for (const clause of accept.split(',')) {
    const [type = '', ...rest] = clause.split(';').map((part) => part.trim())
    const parameters = new Map(rest.map((part) => part.split('=', 2) as [string, string]))
    const [as, version] = [parameters.get('as'), parameters.get('v') ?? '']
    if (as === undefined) {
      if (['text/plain', 'text/*', '*/*'].includes(type)) return asText(page)
      continue
    }
    const isKnown = as === page.kind && parameters.get('g') === GROUP && (version === 'v1beta1' || version === 'v1alpha1')
    if (!isKnown) continue
    if (type === 'application/yaml') return asObject(page, version, 'yaml')
    if (type === 'application/json' || type === 'application/*' || type === '*/*') return asObject(page, version, 'json')
  }
  throw failure('NotAcceptable', `only the following media types are accepted: ${TYPES.join(', ')}`)
}

const asText = ({ kind, lines }: Page): ApiResponse =>
  textAnswer(['', `${COMPONENT} ${kind.toLowerCase()}`, WARNING, ...lines(), ''].join('\n'))

function asObject({ kind, object }: Page, version: string, encoding: 'json' | 'yaml'): ApiResponse {
  const value = { kind, apiVersion: `${GROUP}/${version}`, metadata: { name: COMPONENT }, ...object() }
  // JSON is YAML as it stands.
  const made = textAnswer(`${JSON.stringify(value, null, 2)}\n`, 200, `application/${encoding};g=${GROUP};v=${version};as=${kind}`)
  if (version === 'v1beta1') return made
  return { ...made, warnings: [`This version of the ${kind.toLowerCase()} endpoint is deprecated. Please use a newer version.`] }
}

/** "Tue Nov 24 17:06:59 UTC 2026" */
function unixDate(ms: number): string {
  const [, day, date, month, year, time] = /^(\w+), (\d+) (\w+) (\d+) (\S+)/.exec(new Date(ms).toUTCString())!
  return `${day} ${month} ${String(Number(date)).padStart(2)} ${time} UTC ${year}`
}

function uptime(seconds: number): string {
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0')
  return `${Math.floor(seconds / 3600)} hr ${two((seconds / 60) % 60)} min ${two(seconds % 60)} sec`
}
