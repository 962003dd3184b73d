/** One request to a server over HTTPS and its whole answer, as a client without any cleverness sees it. */
import { request, type Agent } from 'node:https'
import { gunzipSync } from 'node:zlib'
import type { Endpoint } from '../../upstream/endpoint.ts'

export interface Question {
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS'
  readonly path: string
  /** An object is sent as JSON. */
  readonly body?: object | string | Uint8Array
  /** Default: that of JSON, when there is a body. */
  readonly type?: string
  readonly accept?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Of an answer that does not end (a watch): as many lines are read. */
  readonly lines?: number
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  readonly body: Buffer
}

const TIMEOUT_MS = 30_000

const bytesOf = (body: NonNullable<Question['body']>): Uint8Array =>
  body instanceof Uint8Array ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))

export function ask(endpoint: Endpoint, agent: Agent, question: Question): Promise<Answer> {
  const { method = 'GET', path, body, type = 'application/json', accept = 'application/json', lines } = question
  const bytes = body === undefined ? undefined : bytesOf(body)
  const headers = {
    Accept: accept,
    'User-Agent': 'scenario/v1',
    // Told also of a DELETE, where Node would send the body without its length.
    ...(bytes === undefined ? {} : { 'Content-Type': type, 'Content-Length': bytes.length }),
    ...question.headers,
  }
  return new Promise((resolve, reject) => {
    const call = request({ ...endpoint, agent, method, path, headers, timeout: TIMEOUT_MS }, (response) => {
      const chunks: Buffer[] = []
      const end = () => {
        const whole = Buffer.concat(chunks)
        const body = response.headers['content-encoding'] === 'gzip' ? gunzipSync(whole) : whole
        resolve({ status: response.statusCode ?? 0, headers: headersOf(response.rawHeaders), body })
      }
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        if (lines === undefined || Buffer.concat(chunks).toString().split('\n').length <= lines) return
        end()
        response.destroy()
      })
      response.on('end', end)
      response.on('error', reject)
    })
    call.on('timeout', () => call.destroy(new Error(`${method} ${path}: no answer within ${TIMEOUT_MS / 1000} s`)))
    call.on('error', reject)
    call.end(bytes)
  })
}

/** Headers that are given several times as lists. */
function headersOf(raw: readonly string[]): Answer['headers'] {
  const headers: Record<string, string | string[]> = {}
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at]!.toLowerCase()
    const value = raw[at + 1]!
    const before = headers[name]
    headers[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value]
  }
  return headers
}
