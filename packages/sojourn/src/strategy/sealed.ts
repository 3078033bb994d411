/**
 * Stateless sessions: the whole session, encrypted and authenticated, in the client's hands. No store is asked on a
 * request; what was ended is refused through `revocations`.
 *
 * A client can send an older state of its own session again: data that it had before, no more. Who is signed in, since
 * when and until when is sealed under an identifier that logout ends and that a login changes.
 */
import { type Flow, run, then, wait } from '../awaitable.js'
import { randomText } from '../crypto/random.js'
import { Sealer } from '../crypto/seal.js'
import { Verified } from '../crypto/verified.js'
import { Fault } from '../errors.js'
import { begun, judge, renewed } from '../ledger/lifetime.js'
import { Registry, type RegistryOptions } from '../ledger/registry.js'
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
  StrategyFactory,
} from '../types.js'

/** Options of `sealed`. */
export interface SealedOptions extends RegistryOptions {
  /**
   * What to do with a session that does not fit into one cookie of 4,096 bytes: `chunk` it over several, as far as the
   * transport goes; answer with an `error` (`ERR_TOO_LARGE`), and the client keeps what it had; or leave it to the
   * `next` strategy of the list, such as `opaque` with a store. Default `chunk`.
   */
  onTooLarge?: 'chunk' | 'error' | 'next'
}

const KEEP: Outcome = { kind: 'keep' }
const CLEAR: Outcome = { kind: 'clear' }

/** What a credential that opens stands for. */
interface Opened {
  readonly id: string
  readonly issuedAt: number
  readonly record: SessionRecord
  readonly current: boolean
}

/** Keeps the whole session in the client. Store calls: none, but for login and logout (see `devices`, `revocations`). */
export function sealed(options: SealedOptions): StrategyFactory {
  return (context) => new SealedStrategy(options, context)
}

class SealedStrategy implements Strategy {
  readonly list?: (userId: string) => Awaitable<State[]>
  readonly overflows: boolean
  readonly #context: StrategyContext
  readonly #registry: Registry
  readonly #sealer: Sealer
  readonly #longest: number
  readonly #verified = new Verified<Opened>()

  constructor(options: SealedOptions, context: StrategyContext) {
    const { onTooLarge = 'chunk' } = options
    this.overflows = onTooLarge === 'next'
    this.#context = context
    this.#registry = new Registry('sealed', options, context)
    this.#sealer = new Sealer(context.keys.derive('sealed session'), `sojourn sealed session, ${context.binding}`)
    this.#longest = onTooLarge === 'chunk' ? context.capacity.chunked : context.capacity.whole
    if (this.#registry.list) this.list = this.#registry.list
  }

  /** One dot: an opaque identifier and a JWT have two. */
  owns(credential: string): boolean {
    const dot = credential.indexOf('.')
    return dot > 0 && credential.indexOf('.', dot + 1) < 0
  }

  open(credential: string, now: number): Awaitable<State | Refusal> {
    const found = this.#verified.get(credential) ?? this.#unseal(credential)
    if (typeof found === 'string') return found
    const { id, record, issuedAt, current } = found
    const state = judge(id, record, now, this.#context)
    if (typeof state === 'string') return state
    return then(this.#registry.ended(id, record, issuedAt), (ended) => {
      if (ended) return 'ended'
      // What an older key sealed is sealed anew at the first chance.
      return { id, record, issuedAt, due: state.due || !current }
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
    if (intent === 'rotate') return run(this.#rotate(draft, state, now))
    return draft.changed || state.due ? this.#write(draft, state, now) : KEEP
  }

  adopt(draft: Draft, state: State, now: number): Awaitable<Outcome> {
    return run(this.#rename(draft, state, now))
  }

  release(state: State): Awaitable<boolean> {
    return then(this.#forget(state), () => true)
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
    if (draft.refused === 'replaced') throw conflict()
    const { id } = draft.minted ?? this.mint()
    const outcome = this.#give(id, begun(draft, undefined, draft.replay(undefined), now, 1, this.#context), now)
    this.#context.emit({ type: 'created', id })
    return outcome
  }

  #write(draft: Draft, { id, record, due, issuedAt = record.createdAt }: State, now: number): Outcome {
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
    if (state) yield* wait(this.#forget(state))
    this.#context.emit(
      state ? { type: 'rotated', id, from: state.id, reason: 'login', userId } : { type: 'created', id, userId },
    )
    return outcome
  }

  *#rotate(draft: Draft, state: State, now: number): Flow<Outcome> {
    const outcome = yield* this.#rename(draft, state, now)
    yield* wait(this.#forget(state))
    const { userId } = state.record
    if (outcome.kind === 'give')
      this.#context.emit({ type: 'rotated', id: outcome.state.id, from: state.id, reason: 'rotate', userId })
    return outcome
  }

  *#logout(draft: Draft, now: number): Flow<Outcome> {
    const { state, refused } = draft
    if (state) {
      yield* wait(this.#forget(state))
      this.#context.emit({ type: 'ended', id: state.id, userId: state.record.userId, reason: 'logout' })
    }
    if (draft.changed) return this.#create({ ...draft, refused: undefined }, now)
    return refused === 'absent' ? KEEP : CLEAR
  }

  /** The same session under a new identifier. */
  *#rename(draft: Draft, { id: from, record: base }: State, now: number): Flow<Outcome> {
    const { id } = draft.minted ?? this.mint()
    const record = renewed(base, draft.replay(base.data), now, 1, this.#context)
    const outcome = this.#give(id, record, this.#registry.issueTime(base.userId, now))
    if (base.userId !== undefined) yield* this.#registry.enrol(id, record, from)
    return outcome
  }

  /** A guest's older states open nothing that a guest cannot open anyway: nothing is written about them. */
  #forget({ id, record }: State): Awaitable<boolean> {
    return record.userId === undefined ? true : this.#registry.end(id)
  }

  #give(id: string, record: SessionRecord, issuedAt: number): Outcome {
    const { data, ...fields } = record
    const credential = this.#sealer.seal(`${JSON.stringify({ id, issuedAt, ...fields })}\n${data}`)
    if (credential.length > this.#longest) {
      throw new Fault(
        'ERR_TOO_LARGE',
        `the sealed session has ${credential.length} characters, and ${this.#longest} can be carried; keep less in it, or keep it in a store`,
      )
    }
    this.#verified.set(credential, { id, issuedAt, record, current: true })
    return { kind: 'give', credential, state: { id, issuedAt, record, due: false } }
  }

  #unseal(credential: string): Opened | Refusal {
    if (!this.owns(credential)) return 'malformed'
    const unsealed = this.#sealer.open(credential)
    if (typeof unsealed === 'string') return unsealed
    const line = unsealed.text.indexOf('\n')
    const { id, issuedAt, ...fields } = JSON.parse(unsealed.text.slice(0, line))
    const opened = {
      id,
      issuedAt,
      record: { ...fields, data: unsealed.text.slice(line + 1) },
      current: unsealed.current,
    }
    this.#verified.set(credential, opened)
    return opened
  }
}

function conflict(): Fault {
  return new Fault(
    'ERR_CONFLICT',
    'a login replaced this session while the request was changing it; the change was not kept',
  )
}
