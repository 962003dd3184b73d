/** postStart and preStop hooks: a command in the container, an HTTP request, or a pause. */
import type { Container, HTTPGetAction, LifecycleHandler, Pod } from '../api/generated/core/v1.ts'
import { sleep } from '../base/clock.ts'
import { describePod, identityOf } from './identity.ts'
import type { NodeContext } from './node-context.ts'

/** How long a hook's HTTP request may take. */
const HTTP_TIMEOUT_MS = 30_000

const decoder = new TextDecoder()

export interface HookTarget {
  readonly pod: Pod
  readonly container: Container
  readonly containerId: string
  readonly podIP: string | undefined
}

/** Resolves with why it failed, as upstream words it, or undefined. */
export async function runHook(
  node: NodeContext,
  handler: LifecycleHandler,
  target: HookTarget,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { pod, container, containerId } = target
  const where = `for Container "${container.name}" in Pod "${describePod(identityOf(pod))}" failed`
  try {
    if (handler.exec) {
      const command = handler.exec.command ?? []
      const result = await node.containers.execSync(containerId, command, 0)
      if (result.exitCode === 0) return undefined
      const output = decoder.decode(result.stdout) + decoder.decode(result.stderr)
      const why = `command '${command.join(' ')}' exited with ${result.exitCode}: ${decoder.decode(result.stderr)}`
      return `Exec lifecycle hook (${JSON.stringify(command)}) ${where} - error: ${why}, message: ${JSON.stringify(output)}`
    }
    if (handler.httpGet) {
      const request = httpRequest(handler.httpGet, container, target.podIP, 'lifecycle')
      let answer = await node.host.probeHttp(request.url, request.headers, HTTP_TIMEOUT_MS)
      // A hook that names HTTPS where plain HTTP is spoken worked in old releases and still does.
      if ('error' in answer && request.url.startsWith('https:'))
        answer = await node.host.probeHttp(request.url.replace('https:', 'http:'), withoutAuthorization(request.headers), HTTP_TIMEOUT_MS)
      return 'error' in answer ? `HTTP lifecycle hook (${handler.httpGet.path}) ${where} - error: ${answer.error}` : undefined
    }
    if (handler.sleep) {
      await sleep(node.runtime.clock, handler.sleep.seconds * 1000, signal)
      return undefined
    }
    return 'Cannot run handler: invalid handler'
  } catch (error) {
    if (signal.aborted) return `Sleep lifecycle hook ${where} - error: container terminated before sleep hook finished`
    return `Lifecycle hook ${where} - error: ${error instanceof Error ? error.message : String(error)}`
  }
}

const withoutAuthorization = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'authorization'))

/** A port by number or by the name that the container gives it; throws when there is none. */
export function resolvePort(port: number | string, container: Container): number {
  const number = typeof port === 'number' ? port : (container.ports?.find(({ name }) => name === port)?.containerPort ?? Number(port))
  if (Number.isInteger(number) && number > 0 && number < 65_536) return number
  throw new Error(Number.isNaN(number) ? `couldn't find port: "${port}"` : `invalid port number: ${number}`)
}

/** "a:b" for a host that is an IPv6 address. */
export const bracketed = (host: string): string => (host.includes(':') ? `[${host}]` : host)

export function httpRequest(
  action: HTTPGetAction,
  container: Container,
  podIP: string | undefined,
  purpose: 'probe' | 'lifecycle',
): { readonly url: string; readonly headers: Readonly<Record<string, string>> } {
  const scheme = (action.scheme ?? 'HTTP').toLowerCase()
  const path = action.path ?? '/'
  const url = `${scheme}://${bracketed(action.host || podIP || '')}:${resolvePort(action.port, container)}${path.startsWith('/') ? path : `/${path}`}`
  const headers: Record<string, string> = { 'User-Agent': `kube-${purpose}/1.36`, Accept: '*/*' }
  for (const { name, value } of action.httpHeaders ?? []) {
    const known = Object.keys(headers).find((header) => header.toLowerCase() === name.toLowerCase())
    if (known) delete headers[known]
    if (value !== '' || name.toLowerCase() !== 'accept') headers[name] = value ?? ''
  }
  return { url, headers }
}
