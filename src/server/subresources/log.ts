/** pods/log: what a container has written, as its node keeps it. */
import type { ApiResponse } from '../../api/exchange.ts'
import type { LogOptions } from '../../api/node-service.ts'
import { badRequest, invalid, type FieldError } from '../../api/status.ts'
import type { Core, ResourceCall } from '../core.ts'
import { isTrue } from '../request-info.ts'
import { containerOf, nodeOf, podOf, refOf } from './pod-container.ts'
import { checkVerb } from './verbs.ts'

const TEXT = 'text/plain'
const STREAMS = ['All', 'Stderr', 'Stdout']

export async function log(core: Core, call: ResourceCall): Promise<ApiResponse> {
  checkVerb(call)
  const { query, signal } = call.request
  const asked = logOptions(query, call.info.name)
  const pod = await podOf(core, call)
  const container = containerOf(pod, query.get('container') ?? '')
  const node = nodeOf(core, pod)
  // Upstream answers a pod without a node with nothing at all.
  if (!pod.spec?.nodeName) return { type: 'raw', status: 204, contentType: TEXT, body: new Uint8Array(0) }
  if (!node) return { type: 'raw', status: 200, contentType: TEXT, body: new Uint8Array(0) }
  const body = await node.logs(refOf(pod), { ...asked, container }, signal)
  return { type: 'raw', status: 200, contentType: TEXT, body }
}

const positive = (value: number): boolean => value >= 1

function logOptions(query: URLSearchParams, name: string): Omit<LogOptions, 'container'> {
  const errors: FieldError[] = []
  const integer = (field: string, isFine: (value: number) => boolean, detail: string): number | undefined => {
    const text = query.get(field)
    if (text === null || text === '') return undefined
    if (!/^-?\d+$/.test(text)) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`)
    if (!isFine(Number(text))) errors.push({ type: 'FieldValueInvalid', field, detail: `Invalid value: ${text}: ${detail}` })
    return Number(text)
  }
  const tailLines = integer('tailLines', (value) => value >= 0, 'must be greater than or equal to 0')
  const limitBytes = integer('limitBytes', positive, 'must be greater than 0')
  const sinceSeconds = integer('sinceSeconds', positive, 'must be greater than 0')
  const sinceTime = query.get('sinceTime') || undefined
  if (sinceSeconds !== undefined && sinceTime !== undefined)
    errors.push({
      type: 'FieldValueForbidden',
      field: '[]',
      detail: 'Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified',
    })
  const stream = query.get('stream') || 'All'
  if (!STREAMS.includes(stream)) {
    const supported = STREAMS.map((text) => JSON.stringify(text)).join(', ')
    errors.push({
      type: 'FieldValueNotSupported',
      field: 'stream',
      detail: `Unsupported value: ${JSON.stringify(stream)}: supported values: ${supported}`,
    })
  } else if (stream !== 'All' && tailLines !== undefined) {
    errors.push({
      type: 'FieldValueForbidden',
      field: '[]',
      detail: 'Forbidden: `tailLines` and specific `stream` are mutually exclusive for now',
    })
  }
  if (errors.length > 0) throw invalid('', 'PodLogOptions', name, errors)
  return {
    follow: isTrue(query.get('follow')),
    previous: isTrue(query.get('previous')),
    timestamps: isTrue(query.get('timestamps')),
    stream: stream as 'All' | 'Stdout' | 'Stderr',
    ...(tailLines === undefined ? {} : { tailLines }),
    ...(limitBytes === undefined ? {} : { limitBytes }),
    ...(sinceSeconds === undefined ? {} : { sinceSeconds }),
    ...(sinceTime === undefined ? {} : { sinceTime }),
  }
}
