import { resolve } from 'node:path'
import type { ServerSettings } from '../cluster/launch.ts'
import { upOptionsOf, type UpFlags } from './up.ts'

export interface ServerFlags extends UpFlags {
  readonly advertiseAddress?: string
  readonly tlsSan?: readonly string[]
  readonly clusterCidr?: string
  readonly serviceCidr?: string
  readonly node: boolean
  readonly egress: ServerSettings['egress']
  readonly tokenFile?: string
}

/** Stays until it is told to end. */
export async function server(flags: ServerFlags): Promise<void> {
  const { advertiseAddress, tlsSan, clusterCidr, serviceCidr, tokenFile } = flags
  const settings: ServerSettings = {
    hasNode: flags.node,
    egress: flags.egress,
    ...(advertiseAddress === undefined ? {} : { advertiseAddress }),
    ...(tlsSan === undefined ? {} : { names: tlsSan }),
    ...(clusterCidr === undefined ? {} : { clusterCidr }),
    ...(serviceCidr === undefined ? {} : { serviceCidr }),
    ...(tokenFile === undefined ? {} : { tokenFile: resolve(tokenFile) }),
  }
  // How many nodes there are is told by who joins.
  const { nodes: _nodes, runtime: _runtime, ...options } = upOptionsOf(flags)
  await (await import('../cluster/all-in-one.ts')).runForeground({ ...options, server: settings })
}
