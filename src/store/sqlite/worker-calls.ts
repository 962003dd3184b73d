/** Requests to a worker thread and its answers, in order: one promise a request, all rejected when the thread dies. */
import { Worker, type MessagePort } from 'node:worker_threads'

export interface WorkerFailure {
  readonly message: string
  readonly code: string | undefined
}

interface Answer {
  readonly result?: unknown
  readonly failure?: WorkerFailure
}

/** What a worker thread could not do; `code` is SQLite's name of the reason where there is one. */
export class WorkerError extends Error {
  override readonly name = 'WorkerError'
  readonly code: string | undefined
  constructor(failure: WorkerFailure) {
    super(failure.message)
    this.code = failure.code
  }
}

export interface WorkerCalls<Request> {
  call<Result>(request: Request, transfer?: readonly ArrayBuffer[]): Promise<Result>
  /** Stops the thread, once what was asked before is done. */
  close(): Promise<void>
}

export function startWorker<Request>(url: URL, workerData: unknown): WorkerCalls<Request> {
  const worker = new Worker(url, { workerData })
  const waiting: PromiseWithResolvers<unknown>[] = []
  let death: Error | undefined
  const die = (error: Error) => {
    death ??= error
    for (const one of waiting.splice(0)) one.reject(death)
  }
  worker.on('message', (answer: Answer) => {
    const one = waiting.shift()!
    if (answer.failure) one.reject(new WorkerError(answer.failure))
    else one.resolve(answer.result)
  })
  worker.on('error', (error) => die(error instanceof Error ? error : new Error(String(error))))
  worker.on('exit', () => die(new Error('the worker thread has ended')))
  return {
    call<Result>(request: Request, transfer: readonly ArrayBuffer[] = []): Promise<Result> {
      if (death) return Promise.reject(death)
      const one = Promise.withResolvers<unknown>()
      waiting.push(one)
      worker.postMessage(request, transfer)
      return one.promise as Promise<Result>
    },
    async close() {
      await Promise.allSettled(waiting.map((one) => one.promise))
      await worker.terminate()
    },
  }
}

/** The worker's side: answers each request with what `handle` returns or throws. */
export function serveCalls<Request>(port: MessagePort, handle: (request: Request) => unknown): void {
  port.on('message', (request: Request) => {
    try {
      port.postMessage({ result: handle(request) } satisfies Answer)
    } catch (error) {
      const { message, errstr } = error as Error & { readonly errstr?: string }
      port.postMessage({ failure: { message, code: errstr } } satisfies Answer)
    }
  })
}

/** A worker's file beside this one: .ts from a checkout, .js when built. */
export const workerUrl = (name: string): URL => new URL(`./${name}${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)
