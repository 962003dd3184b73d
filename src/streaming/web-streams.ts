/**
 * Node's streams as web streams, which is what the contracts between the parts speak. Unlike Node's own conversion these treat
 * the two directions of a Duplex apart: cancelling what is read leaves what is written alone, and a side that ends early is an end.
 */
import type { Readable, Writable } from 'node:stream'

/** What a web stream holds of a source before it makes it wait. */
const QUEUE_BYTES = 64 * 1024

/** Ends when the source ends or closes, fails when it fails. After a cancel the rest is read and dropped, so that nothing stalls. */
export function readableFrom(source: Readable): ReadableStream<Uint8Array> {
  let isOver = false
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const over = (error?: Error) => {
          if (isOver) return
          isOver = true
          if (error) controller.error(error)
          else controller.close()
        }
        source.on('data', (chunk: Buffer) => {
          if (isOver) return
          controller.enqueue(chunk)
          if ((controller.desiredSize ?? 0) <= 0) source.pause()
        })
        source.once('end', () => over())
        source.once('error', over)
        source.once('close', () => over(source.errored ?? undefined))
        source.pause()
        if (source.destroyed) over(source.errored ?? undefined)
      },
      pull() {
        source.resume()
      },
      cancel() {
        isOver = true
        source.resume()
      },
    },
    { highWaterMark: QUEUE_BYTES, size: (chunk) => chunk.byteLength },
  )
}

/** Each write resolves when the target has taken it. Closing ends the target, aborting destroys it. */
export function writableTo(target: Writable): WritableStream<Uint8Array> {
  return new WritableStream<Uint8Array>({
    start(controller) {
      target.once('error', (error) => controller.error(error))
      target.once('close', () => {
        if (!target.writableFinished) controller.error(target.errored ?? new Error('the other side closed the stream'))
      })
      if (target.destroyed) controller.error(target.errored ?? new Error('the stream is closed'))
    },
    write(chunk) {
      return new Promise((resolve, reject) => {
        target.write(chunk, (error) => (error ? reject(error) : resolve()))
      })
    },
    close() {
      return new Promise((resolve) => {
        if (target.writableEnded || target.destroyed) return resolve()
        target.end(() => resolve())
      })
    },
    abort() {
      target.destroy()
    },
  })
}
