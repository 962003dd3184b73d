/** Sizes of the client's terminal: JSON objects one after the other, `{"Width":80,"Height":24}`, cut anywhere. */
import type { Readable } from 'node:stream'
import type { TerminalSize } from '../api/node-service.ts'

/** Longer than any size; what does not become an object within this is dropped. */
const MAX_PENDING_CHARACTERS = 1024
const MAX_SIDE = 65_535

export function terminalSizes(source: Readable): ReadableStream<TerminalSize> {
  let pending = ''
  let isOver = false
  return new ReadableStream<TerminalSize>({
    start(controller) {
      source.on('data', (chunk: Buffer) => {
        if (isOver) return
        pending = (pending + chunk.toString('utf8')).slice(-MAX_PENDING_CHARACTERS)
        let end = pending.indexOf('}')
        while (end !== -1) {
          const size = parseSize(pending.slice(pending.indexOf('{'), end + 1))
          pending = pending.slice(end + 1)
          // Only the latest size matters to a reader that is behind.
          if (size && (controller.desiredSize ?? 0) > -8) controller.enqueue(size)
          end = pending.indexOf('}')
        }
      })
      const over = () => {
        if (!isOver) controller.close()
        isOver = true
      }
      source.once('end', over)
      source.once('close', over)
    },
    cancel() {
      isOver = true
    },
  })
}

function parseSize(text: string): TerminalSize | undefined {
  try {
    const { Width, Height } = JSON.parse(text) as { Width?: unknown; Height?: unknown }
    return isSide(Width) && isSide(Height) ? { width: Width, height: Height } : undefined
  } catch {
    // Not JSON: upstream stops listening, we wait for the next size.
    return undefined
  }
}

const isSide = (value: unknown): value is number => Number.isInteger(value) && Number(value) > 0 && Number(value) <= MAX_SIDE
