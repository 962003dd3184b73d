/**
 * A proxy in front of the server may name the user in headers (X-Remote-User and so on), when its certificate is of the authority for
 * proxies and its name is one of those that are believed (k8s.io/apiserver/pkg/authentication/request/headerrequest). From anybody else
 * these headers mean nothing, and they are never passed on.
 */
import type { ApiRequest, UserInfo } from '../../api/exchange.ts'
import { allValues, unescapeHeaderKey } from './headers.ts'

export interface FrontProxyHeaders {
  /** Common names of proxies that are believed; none: all that the authority has signed. */
  readonly allowedNames: readonly string[]
}

const USER = 'x-remote-user'
const UID = 'x-remote-uid'
const GROUP = 'x-remote-group'
const EXTRA = 'x-remote-extra-'

/** Undefined when the proxy is not believed, or names nobody. */
export function frontProxyUser(
  { allowedNames }: FrontProxyHeaders,
  proxyName: string,
  request: Pick<ApiRequest, 'headers' | 'headerLines'>,
): UserInfo | undefined {
  if (allowedNames.length > 0 && !allowedNames.includes(proxyName)) return undefined
  const name = allValues(request, USER)[0]
  if (!name) return undefined
  const uid = allValues(request, UID)[0]
  const extra: Record<string, readonly string[]> = {}
  for (const header in request.headers) {
    if (header.startsWith(EXTRA)) extra[unescapeHeaderKey(header.slice(EXTRA.length))] = allValues(request, header)
  }
  return {
    name,
    groups: allValues(request, GROUP).filter((group) => group !== ''),
    ...(uid ? { uid } : {}),
    ...(Object.keys(extra).length > 0 ? { extra } : {}),
  }
}
