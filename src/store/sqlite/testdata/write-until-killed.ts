/** Writes pairs of keys with sixteen writers, printing each once it is answered, and compacts now and then: until it is killed. */
import { openSqliteStore } from '../store.ts'

const [path, round] = process.argv.slice(2)
const store = await openSqliteStore({ path: path! })
const value = new Uint8Array(500).fill(7)

async function write(writer: number): Promise<void> {
  for (let i = 0; ; i++) {
    const key = `/${round}/${writer}/${i}`
    const answer = await store.commit([
      { key: `${key}/left`, value, expected: 0 },
      { key: `${key}/right`, value, expected: 0 },
      { key: '/counter', value },
    ])
    if (!('revision' in answer)) throw new Error(`conflict on ${answer.conflict}`)
    // Written before the call returns, a pipe being synchronous on Linux.
    process.stdout.write(`${key}/left ${answer.revision}\n`)
    if (i % 50 === 49) await store.compact(answer.revision)
  }
}

await Promise.all(Array.from({ length: 16 }, (_, writer) => write(writer)))
