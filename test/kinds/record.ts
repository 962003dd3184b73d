/**
 * Asks upstream's kube-apiserver (built already; `npm run bench` builds it) and proa all cases of the seeds, and tells where they differ.
 *
 *     node test/kinds/record.ts [FILE...]       both answers of each case that differs, of these files of seeds or of all
 *     node test/kinds/record.ts --write         makes recorded.json: after a change of seeds, mutations or upstream's release
 */
import { writeFileSync } from 'node:fs'
import { Agent } from 'node:https'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { KubeObject } from '../../src/api/object.ts'
import { startBuiltApiServer } from '../../upstream/api-server.ts'
import { parseEndpoint } from '../../upstream/endpoint.ts'
import { ask } from '../upstream/exchange.ts'
import { answersTo, askInProcess, storeWorld } from './ask.ts'
import { hashOf, seedFiles, UNKNOWN, type Ask } from './cases.ts'

/** Upstream's answer to what makes it panic: it ends the connection. Nothing to compare with. */
const NONE = 'no answer'

function askUpstream(kubeconfig: string): Ask {
  const endpoint = parseEndpoint(kubeconfig)
  const agent = new Agent({ keepAlive: true })
  return async (method, path, body) => {
    const answer = await ask(endpoint, agent, { method, path, ...(body === undefined ? {} : { body: body as object }) }).catch(
      () => undefined,
    )
    if (!answer) return { code: 0, body: { message: NONE } as unknown as KubeObject, warnings: [] }
    const told = answer.headers['warning'] ?? []
    const warnings = (typeof told === 'string' ? [told] : told).map((text) => JSON.parse(/^299 - (".*")$/.exec(text)![1]!) as string)
    const text = answer.body.toString()
    return { code: answer.status, body: (text.startsWith('{') ? JSON.parse(text) : { message: text }) as KubeObject, warnings }
  }
}

const { values: flags, positionals } = parseArgs({ allowPositionals: true, options: { write: { type: 'boolean', default: false } } })
const upstream = await startBuiltApiServer()
try {
  const asks = { upstream: askUpstream(upstream.kubeconfig), proa: await askInProcess({ after: () => undefined }) }
  for (const one of Object.values(asks)) await storeWorld(one)
  const recorded: Record<string, string> = {}
  for (const file of positionals.length > 0 && !flags.write ? positionals : seedFiles()) {
    const expected = new Map(await answersTo(file, asks.upstream, () => true))
    const got = await answersTo(file, asks.proa, () => true)
    const hashes = got.map(([name, answer]) => {
      const wanted = expected.get(name)
      if (wanted?.includes(NONE)) return UNKNOWN
      if (wanted === answer) return hashOf(answer)
      if (!flags.write) process.stdout.write(`## ${file}: ${name}\n--- upstream\n${wanted}\n--- proa\n${answer}\n`)
      return `!${wanted === undefined ? UNKNOWN : hashOf(wanted)}`
    })
    recorded[file] = hashes.join(' ')
    process.stderr.write(`${file}: ${hashes.filter((hash) => hash.startsWith('!')).length} of ${hashes.length} differ\n`)
  }
  if (flags.write) writeFileSync(join(import.meta.dirname, 'recorded.json'), `${JSON.stringify(recorded).replaceAll('","', '",\n"')}\n`)
} finally {
  await upstream.stop()
}
// Its watches of itself would keep the server in this process alive.
process.exit()
