/** What every load does first: connections, a namespace that takes pods, and requests that must be answered as expected. */
import { openConnection } from './connection.ts'
import type { Connection, RequestOptions } from './connection.ts'
import type { Endpoint } from '../upstream/endpoint.ts'

export const NAMESPACE = 'bench'

export async function openMany(endpoint: Endpoint, count: number): Promise<readonly Connection[]> {
  return Promise.all(Array.from({ length: count }, () => openConnection(endpoint)))
}

/** The body of the answer, when its status is one of those. */
export async function expect(
  connection: Connection,
  statuses: readonly number[],
  method: string,
  path: string,
  body?: unknown,
  options: RequestOptions = {},
): Promise<string> {
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
  const answer = await connection.request(method, path, text, { ...options, keepBody: true })
  if (!statuses.includes(answer.status)) throw new Error(`${method} ${path}: ${answer.status} ${answer.body?.slice(0, 500)}`)
  return answer.body!
}

/** Tells the one who started this load that what comes now is measured. */
export function tellBegun(): void {
  process.send?.({ hasBegun: true })
}

/** A namespace for pods: its default account is made here, since a server without controllers has nobody who does. */
export async function makeNamespace(connection: Connection, name: string): Promise<void> {
  await expect(connection, [201, 409], 'POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
  const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default' } }
  await expect(connection, [201, 409], 'POST', `/api/v1/namespaces/${name}/serviceaccounts`, account)
}

/** Calls `ask` for 0 to count - 1, as many at a time as there are connections. */
export async function eachOf(
  connections: readonly Connection[],
  count: number,
  ask: (connection: Connection, index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0
  await Promise.all(
    connections.map(async (connection) => {
      while (next < count) await ask(connection, next++)
    }),
  )
}

/** Asks until `isDone`; an error that says `state()` after the timeout. */
export async function until(
  isDone: () => boolean | Promise<boolean>,
  state: () => string,
  { timeoutSeconds, everyMs }: { readonly timeoutSeconds: number; readonly everyMs: number },
): Promise<void> {
  const start = performance.now()
  while (!(await isDone())) {
    if (performance.now() - start > timeoutSeconds * 1000) throw new Error(`${state()} after ${timeoutSeconds} s`)
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
}
