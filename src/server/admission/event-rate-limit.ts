/** EventRateLimit: how many events the server takes, as a whole, of a namespace, a user or about one object; off by default. */
import type { Event } from '../../api/generated/core/v1.ts'
import { failure } from '../../api/status.ts'
import type { Clock } from '../../base/clock.ts'
import type { AdmissionAttributes, AdmissionPlugin } from '../admission.ts'
import { checkConfiguration, ConfigurationError, type ConfigurationKind } from '../configuration/decode.ts'
import { invalid, notSupported, type FieldErrors } from '../resources/rules.ts'

interface Limit {
  readonly type: keyof typeof KEYS
  readonly qps: number
  readonly burst: number
  readonly cacheSize?: number
}

/** What shares a bucket. */
const KEYS = {
  Server: () => '',
  Namespace: ({ namespace = '' }: AdmissionAttributes) => namespace,
  User: ({ user }: AdmissionAttributes) => user.name,
  SourceAndObject({ object }: AdmissionAttributes) {
    const { source = {}, involvedObject: of } = object as Event
    return [source.component, source.host, of.kind, of.namespace, of.name, of.uid, of.apiVersion].map((part) => part ?? '').join('')
  },
} as const

const DEFAULT_CACHE_SIZE = 4096

const KIND: ConfigurationKind = {
  kind: 'Configuration',
  apiVersions: ['eventratelimit.admission.k8s.io/v1alpha1'],
  shape: { fields: { limits: { list: { fields: { type: 'string', qps: 'integer', burst: 'integer', cacheSize: 'integer' } } } } },
}

function limitsOf(given: unknown): readonly Limit[] {
  const { limits = [] } = checkConfiguration<{ readonly limits?: readonly Limit[] }>(given, KIND)
  const errors: FieldErrors = []
  if (limits.length === 0) errors.push(invalid('limits', null, 'must not be empty'))
  for (const [index, { type, qps = 0, burst = 0, cacheSize = 0 }] of limits.entries()) {
    const path = `limits[${index}]`
    if (!Object.hasOwn(KEYS, type)) errors.push(notSupported(`${path}.type`, type, Object.keys(KEYS)))
    if (burst <= 0) errors.push(invalid(`${path}.burst`, burst, 'must be positive'))
    if (qps <= 0) errors.push(invalid(`${path}.qps`, qps, 'must be positive'))
    if (type !== 'Server' && cacheSize < 0) errors.push(invalid(`${path}.cacheSize`, cacheSize, 'must not be negative'))
  }
  if (errors.length > 0) throw new ConfigurationError(errors.map(({ field, detail }) => `${field}: ${detail}`).join(', '))
  return limits
}

interface Bucket {
  tokens: number
  atMs: number
}

/** Buckets that fill at `qps` up to `burst`; of those long unused the oldest go. */
function createBuckets({ qps, burst, cacheSize }: Limit) {
  const buckets = new Map<string, Bucket>()
  return (key: string, clock: Clock): boolean => {
    const atMs = clock.monotonic()
    const bucket = buckets.get(key) ?? { tokens: burst, atMs }
    buckets.delete(key)
    if (buckets.size >= (cacheSize || DEFAULT_CACHE_SIZE)) buckets.delete(buckets.keys().next().value!)
    buckets.set(key, bucket)
    bucket.tokens = Math.min(burst, bucket.tokens + ((atMs - bucket.atMs) / 1000) * qps)
    bucket.atMs = atMs
    if (bucket.tokens < 1) return false
    bucket.tokens--
    return true
  }
}

export function eventRateLimit(given: unknown): AdmissionPlugin {
  const limits = limitsOf(given).map((limit) => ({ type: limit.type, take: createBuckets(limit) }))
  return {
    name: 'EventRateLimit',
    handles: ({ operation, resource, dryRun }) =>
      (operation === 'CREATE' || operation === 'UPDATE') && !dryRun && resource.kind === 'Event',
    validate(attributes) {
      const { clock } = attributes.context.runtime
      const reached = limits
        .map(({ type, take }) => ({ type, key: KEYS[type](attributes), take }))
        .filter(({ key, take }) => !take(key, clock))
        .map(({ type, key }) => `limit reached on type ${type} for key ${key}`)
      if (reached.length > 0)
        throw failure('TooManyRequests', `Too many requests: ${reached.length === 1 ? reached[0] : `[${reached.join(', ')}]`}`)
    },
  }
}
