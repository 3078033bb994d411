/**
 * The writes of a session's record, each a short story told in compare-and-sets: what was read is what is overwritten,
 * or the request's own changes are done again over what is there now. Only a create inserts, so nothing that ended
 * comes back.
 */
import { collect, type Flow, isPromise, wait } from '../awaitable.js'
import { Fault } from '../errors.js'
import { type Ask, isLate } from '../patience.js'
import type {
  Awaitable,
  Draft,
  Minted,
  Outcome,
  SessionRecord,
  State,
  Store,
  StrategyContext,
  UserStore,
} from '../types.js'
import { begun, ended, isReplaced, isSealed, judge, renewed, replaced } from './lifetime.js'
import { evictOldest, type LimitContext, withinLimit } from './limit.js'
import { loginEvents } from './login-events.js'

/** Each round of a conflict has a winner, so this many parallel writers of one session all get their turn. */
const ROUNDS = 256

const KEEP: Outcome = { kind: 'keep' }
const CLEAR: Outcome = { kind: 'clear' }
const ENDED: Outcome = { kind: 'ended' }

type Make = (base: SessionRecord, version: number) => SessionRecord

/** Writes sessions to one store. */
export class Ledger {
  readonly #store: Store
  readonly #ask: Ask
  readonly #context: StrategyContext
  readonly #mint: (user: boolean) => Minted

  constructor(store: Store, ask: Ask, context: StrategyContext, mint: (user: boolean) => Minted) {
    this.#store = store
    this.#ask = ask
    this.#context = context
    this.#mint = mint
  }

  /** A guest's first record. One store call. */
  *create(draft: Draft, now: number): Flow<Outcome> {
    // A guest's new identifier would overwrite the one that a login is just sending to the same browser.
    if (draft.refused === 'replaced') throw conflict()
    const minted = draft.minted ?? this.#mint(false)
    const record = begun(draft, undefined, draft.replay(undefined), now, 1, this.#context)
    yield* this.#insert(minted.id, record)
    this.#context.emit({ type: 'created', id: minted.id })
    return give(minted, record)
  }

  /** Changes, or the sliding write. One store call; two more for each writer that was faster. */
  *write(draft: Draft, state: State, now: number): Flow<Outcome> {
    const { id, reissue } = state
    for (let base = state.record, round = 0; round < ROUNDS; round++) {
      const record = renewed(base, draft.replay(base.data), now, base.version + 1, this.#context)
      if (yield* wait(this.#set(id, record, base.version))) {
        if (state.due) this.#context.emit({ type: 'renewed', id, userId: record.userId })
        return reissue ? give({ id, credential: reissue }, record) : KEEP
      }
      // Whoever was faster has written down the activity too.
      if (!draft.changed) return KEEP
      const newer = judge(id, yield* wait(this.#fresh(id)), now, this.#context)
      if (newer === 'replaced') throw conflict()
      if (typeof newer === 'string') return ENDED
      base = newer.record
    }
    throw busy()
  }

  /** Ends the session; what the request wrote afterwards begins a guest's. One store call, or two. */
  *logout(draft: Draft, now: number): Flow<Outcome> {
    const { state, refused } = draft
    // Under its new identifier, which is not known here, the session would live on: better said than done by half.
    if (refused === 'replaced') throw conflict()
    if (draft.changed) {
      const minted = draft.minted ?? this.#mint(false)
      return yield* this.#orUndo(minted.id, this.#goOn({ ...draft, refused: undefined, minted }, now))
    }
    yield* this.#leave(state)
    return refused === 'absent' ? KEEP : CLEAR
  }

  *#goOn(guest: Draft, now: number): Flow<Outcome> {
    const outcome = yield* this.create(guest, now)
    yield* this.#leave(guest.state)
    return outcome
  }

  *#leave(state: State | undefined): Flow<void> {
    if (state && (yield* this.#end(state.id, state.record)))
      this.#context.emit({ type: 'ended', id: state.id, userId: state.record.userId, reason: 'logout' })
  }

  /** Ends a session by its handle. Throws `ERR_CONFLICT` where it got another one just now. Two store calls. */
  *end(id: string): Flow<boolean> {
    const found = yield* wait(this.#fresh(id))
    return found !== undefined && (yield* this.#end(id, found))
  }

  /** A new identifier for the same session, whose absolute end stays. Two store calls. */
  *rotate(draft: Draft, state: State, now: number): Flow<Outcome> {
    const minted = draft.minted ?? this.#mint(true)
    return yield* this.#orUndo(minted.id, this.#rotate(draft, state, minted, now))
  }

  *#rotate(draft: Draft, state: State, minted: Minted, now: number): Flow<Outcome> {
    const make: Make = (base, version) => renewed(base, draft.replay(base.data), now, version, this.#context)
    const first = make(state.record, 1)
    yield* this.#insert(minted.id, first)
    const { record, lost } = yield* this.#replace(state, minted.id, first, make, now)
    if (lost) {
      // Nobody has seen the successor's credential; it must not outlive what it was made from.
      yield* this.#delete(minted.id)
      if (lost === 'replaced' && draft.changed) throw conflict()
      return lost === 'replaced' ? KEEP : ENDED
    }
    this.#context.emit({ type: 'rotated', id: minted.id, from: state.id, reason: 'rotate', userId: record.userId })
    return give(minted, record)
  }

  /** Goes on with a session that was kept elsewhere. One store call. */
  *adopt(draft: Draft, { record: base }: State, now: number): Flow<Outcome> {
    const user = base.userId !== undefined
    const minted = draft.minted ?? this.#mint(user)
    const record = renewed(base, draft.replay(base.data), now, 1, this.#context)
    yield* this.#insert(minted.id, record)
    return give(minted, record)
  }

  /** Lets go of a session that is kept elsewhere from now on. One store call. */
  release({ id, record }: State, now: number): Awaitable<boolean> {
    return this.#set(id, replaced(record, now), record.version)
  }

  /** A user's session, under a new identifier always (A-01, ASVS 7.2.4). One store call, two where a session was before. */
  *login(draft: Draft, userId: string, now: number): Flow<Outcome> {
    const minted = draft.minted ?? this.#mint(true)
    return yield* this.#orUndo(minted.id, this.#login(draft, userId, minted, now))
  }

  *#login(draft: Draft, userId: string, minted: Minted, now: number): Flow<Outcome> {
    const { state } = draft
    // Another user's data stays behind; a guest's, and the user's own, comes along.
    const carries = (base: SessionRecord | undefined) => base && (base.userId === undefined || base.userId === userId)
    const make = (base: SessionRecord | undefined, version: number) =>
      begun(draft, userId, draft.carry(carries(base) ? base?.data : undefined), now, version, this.#context)

    let record = make(state?.record, 1)
    let left = true
    yield* this.#admit(userId, state?.id, minted.id, record)
    if (state) {
      const replaced = yield* this.#replace(state, minted.id, record, make, now)
      record = replaced.record
      left = replaced.lost === undefined
      if (replaced.lost && carries(state.record)) {
        // Another login took the guest's data along, or it was ended: this login stands, without the data.
        const was = record.version
        record = make(undefined, was + 1)
        if (!(yield* wait(this.#set(minted.id, record, was)))) return ENDED
      }
    }
    for (const event of loginEvents(minted.id, userId, state, left)) this.#context.emit(event)
    return give(minted, record)
  }

  /** Creates within the limit, before what came with the request is replaced: a login that fails here changes nothing. */
  *#admit(userId: string, except: string | undefined, id: string, record: SessionRecord): Flow<void> {
    const { limit, emit } = this.#context
    const insert = () => this.#insert(id, record)
    if (!limit) return yield* insert()
    const store = this.#store as UserStore
    const context: LimitContext = {
      limit,
      emit,
      list: (userId) => this.#ask(() => collect(store.list(userId))),
      end: (id, record) => this.#set(id, ended(record), record.version),
    }
    if (limit.policy === 'reject') return yield* withinLimit(context, userId, except, insert, () => this.#delete(id))
    yield* insert()
    yield* evictOldest(context, userId, except)
  }

  /**
   * New record first, old record after: a crash in between leaves no door open and nobody logged out. The old one is
   * replaced only at the version that the new one was made from, so that no parallel write is left behind.
   */
  *#replace(
    state: State,
    id: string,
    first: SessionRecord,
    make: Make,
    now: number,
  ): Flow<{ record: SessionRecord; lost?: 'replaced' | 'ended' }> {
    let base = state.record
    let record = first
    for (let round = 0; round < ROUNDS; round++) {
      if (yield* wait(this.#set(state.id, replaced(base, now), base.version))) return { record }
      const newer = yield* wait(this.#fresh(state.id))
      if (!newer || isSealed(newer)) return { record, lost: 'ended' }
      if (isReplaced(newer)) return { record, lost: 'replaced' }
      base = newer
      const was = record.version
      record = make(base, was + 1)
      if (!(yield* wait(this.#set(id, record, was)))) return { record, lost: 'ended' }
    }
    throw busy()
  }

  /**
   * Ends what was read, or what others have made of it since; `false`: somebody else has. Not `delete`, which could not
   * tell a session from the mark that one leaves when it goes on under a new identifier.
   */
  *#end(id: string, read: SessionRecord): Flow<boolean> {
    for (let base = read, round = 0; round < ROUNDS; round++) {
      if (isReplaced(base)) throw conflict()
      if (yield* wait(this.#set(id, ended(base), base.version))) return true
      const newer = yield* wait(this.#fresh(id))
      if (!newer) return false
      base = newer
    }
    throw busy()
  }

  /** What fails halfway leaves nothing behind that is listed and counted, as far as the store still does what it is asked. */
  *#orUndo<T>(id: string, work: Flow<T>): Flow<T> {
    try {
      return yield* work
    } catch (fault) {
      try {
        const undone = this.#ask(() => this.#store.delete(id))
        // Whoever has waited for as long as anybody is let to does not wait for the same store once more.
        if (isLate(fault) && isPromise(undone)) undone.catch(() => {})
        else yield* wait(undone)
      } catch {
        // Nobody has its credential. It expires.
      }
      throw fault
    }
  }

  *#insert(id: string, record: SessionRecord): Flow<void> {
    if (yield* wait(this.#set(id, record, 0))) return
    // Nobody else has this identifier: where users are known, an end of all their sessions came between.
    throw new Fault('ERR_CONFLICT', "all of the user's sessions were ended while this one began; it was not made")
  }

  *#delete(id: string): Flow<boolean> {
    return yield* wait(this.#ask(() => this.#store.delete(id)))
  }

  /** What is decided on here must not rest on a copy: asked again, it would lose to the same writer again. */
  #fresh(id: string): Awaitable<SessionRecord | undefined> {
    return this.#ask(() => (this.#store.fresh ? this.#store.fresh(id) : this.#store.get(id)))
  }

  #set(id: string, record: SessionRecord, was: number): Awaitable<boolean> {
    return this.#ask(() => this.#store.set(id, record, was))
  }
}

function give({ id, credential }: Minted, record: SessionRecord): Outcome {
  return { kind: 'give', credential, state: { id, record, due: false } }
}

function conflict(): Fault {
  return new Fault(
    'ERR_CONFLICT',
    'this session got a new identifier while the request was under way; what the request wanted of it was not done',
  )
}

function busy(): Fault {
  return new Fault(
    'ERR_CONFLICT',
    `the session was written by others ${ROUNDS} times while this request tried to; the change was not kept`,
  )
}
