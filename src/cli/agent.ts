import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { LogLevel } from '../base/log.ts'
import { UserError } from '../cluster/user-error.ts'
import { createProgress } from './progress.ts'

export const DEFAULT_AGENT_ROOT = '/var/lib/proa/agent'

export interface AgentFlags {
  readonly config?: string
  readonly server?: string
  readonly token?: string
  readonly tokenFile?: string
  readonly caHash?: string
  readonly nodeName?: string
  readonly nodeIp?: string
  readonly dataDir: string
  readonly logLevel: LogLevel
}

export async function agent(flags: AgentFlags): Promise<void> {
  if (flags.config !== undefined) return (await import('../cluster/agent.ts')).runAgent(flags.config)
  const { server, caHash, nodeName, nodeIp, logLevel } = flags
  const token = tokenOf(flags)
  // What others see of this process need not show the token for as long as it runs.
  if (flags.token !== undefined) process.title = 'proa agent'
  delete process.env.PROA_TOKEN
  if (caHash !== undefined && !/^sha256:[0-9a-fA-F]{64}$/.test(caHash)) throw new UserError('--ca-hash must be sha256: and 64 hex digits')
  await (
    await import('../cluster/join/joined-agent.ts')
  ).runJoinedAgent({
    dataRoot: resolve(flags.dataDir),
    logLevel,
    ...(server === undefined ? {} : { server }),
    ...(token === undefined ? {} : { token }),
    ...(caHash === undefined ? {} : { caHash }),
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(nodeIp === undefined ? {} : { nodeIp }),
  })
}

function tokenOf({ token, tokenFile }: AgentFlags): string | undefined {
  if (tokenFile === undefined) return token ?? process.env.PROA_TOKEN
  try {
    return readFileSync(tokenFile, 'utf8')
  } catch (error) {
    throw new UserError(`the token cannot be read: ${(error as Error).message}`)
  }
}

export interface LeaveFlags {
  readonly dataDir: string
  /** Milliseconds. */
  readonly timeout: number
  readonly force?: boolean
}

export async function leave({ dataDir, timeout, force = false }: LeaveFlags): Promise<void> {
  const { step } = createProgress(0)
  const { leaveCluster } = await import('../cluster/join/leave.ts')
  await leaveCluster({ dataRoot: resolve(dataDir), timeoutMs: timeout, isForced: force, step })
  step('this machine is no node any more')
}
