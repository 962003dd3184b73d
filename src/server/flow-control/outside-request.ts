/** What one request from outside holds of the server: its seat until it is answered, its place among the watches until these end. */
import type { ApiRequest, ApiResponse, UserInfo } from '../../api/exchange.ts'
import type { Trail } from '../audit/audit.ts'
import type { RequestInfo } from '../request-info.ts'
import type { Admitted, Place, RequestLimiter } from './flow-control.ts'
import type { Flow } from './levels.ts'

export class OutsideRequest {
  readonly #control: RequestLimiter
  #seat: Place | undefined
  #flow: Flow | undefined
  #info: RequestInfo | undefined
  #forget: (() => void) | undefined
  /** Absent when the request is not audited. */
  trail: Trail | undefined

  constructor(control: RequestLimiter) {
    this.#control = control
  }

  /** Takes a seat, perhaps after waiting; with an answer when there is none to be had. */
  admit(request: ApiRequest, info: RequestInfo, user: UserInfo): ApiResponse | undefined | Promise<ApiResponse | undefined> {
    this.#info = info
    const admitted = this.#control.admit(request, info, user)
    return admitted instanceof Promise ? admitted.then((outcome) => this.#take(outcome)) : admitted && this.#take(admitted)
  }

  #take(admitted: Admitted): ApiResponse | undefined {
    if (!admitted.isServed) return admitted.answer
    this.#seat = admitted.seat
    this.#flow = admitted.flow
    return undefined
  }

  /** Of the answer: how the request was classified. */
  get headers(): Readonly<Record<string, string>> | undefined {
    return this.#flow?.headers
  }

  /** A watch has its seat only until it has begun, and so has a connection that is somebody else's from now on. */
  answered({ type }: ApiResponse): void {
    if (type === 'tunnel') this.#release()
    if (type !== 'watch' || !this.#info) return
    if (this.#seat) this.#seat.isWatch = true
    this.#forget = this.#control.watching(this.#info)
    this.#release()
  }

  #release(): void {
    this.#seat?.release()
    this.#seat = undefined
  }

  end(): void {
    this.#forget?.()
    this.#release()
  }
}
