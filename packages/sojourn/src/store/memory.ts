/**
 * Records in this process's memory: synchronous, bounded, and without a scan or a pause anywhere. They are spread over
 * shelves, because a `Map` or an array of a million stands still for a tenth of a second whenever it grows or shrinks.
 */
import type { SessionRecord, UserStore } from '../types.js'
import { GUESTS, type Queue, Shelf, USERS } from './memory-shelf.js'

/** How much a memory store holds, and whose time it keeps. */
export interface MemoryOptions {
  /**
   * The most records held at once, default 1,000,000. When it is full, what has expired makes room, else the guest
   * nearest its expiry, and a user only when no guest is left: a flood of guests logs nobody out.
   */
  max?: number
  /** Tells the time, epoch milliseconds. Default `Date.now`. */
  clock?: () => number
}

/** A store that answers at once: no verb but `sweep` makes a promise. After `close` every verb throws. */
export interface MemoryStore extends UserStore {
  /** How many records are held. One that has expired counts until it is forgotten, a second or so later. */
  readonly size: number
  get(id: string): SessionRecord | undefined
  set(id: string, record: SessionRecord, was: number): boolean
  delete(id: string): boolean
  list(userId?: string): Iterable<[id: string, record: SessionRecord]>
  endAll(userId: string, except?: string): number
  sweep(now: number): Promise<number>
  /** Told before the verb returns. What expires is not told. */
  watch(onChange: (id: string) => void): () => void
  close(): void
}

/**
 * Keeps records in memory. They end with the process: to outlive a restart, or for several processes, take another store.
 *
 * @throws TypeError when `max` is not a whole number above 0.
 */
export function memory(options: MemoryOptions = {}): MemoryStore {
  const { max = 1_000_000, clock = () => Date.now() } = options
  if (!Number.isSafeInteger(max) || max < 1)
    throw new TypeError('memory: `max` is how many records are held at most; give a whole number above 0')
  return new Memory(max, clock)
}

const SHELVES = 32
const shelves = (): readonly Shelf[] => Array.from({ length: SHELVES }, () => new Shelf())

/** How often expired records are looked for. A steady beat needs no aiming at the next expiry, which slides. */
const BEAT = 1000
/** Forgetting holds the event loop for so long at a time, and then leaves it alone for so long. */
const SLICE = 2
const REST = 8

class Memory implements MemoryStore {
  readonly #max: number
  readonly #clock: () => number
  #shelves = shelves()
  #timer: NodeJS.Timeout | undefined
  readonly #watchers = new Set<(id: string) => void>()

  constructor(max: number, clock: () => number) {
    this.#max = max
    this.#clock = clock
  }

  get size(): number {
    let size = 0
    for (const shelf of this.#shelves) size += shelf.size
    return size
  }

  get(id: string): SessionRecord | undefined {
    return this.#shelf(id).get(id, this.#clock())
  }

  set(id: string, record: SessionRecord, was: number): boolean {
    const shelf = this.#shelf(id)
    const now = this.#clock()
    if (was !== 0) return this.#tell(id, shelf.replace(id, record, was, now))
    if (shelf.has(id, now)) return false
    // Written so that a time which is no number counts as past.
    if (!(record.expiresAt > now)) return true
    if (this.size >= this.#max) this.#makeRoom(now)
    shelf.add(id, record)
    if (this.#timer === undefined) this.#beat(BEAT)
    return this.#tell(id, true)
  }

  delete(id: string): boolean {
    return this.#tell(id, this.#shelf(id).delete(id, this.#clock()))
  }

  *list(userId?: string): Generator<[id: string, record: SessionRecord]> {
    for (const shelf of this.#open()) {
      for (const id of shelf.ids(userId)) {
        // Read only now: since the last one was handed out, the caller may have ended it or made it another user's.
        const record = shelf.get(id, this.#clock())
        if (!record || shelf.isReplaced(id)) continue
        if (userId === undefined || record.userId === userId) yield [id, record]
      }
    }
  }

  endAll(userId: string, except?: string): number {
    const now = this.#clock()
    const gone: string[] = []
    let ended = 0
    for (const shelf of this.#open())
      for (const id of shelf.ids(userId)) {
        if (id === except) continue
        // One that was replaced goes on under another identifier, and counts there.
        const counts = !shelf.isReplaced(id)
        if (!shelf.delete(id, now)) continue
        gone.push(id)
        if (counts) ended++
      }
    for (const id of gone) this.#tell(id, true)
    return ended
  }

  async sweep(now: number): Promise<number> {
    this.#open()
    let swept = 0
    for (let slice = this.#sweepSlice(now); slice > 0; slice = this.#sweepSlice(now)) {
      swept += slice
      await new Promise((resolve) => setImmediate(resolve))
    }
    return swept
  }

  watch(onChange: (id: string) => void): () => void {
    // One of its own for each watch, so that whoever watches twice can end one of them.
    const told = (id: string) => onChange(id)
    this.#watchers.add(told)
    return () => void this.#watchers.delete(told)
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#watchers.clear()
    this.#shelves = []
  }

  #open(): readonly Shelf[] {
    if (this.#shelves.length === 0) throw new Error('memory: the store is closed')
    return this.#shelves
  }

  #shelf(id: string): Shelf {
    // Identifiers are digests, so that two letters from anywhere in them spread well.
    const middle = id.length >> 1
    return this.#open()[(id.charCodeAt(middle) + 7 * id.charCodeAt(middle + 1)) % SHELVES || 0]!
  }

  #makeRoom(now: number): void {
    const guests = this.#soonest(GUESTS)
    const users = this.#soonest(USERS)
    // `Infinity`: there is none.
    const full = guests.soonest(GUESTS) === Infinity || users.soonest(USERS) <= now
    this.#tell(full ? users.forget(USERS) : guests.forget(GUESTS), true)
  }

  #tell(id: string, changed: boolean): boolean {
    if (changed) for (const told of this.#watchers) told(id)
    return changed
  }

  #soonest(queue: Queue): Shelf {
    return this.#shelves.reduce((soonest, shelf) => (shelf.soonest(queue) < soonest.soonest(queue) ? shelf : soonest))
  }

  /** Forgets what expired at or before `now` until it has taken `SLICE` milliseconds; 0 when there is no more. */
  #sweepSlice(now: number): number {
    const until = performance.now() + SLICE
    let swept = 0
    for (const shelf of this.#shelves)
      for (const queue of [GUESTS, USERS] as const)
        while (shelf.soonest(queue) <= now) {
          shelf.forget(queue)
          // Asking for the time costs as much as forgetting a record.
          if (++swept % 64 === 0 && performance.now() > until) return swept
        }
    return swept
  }

  #beat(delay: number): void {
    this.#timer = setTimeout(() => {
      const swept = this.#sweepSlice(this.#clock())
      this.#timer = undefined
      if (this.size > 0) this.#beat(swept > 0 ? REST : BEAT)
      // New ones, so that what a flood took up is given back.
      else this.#shelves = shelves()
    }, delay)
    this.#timer.unref()
  }
}
