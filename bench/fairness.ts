/**
 * One client that takes all it can get, beside another that asks for little: what the first costs the second. Both are service accounts, so
 * both belong to the same priority level and differ only as flows; each loads the server from a process of its own.
 */
import type { Endpoint } from '../upstream/endpoint.ts'
import { eachOf, expect, makeNamespace, openMany } from './asking.ts'
import type { Connection } from './connection.ts'
import { saturate, type Throughput } from './saturate.ts'

const OBJECTS = 1_000
const GREEDY_CONNECTIONS = 100
const MODEST_CONNECTIONS = 8
const PAYLOAD = 'x'.repeat(750)

type Client = 'greedy' | 'modest'
const CLIENTS: readonly Client[] = ['greedy', 'modest']
const mapsOf = (client: Client): string => `/api/v1/namespaces/${client}/configmaps`
const mapOf = (name: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { value: PAYLOAD } })

/** The token of each client. */
export async function fairnessClients(endpoint: Endpoint, _options: object): Promise<Readonly<Record<Client, string>>> {
  const connections = await openMany(endpoint, 16)
  const [first] = connections as [Connection]
  const tokens: Record<Client, string> = { greedy: '', modest: '' }
  for (const client of CLIENTS) {
    await makeNamespace(first, client)
    await expect(first, [201], 'POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      metadata: { name: `bench-${client}` },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [{ kind: 'ServiceAccount', namespace: client, name: 'default' }],
    })
    const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} }
    const answer = await expect(first, [201], 'POST', `/api/v1/namespaces/${client}/serviceaccounts/default/token`, request)
    tokens[client] = (JSON.parse(answer) as { readonly status: { readonly token: string } }).status.token
    await eachOf(connections, OBJECTS, (connection, index) => expect(connection, [201], 'POST', mapsOf(client), mapOf(`m-${index}`)))
  }
  for (const connection of connections) connection.close()
  return tokens
}

/** Lists, and writes, as fast as the server answers; being turned away now and then is part of it. */
async function greedy(connections: readonly Connection[], windowMs: number): Promise<Throughput> {
  let serial = 0
  const run = Date.now().toString(36)
  return saturate(connections, 0, windowMs, async (connection) => {
    const index = serial++
    const { status } =
      index % 2 === 0
        ? await connection.request('GET', mapsOf('greedy'))
        : await connection.request('POST', mapsOf('greedy'), JSON.stringify(mapOf(`g-${run}-${index}`)))
    return status === 200 || status === 201
  })
}

async function modest(connections: readonly Connection[], windowMs: number): Promise<Throughput> {
  let serial = 0
  return saturate(connections, 1000, windowMs, async (connection) => {
    const { status } = await connection.request('GET', `${mapsOf('modest')}/m-${serial++ % OBJECTS}`)
    return status === 200
  })
}

export interface FairnessOptions {
  readonly client: Client
  readonly token: string
  readonly seconds: number
}

export async function fairness({ host, port, ca }: Endpoint, { client, token, seconds }: FairnessOptions): Promise<Throughput> {
  const isGreedy = client === 'greedy'
  const connections = await openMany({ host, port, ca, token }, isGreedy ? GREEDY_CONNECTIONS : MODEST_CONNECTIONS)
  const result = await (isGreedy ? greedy : modest)(connections, seconds * 1000)
  for (const connection of connections) connection.close()
  return result
}
