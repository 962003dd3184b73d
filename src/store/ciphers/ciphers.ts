/**
 * Which provider encrypts which resource (EncryptionConfiguration): the first of a list writes, and each of them reads what it wrote,
 * so that a key is rotated by putting the new one first and rewriting the objects. The rules may be replaced while the store is open.
 */
import type { Ciphers } from '../encrypted-store.ts'
import type { EncryptionRule } from '../encryption-rules.ts'
import { createKeyed } from './keyed.ts'
import { createKms, type KmsProvider } from './kms.ts'
import { hasPrefix, identity, type Provider } from './provider.ts'

export interface RuledCiphers extends Ciphers {
  /** Takes other rules; rejects, and keeps those it has, when a key service does not answer. */
  replace(rules: readonly EncryptionRule[]): Promise<void>
  close(): void
}

type Chains = ReadonlyMap<string, readonly Provider[]>

const NONE: readonly Provider[] = [identity]
const ROOT = '/registry/'

/** Rejects when a key service does not answer. */
export async function createCiphers(rules: readonly EncryptionRule[]): Promise<RuledCiphers> {
  let current = await chainsOf(rules)
  const chainOf = (key: string): readonly Provider[] => {
    const [resource, group] = resourceOf(key)
    const { chains } = current
    return chains.get(group === '' ? resource : `${resource}.${group}`) ?? chains.get(`*.${group}`) ?? chains.get('*.*') ?? NONE
  }
  return {
    encrypt: (key, value) => chainOf(key)[0]!.encrypt(key, value),
    decrypt: (key, value) => decryptBy(chainOf(key), key, value),
    isStale: (key, value) => !chainOf(key)[0]!.isCurrent(value),
    async replace(next) {
      const before = current
      current = await chainsOf(next)
      close(before.services)
    },
    close: () => close(current.services),
  }
}

const close = (services: readonly KmsProvider[]): void => {
  for (const service of services) service.close()
}

async function chainsOf(rules: readonly EncryptionRule[]): Promise<{ readonly chains: Chains; readonly services: readonly KmsProvider[] }> {
  const chains = new Map<string, readonly Provider[]>()
  const services: KmsProvider[] = []
  try {
    for (const { resources, providers } of rules) {
      const chain: Provider[] = []
      for (const provider of providers) {
        if (provider.type === 'identity') chain.push(identity)
        else if (provider.type === 'kms') {
          const service = await createKms(provider)
          services.push(service)
          chain.push(service)
        } else chain.push(createKeyed(provider))
      }
      // Earlier lists take precedence.
      for (const resource of resources) if (!chains.has(resource)) chains.set(resource, chain)
    }
  } catch (error) {
    close(services)
    throw error
  }
  return { chains, services }
}

/** "/registry/apps/deployments/ns/name" → ["deployments", "apps"]. */
function resourceOf(key: string): readonly [resource: string, group: string] {
  const afterGroup = key.indexOf('/', ROOT.length)
  const afterResource = key.indexOf('/', afterGroup + 1)
  const group = key.slice(ROOT.length, afterGroup)
  return [key.slice(afterGroup + 1, afterResource < 0 ? undefined : afterResource), group === 'core' ? '' : group]
}

const OPENING_BRACE = 0x7b

function decryptBy(chain: readonly Provider[], key: string, value: Uint8Array): Uint8Array | Promise<Uint8Array> {
  // Plain JSON of a resource that is not encrypted: nearly everything.
  if (chain === NONE && value[0] === OPENING_BRACE) return value
  let failure = new Error('no matching prefix found')
  for (const [index, provider] of chain.entries()) {
    if (!hasPrefix(value, provider.prefix)) continue
    try {
      const plain = provider.decrypt(key, value)
      if (!(plain instanceof Promise)) return plain
      return plain.catch((error: unknown) => {
        const rest = chain.slice(index + 1).filter(({ prefix }) => hasPrefix(value, prefix))
        if (rest.length === 0) throw told(key, error)
        return decryptBy(rest, key, value)
      })
    } catch (error) {
      if (provider !== identity) failure = error instanceof Error ? error : new Error(String(error))
    }
  }
  throw told(key, failure)
}

const told = (key: string, error: unknown): Error =>
  new Error(`${key} cannot be decrypted: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
