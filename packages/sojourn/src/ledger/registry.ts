/**
 * What a stateless strategy keeps about its sessions all the same: one row per login, written then and read by nobody on
 * a request, so that users see their devices; and what was ended, so that ending one means something.
 */
import { collect, type Flow, run, then, wait } from '../awaitable.js'
import { type Ask, patience } from '../patience.js'
import type { Revocations } from '../token/revocation.js'
import type { Awaitable, SessionRecord, State, StrategyContext, UserStore } from '../types.js'
import { timeoutsOf } from './lifetime.js'
import { evictOldest, type LimitContext, withinLimit } from './limit.js'
import { mustBeStrong } from './strong.js'

/** Say this in place of revocations, where it is accepted that a session cannot be ended before its time (ASVS 7.4.1). */
export const acceptNoRevocation: unique symbol = Symbol('ended sessions may live on until they expire')

/** How the sessions of a stateless strategy are listed and ended. */
export interface RegistryOptions {
  /** What was ended: `revocations({ store })`; or the symbol `acceptNoRevocation`, and sessions outlive their logout. */
  revocations: Revocations | typeof acceptNoRevocation
  /** Where one row per login is kept, for the list of a user's devices. Default: there is no list, and no limit. */
  devices?: UserStore
}

/** Clocks of several servers may differ so much, milliseconds. */
const CLOCKS = 60_000

/** The devices and the ends of stateless sessions. */
export class Registry {
  readonly list?: (userId: string) => Awaitable<State[]>
  readonly #revocations: Revocations | undefined
  readonly #devices: UserStore | undefined
  readonly #context: StrategyContext
  readonly #ask: Ask = patience()

  constructor(strategy: string, options: RegistryOptions, context: StrategyContext) {
    const { revocations, devices } = options
    if (revocations === undefined) {
      throw new TypeError(
        `${strategy}: without \`revocations\` a session lives on after its logout; pass revocations({ store }), or the symbol acceptNoRevocation to say that this is accepted`,
      )
    }
    if (context.limit && !devices)
      throw new TypeError(
        `${strategy}: \`limit\` needs \`devices\`, a store for one row per login; pass one or drop the limit`,
      )
    if (devices) mustBeStrong(strategy, 'devices', { weak: devices.weak })
    this.#revocations = revocations === acceptNoRevocation ? undefined : revocations
    this.#devices = devices
    this.#context = context
    if (devices)
      this.list = (userId) =>
        then(
          this.#ask(() => collect(devices.list(userId))),
          (rows) => this.#living(rows),
        )
  }

  /** Whether a session was ended. No store call while the copy of what was ended is fresh. */
  ended(id: string, record: SessionRecord, issuedAt: number): Awaitable<boolean> {
    return this.#revocations?.check({ id, userId: record.userId, issuedAt }) ?? false
  }

  /** As `ended`, from the store itself: for what must not go on under another identifier. One store call, rarely two. */
  endedByNow(id: string, record: SessionRecord, issuedAt: number): Awaitable<boolean> {
    return this.#revocations?.fresh({ id, userId: record.userId, issuedAt }) ?? false
  }

  /** When a session issued now was issued: after all that was ended before. */
  issueTime(userId: string | undefined, now: number): number {
    return this.#revocations?.issueTime(userId, now) ?? now
  }

  /** A login: one row, within the limit, where rows are kept. One store call, and two more with a limit. */
  *enrol(id: string, record: SessionRecord, except: string | undefined): Flow<void> {
    const devices = this.#devices
    if (!devices) return
    const { limit, emit } = this.#context
    const row = this.#row(record)
    const insert = () => wait(this.#ask(() => devices.set(id, row, 0)))
    if (!limit) return void (yield* insert())
    const context: LimitContext = {
      limit,
      emit,
      list: (userId) => this.#ask(() => collect(devices.list(userId))),
      end: (id) => this.end(id),
    }
    if (limit.policy === 'reject') {
      // The row alone goes: what was revoked could not come back at the next try.
      const undo = () => wait(this.#ask(() => devices.delete(id)))
      return yield* withinLimit(context, record.userId!, except, insert, undo)
    }
    yield* insert()
    yield* evictOldest(context, record.userId!, except)
  }

  /** A session under a new identifier: a row of its own, whatever the limit. */
  move(id: string, record: SessionRecord): Awaitable<boolean> {
    const devices = this.#devices
    return devices ? this.#ask(() => devices.set(id, this.#row(record), 0)) : true
  }

  /**
   * Ends a session for whoever holds it: logged out, or going on under another identifier. `true` for exactly one of
   * several callers. Four store calls, and one for its row.
   */
  *leave(id: string, record: SessionRecord): Flow<boolean> {
    const first = yield* wait(this.#revocations?.end(id, this.#lastOf(record)) ?? true)
    const devices = this.#devices
    if (devices) yield* wait(this.#ask(() => devices.delete(id)))
    return first
  }

  /** Ends one session. Four store calls, and one for its row. */
  end(id: string): Awaitable<boolean> {
    return run(this.#end(id))
  }

  /** Ends a user's sessions, and says how many rows went with them. */
  endAll(userId: string, except?: string): Awaitable<number> {
    return run(this.#endAll(userId, except))
  }

  close(): Awaitable<void> {
    this.#revocations?.close()
    return this.#devices?.close?.()
  }

  *#end(id: string): Flow<boolean> {
    const devices = this.#devices
    yield* wait(this.#revocations?.end(id, this.#lastDay()))
    return devices ? yield* wait(this.#ask(() => devices.delete(id))) : this.#revocations !== undefined
  }

  *#endAll(userId: string, except: string | undefined): Flow<number> {
    const devices = this.#devices
    yield* wait(this.#revocations?.endAll(userId, this.#lastDay(), except))
    return devices ? yield* wait(this.#ask(() => devices.endAll(userId, except))) : 0
  }

  /** A row is there for as long as its session can be; nobody writes down activity in it. */
  #row(record: SessionRecord): SessionRecord {
    const expiresAt = record.createdAt + timeoutsOf(record, this.#context).absolute
    return { ...record, data: '-', expiresAt, version: 1 }
  }

  #living(rows: [id: string, row: SessionRecord][]): State[] {
    const now = this.#context.clock()
    return rows.filter(([, row]) => now < row.expiresAt).map(([id, record]) => ({ id, record, due: false }))
  }

  /**
   * When the last credential of a session has expired by itself. Whoever does not know yet that it was ended may still
   * slide it; nobody does so for longer than the bound.
   */
  #lastOf(record: SessionRecord): number {
    const worst = this.#revocations?.worst ?? Number.POSITIVE_INFINITY
    const slid = this.#context.clock() + worst + timeoutsOf(record, this.#context).idle
    return Math.max(record.expiresAt, Math.min(slid, this.#lastDay())) + CLOCKS
  }

  /** When the last session that was issued until now has expired by itself. */
  #lastDay(): number {
    const { clock, timeouts, remember } = this.#context
    return clock() + Math.max(timeouts.absolute, remember.absolute)
  }
}
