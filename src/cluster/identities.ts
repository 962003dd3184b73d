/**
 * As whom each part of the cluster calls the API: upstream's names, so that its bootstrap roles apply. In the same process too,
 * every call is authorised.
 */
import type { UserInfo } from '../api/exchange.ts'

export const administrator: UserInfo = { name: 'kubernetes-admin', groups: ['system:masters'] }
/** The API server's own calls to itself (upstream's loopback client). */
export const apiServer: UserInfo = { name: 'system:apiserver', groups: ['system:masters'] }
export const scheduler: UserInfo = { name: 'system:kube-scheduler', groups: [] }
/** Reads for all controllers; each writes as its own account. */
export const controllerManager: UserInfo = { name: 'system:kube-controller-manager', groups: [] }

export const serviceAccount = (namespace: string, name: string): UserInfo => ({
  name: `system:serviceaccount:${namespace}:${name}`,
  groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`],
})

/** The account of a controller, as upstream names it: "deployment-controller". */
export const controllerAccount = (component: string): UserInfo => serviceAccount('kube-system', component)

/** The program that upstream runs as this user: what managedFields and logs call it. */
export function programOf({ name }: UserInfo): string {
  if (name.startsWith('system:node:')) return 'kubelet'
  if (name === controllerManager.name || name.startsWith('system:serviceaccount:kube-system:')) return 'kube-controller-manager'
  return name.replace(/^system:/, '')
}

/** As whom the API server calls the nodes' own API, which lets in nobody else. */
export const KUBELET_CLIENT = 'kube-apiserver-kubelet-client'

export const node = (nodeName: string): UserInfo => ({ name: `system:node:${nodeName}`, groups: ['system:nodes'] })

/** The name by which aggregated API servers know this one (requestheader-allowed-names). */
export const FRONT_PROXY_CLIENT = 'front-proxy-client'
