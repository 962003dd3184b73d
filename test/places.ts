/** Asking from network namespaces: of the machine, of nodes, of pods. */
import { readdirSync } from 'node:fs'
import type { Pod } from '../src/api/generated/core/v1.ts'
import { command } from './harness.ts'

/** A place from which to ask: the machine, a node's namespace, a pod's. */
export interface Place {
  readonly name: string
  readonly netns?: string
}

/** What an HTTP server answers to somebody there, or why it does not. */
export async function ask({ netns }: Place, host: string, port: number): Promise<string> {
  const script = String.raw`exec 3<>/dev/tcp/$0/$1; printf 'GET / HTTP/1.0\r\n\r\n' >&3; cat <&3`
  const inside = netns === undefined ? [] : ['nsenter', `--net=${netns}`, '--']
  const [program, ...args] = [...inside, 'timeout', '3', 'bash', '-c', script, host, `${port}`]
  const { stdout, stderr } = await command(program, args)
  return stdout.trim() || stderr.trim()
}

/** The network namespace of a pod of examples/hello: another cluster's may have the same address, so it is asked for its name. */
export async function podPlace({ metadata, status }: Pick<Pod, 'metadata' | 'status'>): Promise<Place> {
  const { name = '' } = metadata ?? {}
  const address = status?.podIP ?? ''
  for (const file of readdirSync('/run/netns')) {
    const place = { name, netns: `/run/netns/${file}` }
    const { stdout } = await command('nsenter', [`--net=${place.netns}`, '--', 'ip', '-o', '-4', 'address', 'show'])
    if (stdout.includes(` ${address}/`) && (await ask(place, address, 8080)).includes(`from pod ${name}`)) return place
  }
  throw new Error(`no namespace has ${name} at the address ${address}`)
}
