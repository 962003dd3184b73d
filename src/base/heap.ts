/**
 * A binary heap: what comes first by `isBefore` is popped first. Equal items come in no particular order, so callers that need
 * repeatable runs give every item a sequence number. Removal finds the item by identity in linear time: queues that remove often
 * mark items dead instead and skip them when popped.
 */
export interface Heap<T> {
  readonly size: number
  push(item: T): void
  peek(): T | undefined
  pop(): T | undefined
  /** Removes this very item; false when it was not there. */
  remove(item: T): boolean
  /** In no particular order. */
  values(): readonly T[]
}

export function createHeap<T>(isBefore: (a: T, b: T) => boolean): Heap<T> {
  const items: T[] = []

  function up(start: number): void {
    let index = start
    const item = items[index]!
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!isBefore(item, items[parent]!)) break
      items[index] = items[parent]!
      index = parent
    }
    items[index] = item
  }

  function down(start: number): void {
    let index = start
    const item = items[index]!
    for (;;) {
      let child = 2 * index + 1
      if (child >= items.length) break
      if (child + 1 < items.length && isBefore(items[child + 1]!, items[child]!)) child++
      if (!isBefore(items[child]!, item)) break
      items[index] = items[child]!
      index = child
    }
    items[index] = item
  }

  function removeAt(index: number): T {
    const removed = items[index]!
    const last = items.pop()!
    if (index < items.length) {
      items[index] = last
      down(index)
      up(index)
    }
    return removed
  }

  return {
    get size() {
      return items.length
    },
    push(item) {
      items.push(item)
      up(items.length - 1)
    },
    peek: () => items[0],
    pop: () => (items.length === 0 ? undefined : removeAt(0)),
    remove(item) {
      const index = items.indexOf(item)
      if (index < 0) return false
      removeAt(index)
      return true
    },
    values: () => items,
  }
}
