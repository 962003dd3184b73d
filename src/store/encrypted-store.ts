/**
 * A store whose values are encrypted before they reach the one beneath, and decrypted on their way back: nothing below this line sees
 * what is confidential. Which values, and how, is the ciphers' to say; they may have to wait for a key service.
 */
import type { Change, Entry, Store, StoreEvent } from './store.ts'

export interface Ciphers {
  /** The value as it is to lie in the store; the same bytes where it is not to be encrypted. */
  encrypt(key: string, value: Uint8Array): Uint8Array | Promise<Uint8Array>
  /** Throws (rejects) with a sentence that names neither keys nor contents. */
  decrypt(key: string, value: Uint8Array): Uint8Array | Promise<Uint8Array>
  /** Whether the value would no longer be written as it lies there: by another key, or in plain text. */
  isStale(key: string, value: Uint8Array): boolean
}

export function createEncryptedStore(store: Store, ciphers: Ciphers): Store {
  /** What this process has encrypted or decrypted already, as long as the store keeps the bytes. */
  const known = new WeakMap<Uint8Array, Uint8Array>()

  const plain = (entry: Entry): Entry | Promise<Entry> => {
    const remembered = known.get(entry.value)
    if (remembered) return { ...entry, value: remembered }
    const value = ciphers.decrypt(entry.key, entry.value)
    if (value === entry.value) return entry
    if (!(value instanceof Promise)) return remember(entry, value)
    return value.then((decrypted) => remember(entry, decrypted))
  }

  const remember = (entry: Entry, value: Uint8Array): Entry => {
    known.set(entry.value, value)
    return { ...entry, value }
  }

  const encrypted = (change: Change): Change | Promise<Change> => {
    const { key, value } = change
    if (!value) return change
    const hidden = ciphers.encrypt(key, value)
    const replace = (bytes: Uint8Array): Change => {
      if (bytes === value) return change
      known.set(bytes, value)
      return { ...change, value: bytes }
    }
    return hidden instanceof Promise ? hidden.then(replace) : replace(hidden)
  }

  const shown = async (event: StoreEvent): Promise<StoreEvent> => ({
    ...event,
    entry: event.entry && (await plain(event.entry)),
    previous: event.previous && (await plain(event.previous)),
  })

  return {
    get revision() {
      return store.revision
    },
    get historyBytes() {
      return store.historyBytes
    },
    ...(store.refresh ? { refresh: () => store.refresh!() } : {}),
    async get(key, at) {
      const entry = await store.get(key, at)
      return entry && plain(entry)
    },
    async range(prefix, options) {
      const page = await store.range(prefix, options)
      return { ...page, entries: await Promise.all(page.entries.map(async (entry) => plain(entry))) }
    },
    async commit(changes) {
      const hidden = changes.map(encrypted)
      const ready = hidden.every((change) => !(change instanceof Promise))
        ? (hidden as Change[])
        : await Promise.all(hidden.map(async (change) => change))
      const outcome = await store.commit(ready)
      return 'conflict' in outcome && outcome.current ? { ...outcome, current: await plain(outcome.current) } : outcome
    },
    watch(prefix, after, signal) {
      const events = store.watch(prefix, after, signal)
      return (async function* () {
        for await (const batch of events) yield await Promise.all(batch.map(shown))
      })()
    },
    compact: (revision) => store.compact(revision),
    close: () => store.close(),
    async isStale(key) {
      const entry = await store.get(key)
      return entry !== undefined && ciphers.isStale(key, entry.value)
    },
  }
}
