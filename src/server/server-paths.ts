/** The paths that are about the server itself: health, version, metrics, and the issuer of service account tokens. */
import type { ApiResponse } from '../api/exchange.ts'
import { noRoute } from '../api/status.ts'
import type { TokenSigner } from './authentication/tokens.ts'
import type { Core } from './core.ts'
import { Computed } from './revision.ts'
import type { PathHandler } from './router.ts'

/** The Kubernetes version whose API this is; what follows the plus names who serves it. */
export const VERSION = {
  major: '1',
  minor: '36',
  emulationMajor: '1',
  emulationMinor: '36',
  minCompatibilityMajor: '1',
  minCompatibilityMinor: '35',
  gitVersion: 'v1.36.3+proa',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: '',
  compiler: '',
  platform: 'linux/amd64',
} as const

export interface Health {
  isReady: boolean
  isStopping: boolean
}

const encoder = new TextEncoder()

export const textAnswer = (text: string, status = 200, contentType = 'text/plain; charset=utf-8'): ApiResponse => ({
  type: 'raw',
  status,
  contentType,
  body: encoder.encode(text),
})

const jsonAnswer = (value: object): ApiResponse => ({ type: 'object', status: 200, stored: new Computed(value) })

/** Of paths that nobody has: plain text, as Go's server writes it. */
export const pageNotFound = (): ApiResponse => textAnswer('404 page not found\n', 404)

/** Written indented, as Go's server writes it. */
const jsonText = (value: object): ApiResponse => textAnswer(JSON.stringify(value, null, 2), 200, 'application/json')

const HEALTH = ['healthz', 'livez', 'readyz']

/** What is to be found here: groups and their versions, checks of health, documents. */
function listedPaths(core: Core, health: Health): readonly string[] {
  const groups = [...core.registry.served()].flatMap(({ info: { group, version } }) =>
    group === '' ? ['/api', `/api/${version}`] : [`/apis/${group}`, `/apis/${group}/${version}`],
  )
  const behind = core.aggregated
    .groups()
    .flatMap(({ metadata: { name }, versions }) => [`/apis/${name}`, ...versions.map(({ version }) => `/apis/${name}/${version}`)])
  const healths = HEALTH.flatMap((path) => [`/${path}`, ...checks(core, health, path).map(({ name }) => `/${path}/${name}`)])
  return [...new Set([...groups, ...behind, ...healths, ...DOCUMENTS, ...(core.tokens ? ISSUER_PATHS : [])])].toSorted()
}

const DOCUMENTS = ['/apis', '/apis/', '/flagz', '/metrics', '/openapi/v2', '/openapi/v3', '/openapi/v3/', '/statusz', '/version']
const ISSUER_PATHS = ['/.well-known/openid-configuration', '/openid/v1/jwks']

interface Check {
  readonly name: string
  isFine(): boolean
}

export function serverPaths(health: Health): PathHandler {
  return (core, { request, info }) => {
    if (info.isResource) return undefined
    const [, first = '', ...rest] = info.path.split('/')
    if (first === 'healthz' || first === 'livez' || first === 'readyz')
      return healthAnswer(first, rest.join('/'), checks(core, health, first), request.query)
    if (info.path === '/version' && request.method !== 'GET') throw noRoute()
    if (request.method !== 'GET' && request.method !== 'HEAD') return undefined
    switch (info.path.replace(/\/$/, '')) {
      case '':
      case '/index.html':
        return jsonText({ paths: listedPaths(core, health) })
      case '/version':
        return jsonAnswer(VERSION)
      case '/metrics':
        return textAnswer(core.metrics.text(), 200, 'text/plain; version=0.0.4; charset=utf-8')
      case '/openid/v1/jwks':
        return core.tokens && textAnswer(JSON.stringify(core.tokens.jwks()), 200, 'application/jwk-set+json')
      case '/.well-known/openid-configuration':
        return core.tokens && textAnswer(JSON.stringify(issuer(core.tokens)), 200, 'application/json')
      default:
        return undefined
    }
  }
}

const issuer = ({ issuer: name, jwks }: TokenSigner) => ({
  issuer: name,
  jwks_uri: `${name}/openid/v1/jwks`,
  response_types_supported: ['id_token'],
  subject_types_supported: ['public'],
  id_token_signing_alg_values_supported: [...new Set(jwks().keys.flatMap(({ alg }) => alg ?? []))].toSorted((a, b) => (a < b ? -1 : 1)),
})

function checks(core: Core, health: Health, endpoint: string): readonly Check[] {
  const caughtUp: Check = { name: 'informer-sync', isFine: () => health.isReady }
  const stopping: Check = { name: 'shutdown', isFine: () => !health.isStopping }
  const always: readonly Check[] = [
    { name: 'ping', isFine: () => true },
    { name: 'log', isFine: () => true },
    { name: 'etcd', isFine: () => core.caches.revision > 0 || health.isReady },
    { name: 'poststarthook/rbac/bootstrap-roles', isFine: () => health.isReady },
  ]
  return endpoint === 'readyz' ? [...always, caughtUp, stopping] : always
}

function healthAnswer(endpoint: string, one: string, all: readonly Check[], query: URLSearchParams): ApiResponse {
  const excluded = new Set(query.getAll('exclude'))
  const chosen = one === '' ? all.filter(({ name }) => !excluded.has(name)) : all.filter(({ name }) => name === one)
  if (one !== '' && chosen.length === 0) return pageNotFound()
  const lines = chosen.map((check) => (check.isFine() ? `[+]${check.name} ok` : `[-]${check.name} failed: reason withheld`))
  const isFine = lines.every((line) => line.startsWith('[+]'))
  if (!isFine) return textAnswer(`${lines.join('\n')}\n${endpoint} check failed\n`, 500)
  if (one !== '' || !query.has('verbose')) return textAnswer('ok')
  return textAnswer(`${lines.join('\n')}\n${endpoint} check passed\n`)
}
