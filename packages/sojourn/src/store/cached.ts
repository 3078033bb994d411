/**
 * A store read from copies in this process's memory. The store's own push (`watch`) takes away what changed elsewhere;
 * what the push misses is bounded by a number. A stale copy can show an ended session for that long, and no more: every
 * write is a compare-and-set in the store itself, so nothing is lost by it and nothing comes back.
 */
import { isPromise, then } from '../awaitable.js'
import type { Awaitable, SessionRecord, Store } from '../types.js'
import { type Call, Copies } from './cached-copies.js'

/** How old a copy may be, and how much room the copies take. */
export interface CachedOptions {
  /**
   * Milliseconds for which a session that was ended elsewhere may still be honoured here, at the worst. Default 1,000
   * for a store that does not push its changes; 5,000 for one that does, where only a lost push takes so long. While a
   * push is known not to get through, the copies are dropped every second.
   */
  staleness?: number
  /** Bytes that the copies may take, about. Default 64 MiB. */
  maxBytes?: number
  /** Tells the time, epoch milliseconds: that of the store. Default `Date.now`. */
  clock?: () => number
}

/** What a cached store can: what the store under it can, but that `get` may answer from a copy. */
export type CachedStore<S extends Store> = Omit<Pick<S, keyof S & keyof Store>, 'get' | 'fresh' | 'staleness'> & {
  /** How long a session that was ended elsewhere may still be honoured here, milliseconds, at the worst. */
  readonly staleness: number
  /** A copy, at once and frozen, where there is one that is young enough; else the store's answer. */
  get(id: string): ReturnType<S['get']> | SessionRecord | undefined
  /** The store's own answer. One store call. */
  fresh(id: string): ReturnType<S['get']>
}

const PULL = 1_000
const PUSH = 5_000
/** A read is shared with those who come so many milliseconds after it began: one that never ends must not be waited for. */
const SHARED = 1_000

/**
 * Reads `store` from copies: a hit costs no store call and makes no promise. Parallel misses of one record share a call,
 * absent records are not remembered, what is written here is seen here at once. `close` closes the store too.
 *
 * Not for what must be known this moment: give the store itself to `revocations`, `tokenPair` and `tickets`.
 *
 * @throws TypeError when `staleness` or `maxBytes` is out of range, or the store is a weak one, or itself cached.
 */
export function cached<S extends Store>(store: S, options: CachedOptions = {}): CachedStore<S> {
  const { staleness = store.watch ? PUSH : PULL, maxBytes = 67_108_864, clock = () => Date.now() } = options
  if (!(staleness >= 1 && staleness <= 3_600_000))
    throw new TypeError(
      'cached: `staleness` is milliseconds between 1 and 3,600,000; it bounds how long an ended session may still be honoured',
    )
  if (!(maxBytes >= 65_536 && maxBytes < Number.POSITIVE_INFINITY))
    throw new TypeError('cached: `maxBytes` is what the copies may take together; give at least 65,536')
  if (store.weak)
    throw new TypeError('cached: `store` is a weak one, which cannot tell a write from an old copy; choose another')
  if (store.fresh)
    throw new TypeError(
      'cached: the store answers from copies already, and their ages would add up; cache the one below',
    )

  const copies = new Copies(maxBytes)
  const unwatch = store.watch?.(
    (id) => copies.drop(id),
    () => copies.clear(),
  )

  /** Does `work`, and calls `done` with what came of it, or with nothing where it failed. */
  const after = <T>(work: () => Awaitable<T>, done: (value: T | undefined) => void): Awaitable<T> => {
    let answer: Awaitable<T>
    try {
      answer = work()
    } catch (error) {
      done(undefined)
      throw error
    }
    if (!isPromise(answer)) {
      done(answer)
      return answer
    }
    return answer.then(
      (value) => {
        done(value)
        return value
      },
      (error) => {
        done(undefined)
        throw error
      },
    )
  }

  const fresh = (id: string): Awaitable<SessionRecord | undefined> => {
    const call: Call = copies.begin(id)
    const answer = after(
      () => then(store.get(id), (record) => record && frozen(record, call.before)),
      (record) => copies.end(id, call, record),
    )
    if (isPromise(answer)) call.answer = answer
    return answer
  }

  /** A write that was overtaken by a read may have been overtaken at the store as well, or not: nobody keeps a copy. */
  const write = (id: string, work: () => Awaitable<boolean>, record?: SessionRecord): Awaitable<boolean> => {
    const call = copies.begin(id)
    return after(work, (written) => {
      if (!copies.end(id, call, written ? record : undefined)) copies.drop(id)
    })
  }

  const { list, endAll, sweep, watch } = store
  const made: Store = {
    staleness,
    get(id) {
      const copy = copies.get(id, staleness)
      // One that has expired may have been used elsewhere since, and live.
      if (copy !== undefined && copy.expiresAt > clock()) return copy
      return copies.reading(id, Math.min(staleness, SHARED)) ?? fresh(id)
    },
    fresh,
    set: (id, record, was) =>
      write(id, () => store.set(id, record, was), record.expiresAt > clock() ? frozen(record) : undefined),
    delete: (id) => write(id, () => store.delete(id)),
    ...(list && { list: (userId) => list.call(store, userId) }),
    ...(endAll && {
      endAll(userId, except) {
        // Before, for those who ask meanwhile; after, for what they were told.
        copies.clear()
        return after(
          () => endAll.call(store, userId, except),
          () => copies.clear(),
        )
      },
    }),
    ...(sweep && { sweep: (now) => sweep.call(store, now) }),
    ...(watch && { watch: (onChange, onCut) => watch.call(store, onChange, onCut) }),
    close() {
      unwatch?.()
      copies.clear()
      return store.close?.()
    },
  }
  return made as CachedStore<S>
}

/**
 * A copy that nobody can alter, since a hit hands it to everybody. Always these fields in this order, whether it was read or
 * written: with one layout for all copies, whoever looks at a field of one knows where it is.
 */
function frozen(record: SessionRecord, before?: SessionRecord): SessionRecord {
  const { userId, data, createdAt, seenAt, authenticatedAt, expiresAt, version, persistent, device } = record
  return Object.freeze({
    userId,
    // The very text that was there, where it is the same: what is known of it is found then without comparing its letters.
    data: data === before?.data ? before.data : data,
    createdAt,
    seenAt,
    authenticatedAt,
    expiresAt,
    version,
    persistent,
    device: device && Object.freeze({ ...device }),
  })
}
