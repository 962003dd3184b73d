/**
 * The diff of two texts that upstream puts into errors about fields that may not change. Its library follows Ratcliff and Obershelp:
 * the longest common block first, then what lies before and behind it; lines that are frequent in a long text begin no block.
 */

interface Block {
  readonly a: number
  readonly b: number
  readonly size: number
}

type Step = readonly [tag: ' ' | '-' | '+' | '~', a1: number, a2: number, b1: number, b2: number]

const CONTEXT = 3
/** In a text of so many lines, those in more than a hundredth of it begin no block. */
const LONG_TEXT = 200

function placesOf(lines: readonly string[]): ReadonlyMap<string, readonly number[]> {
  const places = new Map<string, number[]>()
  lines.forEach((line, at) => {
    const known = places.get(line)
    if (known) known.push(at)
    else places.set(line, [at])
  })
  if (lines.length >= LONG_TEXT) {
    const most = Math.floor(lines.length / 100) + 1
    for (const [line, at] of places) if (at.length > most) places.delete(line)
  }
  return places
}

function matchingBlocks(a: readonly string[], b: readonly string[]): readonly Block[] {
  const places = placesOf(b)
  const found: Block[] = []

  function longest(alo: number, ahi: number, blo: number, bhi: number): Block {
    let best: Block = { a: alo, b: blo, size: 0 }
    let lengths = new Map<number, number>()
    for (let i = alo; i < ahi; i++) {
      const next = new Map<number, number>()
      for (const j of places.get(a[i]!) ?? []) {
        if (j < blo) continue
        if (j >= bhi) break
        const size = (lengths.get(j - 1) ?? 0) + 1
        next.set(j, size)
        if (size > best.size) best = { a: i - size + 1, b: j - size + 1, size }
      }
      lengths = next
    }
    let { a: i, b: j, size } = best
    while (i > alo && j > blo && a[i - 1] === b[j - 1]) [i, j, size] = [i - 1, j - 1, size + 1]
    while (i + size < ahi && j + size < bhi && a[i + size] === b[j + size]) size++
    return { a: i, b: j, size }
  }

  function match(alo: number, ahi: number, blo: number, bhi: number): void {
    const block = longest(alo, ahi, blo, bhi)
    if (block.size === 0) return
    if (alo < block.a && blo < block.b) match(alo, block.a, blo, block.b)
    const last = found.at(-1)
    if (last && last.a + last.size === block.a && last.b + last.size === block.b)
      found[found.length - 1] = { ...last, size: last.size + block.size }
    else found.push(block)
    const [i, j] = [block.a + block.size, block.b + block.size]
    if (i < ahi && j < bhi) match(i, ahi, j, bhi)
  }

  match(0, a.length, 0, b.length)
  return found
}

function stepsOf(a: readonly string[], b: readonly string[]): Step[] {
  const steps: Step[] = []
  let [i, j] = [0, 0]
  for (const block of [...matchingBlocks(a, b), { a: a.length, b: b.length, size: 0 }]) {
    if (i < block.a || j < block.b) steps.push([i === block.a ? '+' : j === block.b ? '-' : '~', i, block.a, j, block.b])
    ;[i, j] = [block.a + block.size, block.b + block.size]
    if (block.size > 0) steps.push([' ', block.a, i, block.b, j])
  }
  return steps
}

/** The steps in groups, each with its context. */
function groupsOf(steps: readonly Step[]): readonly (readonly Step[])[] {
  const groups: Step[][] = []
  let group: Step[] = []
  steps.forEach(([tag, a1, a2, b1, b2], index) => {
    if (tag !== ' ') return void group.push([tag, a1, a2, b1, b2])
    const isFirst = index === 0
    const isLast = index === steps.length - 1
    const head: Step = [' ', a1, Math.min(a2, a1 + CONTEXT), b1, Math.min(b2, b1 + CONTEXT)]
    const tail: Step = [' ', Math.max(a1, a2 - CONTEXT), a2, Math.max(b1, b2 - CONTEXT), b2]
    if (isFirst) return void group.push(tail)
    if (isLast) return void group.push(head)
    if (a2 - a1 <= 2 * CONTEXT) return void group.push([tag, a1, a2, b1, b2])
    groups.push([...group, head])
    group = [tail]
  })
  return group.some(([tag]) => tag !== ' ') ? [...groups, group] : groups
}

const rangeText = (start: number, end: number): string =>
  end - start === 1 ? String(start + 1) : `${end === start ? start : start + 1},${end - start}`

/** Lines of the unified form, without the names of files; empty when the texts are equal. */
export function unifiedDiff(from: string, to: string): string {
  const [a, b] = [from.split('\n'), to.split('\n')]
  if (from === to) return ''
  let text = ''
  for (const group of groupsOf(stepsOf(a, b))) {
    const [first, last] = [group[0]!, group.at(-1)!]
    text += `@@ -${rangeText(first[1], last[2])} +${rangeText(first[3], last[4])} @@\n`
    for (const [tag, a1, a2, b1, b2] of group) {
      if (tag !== '+') for (const line of a.slice(a1, a2)) text += `${tag === ' ' ? ' ' : '-'}${line}\n`
      if (tag === '+' || tag === '~') for (const line of b.slice(b1, b2)) text += `+${line}\n`
    }
  }
  return text
}
