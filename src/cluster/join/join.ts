/**
 * A machine becomes a node: with a bootstrap token it learns the cluster's authority, gets a certificate as the node that it is to be, and
 * with that what nodes must know. Afterwards the token is worth nothing to it: it may end, and is kept nowhere.
 */
import { isIPv4 } from 'node:net'
import { hostname } from 'node:os'
import { isApiError } from '../../api/status.ts'
import type { Runtime } from '../../base/runtime.ts'
import { createClient } from '../../client/create-client.ts'
import { createHttpTransport, type HttpTransportOptions } from '../../client/http/index.ts'
import type { Client } from '../../client/client.ts'
import { askForCertificate } from '../../node/certificate-rotation.ts'
import { createCertificateRequest } from '../certificates.ts'
import { newClusterId, writeFileAtomically } from '../data-directory.ts'
import { nodeClientRequest, writePemFile } from '../pki.ts'
import { UserError } from '../user-error.ts'
import { parseToken } from './bootstrap-token.ts'
import { discoverAuthority, serverUrl, unreachable } from './discovery.ts'
import { isNodeReady, NODE_FACTS, NODE_FACTS_KEY, type SharedFacts } from './join-objects.ts'
import { writeJoined, type JoinedFiles, type JoinedRecord } from './joined-record.ts'

export interface JoinOptions {
  readonly server: string
  readonly token: string
  readonly caHash?: string
  /** Default: the machine's. */
  readonly nodeName?: string
  readonly nodeIp?: string
}

/** What becomes part of host names, labels and certificates. */
const NODE_NAME = /^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$/

/** Resolves when the machine is known to the cluster as a node; it is on disk then. Rejects with a UserError that says what to do. */
export async function joinCluster(runtime: Runtime, files: JoinedFiles, options: JoinOptions, signal: AbortSignal): Promise<JoinedRecord> {
  const token = parseToken(options.token)
  if (options.nodeIp !== undefined && !isIPv4(options.nodeIp))
    throw new UserError(`--node-ip must be an IPv4 address, not ${JSON.stringify(options.nodeIp)}`)
  const nodeName = options.nodeName ?? hostname().toLowerCase()
  if (!NODE_NAME.test(nodeName)) throw new UserError(`${JSON.stringify(nodeName)} is no name for a node: --node-name gives another`)
  const server = serverUrl(options.server).origin
  const ca = await discoverAuthority(runtime.clock, {
    server,
    token,
    ...(options.caHash === undefined ? {} : { caHash: options.caHash }),
  })
  runtime.log.info('the cluster is the one that was meant', { server })
  const keys = await asking(server, { server, ca, token: options.token.trim() }, async (client) => {
    await checkName(client, nodeName)
    const { key, request } = await createCertificateRequest(nodeClientRequest(nodeName))
    return { cert: await askForCertificate(runtime.clock, client, 'kubernetes.io/kube-apiserver-client-kubelet', request, signal), key }
  })
  const config = await asking(server, { server, ca, ...keys }, (client) => client.get('v1/ConfigMap', NODE_FACTS))
  const record: JoinedRecord = {
    id: newClusterId(),
    nodeName,
    server,
    facts: JSON.parse(config.data?.[NODE_FACTS_KEY] ?? '{}') as SharedFacts,
    ...(options.nodeIp === undefined ? {} : { nodeIp: options.nodeIp }),
  }
  writeJoined(files, record)
  writeFileAtomically(files.ca, ca, 0o644)
  writePemFile(files.client, keys)
  runtime.log.info('this machine has joined the cluster', { server, node: nodeName })
  return record
}

/** Two machines of one name would fight over one Node. One that is not Ready may be this machine before it lost its disk. */
async function checkName(client: Client, nodeName: string): Promise<void> {
  const node = await client.get('v1/Node', { name: nodeName }).catch((error: unknown) => {
    if (isApiError(error, 'NotFound')) return undefined
    throw error
  })
  if (node && isNodeReady(node))
    throw new UserError(
      `the cluster has a live node ${nodeName} already: --node-name gives this machine another name; if it is this machine's former self, kubectl delete node ${nodeName}`,
    )
}

/** Calls the API once, and tells its failures in terms of what can be done. */
export async function asking<T>(server: string, options: HttpTransportOptions, ask: (client: Client) => Promise<T>): Promise<T> {
  const { transport, close } = createHttpTransport(options)
  try {
    return await ask(createClient(transport, { userAgent: 'kubelet' }))
  } catch (error) {
    throw joinFault(error, server)
  } finally {
    close()
  }
}

const CLOCK_CODES: ReadonlySet<string> = new Set(['CERT_NOT_YET_VALID', 'CERT_HAS_EXPIRED'])

function joinFault(error: unknown, server: string): unknown {
  if (isApiError(error, 'Unauthorized'))
    return new UserError(
      'the token is not accepted: it is wrong, has expired, or may not be used for authentication; proa token create makes another',
    )
  if (isApiError(error, 'Forbidden'))
    return new UserError(`the server lets this token do too little (${error.message}): was it made with other --groups than the usual?`)
  const { code = '' } = error as NodeJS.ErrnoException
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return new UserError(
      `the certificate of ${server} does not name this host: start the server with --tls-san ${new URL(server).hostname}`,
    )
  if (CLOCK_CODES.has(code))
    return new UserError(`the certificate of ${server} is of another time (${code}): are the clocks of this machine and the server right?`)
  if (/CERT|SIGNED|SIGNATURE|ISSUER/.test(code))
    return new UserError(
      `${server} shows a certificate of another authority than the cluster's (${code}): is something between this machine and the server?`,
    )
  return code ? unreachable(server, error as NodeJS.ErrnoException) : error
}
