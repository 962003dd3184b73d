import { existsSync, readFileSync } from 'node:fs'
import { createClient } from '../client/create-client.ts'
import { createHttpTransport, optionsFromKubeconfig } from '../client/http/index.ts'
import { dataDirectory, readRecord } from '../cluster/data-directory.ts'
import { runningServer } from '../cluster/process.ts'
import { UserError } from '../cluster/user-error.ts'
import { dataRootOf } from './up.ts'

interface NodeHealth {
  readonly name: string
  readonly ready: boolean
  /** InternalIP. */
  readonly address?: string
}

/** More nodes than this are only counted. */
const MAX_LISTED_NODES = 32

interface Health {
  readonly name: string
  readonly state: 'up' | 'down'
  readonly dataDirectory: string
  readonly process?: number
  readonly port?: number
  readonly runtime?: string
  readonly memoryMb?: number
  readonly nodes?: readonly NodeHealth[]
  readonly pods?: Readonly<Record<string, number>>
}

/** Resident memory of a process in MiB (VmRSS of proc(5)). */
function residentMb(pid: number): number {
  const line = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Math.round(Number(line?.[1] ?? 0) / 1024)
}

async function healthOf(flags: { readonly name: string; readonly dataDir?: string }): Promise<Health> {
  const directory = dataDirectory(dataRootOf(flags))
  const record = existsSync(directory.root) ? readRecord(directory) : undefined
  if (!record) throw new UserError(`there is no cluster "${flags.name}" (${directory.root}); ./proa up makes it`)
  const known = { name: record.name, dataDirectory: directory.root, port: record.port, runtime: record.runtime }
  const pid = runningServer(directory)
  if (pid === undefined) return { ...known, state: 'down' }
  const { transport, close } = createHttpTransport(optionsFromKubeconfig(readFileSync(directory.kubeconfig, 'utf8')))
  try {
    const client = createClient(transport)
    const nodes = await client.list('v1/Node')
    const pods: Record<string, number> = {}
    for (const pod of (await client.list('v1/Pod')).items) {
      const phase = pod.status?.phase ?? 'Unknown'
      pods[phase] = (pods[phase] ?? 0) + 1
    }
    const isReady = (node: (typeof nodes.items)[number]) =>
      node.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false
    return {
      ...known,
      state: 'up',
      process: pid,
      memoryMb: residentMb(pid),
      nodes: nodes.items.map((node) => {
        const address = node.status?.addresses?.find(({ type }) => type === 'InternalIP')?.address
        return { name: node.metadata?.name ?? '', ready: isReady(node), ...(address === undefined ? {} : { address }) }
      }),
      pods,
    }
  } finally {
    close()
  }
}

export async function status(flags: { readonly name: string; readonly dataDir?: string; readonly json?: boolean }): Promise<void> {
  const health = await healthOf(flags)
  if (flags.json) {
    process.stdout.write(`${JSON.stringify(health)}\n`)
    return
  }
  const rows: [string, string][] = [
    ['cluster', `${health.name} (${health.state})`],
    ['data', health.dataDirectory],
    ['runtime', health.runtime ?? ''],
  ]
  if (health.state === 'up') {
    rows.push(['server', `process ${health.process}, port ${health.port}, ${health.memoryMb} MiB`])
    const ready = health.nodes?.filter((node) => node.ready).length ?? 0
    rows.push(['nodes', `${ready} of ${health.nodes?.length ?? 0} Ready`])
    const listed = health.nodes && health.nodes.length <= MAX_LISTED_NODES ? health.nodes : []
    for (const node of listed) rows.push(['', `${node.name}  ${node.ready ? 'Ready' : 'not Ready'}  ${node.address ?? ''}`])
    rows.push([
      'pods',
      Object.entries(health.pods ?? {})
        .map(([phase, count]) => `${count} ${phase}`)
        .join(', ') || 'none',
    ])
  }
  process.stdout.write(`${rows.map(([label, text]) => `${label.padEnd(8)} ${text}`).join('\n')}\n`)
}
