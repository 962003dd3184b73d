/**
 * EncryptionConfiguration (apiserver.config.k8s.io): read strictly and checked as upstream checks it. Keys are told in no message.
 * Not there: KMS v1, which upstream has turned off.
 */
import type { FieldError } from '../../api/status.ts'
import type { EncryptionRule, KeyedConfiguration, ProviderConfiguration } from '../../store/encryption-rules.ts'
import { ConfigurationError, decodeConfiguration, durationMs, type ConfigurationKind } from '../configuration/decode.ts'
import { invalid, required } from '../resources/rules.ts'

interface Key {
  readonly name?: string
  readonly secret?: string
}

interface Kms {
  readonly apiVersion?: string
  readonly name?: string
  readonly cachesize?: number
  readonly endpoint?: string
  readonly timeout?: string
}

interface Provider {
  readonly aesgcm?: { readonly keys?: readonly Key[] }
  readonly aescbc?: { readonly keys?: readonly Key[] }
  readonly secretbox?: { readonly keys?: readonly Key[] }
  readonly identity?: object
  readonly kms?: Kms
}

interface Configuration {
  readonly resources?: readonly { readonly resources?: readonly string[]; readonly providers?: readonly Provider[] }[]
}

const keys = { fields: { keys: { list: { fields: { name: 'string', secret: 'string' } } } } } as const
const CONFIGURATION: ConfigurationKind = {
  kind: 'EncryptionConfiguration',
  apiVersions: ['apiserver.config.k8s.io/v1'],
  shape: {
    fields: {
      resources: {
        list: {
          fields: {
            resources: { list: 'string' },
            providers: {
              list: {
                fields: {
                  aesgcm: keys,
                  aescbc: keys,
                  secretbox: keys,
                  identity: { fields: {} },
                  kms: { fields: { apiVersion: 'string', name: 'string', cachesize: 'integer', endpoint: 'string', timeout: 'duration' } },
                },
              },
            },
          },
        },
      },
    },
  },
}

/** Throws a ConfigurationError that says what is wrong with the text. */
export function readEncryptionConfiguration(text: string): readonly EncryptionRule[] {
  const configuration = decodeConfiguration<Configuration>(text, CONFIGURATION)
  const errors = faultsOf(configuration).map(({ field, detail }) => `${field}: ${detail}`)
  if (errors.length > 0) throw new ConfigurationError(errors.length === 1 ? errors[0]! : `[${errors.join(', ')}]`)
  return configuration.resources!.map(({ resources, providers }) => ({
    resources: resources!.map(whole),
    providers: providers!.map(providerOf),
  }))
}

/** "secrets." and "secrets" are one. */
const whole = (resource: string): string => (resource.endsWith('.') && !resource.startsWith('*') ? resource.slice(0, -1) : resource)

function providerOf({ aesgcm, aescbc, secretbox, kms }: Provider): ProviderConfiguration {
  const keyed = (type: KeyedConfiguration['type'], { keys: named = [] }: NonNullable<Provider['aesgcm']>): ProviderConfiguration => ({
    type,
    keys: named.map(({ name = '', secret = '' }) => ({ name, secret: bytesOf(secret)! })),
  })
  if (aesgcm) return keyed('aesgcm', aesgcm)
  if (aescbc) return keyed('aescbc', aescbc)
  if (secretbox) return keyed('secretbox', secretbox)
  if (kms) return { type: 'kms', name: kms.name!, endpoint: kms.endpoint!, timeoutMs: durationMs(kms.timeout ?? '3s') }
  return { type: 'identity' }
}

/** Undefined when it is no base64. */
function bytesOf(base64: string): Uint8Array | undefined {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(base64)) return undefined
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
}

const AES_KEY_BYTES: readonly number[] = [16, 24, 32]
const SECRETBOX_KEY_BYTES: readonly number[] = [32]

function faultsOf({ resources: rules = [] }: Configuration): readonly FieldError[] {
  if (rules.length === 0) return [required('resources', 'at least one resources is required')]
  const errors: FieldError[] = []
  const services = new Set<string>()
  for (const [i, { resources = [], providers = [] }] of rules.entries()) {
    const at = `resources[${i}].resources`
    if (resources.length === 0) errors.push(required(at, `at least one ${at} is required`))
    errors.push(...overlapFaults(resources, at), ...resources.flatMap((resource, j) => nameFaults(resource, `${at}[${j}]`)))
    const place = `resources[${i}].providers`
    if (providers.length === 0) errors.push(required(place, `at least one ${place} is required`))
    for (const [j, provider] of providers.entries()) errors.push(...providerFaults(provider, `${place}[${j}]`, services))
  }
  return errors
}

function groupOf(resource: string): { readonly name: string; readonly group: string } {
  const dot = resource.indexOf('.')
  return dot < 0 ? { name: resource, group: '' } : { name: resource.slice(0, dot), group: resource.slice(dot + 1) }
}

function overlapFaults(resources: readonly string[], at: string): readonly FieldError[] {
  const parsed = resources.map(groupOf)
  const pairs = parsed.flatMap((a, i) => parsed.slice(i + 1).map((b) => [a, b] as const))
  const isTwice = pairs.some(([a, b]) => a.name === b.name && a.group === b.group)
  const isAll = ({ name, group }: { readonly name: string; readonly group: string }) => name === '*' && group === '*'
  const isMasked = pairs.some(
    ([a, b]) =>
      !(a.name === b.name && a.group === b.group) && (isAll(a) || isAll(b) || (a.group === b.group && (a.name === '*' || b.name === '*'))),
  )
  const overlap = "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed as they will be masked"
  return [
    ...(isTwice ? [invalid(at, resources, 'the same resource cannot be specified multiple times')] : []),
    ...(isMasked ? [invalid(at, resources, overlap)] : []),
  ]
}

const NO_API: ReadonlySet<string> = new Set(['apiserveripinfo', 'serviceipallocations', 'servicenodeportallocations'])

function nameFaults(resource: string, at: string): readonly FieldError[] {
  const fault = (detail: string) => [invalid(at, resource, detail)]
  if (resource.toLowerCase() !== resource) return fault('resource name should not contain capital letters')
  if (resource === '*') return fault("use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources")
  if (NO_API.has(resource)) return fault('resources which do not have REST API/s cannot be encrypted')
  const { name, group } = groupOf(resource)
  if (group === 'events.k8s.io')
    return fault("'*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use 'events' instead in the config file")
  if (group === 'extensions') return fault("'extensions' group has been removed and cannot be used for encryption")
  if (group === '*' && name !== '*') return fault('encrypting the same resource across groups is not supported')
  return []
}

function providerFaults(provider: Provider, at: string, services: Set<string>): readonly FieldError[] {
  const named = Object.entries(provider).filter(([, value]) => value !== null && value !== undefined)
  // Of a provider that is not understood, the value may hold keys: it is not told.
  if (named.length === 0)
    return [invalid(at, {}, 'provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity')]
  if (named.length > 1)
    return [invalid(at, 'REDACTED', 'more than one provider specified in a single element, should split into different list elements')]
  const { aesgcm, aescbc, secretbox, kms } = provider
  if (aesgcm) return keyFaults(aesgcm.keys ?? [], `${at}.aesgcm.keys`, AES_KEY_BYTES)
  if (aescbc) return keyFaults(aescbc.keys ?? [], `${at}.aescbc.keys`, AES_KEY_BYTES)
  if (secretbox) return keyFaults(secretbox.keys ?? [], `${at}.secretbox.keys`, SECRETBOX_KEY_BYTES)
  return kms ? kmsFaults(kms, `${at}.kms`, services) : []
}

function keyFaults(given: readonly Key[], at: string, lengths: readonly number[]): readonly FieldError[] {
  if (given.length === 0) return [required(at, 'at least one keys is required')]
  return given.flatMap(({ name, secret }, i) => {
    const errors: FieldError[] = []
    if (!name) errors.push(required(`${at}[${i}].name`, 'name is a mandatory field for a key'))
    const path = `${at}[${i}].secret`
    if (!secret) return [...errors, required(path, 'secret is a mandatory field for a key')]
    const bytes = bytesOf(secret)
    if (!bytes) errors.push(invalid(path, 'REDACTED', 'secrets must be base64 encoded'))
    else if (!lengths.includes(bytes.length))
      errors.push(
        invalid(path, 'REDACTED', `secret is not of the expected length, got ${bytes.length}, expected one of [${lengths.join(' ')}]`),
      )
    return errors
  })
}

function kmsFaults(
  { apiVersion = 'v1', name = '', cachesize, endpoint = '', timeout = '3s' }: Kms,
  at: string,
  services: Set<string>,
): readonly FieldError[] {
  const errors: FieldError[] = []
  if (name === '') errors.push(required(`${at}.name`, 'name is a mandatory field for a provider'))
  if (name.includes(':')) errors.push(invalid(`${at}.name`, name, `invalid KMS provider name ${name}, must not contain ':'`))
  if (services.has(name)) errors.push(invalid(`${at}.name`, name, `duplicate KMS provider name ${name}, names must be unique`))
  services.add(name)
  if (durationMs(timeout) <= 0) errors.push(invalid(`${at}.timeout`, timeout, 'timeout should be a positive value'))
  const scheme = /^([a-z]+):/.exec(endpoint)?.[1] ?? ''
  if (endpoint === '') errors.push(invalid(`${at}.endpoint`, '', 'endpoint is a mandatory field for a kms'))
  else if (scheme !== 'unix')
    errors.push(
      invalid(`${at}.endpoint`, endpoint, `unsupported scheme ${JSON.stringify(scheme)} for KMS provider, only unix is supported`),
    )
  if (apiVersion === 'v2' && cachesize !== undefined) errors.push(invalid(`${at}.cachesize`, cachesize, 'cachesize is not supported in v2'))
  if (apiVersion === 'v1')
    errors.push(
      invalid(
        `${at}.apiVersion`,
        apiVersion,
        'KMSv1 is deprecated and will only receive security updates going forward. Use KMSv2 instead',
      ),
    )
  else if (apiVersion !== 'v2')
    errors.push(invalid(`${at}.apiVersion`, apiVersion, 'unsupported apiVersion apiVersion for KMS provider, only v1 and v2 are supported'))
  return errors
}
