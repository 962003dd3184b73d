/** Completion indexes of an Indexed Job as its status writes them: "1,3-5,7". */

export function parseIndexes(text: string | undefined, completions: number): Set<number> {
  const indexes = new Set<number>()
  if (!text) return indexes
  for (const interval of text.split(',')) {
    const [first = NaN, last = first] = interval.split('-').map(Number)
    for (let index = first; index <= last && index < completions; index++) indexes.add(index)
  }
  return indexes
}

/** Two neighbours are written apart ("1,2"), three and more as an interval. */
export function formatIndexes(indexes: Iterable<number>): string {
  const sorted = [...indexes].sort((a, b) => a - b)
  const parts: string[] = []
  for (let i = 0; i < sorted.length;) {
    let end = i
    while (end + 1 < sorted.length && sorted[end + 1] === sorted[end]! + 1) end++
    const [first, last] = [sorted[i]!, sorted[end]!]
    parts.push(first === last ? `${first}` : last === first + 1 ? `${first},${last}` : `${first}-${last}`)
    i = end + 1
  }
  return parts.join(',')
}
