/**
 * Reads ginkgo's verbose output while it is written: a test's outcome is known as soon as its block is complete, so a run that is
 * killed has lost only what was under way. JUnit files come at the very end of a run and cannot do that.
 *
 * A block looks like this, after a line of dashes; a test that failed carries the failed node's kind within its name:
 *
 *     • [FAILED] [0.136 seconds]
 *     [sig-x] Container [It] does something [Conformance] [sig-x, Conformance]
 *     file:line
 *       Timeline >> ... << Timeline
 *
 *       [FAILED] what went wrong
 */
export interface Outcome {
  readonly name: string
  readonly result: 'passed' | 'failed'
  readonly seconds: number
  /** More than one when the test failed first and then passed. */
  readonly attempts?: number
  /** How the failure's text begins, on one line. */
  readonly message?: string
}

const HEADER =
  /^(?:•|↺) (?:\[(?:(FAILED|PANICKED|TIMEDOUT|INTERRUPTED|ABORTED)|FLAKEY TEST - TOOK (\d+) ATTEMPTS TO PASS)\] )?\[([\d.]+) seconds\]/
const NODE_KIND = / \[(?:It|BeforeEach|AfterEach|JustBeforeEach|JustAfterEach|DeferCleanup \([A-Za-z]+\))\]/
const BLOCK_END = /^-{20,}$/
/** The time of the whole run was over: this test did nothing wrong yet. */
const SUITE_TIMEOUT = 'A suite timeout occurred'
/** Of the failure's text: enough to tell causes apart, short enough for a table. */
const MESSAGE_LIMIT = 240

interface Block {
  readonly kind: string | undefined
  readonly attempts: number
  readonly seconds: number
  name?: string
  message?: string
  isPastTimeline: boolean
  isMessageWhole?: boolean
}

/** Matchers print what they expected and what they got on lines of their own, up to the place of the failure. */
function addToMessage(block: Block, line: string): void {
  const isEnd = /^\s+In \[\w+\] at: /.test(line)
  const text = isEnd ? '' : (block.message === undefined ? /^\s*\[(?:FAILED|PANICKED|TIMEDOUT)\] (.+)/.exec(line)?.[1] : line)?.trim()
  if (text) block.message = `${block.message ?? ''} ${text}`.trim().slice(0, MESSAGE_LIMIT)
  block.isMessageWhole = isEnd || (block.message?.length ?? 0) >= MESSAGE_LIMIT
}

/** Takes the output line by line; gives an outcome when a block ends. Tests that were interrupted have no outcome. */
export function createOutcomeReader(names: readonly string[]): { line(text: string): Outcome | undefined } {
  // The longest first: one name may begin with another.
  const known = names.toSorted((a, b) => b.length - a.length)
  const nameOf = (line: string) => {
    const plain = line.replace(NODE_KIND, '')
    return known.find((name) => plain.startsWith(name))
  }
  let block: Block | undefined

  const finish = (): Outcome | undefined => {
    const done = block
    block = undefined
    if (!done?.name || done.kind === 'INTERRUPTED' || done.kind === 'ABORTED' || done.message?.startsWith(SUITE_TIMEOUT)) return undefined
    const { name, seconds, attempts } = done
    if (!done.kind) return { name, result: 'passed', seconds, ...(attempts > 1 ? { attempts } : {}) }
    return { name, result: 'failed', seconds, message: done.message ?? done.kind.toLowerCase() }
  }

  return {
    line(text) {
      const header = HEADER.exec(text)
      if (header) {
        const before = finish()
        block = { kind: header[1], attempts: Number(header[2] ?? 1), seconds: Number(header[3]), isPastTimeline: false }
        return before
      }
      if (!block) return undefined
      if (BLOCK_END.test(text)) return finish()
      if (block.name === undefined) block.name = nameOf(text) ?? ''
      else if (text.includes('<< Timeline')) block.isPastTimeline = true
      else if (block.isPastTimeline && !block.isMessageWhole) addToMessage(block, text)
      return undefined
    },
  }
}
