/** Huge pages: resources named by the size of a page (hugepages-2Mi), volumes of them, and how the kernel names the sizes. Pure. */
import type { Pod, ResourceRequirements } from '../api/generated/core/v1.ts'
import { bytesOf } from './quantities.ts'

/** Bytes that are set aside, by the size of a page: "2Mi", "1Gi". */
export type HugePages = Readonly<Record<string, number>>

const PREFIX = 'hugepages-'
const MEDIUM = 'HugePages'

const UNITS = [
  ['Gi', 'GB', 2 ** 30],
  ['Mi', 'MB', 2 ** 20],
  ['Ki', 'KB', 2 ** 10],
] as const

const unitOf = (bytes: number): (typeof UNITS)[number] => UNITS.find(([, , size]) => bytes >= size && bytes % size === 0) ?? UNITS[2]

/** "2Mi" of a page of 2,097,152 bytes. */
export function pageSizeName(bytes: number): string {
  const [unit, , size] = unitOf(bytes)
  return `${bytes / size}${unit}`
}

/** "2MB", as cgroups have it. */
function kernelName(pageSize: string): string {
  const bytes = bytesOf(pageSize)
  const [, unit, size] = unitOf(bytes)
  return `${bytes / size}${unit}`
}

/** What a container may take of each size; what it does not ask for it may not have. Its own word counts before its pod's. */
export const hugePageLimits = (sizes: HugePages, pod: Pod, { limits }: ResourceRequirements = {}) =>
  Object.keys(sizes).map((size) => ({
    pageSize: kernelName(size),
    limitBytes: bytesOf(limits?.[PREFIX + size] ?? pod.spec?.resources?.limits?.[PREFIX + size]),
  }))

/** Whether a medium of emptyDir is huge pages. */
export const isHugePageMedium = (medium: string): boolean => medium === MEDIUM || medium.startsWith(`${MEDIUM}-`)

/** The size of the pages that a volume is made of; throws, in upstream's words, when the pod's requests do not say it. */
export function pageSizeOf(medium: string, { spec }: Pod): string {
  const requests = [spec?.resources, ...[...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].map(({ resources }) => resources)]
  const asked = new Set(
    requests.flatMap((one) =>
      Object.keys(one?.requests ?? {}).flatMap((name) => (name.startsWith(PREFIX) ? [name.slice(PREFIX.length)] : [])),
    ),
  )
  const wanted = medium === MEDIUM ? undefined : bytesOf(medium.slice(MEDIUM.length + 1))
  const sizes = [...asked].filter((size) => wanted === undefined || bytesOf(size) === wanted)
  if (sizes.length > 1) throw new Error(`medium: ${medium} can't be used if container requests multiple huge page sizes`)
  const [size] = sizes
  if (size === undefined) throw new Error(`medium ${medium}: hugePages storage requested, but there is no resource request for huge pages`)
  return size
}
