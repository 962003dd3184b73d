/** Ports of a node that pods take for themselves: no two pods may have the same one. */
import type { ContainerPort, PodSpec } from './generated/core/v1.ts'

export interface HostPort {
  readonly ip: string
  readonly protocol: string
  readonly port: number
}

const ANY_ADDRESS = '0.0.0.0'
const NONE: readonly HostPort[] = []

/** Those that stay taken while the pod runs: of containers and of sidecars. */
export function hostPortsOf(spec: PodSpec | undefined): readonly HostPort[] {
  let ports: HostPort[] | undefined
  const add = (list: readonly ContainerPort[] | undefined) => {
    for (const { hostPort, hostIP, protocol } of list ?? [])
      if (hostPort && hostPort > 0) (ports ??= []).push({ ip: hostIP || ANY_ADDRESS, protocol: protocol || 'TCP', port: hostPort })
  }
  for (const container of spec?.initContainers ?? []) if (container.restartPolicy === 'Always') add(container.ports)
  for (const container of spec?.containers ?? []) add(container.ports)
  return ports ?? NONE
}

/** The same port of the same protocol, unless on different addresses. */
const conflict = (a: HostPort, b: HostPort): boolean =>
  a.port === b.port && a.protocol === b.protocol && (a.ip === b.ip || a.ip === ANY_ADDRESS || b.ip === ANY_ADDRESS)

export const portsConflict = (wanted: readonly HostPort[], taken: readonly HostPort[]): boolean =>
  taken.length > 0 && wanted.some((port) => taken.some((other) => conflict(port, other)))
