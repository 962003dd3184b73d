/**
 * The store as --encryption-provider-config says: values are encrypted above it and below everything else. The file may be followed,
 * so that keys are rotated without a restart; one that is wrong is told and changes nothing. No key is ever logged.
 */
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { every } from '../base/clock.ts'
import type { Runtime } from '../base/runtime.ts'
import { readEncryptionConfiguration } from '../server/encryption/configuration.ts'
import { createEncryptedStore } from '../store/encrypted-store.ts'
import type { EncryptionRule } from '../store/encryption-rules.ts'
import type { Store } from '../store/store.ts'
import type { ApiServerSettings } from './api-server-flags.ts'
import { messageOf } from './followed-file.ts'
import type { Lifecycle } from './lifecycle.ts'
import { UserError } from './user-error.ts'

export interface EncryptionSetup {
  readonly file: string
  readonly isFollowed: boolean
  readonly text: string
  readonly rules: readonly EncryptionRule[]
}

/** How often a followed file is looked at. */
const RELOAD_MS = 60_000

export function readEncryptionSetup(settings: ApiServerSettings): EncryptionSetup | undefined {
  const file = settings['encryption-provider-config']
  if (file === undefined) return undefined
  try {
    const text = readFileSync(file, 'utf8')
    const isFollowed = settings['encryption-provider-config-automatic-reload'] === 'true'
    return { file, isFollowed, text, rules: readEncryptionConfiguration(text) }
  } catch (error) {
    throw new UserError(`error while parsing encryption provider configuration file ${JSON.stringify(file)}: ${messageOf(error)}`)
  }
}

/** Rejects with a UserError when a key service does not answer. */
export async function encryptStore(runtime: Runtime, lifecycle: Lifecycle, store: Store, setup: EncryptionSetup): Promise<Store> {
  // Its libraries are for those who encrypt.
  const { createCiphers } = await import('../store/ciphers/ciphers.ts')
  const ciphers = await createCiphers(setup.rules).catch((error: unknown) => {
    throw new UserError(messageOf(error))
  })
  const { log, clock } = runtime
  let known = setup.text
  const reload = async (): Promise<void> => {
    try {
      const text = await readFile(setup.file, 'utf8')
      if (text === known) return
      known = text
      await ciphers.replace(readEncryptionConfiguration(text))
      log.info('the encryption configuration was read anew', { file: setup.file })
    } catch (error) {
      log.error('the encryption configuration is wrong and changes nothing', { file: setup.file, error: messageOf(error) })
    }
  }
  lifecycle.start({
    name: 'encryption at rest',
    async run(signal) {
      try {
        if (setup.isFollowed) await every(clock, RELOAD_MS, signal, reload)
        else if (!signal.aborted) await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
      } finally {
        ciphers.close()
      }
    },
  })
  return createEncryptedStore(store, ciphers)
}

const PAGE = 5000
/** What an encrypted value begins with, whoever encrypted it. */
const MARK = new TextEncoder().encode('k8s:enc:')

/** A store that was encrypted cannot be read without its configuration: that is told at the start, not by each object. */
export async function refuseEncrypted(store: Store): Promise<void> {
  for (let after: string | undefined; ;) {
    const page = await store.range('', { limit: PAGE, ...(after === undefined ? {} : { after }) })
    const found = page.entries.find(({ value }) => MARK.every((byte, i) => value[i] === byte))
    if (found) throw new UserError(`${found.key} is encrypted: start with the --encryption-provider-config that it was written with`)
    if (!page.more) return
    after = page.entries.at(-1)!.key
  }
}
