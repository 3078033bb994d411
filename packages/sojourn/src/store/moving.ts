/**
 * Two stores that are one while sessions move from the old to the new, with servers that go on serving. No update is lost
 * by it, nothing that ended comes back, `endAll` ends what is in either, and nobody is logged out.
 */
import { type Flow, run, then } from '../awaitable.js'
import type { Awaitable, SessionRecord, UserStore } from '../types.js'
import { BEGUN, begunAt, gone, isCopy } from './moving-marks.js'
import { Pair } from './moving-pair.js'
import { type WalkOptions, walk } from './moving-walk.js'

export type { WalkOptions } from './moving-walk.js'

/** From where, and where to. */
export interface MovingOptions {
  /** The old store. */
  from: UserStore
  /** The new store, with nothing in it. */
  to: UserStore
  /** Tells the time, epoch milliseconds: that of the stores. Default `Date.now`. */
  clock?: () => number
}

/** A store over two. */
export interface MovingStore extends UserStore {
  /**
   * Moves everything, and says how many sessions it moved. May be broken off, begun again, and done by several at once.
   * Five store calls a session, and a list of each store. From its first call on, servers that do not know of the new
   * store miss what was moved; after its last, the old store is asked for nothing but what was replaced 30 seconds before.
   *
   * @throws Error when the new store is not empty at the first walk; the stores' own faults; the signal's reason.
   */
  move(options?: WalkOptions): Promise<number>
  /**
   * Where the move is. `begun`: a walk has begun, and another goes on. `ready`: none has, and one may begin. `occupied`:
   * none has, and none will, because the new store is not empty. Writes nothing. One store call, or a list's first.
   */
  stage(): Promise<'begun' | 'ready' | 'occupied'>
  /** Both lists, one after the other: always asynchronous. One call more for a session that is on its way. */
  list(userId?: string): AsyncIterable<[id: string, record: SessionRecord]>
}

/**
 * The store that servers run during a move: what is in `from` stays there, and is written there, until a walk (`move`)
 * carries it over. New sessions are made in `from` until the first walk begins, and in `to` afterwards. Store calls: a
 * read 1 to 3, a write 1 or 2, a login 2 or 3 more than otherwise. Synchronous where both stores are.
 *
 * `close` closes both stores. `watch` is there where both stores have it.
 *
 * @throws TypeError on two stores that are one, a store that cannot list and end a user's sessions or is a weak one, and
 * one that answers from copies: give `cached(moving(…))` instead.
 */
export function moving(options: MovingOptions): MovingStore {
  const { from, to, clock = () => Date.now() } = options
  mustDo('from', from)
  mustDo('to', to)
  if (from === to) throw new TypeError('moving: `from` and `to` are one store; give the old one and the new one')
  const pair = new Pair(from, to)
  const get = (id: string) => run(pair.get(id))
  const both = <T>(call: (store: UserStore) => Awaitable<T>, join: (one: T, other: T) => T): Awaitable<T> =>
    then(call(from), (one) => then(call(to), (other) => join(one, other)))
  const sum = (one: number, other: number) => one + other

  return {
    get,
    set(id, record, was) {
      if (was !== 0) return run(pair.overwrite(id, record, was))
      return record.expiresAt > clock() ? run(pair.create(id, record)) : then(get(id), (found) => found === undefined)
    },
    delete: (id) => run(remove(pair, id)),
    list: (userId) => list(pair, userId),
    // The old one first: what moves away from it meanwhile is met in the new one.
    endAll: (userId, except) => both((store) => store.endAll(userId, except), sum),
    sweep: (now) => both((store) => store.sweep?.(now) ?? 0, sum),
    ...(from.watch &&
      to.watch && {
        watch(onChange: (id: string) => void, onCut?: () => void) {
          const ends = [from.watch!(onChange, onCut), to.watch!(onChange, onCut)]
          return () => {
            for (const end of ends) end()
          }
        },
      }),
    close: () => then(from.close?.(), () => to.close?.()),
    stage: () => stageOf(pair),
    async move(options) {
      await begin(pair, clock())
      return walk(pair, options)
    },
  }
}

function mustDo(name: string, store: UserStore): void {
  if (typeof store?.get !== 'function' || store.weak || !store.list || !store.endAll)
    throw new TypeError(
      `moving: \`${name}\` must be a store that compares and sets, lists, and ends all of a user; such as those of sojourn/store`,
    )
  if (store.fresh)
    throw new TypeError(`moving: \`${name}\` answers from copies; give the store below it, and cache the whole`)
}

/** `true` for one of several callers, since one of them overwrites what is there. */
function* remove(pair: Pair, id: string): Flow<boolean> {
  for (;;) {
    const found = yield* pair.get(id)
    if (!found) return false
    if (yield* pair.overwrite(id, gone(found), found.version)) return true
  }
}

/** The old one first, for the same reason. A session that was listed there is not told again, where it is one user's. */
async function* list(pair: Pair, userId?: string): AsyncGenerator<[id: string, record: SessionRecord]> {
  const told = new Set<string>()
  for await (const [id, record] of pair.from.list(userId)) {
    if (userId !== undefined) told.add(id)
    yield [id, record]
  }
  for await (const [id, record] of pair.to.list(userId)) {
    if (told.has(id)) continue
    const found = isCopy(record) ? await run(pair.get(id)) : record
    if (found && found.data !== '' && (userId === undefined || found.userId === userId)) yield [id, found]
  }
}

/** A store with sessions of its own might have what ended in the old one since. */
async function stageOf({ from, to }: Pair): Promise<'begun' | 'ready' | 'occupied'> {
  if ((await from.get(BEGUN)) !== undefined) return 'begun'
  for await (const _ of to.list()) return 'occupied'
  return 'ready'
}

/** Writes down that it begins, once. */
async function begin(pair: Pair, now: number): Promise<void> {
  const stage = await stageOf(pair)
  if (stage === 'begun') return
  if (stage === 'occupied')
    throw new Error(
      'moving: the new store has sessions already, and no move from the old one has begun; move into an empty store, or into another table or prefix',
    )
  // What was moved the other way once may be moved back.
  await pair.to.delete(BEGUN)
  await pair.from.set(BEGUN, begunAt(now), 0)
}
