/**
 * Which sessions rest on a sign-in at a provider: by the provider's session and by its user, in records of any `Store`.
 * What has ended there is written down too, so that a sign-in that was under way meanwhile does not outlive it.
 */
import { type Flow, wait } from '../awaitable.js'
import { sha256 } from '../crypto/digest.js'
import { Fault } from '../errors.js'
import { type Ask, patience } from '../patience.js'
import type { SessionRecord, Store } from '../types.js'

/** A session at the provider: the sessions here that it stands behind. */
interface AtProvider {
  readonly ended?: boolean
  readonly sessions: readonly string[]
}

/** A user of the provider: the users here that signed in as them. */
interface Person {
  /** What was issued up to then is not honoured any more, epoch milliseconds. */
  readonly endedAt?: number
  readonly users: readonly string[]
}

/** One who signs in here again and again on one session there. */
const MOST_SESSIONS = 100
const ROUNDS = 64
const ENDED = 'ended'

/** The index. `lifetime`: milliseconds that a session lives at most. */
export class LogoutIndex {
  readonly #store: Store
  readonly #lifetime: number
  readonly #clock: () => number
  readonly #ask: Ask = patience()

  constructor(store: Store, lifetime: number, clock: () => number) {
    this.#store = store
    this.#lifetime = lifetime
    this.#clock = clock
  }

  /** Notes that a session rests on this one of the provider's. `false`: that has ended. Two store calls. */
  *atSession(issuer: string, sid: string, id: string): Flow<boolean> {
    const after = yield* this.#change<AtProvider>(idOf('sid', issuer, sid), (was = { sessions: [] }) =>
      was.ended ? was : { sessions: [...was.sessions, id].slice(-MOST_SESSIONS) },
    )
    return after.ended !== true
  }

  /** Notes who it is here. `false`: they were signed out after `issuedAt`. Two store calls. */
  *asPerson(issuer: string, sub: string, userId: string, issuedAt: number): Flow<boolean> {
    const after = yield* this.#change<Person>(idOf('sub', issuer, sub), (was = { users: [] }) => ({
      ...was,
      users: [...was.users.filter((user) => user !== userId), userId],
    }))
    return after.endedAt === undefined || issuedAt > after.endedAt
  }

  /** Writes down that a session of the provider's has ended, and says which here rest on it. Two store calls. */
  *endSession(issuer: string, sid: string): Flow<readonly string[]> {
    const { sessions } = yield* this.#change<AtProvider>(idOf('sid', issuer, sid), (was = { sessions: [] }) => ({
      ...was,
      ended: true,
    }))
    return sessions
  }

  /** Writes down that a user of the provider's was signed out everywhere, and says who that is here. Two store calls. */
  *endPerson(issuer: string, sub: string, at: number): Flow<readonly string[]> {
    const { users } = yield* this.#change<Person>(idOf('sub', issuer, sub), (was = { users: [] }) => ({
      ...was,
      endedAt: Math.max(at, was.endedAt ?? 0),
    }))
    return users
  }

  /**
   * A session goes on under another identifier. `false`: its old one was ended first, and the new one must be, too. One
   * store call, two where it was noted before: whoever of the two creates the record was first.
   */
  *moved(from: string, to: string): Flow<boolean> {
    if (yield* this.#create(movedId(from), to, this.#clock() + this.#lifetime)) return true
    return (yield* wait(this.#ask(() => this.#store.get(movedId(from)))))?.data === to
  }

  /** The identifier that a session goes on under; if there is none yet, there will be none unnoticed. Two store calls. */
  *successor(id: string): Flow<string | undefined> {
    if (yield* this.#create(movedId(id), ENDED, this.#clock() + this.#lifetime)) return undefined
    const record = yield* wait(this.#ask(() => this.#store.get(movedId(id))))
    return record === undefined || record.data === ENDED ? undefined : record.data
  }

  /** Whether a notice came before. One store call. */
  *knows(issuer: string, notice: string): Flow<boolean> {
    return (yield* wait(this.#ask(() => this.#store.get(noticeId(issuer, notice))))) !== undefined
  }

  /** Remembers a notice. `false`: another call did, meanwhile. One store call. */
  *remember(issuer: string, notice: string, until: number): Flow<boolean> {
    return yield* this.#create(noticeId(issuer, notice), '-', Math.max(until, this.#clock() + 1000))
  }

  *#create(id: string, data: string, expiresAt: number): Flow<boolean> {
    const now = this.#clock()
    const record: SessionRecord = { data, createdAt: now, seenAt: now, expiresAt, version: 1 }
    return yield* wait(this.#ask(() => this.#store.set(id, record, 0)))
  }

  *#change<T>(id: string, change: (was: T | undefined) => T): Flow<T> {
    for (let round = 0; round < ROUNDS; round++) {
      const now = this.#clock()
      const was = yield* wait(this.#ask(() => this.#store.get(id)))
      const next = change(was === undefined ? undefined : (JSON.parse(was.data) as T))
      const record: SessionRecord = {
        data: JSON.stringify(next),
        createdAt: was?.createdAt ?? now,
        seenAt: now,
        expiresAt: now + this.#lifetime,
        version: (was?.version ?? 0) + 1,
      }
      if (yield* wait(this.#ask(() => this.#store.set(id, record, was?.version ?? 0)))) return next
    }
    throw new Fault('ERR_STORE', `logout: others wrote faster ${ROUNDS} times; nothing was noted by this call`)
  }
}

/** Only hashes are at rest: neither the provider's names nor ours can be read or looked up by whoever has the store. */
function idOf(kind: 'sid' | 'sub', issuer: string, value: string): string {
  return `oidc ${kind} ${sha256(JSON.stringify([issuer, value]))}`
}

function movedId(id: string): string {
  return `oidc moved ${sha256(id)}`
}

function noticeId(issuer: string, notice: string): string {
  return `oidc notice ${sha256(JSON.stringify([issuer, notice]))}`
}
