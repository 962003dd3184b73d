/**
 * Asks a webhook with a review (TokenReview, SubjectAccessReview) and has its status, tried again while it fails for reasons that may
 * pass (k8s.io/apiserver/pkg/util/webhook: five tries, half a second between the first).
 */
import type { KubeObject } from '../api/object.ts'
import type { Clock } from '../base/clock.ts'
import type { Runtime } from '../base/runtime.ts'
import type { Outgoing } from './outgoing.ts'
import { exchangeText, type Connection } from './outgoing-text.ts'

/** Resolves with the review's status; rejects with an Error. */
export type AskReview = (review: KubeObject) => Promise<Readonly<Record<string, unknown>>>

const TRIES = 5
const FIRST_DELAY_MS = 500
const DELAY_FACTOR = 1.5

/** An answer that asking again would not change. */
class FinalAnswer extends Error {}

export function createReviewClient(
  { clock }: Runtime,
  outgoing: Outgoing,
  connection: Connection,
  timeoutMs: number,
  firstDelayMs = FIRST_DELAY_MS,
): AskReview {
  const askOnce = async (body: string, kind: string) => {
    const { status, text } = await exchangeText(clock, outgoing, connection, { method: 'POST', body, timeoutMs })
    if (status === 429 || status >= 500) throw new Error(`the webhook answered ${status}`)
    if (status < 200 || status >= 300) throw new FinalAnswer(`the webhook answered ${status}`)
    return statusOf(text, kind)
  }
  return async (review) => {
    const body = JSON.stringify(review)
    let delayMs = firstDelayMs
    for (let tried = 1; ; tried++) {
      try {
        return await askOnce(body, review.kind ?? '')
      } catch (error) {
        if (tried >= TRIES || error instanceof FinalAnswer) throw error
      }
      await pause(clock, delayMs)
      delayMs *= DELAY_FACTOR
    }
  }
}

function statusOf(text: string, kind: string): Readonly<Record<string, unknown>> {
  let answer: unknown
  try {
    answer = JSON.parse(text)
  } catch (error) {
    throw new FinalAnswer(`couldn't get version/kind; json parse error: ${error instanceof Error ? error.message : String(error)}`)
  }
  const found = answer as { readonly kind?: unknown; readonly status?: unknown } | null
  if (typeof found !== 'object' || found?.kind !== kind) throw new FinalAnswer(`the webhook answered with no ${kind}`)
  return typeof found.status === 'object' && found.status !== null ? (found.status as Readonly<Record<string, unknown>>) : {}
}

const pause = (clock: Clock, ms: number): Promise<void> => new Promise((resolve) => void clock.setTimeout(resolve, ms))
