/**
 * Programs that know the credentials of registries (kubelet.config.k8s.io/v1 CredentialProviderConfig): asked with the image on their
 * standard input, they answer with credentials for patterns of images, kept for as long as they say. Nothing of them is ever logged.
 */
import { parseYamlDocuments } from '../api/yaml.ts'
import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { durationMs } from './configuration.ts'
import type { RegistryCredentials } from './container-runtime.ts'
import { matchesImage } from './credentials.ts'
import type { Host } from './host.ts'

export interface CredentialPluginsOptions {
  /** The text of the configuration. */
  readonly configuration: string
  /** Where the programs are, by the names of their providers. */
  readonly binDirectory: string
}

interface Provider {
  readonly name: string
  readonly apiVersion: string
  readonly matchImages: readonly string[]
  readonly defaultCacheDuration: string
  readonly args?: readonly string[]
  readonly env?: readonly { readonly name: string; readonly value: string }[]
}

interface Response {
  readonly kind?: string
  readonly apiVersion?: string
  readonly cacheKeyType?: 'Image' | 'Registry' | 'Global'
  readonly cacheDuration?: string
  readonly auth?: Readonly<Record<string, RegistryCredentials>>
}

type Auth = Readonly<Record<string, RegistryCredentials>>

export interface CredentialPlugins {
  /** Those that fit the image's repository, the most specific pattern first. */
  credentialsFor(repository: string): Promise<readonly RegistryCredentials[]>
}

const CONFIGURATION = /^kubelet\.config\.k8s\.io\/v1(?:beta1|alpha1)?$/
const API = /^credentialprovider\.kubelet\.k8s\.io\/v1(?:beta1|alpha1)?$/
const TIMEOUT_MS = 60_000
const MAX_CACHED = 1000

/** Throws when the configuration is none. */
export function parseProviders(text: string): readonly Provider[] {
  const [document] = parseYamlDocuments(text) as readonly { kind?: unknown; apiVersion?: unknown; providers?: unknown }[]
  if (document?.kind !== 'CredentialProviderConfig' || !CONFIGURATION.test(String(document.apiVersion)))
    throw new Error('it is no CredentialProviderConfig of kubelet.config.k8s.io/v1')
  const providers = document.providers as readonly Provider[] | undefined
  if (!Array.isArray(providers) || providers.length === 0) throw new Error('at least 1 item in plugins is required')
  const names = new Set<string>()
  for (const { name, apiVersion, matchImages, defaultCacheDuration } of providers as readonly Partial<Provider>[]) {
    if (!name || /[/\s]/.test(name) || name === '.' || name === '..')
      throw new Error(`name: ${JSON.stringify(name)} is no name of a program`)
    if (names.has(name)) throw new Error(`name: Duplicate value: ${JSON.stringify(name)}`)
    names.add(name)
    if (!API.test(apiVersion ?? '')) throw new Error(`apiVersion: Unsupported value: ${JSON.stringify(apiVersion)}`)
    if (!matchImages?.length) throw new Error('matchImages: Required value: matchImages is required')
    durationMs(defaultCacheDuration ?? '')
  }
  return providers
}

export function createCredentialPlugins(
  { clock, log }: { readonly clock: Clock; readonly log: Log },
  host: Pick<Host, 'runProgram'>,
  { configuration, binDirectory }: CredentialPluginsOptions,
): CredentialPlugins {
  const providers = parseProviders(configuration)
  const cache = new Map<string, { readonly untilMs: number; readonly auth: Auth }>()

  async function ask(provider: Provider, repository: string): Promise<Auth> {
    const registry = repository.split('/', 1)[0]!
    for (const key of [`${provider.name} ${repository}`, `${provider.name} ${registry}`, provider.name]) {
      const known = cache.get(key)
      if (known && known.untilMs > clock.now()) return known.auth
    }
    const { apiVersion, args = [], env = [], name } = provider
    assert(host.runProgram, 'this host runs no programs')
    const output = await host.runProgram(`${binDirectory}/${name}`, args, {
      env: Object.fromEntries(env.map((one) => [one.name, one.value])),
      input: JSON.stringify({ kind: 'CredentialProviderRequest', apiVersion, image: repository }),
      timeoutMs: TIMEOUT_MS,
    })
    const response = JSON.parse(output) as Response
    if (response.kind !== 'CredentialProviderResponse' || response.apiVersion !== apiVersion)
      throw new Error(`the answer is no CredentialProviderResponse of ${apiVersion}`)
    const auth = response.auth ?? {}
    const keptMs = durationMs(response.cacheDuration ?? provider.defaultCacheDuration)
    const key = { Image: `${name} ${repository}`, Registry: `${name} ${registry}`, Global: name }[response.cacheKeyType ?? 'Image']
    if (cache.size >= MAX_CACHED) cache.delete(cache.keys().next().value!)
    if (keptMs > 0) cache.set(key, { untilMs: clock.now() + keptMs, auth })
    return auth
  }

  return {
    async credentialsFor(repository) {
      const found: (readonly [pattern: string, credentials: RegistryCredentials])[] = []
      for (const provider of providers) {
        if (!provider.matchImages.some((pattern) => matchesImage(pattern, repository))) continue
        try {
          found.push(...Object.entries(await ask(provider, repository)))
        } catch (error) {
          log.error('no credentials from a provider', {
            provider: provider.name,
            error: error instanceof Error ? error.message : String(error),
          })
        }
      }
      return found
        .filter(([pattern]) => matchesImage(pattern, repository))
        .toSorted(([a], [b]) => b.length - a.length)
        .map(([, { username, password }]) => ({ username, password }))
    },
  }
}
