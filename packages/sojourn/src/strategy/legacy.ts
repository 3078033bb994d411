/**
 * Sessions that express-session made, read for the last time: the cookie is checked with the old secrets, the session
 * comes from the old store, and moves to the strategy that issues at its next commit. The old store is never written.
 *
 * An old session moves once. The old store knows no compare-and-set, so what has moved, or ended, is remembered in a store
 * of ours: a record under a hash of the old id, created by one of several that want to.
 */
import { createSecretKey, type KeyObject } from 'node:crypto'
import { type Flow, run, wait } from '../awaitable.js'
import { checkValue, encode } from '../codec.js'
import { hmac, sameDigest, sha256 } from '../crypto/digest.js'
import { Fault } from '../errors.js'
import { type Ask, patience } from '../patience.js'
import type {
  Awaitable,
  Draft,
  Minted,
  Outcome,
  Refusal,
  SessionRecord,
  State,
  Store,
  Strategy,
  StrategyContext,
  StrategyFactory,
} from '../types.js'

/** What express-session keeps of a session, as its stores give it back. */
export interface LegacySession {
  readonly cookie?: { readonly expires?: Date | string | number | boolean | null | undefined } | undefined
  readonly [key: string]: unknown
}

/** A store of express-session, as far as it is read: any `connect-…`. */
export interface LegacyStore {
  get(sid: string, callback: (error: unknown, session?: unknown) => void): unknown
}

/** What of an old session goes on. */
export interface Carried {
  /** Who had signed in: a text that is not empty. Absent, or `null` as a JSON text says it: a guest. */
  readonly userId?: string | null | undefined
  /** The data, as the app keeps it from now on: plain JSON values. Absent: none. */
  readonly data?: Readonly<Record<string, unknown>> | undefined
  /** Whether the longer timeouts of "remember me" hold, and the cookie outlives the browser. Default `false`. */
  readonly persistent?: boolean | undefined
}

/** How old sessions are read. */
export interface LegacyOptions {
  /** The old store, configured as it was. */
  from: LegacyStore
  /** What express-session had as `secret`: one, or all that are still accepted. */
  secrets: string | readonly string[]
  /** What of an old session goes on; `undefined`: nothing, it has ended. Whatever it throws fails the request. */
  read(session: LegacySession): Carried | undefined
  /** Where it is remembered what has moved or ended: the store of the sessions will do. */
  store: Store
}

const PREFIX = /^s(?::|%3A)/
const SIGNATURE = /^[A-Za-z0-9+/]{43}$/
/** The longest cookie that is looked at, characters: ids of express-session have 32, those of an app may be longer. */
const LONGEST = 1024
/** For so long a request that was under way is told that its session has moved; after that, that it has ended. */
const MOMENT = 30_000
const ROUNDS = 16

/**
 * Reads the sessions of express-session, after the strategy that issues: `strategy: [opaque({ store }), legacy({ … })]`.
 *
 * The age of an old session is not known: its absolute timeout begins when it moves. Old sessions are not listed; `endAll`
 * ends them too. Calls, until it has moved: the old store 1; ours 2 to open, 2 to move. Throws a `TypeError` for options
 * that are missing.
 */
export function legacy(options: LegacyOptions): StrategyFactory {
  const secrets = [options.secrets].flat()
  if (typeof options.from?.get !== 'function')
    throw new TypeError('legacy: `from` must be the old express-session store, such as MongoStore.create({ … })')
  if (typeof options.store?.set !== 'function')
    throw new TypeError('legacy: `store` must remember what has moved; pass the store of the sessions')
  if (typeof options.read !== 'function')
    throw new TypeError('legacy: `read` must say what goes on, such as (old) => ({ userId: old.userId, data: {} })')
  if (secrets.length === 0 || secrets.some((secret) => typeof secret !== 'string' || secret === ''))
    throw new TypeError('legacy: `secrets` must be what express-session had as `secret`, one or several')
  const keys = secrets.map((secret) => createSecretKey(Buffer.from(secret)))
  return (context) => new Legacy(options, keys, context)
}

class Legacy implements Strategy {
  readonly byReference = true
  readonly guests = false
  readonly readOnly = true
  readonly #options: LegacyOptions
  readonly #keys: readonly KeyObject[]
  readonly #context: StrategyContext
  readonly #ask: Ask = patience()
  readonly #askOld: Ask = patience()

  constructor(options: LegacyOptions, keys: readonly KeyObject[], context: StrategyContext) {
    this.#options = options
    this.#keys = keys
    this.#context = context
  }

  owns(credential: string): boolean {
    return PREFIX.test(credential)
  }

  open(credential: string, now: number): Awaitable<State | Refusal> {
    const sid = this.#verify(credential)
    return sid === 'malformed' || sid === 'forged' ? sid : run(this.#open(sid.id, now))
  }

  mint(): Minted {
    throw misplaced()
  }

  adopt(): Awaitable<Outcome> {
    throw misplaced()
  }

  /** What becomes of an old session where it does not move: a logout, or somebody was faster. */
  commit(draft: Draft, now: number): Awaitable<Outcome> {
    if (!draft.state) throw misplaced()
    return run(this.#settle(draft, draft.state, now))
  }

  /** `true` for exactly one of several requests that came with the same cookie. */
  release(state: State, now: number): Awaitable<boolean> {
    return run(this.#release(state, now))
  }

  endAll(userId: string, except?: string): Awaitable<number> {
    return run(this.#endAll(userId, except))
  }

  #verify(credential: string): { id: string } | 'malformed' | 'forged' {
    const value = credential.length > LONGEST ? undefined : unescapedCookie(credential)
    const dot = value?.lastIndexOf('.') ?? -1
    if (value === undefined || dot < 3 || !SIGNATURE.test(value.slice(dot + 1))) return 'malformed'
    const id = value.slice(2, dot)
    const signature = value
      .slice(dot + 1)
      .replaceAll('+', '-')
      .replaceAll('/', '_')
    // All are tried, so that the time does not tell which one it was.
    const genuine = this.#keys.filter((key) => sameDigest(hmac(key, id), signature)).length > 0
    return genuine ? { id } : 'forged'
  }

  *#open(sid: string, now: number): Flow<State | Refusal> {
    const id = handleOf(sid)
    const mark = yield* wait(this.#get(id))
    if (mark) return now < mark.createdAt + MOMENT ? 'replaced' : 'ended'
    const session = yield* wait(this.#askOld(() => this.#fromOld(sid)))
    if (!session) return 'ended'
    const end = endOf(session)
    if (now >= end) return 'expired'
    const carried = this.#options.read(session)
    if (!carried) return 'ended'
    const { data = {}, persistent } = carried
    const userId = userOf(carried)
    for (const [key, value] of Object.entries(data)) checkValue('data', key, value)
    if (userId !== undefined && (yield* this.#endedWithAll(userId, id))) return 'ended'
    const { idle } = persistent ? this.#context.remember : this.#context.timeouts
    const record: SessionRecord = {
      userId,
      data: encode({ data, flash: {} }),
      createdAt: now,
      seenAt: now,
      expiresAt: Math.min(now + idle, end),
      version: 1,
      persistent: persistent || undefined,
    }
    return { id, record, due: true }
  }

  *#settle(draft: Draft, { id, record }: State, now: number): Flow<Outcome> {
    if (draft.intent === 'logout' && (yield* wait(this.#mark(id, 0, now)))) {
      this.#context.emit({ type: 'ended', id, userId: record.userId, reason: 'logout' })
      return { kind: 'clear' }
    }
    const mark = yield* wait(this.#get(id))
    // Ended, or ended with all of the user's.
    if (!mark || mark.createdAt === 0) return draft.intent === 'logout' ? { kind: 'clear' } : { kind: 'ended' }
    if (draft.intent === 'keep' && !draft.changed) return { kind: 'keep' }
    throw new Fault(
      'ERR_CONFLICT',
      'this session got a new identifier while the request was under way; what the request wanted of it was not done',
    )
  }

  *#release({ id, record }: State, now: number): Flow<boolean> {
    // After the new record was written, and before this one is let go: an ending comes before the one, or finds the other.
    if (record.userId !== undefined && (yield* this.#endedWithAll(record.userId, id))) return false
    return yield* wait(this.#mark(id, now, now))
  }

  *#endedWithAll(userId: string, id: string): Flow<boolean> {
    const mark = yield* wait(this.#get(userHandleOf(userId)))
    return mark !== undefined && mark.data !== spared(id)
  }

  /** Two store calls. How many there were is not known: 0 is said. */
  *#endAll(userId: string, except: string | undefined): Flow<number> {
    const id = userHandleOf(userId)
    const now = this.#context.clock()
    for (let round = 0; round < ROUNDS; round++) {
      const before = yield* wait(this.#get(id))
      const wanted = except === undefined ? spared('') : spared(except)
      // Whom an earlier ending did not spare, this one does not bring back.
      const data = before && before.data !== wanted ? spared('') : wanted
      const mark = {
        data,
        createdAt: now,
        seenAt: now,
        expiresAt: this.#lastDay(now),
        version: (before?.version ?? 0) + 1,
      }
      if (yield* wait(this.#ask(() => this.#options.store.set(id, mark, before?.version ?? 0)))) return 0
    }
    throw new Fault('ERR_CONFLICT', "the user's sessions were being ended by others again and again")
  }

  /** Remembers that an old session has moved `at`, or that it has ended: 0. It reads as a record that was replaced. */
  #mark(id: string, at: number, now: number): Awaitable<boolean> {
    const mark = { data: '', createdAt: at, seenAt: now, expiresAt: this.#lastDay(now), version: 1 }
    return this.#ask(() => this.#options.store.set(id, mark, 0))
  }

  #get(id: string): Awaitable<SessionRecord | undefined> {
    const { store } = this.#options
    return this.#ask(() => (store.fresh ? store.fresh(id) : store.get(id)))
  }

  #fromOld(sid: string): Promise<LegacySession | undefined> {
    return new Promise((resolve, reject) => {
      // Stores put the id, and whole sessions, into their messages: only the kind of failure is passed on.
      const failed = (error: unknown) => {
        const { name, code } = (error ?? {}) as { name?: unknown; code?: unknown }
        const kind = [name, code].filter((word) => typeof word === 'string' && /^\w{1,40}$/.test(word))
        reject(new Error(`legacy: the old store failed: ${kind.join(' ') || 'it did not say why'}`))
      }
      const found = (error: unknown, session?: unknown) => {
        // What express-session takes for "there is none".
        if (error && (error as NodeJS.ErrnoException).code !== 'ENOENT') return failed(error)
        resolve((session as LegacySession | null) ?? undefined)
      }
      // Some are async functions, whose rejection nobody else would hear.
      void (async () => this.#options.from.get(sid, found))().catch(failed)
    })
  }

  /** When no old session is left that was there `now`: no timeout of ours is longer, and cookies live for 400 days. */
  #lastDay(now: number): number {
    return now + 400 * 86_400_000
  }
}

/** Who it is. A `null` that passed for a user would let a guest in, and a number could not be ended by its text. */
function userOf({ userId }: Carried): string | undefined {
  if (userId === undefined || userId === null) return undefined
  if (typeof userId === 'string' && userId !== '') return userId
  throw new TypeError('legacy: the `userId` that `read` gave is no text, or empty; convert numbers with String()')
}

/** What `cookie` wrote into the header; `undefined` where that cannot have been. */
function unescapedCookie(credential: string): string | undefined {
  try {
    return decodeURIComponent(credential)
  } catch {
    return undefined
  }
}

/** When the cookie ends, and express-session's record with it; never, where it ends with the browser. */
function endOf({ cookie }: LegacySession): number {
  const { expires } = cookie ?? {}
  if (expires === undefined || expires === null || typeof expires === 'boolean') return Number.POSITIVE_INFINITY
  return new Date(expires).getTime() || 0
}

function handleOf(sid: string): string {
  return sha256(`legacy session ${sid}`)
}

function userHandleOf(userId: string): string {
  return sha256(`legacy user ${userId}`)
}

/** A mark says whom it spares. In the form of content, because the store may be that of the sessions. */
function spared(id: string): string {
  return JSON.stringify({ data: {}, spared: id })
}

function misplaced(): TypeError {
  return new TypeError(
    'legacy: it only reads; list it after the strategy that issues: [opaque({ store }), legacy({ … })]',
  )
}
