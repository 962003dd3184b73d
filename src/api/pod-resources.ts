/** What a pod asks for as a whole, from what its containers ask for (KEP-753 for sidecars, KEP-2837 for pod-level resources). */
import type { Container, PodSpec } from './generated/core/v1.ts'
import { addQuantities, compareQuantities } from './quantity.ts'

export type ResourceList = Readonly<Record<string, string>>
type Side = 'requests' | 'limits'

function addTo(total: Record<string, string>, list: ResourceList | undefined): void {
  for (const name in list) {
    const amount = String(list[name])
    total[name] = total[name] === undefined ? amount : addQuantities(total[name], amount)
  }
}

function raiseTo(total: Record<string, string>, list: ResourceList): void {
  for (const name in list) {
    const amount = list[name] ?? '0'
    if (total[name] === undefined || compareQuantities(amount, total[name]) > 0) total[name] = amount
  }
}

/** Containers run together with the sidecars; each other init container runs alone, beside the sidecars started before it. */
export function containerTotals(spec: Pick<PodSpec, 'containers' | 'initContainers'>, side: Side): ResourceList {
  const total: Record<string, string> = {}
  const sidecars: Record<string, string> = {}
  const initPeak: Record<string, string> = {}
  for (const container of spec.containers ?? []) addTo(total, container.resources?.[side])
  for (const container of spec.initContainers ?? []) {
    const own = container.resources?.[side]
    if (isSidecar(container)) {
      addTo(total, own)
      addTo(sidecars, own)
      raiseTo(initPeak, sidecars)
    } else {
      const together = { ...sidecars }
      addTo(together, own)
      raiseTo(initPeak, together)
    }
  }
  raiseTo(total, initPeak)
  return total
}

const isSidecar = (container: Container): boolean => container.restartPolicy === 'Always'

export const isPodLevelResource = (name: string): boolean => name === 'cpu' || name === 'memory' || name.startsWith('hugepages-')

/** Totals with those of the pod itself in place of its containers', and the overhead of its runtime class on top when asked for. */
export function podTotals(spec: PodSpec, side: Side, options: { readonly withOverhead?: boolean } = {}): ResourceList {
  const total: Record<string, string> = { ...containerTotals(spec, side) }
  const own = spec.resources?.[side]
  for (const name in own) if (isPodLevelResource(name)) total[name] = String(own[name])
  if (options.withOverhead && spec.overhead) {
    for (const name in spec.overhead) {
      // A limit that does not exist stays unlimited.
      if (side === 'requests' || total[name] !== undefined) addTo(total, { [name]: String(spec.overhead[name]) })
    }
  }
  return total
}
