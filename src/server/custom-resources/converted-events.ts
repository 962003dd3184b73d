/**
 * Events of a watch whose objects a webhook converts: taken raw from the cache, converted a batch at a time, and only then selected,
 * as selectors are about the version that is watched. Their order is the cache's; when a conversion fails, the watch ends with an
 * ERROR, and who watches begins anew.
 */
import type { StoredObject, WatchEvent } from '../../api/exchange.ts'
import { failure, isApiError } from '../../api/status.ts'
import { Computed, Happening, Revision, type View } from '../revision.ts'
import type { Predicate } from '../watch-scope.ts'
import { settleAll } from './conversion.ts'

/** Events as they are stored. */
export const RAW: View = { apiVersion: '', isRaw: true }

/** `selected` is the view that the predicate is about, `shown` the one that is told (its metadata alone, perhaps). */
export async function* convertedEvents(
  raw: AsyncIterable<readonly WatchEvent[]>,
  predicate: Predicate | undefined,
  selected: View,
  shown: View,
): AsyncGenerator<readonly WatchEvent[]> {
  const passes = (item: StoredObject | undefined): boolean =>
    item instanceof Revision && (!predicate || predicate(item.in(selected).object))
  const convert = (event: WatchEvent): WatchEvent | undefined => {
    if (!(event instanceof Happening) || !(event.stored instanceof Revision)) return event
    const { stored, previous } = event
    const told = (type: 'ADDED' | 'MODIFIED' | 'DELETED', item: Revision) => new Happening(type, item.in(shown))
    if (event.type === 'DELETED') return passes(stored) ? told('DELETED', stored) : undefined
    if (event.type === 'ADDED') return passes(stored) ? told('ADDED', stored) : undefined
    const [isIn, wasIn] = [passes(stored), passes(previous)]
    if (isIn) return told(wasIn ? 'MODIFIED' : 'ADDED', stored)
    return wasIn && previous ? told('DELETED', previous.at(stored.revision)) : undefined
  }
  for await (const batch of raw) {
    try {
      // The states before are converted with those after: each is asked for once.
      await settleAll(batch.flatMap((event) => revisionsOf(event, predicate).map((item) => () => item.in(selected))))
      const events = await settleAll(batch.map((event) => () => convert(event)))
      const kept = events.filter((event) => event !== undefined)
      if (kept.length > 0) yield kept
    } catch (error) {
      const told = isApiError(error) ? error : failure('InternalError', `Internal error occurred: ${String(error)}`)
      yield [new Happening('ERROR', new Computed(told.status))]
      return
    }
  }
}

function revisionsOf(event: WatchEvent, predicate: Predicate | undefined): readonly Revision[] {
  if (!(event instanceof Happening) || !(event.stored instanceof Revision)) return []
  return event.previous && predicate ? [event.stored, event.previous] : [event.stored]
}
