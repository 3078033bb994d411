/**
 * Any store of ours for an app on express-session. What express-session lacks is made up for here: a session that was
 * loaded is only ever written over, never made again, so that a late save brings nothing back; and where another
 * request was faster, the keys that this one changed are written over what is there now.
 */
import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { collect, type Flow, isPromise, run, wait } from '../awaitable.js'
import type { SessionRecord, Store } from '../types.js'

/** Options of `toExpressStore`. */
export interface ToExpressStoreOptions {
  /** Milliseconds that a session lives after its last use if its cookie has no end of its own. Default a day. */
  idle?: number
  /** Tells the time, epoch milliseconds: that of the store. Default `Date.now`. */
  clock?: () => number
}

type Done<T = undefined> = (error: unknown, value?: T) => void

/** What the store made adds to express-session's `Store`. The last three are there where the store can list. */
export interface ExpressSessionMethods {
  get(sid: string, done: Done<object | null>): void
  set(sid: string, session: object, done?: Done): void
  /** Moves the end of a session that is there, in steps of a tenth of its life; never makes one. */
  touch(sid: string, session: object, done?: Done): void
  destroy(sid: string, done?: Done): void
  /** The sessions, without their identifiers, which the store does not know. */
  all?(done: Done<object[]>): void
  length?(done: Done<number>): void
  clear?(done?: Done): void
}

/** Express-session's `Store`, as far as it is called here. */
interface Base {
  createSession(req: object, session: object): object
  emit(event: 'error', error: unknown): unknown
  listenerCount(event: 'error'): number
}

/** What is known of a session in a request's hands: what is stored, and the text that its contents had then. */
interface Known {
  readonly record: SessionRecord
  readonly text: string
}

type Content = Record<string, unknown> & { cookie?: { expires?: unknown } }

/** Tells these records from those of other strategies in the same store. */
const MARK = 'express-session '
const DAY = 86_400_000
/** Each round of a conflict has a winner, so this many parallel writers all get their turn. */
const ROUNDS = 256

/**
 * A store for `session({ store })`. `Base` is express-session's own class, `session.Store`. Store calls: get, set, touch
 * and destroy one each; two more for each writer that was faster. `touch` none within a tenth of the session's life.
 *
 * A session is kept under a hash of its identifier: nothing in the store can be used as a cookie.
 *
 * @throws TypeError when `Base` is not express-session's `Store`, or `idle` is not above 0.
 */
export function toExpressStore<S extends object>(
  store: Store,
  Base: abstract new () => S,
  options: ToExpressStoreOptions = {},
): S & ExpressSessionMethods {
  const { idle = DAY, clock = () => Date.now() } = options
  if (typeof (Base?.prototype as Partial<Base> | undefined)?.createSession !== 'function')
    throw new TypeError(
      "toExpressStore: the second argument is express-session's own class `Store`; pass `session.Store`, where `session` is what that package exports",
    )
  if (!(idle > 0)) throw new TypeError('toExpressStore: `idle` is milliseconds, above 0')
  const known = new WeakMap<object, Known>()
  const sessions = new Sessions(store, known, idle, clock)
  const list = store.list?.bind(store)

  class SojournStore extends (Base as unknown as new () => Base) {
    get(sid: string, done: Done<object | null>): void {
      this.answer(sessions.get(sid), done)
    }

    set(sid: string, session: object, done?: Done): void {
      this.answer(sessions.set(sid, session), done)
    }

    touch(sid: string, session: object, done?: Done): void {
      this.answer(sessions.touch(sid, session), done)
    }

    destroy(sid: string, done?: Done): void {
      this.answer(sessions.destroy(sid), done)
    }

    /** Express-session makes a session of what `get` gave: what is known of the one is known of the other. */
    override createSession(req: object, session: object): object {
      const made = super.createSession(req, session)
      const was = known.get(session)
      if (was) known.set(made, was)
      return made
    }

    answer<T>(flow: Flow<T>, done: Done<T> | undefined): void {
      // Not from within: what `done` throws is the caller's, and no failure of ours.
      const tell = (error: unknown, value?: T) => {
        if (done) process.nextTick(done, error, value)
        else if (error && this.listenerCount('error') > 0) this.emit('error', error)
      }
      try {
        const answer = run(flow)
        if (isPromise(answer)) answer.then((value) => tell(null, value), tell)
        else tell(null, answer)
      } catch (error) {
        tell(error)
      }
    }
  }
  if (list)
    Object.assign(SojournStore.prototype, {
      all(this: SojournStore, done: Done<object[]>) {
        this.answer(sessions.all(list), done)
      },
      length(this: SojournStore, done: Done<number>) {
        this.answer(sessions.length(list), done)
      },
      clear(this: SojournStore, done?: Done) {
        this.answer(sessions.clear(list), done)
      },
    })
  return new SojournStore() as unknown as S & ExpressSessionMethods
}

type List = NonNullable<Store['list']>

/** The verbs, as flows: over a synchronous store they make no promise. */
class Sessions {
  readonly #store: Store
  readonly #known: WeakMap<object, Known>
  readonly #idle: number
  readonly #clock: () => number

  constructor(store: Store, known: WeakMap<object, Known>, idle: number, clock: () => number) {
    this.#store = store
    this.#known = known
    this.#idle = idle
    this.#clock = clock
  }

  *get(sid: string): Flow<object | null> {
    const record = yield* wait(this.#store.get(idOf(sid)))
    if (!isOurs(record)) return null
    const session = parsed(record.data)
    if (!session) return null
    this.#known.set(session, { record, text: record.data })
    return session
  }

  *set(sid: string, session: object): Flow<undefined> {
    // Before anything is waited for: the app may go on changing it.
    const text = MARK + JSON.stringify(session)
    const { expires } = (session as Content).cookie ?? {}
    const id = idOf(sid)
    const was = this.#known.get(session)
    let base = was?.record
    for (let round = 0; round < ROUNDS; round++) {
      const data = was && base ? merged(was.text, text, base.data) : text
      const record = this.#record(base, data, expires)
      if (yield* wait(this.#store.set(id, record, base?.version ?? 0))) {
        this.#known.set(session, { record, text })
        return
      }
      base = yield* wait(this.#fresh(id))
      // It was there, and is not: somebody has ended it, or its time has.
      if (was && !base) return
    }
    throw busy()
  }

  *touch(sid: string, session: object): Flow<undefined> {
    const { cookie } = session as Content
    if (!cookie) return
    // As it will be read again, and as it is now: the app may go on changing it.
    const kept = JSON.parse(JSON.stringify(cookie)) as NonNullable<Content['cookie']>
    const id = idOf(sid)
    const was = this.#known.get(session)
    let base = was?.record ?? (yield* wait(this.#fresh(id)))
    for (let round = 0; round < ROUNDS && isOurs(base); round++) {
      const content: Content = { ...parsed(base.data), cookie: kept }
      const record = this.#record(base, MARK + JSON.stringify(content), kept.expires)
      const moved = Math.abs(record.expiresAt - base.expiresAt)
      if (moved < (record.expiresAt - record.seenAt) / 10) return
      if (yield* wait(this.#store.set(id, record, base.version))) {
        // Its contents are still those of the text that was loaded.
        if (was) this.#known.set(session, { record, text: was.text })
        return
      }
      base = yield* wait(this.#fresh(id))
    }
  }

  *destroy(sid: string): Flow<undefined> {
    yield* wait(this.#store.delete(idOf(sid)))
  }

  *all(list: List): Flow<object[]> {
    return (yield* this.#listed(list)).map(([, { data }]) => parsed(data) ?? {})
  }

  *length(list: List): Flow<number> {
    return (yield* this.#listed(list)).length
  }

  *clear(list: List): Flow<undefined> {
    for (const [id] of yield* this.#listed(list)) yield* wait(this.#store.delete(id))
  }

  *#listed(list: List): Flow<[id: string, record: SessionRecord][]> {
    return (yield* wait(collect(list()))).filter(([, record]) => isOurs(record))
  }

  #record(base: SessionRecord | undefined, data: string, expires: unknown): SessionRecord {
    const now = this.#clock()
    // Its date is by the machine's clock, whatever ours is.
    const left = expires ? new Date(expires as string | Date).valueOf() - Date.now() : this.#idle
    const life = Number.isNaN(left) ? this.#idle : left
    const { createdAt = now, version = 0 } = base ?? {}
    return { data, createdAt, seenAt: now, expiresAt: now + life, version: version + 1 }
  }

  #fresh(id: string): ReturnType<Store['get']> {
    return this.#store.fresh ? this.#store.fresh(id) : this.#store.get(id)
  }
}

/** What changed between `before` and `mine`, done to `theirs`. */
function merged(before: string, mine: string, theirs: string): string {
  if (theirs === before || !theirs.startsWith(MARK)) return mine
  const [old, own, result] = [before, mine, theirs].map((text) => parsed(text) ?? {}) as [Content, Content, Content]
  for (const key of new Set([...Object.keys(old), ...Object.keys(own)])) {
    if (key === '__proto__' || isDeepStrictEqual(old[key], own[key])) continue
    if (key in own) result[key] = own[key]
    else delete result[key]
  }
  return MARK + JSON.stringify(result)
}

function isOurs(record: SessionRecord | undefined): record is SessionRecord {
  return record?.data.startsWith(MARK) === true
}

/** `undefined`: somebody else has written there. The error would quote the text. */
function parsed(data: string): Content | undefined {
  try {
    return JSON.parse(data.slice(MARK.length)) as Content
  } catch {}
}

/** Of the length of a handle, and of no use as an identifier. */
function idOf(sid: string): string {
  return createHash('sha256').update(`${MARK}${sid}`).digest('base64url')
}

function busy(): Error {
  return new Error(`toExpressStore: others wrote the session faster ${ROUNDS} times; the change was not kept`)
}
