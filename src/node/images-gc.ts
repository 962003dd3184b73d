/**
 * Which images go when their disk is full, or when they have not been used for long: never those of containers that are there, nor ones
 * that have only just come (pkg/kubelet/images/image_gc_manager.go). Pure.
 */
import type { Image } from './container-runtime.ts'

export interface ImageRecord {
  readonly image: Image
  readonly firstSeenMs: number
  readonly lastUsedMs: number
}

/** Brings what is known of images up to what is there now. */
export function recordImages(
  known: ReadonlyMap<string, ImageRecord>,
  images: readonly Image[],
  isInUse: (image: Image) => boolean,
  nowMs: number,
): ReadonlyMap<string, ImageRecord> {
  return new Map(
    images.map((image) => {
      const before = known.get(image.id)
      return [
        image.id,
        { image, firstSeenMs: before?.firstSeenMs ?? nowMs, lastUsedMs: isInUse(image) ? nowMs : (before?.lastUsedMs ?? 0) },
      ] as const
    }),
  )
}

/** The least recently used first, until so many bytes would be free. */
export function imagesToFree(records: Iterable<ImageRecord>, bytesToFree: number, nowMs: number, minimumAgeMs: number): readonly Image[] {
  const found: Image[] = []
  let freed = 0
  const order = [...records].toSorted((a, b) => a.lastUsedMs - b.lastUsedMs || a.firstSeenMs - b.firstSeenMs)
  for (const { image, firstSeenMs, lastUsedMs } of order) {
    if (freed >= bytesToFree) break
    if (lastUsedMs >= nowMs || nowMs - firstSeenMs < minimumAgeMs) continue
    found.push(image)
    freed += image.sizeBytes
  }
  return found
}

/** How much must go when the disk is fuller than the high mark, to come down to the low one. */
export function bytesOverMark(
  disk: { readonly capacityBytes: number; readonly availableBytes: number },
  { high, low }: { readonly high: number; readonly low: number },
): number {
  const { capacityBytes, availableBytes } = disk
  if (capacityBytes <= 0) return 0
  const usedPercent = 100 - Math.floor((availableBytes * 100) / capacityBytes)
  return usedPercent >= high ? Math.floor((capacityBytes * (100 - low)) / 100) - availableBytes : 0
}
