/** Counts in a store: each a record that compare-and-set keeps exact, whichever process counts. */
import { type Flow, wait } from '../awaitable.js'
import { Fault } from '../errors.js'
import { patience } from '../patience.js'
import type { SessionRecord, Store } from '../types.js'

/** Where a count stands. */
export interface Count {
  readonly level: number
  /** When it was last raised, epoch milliseconds. */
  readonly at: number
}

/** A count, and what it was read as, for the write that may follow. */
export interface Seen extends Count {
  readonly key: string
  readonly record: SessionRecord | undefined
}

/** Each round of a conflict has a winner, so this many parallel guesses all get counted. */
const ROUNDS = 1024

/** The counts of one store. */
export class Counts {
  readonly #store: Store
  readonly #clock: () => number
  readonly #ask: ReturnType<typeof patience> = patience()

  constructor(store: Store, clock: () => number) {
    this.#store = store
    this.#clock = clock
  }

  /** One store call. What somebody else wrote there counts as nothing. */
  *read(key: string): Flow<Seen> {
    const record = yield* wait(this.#ask(() => this.#store.get(key)))
    const now = this.#clock()
    const level = record && Number(record.data)
    if (!record || !Number.isFinite(level)) return { key, record, level: 0, at: now }
    // Never later than now: a clock that was put right must not leave anybody waiting for the time that it showed.
    return { key, record, level: level!, at: Math.min(record.seenAt, now) }
  }

  /**
   * Writes what `next` makes of the count, unless that is milliseconds to wait, which it answers. One store call, and
   * two more for each that was faster.
   */
  *change(seen: Seen, keep: number, next: (count: Count) => Count | number): Flow<number> {
    for (let round = 0; round < ROUNDS; round++) {
      const count = next(seen)
      if (typeof count === 'number') return count
      const { record } = seen
      const now = this.#clock()
      const version = (record?.version ?? 0) + 1
      const written = { data: String(count.level), createdAt: now, seenAt: count.at, expiresAt: now + keep, version }
      if (yield* wait(this.#ask(() => this.#store.set(seen.key, written, record?.version ?? 0)))) return 0
      seen = yield* this.read(seen.key)
    }
    throw new Fault('ERR_CONFLICT', `throttle: the store refused a count ${ROUNDS} times`)
  }

  /** One store call, or none where nothing is. */
  *forget({ key, record }: Seen): Flow<void> {
    if (record) yield* wait(this.#ask(() => this.#store.delete(key)))
  }
}
