/** /containerLogs/{namespace}/{pod}/{container}: what a container has written, with the parameters of PodLogOptions. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import type { Pod } from '../../api/generated/core/v1.ts'
import type { LogOptions, NodeService, PodRef } from '../../api/node-service.ts'
import { badRequest, failure } from '../../api/status.ts'
import { isAbort } from '../../base/abort.ts'

export interface PodSource {
  service(): NodeService
  pods(): readonly Pod[]
}

/** The pod of this name on the node; with a uid, that one and no other. */
export function findPod({ pods }: PodSource, namespace: string, name: string, uid?: string): PodRef | undefined {
  const found = pods().find(({ metadata }) => metadata?.name === name && metadata.namespace === namespace)
  const own = found?.metadata?.uid
  return own === undefined || (uid !== undefined && uid !== own) ? undefined : { namespace, name, uid: own }
}

export async function containerLogs(
  source: PodSource,
  [namespace = '', name = '', container = '', ...more]: readonly string[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (more.length > 0) throw failure('NotFound', '404 page not found\n')
  if (name === '') throw badRequest('{"message": "Missing podID."}')
  if (container === '') throw badRequest('{"message": "Missing container name."}')
  const pod = findPod(source, namespace, name)
  if (!pod) throw failure('NotFound', `pod ${JSON.stringify(name)} does not exist`)
  const options = logOptions(new URL(request.url ?? '/', 'http://node').searchParams, container)
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  const lines = await source.service().logs(pod, options, gone.signal)
  response.writeHead(200, { 'Content-Type': 'text/plain' })
  response.flushHeaders()
  await pipeline(lines, response).catch((error: unknown) => {
    // The one who follows a log ends it by going away.
    if (!gone.signal.aborted && !isAbort(error)) throw error
  })
}

const isTrue = (value: string | null): boolean => value !== null && value !== 'false' && value !== '0'

function logOptions(query: URLSearchParams, container: string): LogOptions {
  const integer = (name: 'tailLines' | 'limitBytes' | 'sinceSeconds', least: number): { readonly [key: string]: number } => {
    const text = query.get(name)
    if (text === null || text === '') return {}
    const value = Number(text)
    if (!/^\d{1,15}$/.test(text) || value < least) throw failure('Invalid', '{"message": "Invalid request."}')
    return { [name]: value }
  }
  const stream = query.get('stream') || 'All'
  if (stream !== 'All' && stream !== 'Stdout' && stream !== 'Stderr') throw failure('Invalid', '{"message": "Invalid request."}')
  const sinceTime = query.get('sinceTime')
  return {
    container,
    follow: isTrue(query.get('follow')),
    previous: isTrue(query.get('previous')),
    timestamps: isTrue(query.get('timestamps')),
    stream,
    ...integer('tailLines', 0),
    ...integer('limitBytes', 1),
    ...integer('sinceSeconds', 1),
    ...(sinceTime ? { sinceTime } : {}),
  }
}
