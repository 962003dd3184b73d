/** Bootstrap tokens, by which machines join: made, listed and deleted as the cluster's administrator. */
import { existsSync, readFileSync } from 'node:fs'
import type { Client } from '../client/client.ts'
import { createClient } from '../client/create-client.ts'
import { createHttpTransport, optionsFromKubeconfig } from '../client/http/index.ts'
import { dataDirectory, readRecord, type ClusterRecord, type DataDirectory } from '../cluster/data-directory.ts'
import { createToken, deleteToken, listTokens, newToken, parseToken, tokenText } from '../cluster/join/bootstrap-token.ts'
import { hashOfAuthority } from '../cluster/join/discovery.ts'
import { serverAddress } from '../cluster/node-layout.ts'
import { UserError } from '../cluster/user-error.ts'
import { dataRootOf } from './up.ts'

interface Place {
  readonly name: string
  readonly dataDir?: string
}

export interface CreateFlags extends Place {
  /** Milliseconds; 0: for good. */
  readonly ttl: number
  readonly description?: string
  readonly usages: readonly string[]
  readonly groups: readonly string[]
  readonly tokenFile?: string
  readonly quiet?: boolean
}

async function asAdministrator(
  place: Place,
  act: (client: Client, directory: DataDirectory, record: ClusterRecord) => Promise<void>,
): Promise<void> {
  const directory = dataDirectory(dataRootOf(place))
  const record = existsSync(directory.root) ? readRecord(directory) : undefined
  if (!record || !existsSync(directory.kubeconfig)) throw new UserError(`there is no cluster "${place.name}" here: proa server makes it`)
  if (!record.join)
    throw new UserError(`cluster "${place.name}" is one that proa up made, for this machine alone; proa server makes one to join`)
  const { transport, close } = createHttpTransport(optionsFromKubeconfig(readFileSync(directory.kubeconfig, 'utf8')))
  try {
    await act(createClient(transport), directory, record)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED')
      throw new UserError(`cluster "${place.name}" is not up: proa server starts it`)
    throw error
  } finally {
    close()
  }
}

export async function create(flags: CreateFlags): Promise<void> {
  const { ttl, description, usages, groups } = flags
  await asAdministrator(flags, async (client, directory, record) => {
    const token = flags.tokenFile === undefined ? newToken() : parseToken(readFileSync(flags.tokenFile, 'utf8'))
    const options = { usages, groups, ...(ttl > 0 ? { ttlMs: ttl } : {}), ...(description === undefined ? {} : { description }) }
    await createToken(client, token, options, Date.now())
    if (flags.quiet) return void process.stdout.write(`${tokenText(token)}\n`)
    const ca = readFileSync(`${directory.pki}/ca.crt`, 'utf8')
    const server = `https://${serverAddress(record)}:${record.port}`
    process.stderr.write('On the machine that is to join, as root:\n')
    process.stdout.write(`./proa agent --server ${server} --token ${tokenText(token)} --ca-hash ${hashOfAuthority(ca)}\n`)
  })
}

export async function list(place: Place): Promise<void> {
  await asAdministrator(place, async (client) => {
    const rows = (await listTokens(client)).map(({ id, expires, usages, groups, description }) => [
      id,
      expires === '' ? '<forever>' : expires,
      usages.join(','),
      groups.join(','),
      description,
    ])
    const table = [['TOKEN', 'EXPIRES', 'USAGES', 'GROUPS', 'DESCRIPTION'], ...rows]
    const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)))
    for (const row of table)
      process.stdout.write(
        `${row
          .map((text, column) => text.padEnd(widths[column]!))
          .join('  ')
          .trimEnd()}\n`,
      )
  })
}

export async function remove(token: string, place: Place): Promise<void> {
  await asAdministrator(place, (client) => deleteToken(client, token))
  process.stderr.write('the token counts no longer; machines that have joined stay\n')
}
