/**
 * Ending what needs no look-up. A token carries its own proof, so ending it means telling every verifier. Each keeps a
 * compact copy of what was ended in memory, no older than `within`: that number is the bound, and it is kept by refusing
 * to answer from a copy that is older (ASVS 7.4.1, A-67).
 */
import { type Flow, isPromise, iterate, run, take, turn, wait } from '../awaitable.js'
import { sha256 } from '../crypto/digest.js'
import { Fault } from '../errors.js'
import { mustBeStrong } from '../ledger/strong.js'
import { type Ask, patience } from '../patience.js'
import type { Awaitable, SessionRecord, UserStore } from '../types.js'

/** Options of `revocations`. */
export interface RevocationOptions {
  /** Where it is written down what was ended: one that all verifiers share. */
  store: UserStore
  /** Milliseconds after which an ended token is refused everywhere, at the latest. Default 5,000. */
  within?: number
  /** What to do when the copy is older than that and the store cannot be asked. Default `refuse`: 503. */
  onStale?: 'refuse' | 'accept'
  /** Epoch milliseconds. Default `Date.now`. */
  clock?: () => number
}

/** What the check needs to know of a token. */
export interface Revocable {
  readonly id: string
  readonly userId: string | undefined
  /** When this very token's session got its identifier, epoch milliseconds. */
  readonly issuedAt: number
}

/** Everything is filed under this name, which no user can have: users' ids are not empty and never begin so. */
const FEED = '\u0001revoked'
const HEAD = 'revocations'
const EVERYBODY = 'everybody'
/** The feed's own record never runs out. */
const FOREVER = 8_640_000_000_000_000
/** The last entries stand in the head, so that news costs their reading and not that of everything that was ever ended. */
const LATEST = 32
/** Entries taken in at a time, before others get their turn. */
const SLICE = 500
/** What has run out meanwhile is let go of by reading everything anew, milliseconds. */
const REREAD = 600_000

type Log = readonly (readonly [version: number, entry: Entry])[]

interface Entry {
  /** A token by its identifier, a user, or everybody. */
  readonly kind: 'id' | 'user' | 'all'
  readonly of: string
  /** What was issued at or before this time is refused. */
  readonly before: number
  readonly except?: string | undefined
  /** What was issued at or before this time is refused without exception: an earlier call did not make this one. */
  readonly floor?: number
}

/** What was ended, as a verifier holds it. */
interface Copy {
  readonly ids: Map<string, Entry>
  readonly users: Map<string, Entry>
  all: number
}

function emptyCopy(): Copy {
  return { ids: new Map(), users: new Map(), all: Number.NEGATIVE_INFINITY }
}

function put(copy: Copy, entry: Entry): void {
  if (entry.kind === 'id') copy.ids.set(entry.of, entry)
  else if (entry.kind === 'user') copy.users.set(entry.of, entry)
  else copy.all = Math.max(copy.all, entry.before)
}

/** Keeps, spreads and checks what was ended. */
export class Revocations {
  readonly within: number
  readonly #store: UserStore
  readonly #accept: boolean
  readonly #clock: () => number
  readonly #ask: Ask = patience()
  readonly #unwatch: (() => void) | undefined
  #copy = emptyCopy()
  #version = -1
  #readAt = Number.NEGATIVE_INFINITY
  #completeAt = Number.NEGATIVE_INFINITY
  #reading: Promise<void> | undefined
  #queued: Promise<void> | undefined
  /** What was ended here while the store was being read, which may have missed it. */
  #meanwhile: Entry[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(options: RevocationOptions) {
    const { store, within = 5_000, onStale = 'refuse', clock = Date.now } = options
    if (!(within >= 10 && within <= 3_600_000))
      throw new TypeError(
        'revocations: `within` is milliseconds between 10 and 3,600,000; it bounds how long an ended token still works',
      )
    mustBeStrong('revocations', 'store', store)
    this.within = within
    this.#store = store
    this.#accept = onStale === 'accept'
    this.#clock = clock
    this.#unwatch = store.watch?.(
      (id) => {
        if (id === HEAD) this.#look()
      },
      () => this.#look(),
    )
  }

  /** How long an ended token may be honoured at the worst, milliseconds. */
  get worst(): number {
    return this.#accept ? Number.POSITIVE_INFINITY : this.within
  }

  /** How old the copy is, milliseconds: the metric to watch, at most `within` in health. */
  get lag(): number {
    return this.#clock() - this.#readAt
  }

  /** Whether the token was ended. No store call while the copy is fresh; throws `ERR_STORE` rather than guess. */
  check(token: Revocable): Awaitable<boolean> {
    if (this.#timer === undefined) this.#start()
    // A clock that was put back makes no copy young.
    const { lag } = this
    return lag >= 0 && lag <= this.within ? this.#refuses(token) : this.fresh(token)
  }

  /** As `check`, from the store itself. One store call; two where more was ended meanwhile than the head tells. */
  fresh(token: Revocable): Awaitable<boolean> {
    try {
      const reading = this.#readAnew()
      return isPromise(reading)
        ? reading.then(
            () => this.#refuses(token),
            (fault) => this.#stale(fault, token),
          )
        : this.#refuses(token)
    } catch (fault) {
      return this.#stale(fault, token)
    }
  }

  /** The time that a token of this user must be younger than to be honoured. */
  issueTime(userId: string | undefined, now: number): number {
    const ended = userId === undefined ? undefined : this.#copy.users.get(userId)?.before
    return Math.max(now, this.#copy.all + 1, (ended ?? 0) + 1)
  }

  /** Ends one token; `true` for exactly one of several callers. `until`: when it would have expired anyway. Four store calls. */
  end(id: string, until: number): Awaitable<boolean> {
    return run(this.#write({ kind: 'id', of: id, before: this.#clock() }, until))
  }

  /** Ends all that was issued to a user until now, but for one session. Four store calls, however many tokens. */
  endAll(userId: string, until: number, except?: string): Awaitable<boolean> {
    return run(this.#write({ kind: 'user', of: userId, before: this.#clock(), except }, until))
  }

  /** Ends all that was issued to anybody until now. Four store calls. */
  endEverybody(until: number): Awaitable<boolean> {
    return run(this.#write({ kind: 'all', of: EVERYBODY, before: this.#clock() }, until))
  }

  /** Stops listening. The store stays open: it is the caller's. */
  close(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#unwatch?.()
  }

  #refuses({ id, userId, issuedAt }: Revocable): boolean {
    if (issuedAt <= this.#copy.all || this.#copy.ids.has(id)) return true
    const user = userId === undefined ? undefined : this.#copy.users.get(userId)
    if (user === undefined || issuedAt > user.before) return false
    return user.except !== id || (user.floor !== undefined && issuedAt <= user.floor)
  }

  #stale(fault: unknown, token: Revocable): boolean {
    if (!this.#accept) throw fault
    process.emitWarning(
      `revocations: the copy is ${Math.round(this.lag)} ms old and the store cannot be asked; ended tokens may be honoured, as configured`,
      {
        code: 'SOJOURN_STALE_REVOCATIONS',
      },
    )
    return this.#refuses(token)
  }

  /** Twice as often as the bound asks, so that one slow answer does not break it. */
  #start(): void {
    this.#timer = setInterval(() => this.#look(), this.within / 2)
    this.#timer.unref()
  }

  /** Where it fails, the next check says so, where there is a request to answer. */
  #look(): void {
    try {
      const reading = this.#refresh()
      if (isPromise(reading)) reading.catch(() => {})
    } catch {}
  }

  /** A read that begins after the question was asked: one that is under way may have missed what was ended since. */
  #readAnew(): Awaitable<void> {
    if (!this.#reading) return this.#refresh()
    this.#queued ??= this.#reading
      .catch(() => {})
      .then(() => {
        this.#queued = undefined
        return this.#refresh()
      })
    return this.#queued
  }

  #refresh(): Awaitable<void> {
    if (this.#reading) return this.#reading
    const reading = run(this.#read())
    if (isPromise(reading)) {
      this.#reading = reading.finally(() => {
        this.#reading = undefined
      })
      return this.#reading
    }
  }

  *#read(): Flow<void> {
    // What was true when we asked, not when the answer came.
    const now = this.#clock()
    this.#meanwhile = []
    const head = yield* wait(this.#ask(() => this.#store.get(HEAD)))
    const version = head?.version ?? 0
    if (version !== this.#version) {
      const log = logOf(head?.data)
      const joins = log.length > 0 && log[0]![0] <= this.#version + 1 && version > this.#version
      if (joins && now - this.#completeAt < REREAD) {
        for (const [at, entry] of log) if (at > this.#version) put(this.#copy, entry)
      } else {
        yield* this.#readAll()
        this.#completeAt = now
      }
      for (const entry of this.#meanwhile) put(this.#copy, entry)
      this.#version = version
    }
    this.#readAt = now
  }

  /** In slices, and others get their turn between them. The copy in use stays whole until the new one is. */
  *#readAll(): Flow<void> {
    const copy = emptyCopy()
    const listed = yield* wait(this.#ask(() => iterate(this.#store.list(FEED))))
    for (;;) {
      const slice = yield* wait(this.#ask(() => take(listed, SLICE)))
      for (const [id, record] of slice) if (id !== HEAD) put(copy, JSON.parse(record.data) as Entry)
      if (slice.length < SLICE) break
      yield* wait(turn())
    }
    this.#copy = copy
  }

  /** The entry first, then the head that makes everybody look. */
  *#write(entry: Entry, until: number): Flow<boolean> {
    let first = true
    let written = entry
    yield* this.#put(`revoked ${entry.kind} ${sha256(entry.of)}`, until, (was) => {
      first = was === undefined
      written = was === undefined ? entry : joined(JSON.parse(was) as Entry, entry)
      return JSON.stringify(written)
    })
    yield* this.#put(HEAD, FOREVER, (was, version) =>
      JSON.stringify([...logOf(was), [version, written]].slice(-LATEST)),
    )
    put(this.#copy, written)
    if (this.#reading) this.#meanwhile.push(written)
    return first
  }

  *#put(id: string, until: number, data: (was: string | undefined, version: number) => string): Flow<void> {
    for (let round = 0; round < 256; round++) {
      const now = this.#clock()
      const was: SessionRecord | undefined = yield* wait(this.#ask(() => this.#store.get(id)))
      const version = (was?.version ?? 0) + 1
      const record: SessionRecord = {
        userId: FEED,
        data: data(was?.data, version),
        createdAt: was?.createdAt ?? now,
        seenAt: now,
        expiresAt: Math.max(until, was?.expiresAt ?? 0),
        version,
      }
      if (yield* wait(this.#ask(() => this.#store.set(id, record, was?.version ?? 0)))) return
    }
    throw new Fault('ERR_STORE', 'revocations: others wrote faster 256 times; nothing was ended by this call')
  }
}

/** The last entries; none where the head says something else. */
function logOf(head: string | undefined): Log {
  return head?.startsWith('[') ? (JSON.parse(head) as Log) : []
}

/** Both: what either ended stays ended, whichever was written last and however their clocks differ. */
function joined(was: Entry, entry: Entry): Entry {
  const before = Math.max(was.before, entry.before)
  if (entry.except === undefined) return { ...entry, before }
  const floor = entry.except === was.except ? was.floor : was.before
  return { ...entry, before, ...(floor === undefined ? {} : { floor }) }
}

/** Revocation for `sealed` and `jwt`, shared by all that verify the same tokens. */
export function revocations(options: RevocationOptions): Revocations {
  return new Revocations(options)
}
