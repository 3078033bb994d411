/**
 * Sessions that are in their credential: what is written is a new credential, and no store is asked on a request. What
 * was ended is refused through the registry, which also knows who signed in where.
 */
import { type Flow, run, then, wait } from '../awaitable.js'
import { randomText } from '../crypto/random.js'
import { Recent } from '../crypto/recent.js'
import { Fault } from '../errors.js'
import type {
  Awaitable,
  Draft,
  Minted,
  Outcome,
  Refusal,
  SessionRecord,
  State,
  Strategy,
  StrategyContext,
} from '../types.js'
import { begun, judge, renewed } from './lifetime.js'
import { loginEvents } from './login-events.js'
import type { Registry } from './registry.js'

const KEEP: Outcome = { kind: 'keep' }
const CLEAR: Outcome = { kind: 'clear' }
const ENDED: Outcome = { kind: 'ended' }

/** What a credential that opens stands for. */
export interface Opened {
  readonly id: string
  /** When its identifier was made, epoch milliseconds. */
  readonly issuedAt: number
  readonly record: SessionRecord
  /** The access token of a pair, which the refresh half renews: good until it expires, whatever timeouts hold here. */
  readonly fixed?: boolean
  /** What it is good for. Only what is `fixed` can say so. */
  readonly scope?: readonly string[] | undefined
}

/** What a key is worth: the one that writes, one that is still read, or none any more. */
export type KeyStanding = 'current' | 'older' | 'gone'

/** What was opened, and what its key is worth at a time: keys change while a credential is remembered. */
export interface Found extends Opened {
  keyIs(now: number): KeyStanding
}

/** How a session becomes text and back: what tells one stateless strategy from another. */
export interface Form {
  /** Its name in messages. */
  readonly name: string
  readonly guests: boolean
  /** Whether data can change after the login. */
  readonly mutable: boolean
  /** Whether its holder can read what is in a credential. */
  readonly readable: boolean
  readonly longest: number
  readonly overflows: boolean
  owns(credential: string): boolean
  close(opened: Opened): string
  open(credential: string, now: number): Found | Refusal
}

/** A strategy that keeps sessions in their credential. */
export class Stateless implements Strategy {
  readonly guests: boolean
  readonly mutable: boolean
  readonly overflows: boolean
  readonly readable: boolean
  readonly list?: (userId: string) => Awaitable<State[]>
  readonly #form: Form
  readonly #context: StrategyContext
  readonly #registry: Registry
  readonly #recent = new Recent<Found>()

  constructor(form: Form, registry: Registry, context: StrategyContext) {
    this.guests = form.guests
    this.mutable = form.mutable
    this.overflows = form.overflows
    this.readable = form.readable
    this.#form = form
    this.#context = context
    this.#registry = registry
    if (registry.list) this.list = registry.list
  }

  owns(credential: string): boolean {
    return this.#form.owns(credential)
  }

  open(credential: string, now: number): Awaitable<State | Refusal> {
    const found = this.#recent.get(credential) ?? this.#verify(credential, now)
    if (typeof found === 'string') return found
    const { id, record, issuedAt, fixed, scope } = found
    const key = found.keyIs(now)
    if (key === 'gone') return 'forged'
    if (fixed && now >= record.expiresAt) return 'expired'
    const state = fixed ? { id, record, due: false } : judge(id, record, now, this.#context)
    if (typeof state === 'string') return state
    return then(this.#registry.ended(id, record, issuedAt), (ended) => {
      if (ended) return 'ended'
      if (fixed) return { id, record, issuedAt, due: false, fixed, scope }
      // What an older key sealed is sealed anew at the first chance.
      return { id, record, issuedAt, due: state.due || key === 'older' }
    })
  }

  /** A name and no credential, but nobody's guess. */
  mint(): Minted {
    return { id: randomText(32), credential: '' }
  }

  commit(draft: Draft, now: number): Awaitable<Outcome> {
    const { state, intent } = draft
    if (intent === 'login') return run(this.#login(draft, draft.userId!, now))
    if (intent === 'logout') return run(this.#logout(draft, now))
    if (!state) return draft.changed ? this.#create(draft, now) : KEEP
    if (intent === 'rotate' && state.fixed) throw paired(this.#form.name)
    if (intent === 'rotate') return run(this.#rotate(draft, state, now))
    return draft.changed || state.due ? run(this.#write(draft, state, now)) : KEEP
  }

  adopt(draft: Draft, state: State, now: number): Awaitable<Outcome> {
    return run(this.#rename(draft, state, now))
  }

  release(state: State): Awaitable<boolean> {
    return run(this.#release(state))
  }

  fresh({ id, record, issuedAt = record.createdAt }: State): Awaitable<boolean> {
    return then(this.#registry.endedByNow(id, record, issuedAt), (ended) => !ended)
  }

  end(id: string): Awaitable<boolean> {
    return this.#registry.end(id)
  }

  endAll(userId: string, except?: string): Awaitable<number> {
    return this.#registry.endAll(userId, except)
  }

  close(): Awaitable<void> {
    return this.#registry.close()
  }

  #create(draft: Draft, now: number): Outcome {
    if (!this.guests) throw fixed(this.#form.name)
    if (draft.refused === 'replaced') throw conflict()
    const { id } = draft.minted ?? this.mint()
    const outcome = this.#give(id, begun(draft, undefined, draft.replay(undefined), now, 1, this.#context), now)
    this.#context.emit({ type: 'created', id })
    return outcome
  }

  *#write(draft: Draft, { id, record, due, issuedAt = record.createdAt }: State, now: number): Flow<Outcome> {
    if (draft.changed && !this.#form.mutable) throw fixed(this.#form.name)
    // A late answer must not bring back what was ended since, over the credential that came after it.
    if (yield* wait(this.#registry.ended(id, record, issuedAt))) return ENDED
    const next = renewed(record, draft.replay(record.data), now, record.version + 1, this.#context)
    const outcome = this.#give(id, next, issuedAt)
    if (due) this.#context.emit({ type: 'renewed', id, userId: record.userId })
    return outcome
  }

  *#login(draft: Draft, userId: string, now: number): Flow<Outcome> {
    const { state } = draft
    const { id } = draft.minted ?? this.mint()
    const carries = state && (state.record.userId === undefined || state.record.userId === userId)
    const data = draft.carry(carries ? state.record.data : undefined)
    const record = begun(draft, userId, data, now, 1, this.#context)
    // Whether it fits is known before anything is written anywhere.
    const outcome = this.#give(id, record, this.#registry.issueTime(userId, now))
    yield* this.#registry.enrol(id, record, state?.id)
    const left = state !== undefined && (yield* this.#forget(state))
    for (const event of loginEvents(id, userId, state, left)) this.#context.emit(event)
    return outcome
  }

  *#rotate(draft: Draft, state: State, now: number): Flow<Outcome> {
    if (yield* this.#isEnded(state)) return ENDED
    const outcome = yield* this.#rename(draft, state, now)
    if (!(yield* this.#forget(state))) {
      // Ended meanwhile: the successor must not outlive it. Nobody has seen its credential.
      if (outcome.kind === 'give') yield* wait(this.#registry.end(outcome.state.id))
      return ENDED
    }
    const { userId } = state.record
    if (outcome.kind === 'give')
      this.#context.emit({ type: 'rotated', id: outcome.state.id, from: state.id, reason: 'rotate', userId })
    return outcome
  }

  *#logout(draft: Draft, now: number): Flow<Outcome> {
    const { state, refused } = draft
    if (state) {
      yield* this.#forget(state)
      this.#context.emit({ type: 'ended', id: state.id, userId: state.record.userId, reason: 'logout' })
    }
    if (draft.changed) return this.#create({ ...draft, refused: undefined }, now)
    return refused === 'absent' ? KEEP : CLEAR
  }

  /** The same session under a new identifier. */
  *#rename(draft: Draft, { record: base }: State, now: number): Flow<Outcome> {
    if (draft.changed && !this.#form.mutable) throw fixed(this.#form.name)
    const { id } = draft.minted ?? this.mint()
    const record = renewed(base, draft.replay(base.data), now, 1, this.#context)
    const outcome = this.#give(id, record, this.#registry.issueTime(base.userId, now))
    if (base.userId !== undefined) yield* wait(this.#registry.move(id, record))
    return outcome
  }

  *#release(state: State): Flow<boolean> {
    if (yield* this.#isEnded(state)) return false
    return yield* this.#forget(state)
  }

  /** By what is known this moment: under another identifier, what was ended a moment ago would live for good. */
  *#isEnded({ id, record, issuedAt = record.createdAt }: State): Flow<boolean> {
    return record.userId !== undefined && (yield* wait(this.#registry.endedByNow(id, record, issuedAt)))
  }

  /** A guest's older states open nothing that a guest cannot open anyway: nothing is written about them. */
  *#forget({ id, record }: State): Flow<boolean> {
    return record.userId === undefined || (yield* this.#registry.leave(id, record))
  }

  #give(id: string, record: SessionRecord, issuedAt: number): Outcome {
    const credential = this.#form.close({ id, issuedAt, record })
    if (credential.length > this.#form.longest) {
      throw new Fault(
        'ERR_TOO_LARGE',
        `${this.#form.name}: the session has ${credential.length} characters, and ${this.#form.longest} can be carried; keep less in it, or keep it in a store`,
      )
    }
    // A form that leaves something out is read back before it is believed.
    if (this.#form.mutable) this.#recent.set(credential, { id, issuedAt, record, keyIs: () => 'current' })
    return { kind: 'give', credential, state: { id, issuedAt, record, due: false } }
  }

  #verify(credential: string, now: number): Found | Refusal {
    if (!this.owns(credential)) return 'malformed'
    const opened = this.#form.open(credential, now)
    if (typeof opened !== 'string') this.#recent.set(credential, opened)
    return opened
  }
}

function conflict(): Fault {
  return new Fault(
    'ERR_CONFLICT',
    'a login replaced this session while the request was changing it; the change was not kept',
  )
}

function paired(name: string): Fault {
  return new Fault(
    'ERR_DATA',
    `${name}: the access token of a pair is renewed by its refresh token and cannot be rotated; refresh the pair, or sign in anew`,
  )
}

function fixed(name: string): Fault {
  return new Fault(
    'ERR_DATA',
    `${name}: what is in the session is fixed when somebody signs in, and a guest has none; keep what changes in a database, or put sealed() or opaque() behind it for guests`,
  )
}
