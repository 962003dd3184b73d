/**
 * What limits requests from outside where priority and fairness is turned off (pkg/server/filters/maxinflight.go): so many that read and so
 * many that write may be served at once; who finds no place is turned away. Watches and streams are not counted, masters always served.
 */
import type { ApiRequest, UserInfo } from '../../api/exchange.ts'
import { MASTERS } from '../authorization/authorizer.ts'
import type { RequestInfo } from '../request-info.ts'
import { isStream, turnedAway, type Admitted, type RequestLimiter } from './flow-control.ts'

export interface InFlightLimits {
  /** 0: as many as come. */
  readonly reading: number
  readonly writing: number
}

const READS: ReadonlySet<string> = new Set(['get', 'list', 'watch'])
const RETRY_AFTER_S = 1

export class MaxInFlight implements RequestLimiter {
  readonly #limits: InFlightLimits
  readonly #served = { reading: 0, writing: 0 }

  constructor(limits: InFlightLimits) {
    this.#limits = limits
  }

  admit(_request: ApiRequest, info: RequestInfo, user: UserInfo): Admitted | undefined {
    if (info.verb === 'watch' || isStream(info)) return undefined
    const side = READS.has(info.verb) ? 'reading' : 'writing'
    const limit = this.#limits[side]
    if (limit === 0) return undefined
    if (this.#served[side] >= limit) return user.groups.includes(MASTERS) ? undefined : turnedAway(RETRY_AFTER_S)
    this.#served[side]++
    return { isServed: true, seat: { isWatch: false, release: () => void this.#served[side]-- } }
  }

  watching(_info: RequestInfo): () => void {
    return () => {}
  }
}
