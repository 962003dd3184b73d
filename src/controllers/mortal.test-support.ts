/** Controllers that are killed right after a write of theirs: what was to come after it never comes. */
import type { Client } from '../client/client.ts'
import type { Api, Life } from './built-in.test-support.ts'

export interface Mortal {
  /** Writes so far, but for events. */
  readonly writes: number
  readonly wasKilled: boolean
  /** Lets time pass; the controllers are started anew as soon as they were killed. */
  pass(ms: number): Promise<void>
  /** Kills and starts anew, whatever they are at. */
  kill(): Promise<void>
  end(): Promise<void>
}

const isCounted = (kind: string): boolean => kind !== 'v1/Event'

/** Controllers that die after their n-th write; never, without one. */
export function createMortal({ clock, live }: Api, dieAfter = Infinity): Mortal {
  let writes = 0
  let isDead = false
  let wasKilled = false
  let life: Life = live(mortal)

  function mortal(client: Client): Client {
    const own = { isDead: false }
    const guard = (): void => {
      if (own.isDead || isDead) {
        own.isDead = true
        throw new Error('killed')
      }
    }
    const write = async <T>(kind: string, call: () => Promise<T>): Promise<T> => {
      guard()
      const result = await call()
      if (isCounted(kind) && !isDead && ++writes === dieAfter) {
        isDead = true
        wasKilled = true
      }
      guard()
      return result
    }
    return {
      ...client,
      create: (kind, object, options) => write(kind, () => client.create(kind, object, options)),
      update: (kind, object, options) => write(kind, () => client.update(kind, object, options)),
      patch: (kind, key, type, patch, options) => write(kind, () => client.patch(kind, key, type, patch, options)),
      delete: (kind, key, options) => write(kind, () => client.delete(kind, key, options)),
      deleteCollection: (kind, options) => write(kind, () => client.deleteCollection(kind, options)),
      createSubresource: (kind, key, subresource, body) => write(kind, () => client.createSubresource(kind, key, subresource, body)),
    }
  }

  async function restart(): Promise<void> {
    isDead = true
    await life.end()
    isDead = false
    life = live(mortal)
  }

  return {
    get writes() {
      return writes
    },
    get wasKilled() {
      return wasKilled
    },
    async pass(ms) {
      const until = clock.monotonic() + ms
      while (clock.monotonic() < until) {
        await clock.until(() => isDead, until - clock.monotonic())
        if (isDead) await restart()
      }
    },
    kill: restart,
    end: () => life.end(),
  }
}
