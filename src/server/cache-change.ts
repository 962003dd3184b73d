/** One change of one object, as the watch cache remembers it. Its events are made at most once for each type and view. */
import type { WatchEventType } from '../api/exchange.ts'
import { Happening, type Revision, type View } from './revision.ts'

export class CacheChange {
  readonly revision: number
  readonly key: string
  readonly current: Revision | undefined
  readonly previous: Revision | undefined
  #gone: Revision | undefined
  #events: Map<View, Map<WatchEventType, Happening>> | undefined

  constructor(revision: number, key: string, current: Revision | undefined, previous: Revision | undefined) {
    this.revision = revision
    this.key = key
    this.current = current
    this.previous = previous
  }

  /** About what an event of it has as bytes. */
  get sizeBytes(): number {
    return (this.current ?? this.previous)?.sizeBytes ?? 0
  }

  event(type: 'ADDED' | 'MODIFIED' | 'DELETED', view: View): Happening {
    let ofView = this.#events?.get(view)
    if (!ofView) (this.#events ??= new Map()).set(view, (ofView = new Map()))
    let event = ofView.get(type)
    if (!event) ofView.set(type, (event = new Happening(type, this.#told(type).in(view), view.isRaw && this.previous)))
    return event
  }

  /** A deletion, also one from a watcher's selection, carries the last state at the revision of the change. */
  #told(type: WatchEventType): Revision {
    if (type !== 'DELETED') return this.current!
    return (this.#gone ??= this.previous!.at(this.revision))
  }
}
