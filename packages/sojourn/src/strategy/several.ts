/**
 * Several strategies at once: all are read, the first issues, and a live session of another is converted at its next
 * commit. One line changes the way a session is kept, and nobody is logged out by it.
 */
import { type Flow, run, then, wait } from '../awaitable.js'
import { Fault } from '../errors.js'
import type {
  Awaitable,
  Draft,
  Minted,
  Outcome,
  Refusal,
  State,
  Strategy,
  StrategyContext,
  StrategyFactory,
} from '../types.js'

/** The first strategy, and those that are still read. */
export function several(factories: readonly StrategyFactory[]): StrategyFactory {
  if (factories.length === 0)
    throw new TypeError('strategy: the list is empty; give at least one, such as opaque({ store })')
  return (context) => {
    const strategies = factories.map((factory) => factory(context)) as [Strategy, ...Strategy[]]
    return strategies.length === 1 ? strategies[0] : new Several(strategies, context)
  }
}

/** So many sessions that did not fit are remembered; then all are forgotten, and tried once more. */
const MISFITS = 10_000

/** What a strategy made of a credential. */
interface Kept {
  readonly keeper: Strategy
  readonly found: State
}

class Several implements Strategy {
  readonly byReference: boolean
  readonly readable: boolean
  readonly list?: (userId: string) => Awaitable<State[]>
  readonly #all: readonly [Strategy, ...Strategy[]]
  readonly #emit: StrategyContext['emit']
  /** Who opened what, and as what, for as long as a request lasts. */
  readonly #kept = new WeakMap<State, Kept>()
  /** The credential to an identifier, should the session under it be kept by the strategy that takes what is too large. */
  readonly #spare = new WeakMap<Minted, Minted>()
  /** Sessions that are too large for who should keep them, and where nobody else takes such. */
  readonly #misfits = new Set<string>()

  constructor(strategies: readonly [Strategy, ...Strategy[]], { emit }: StrategyContext) {
    this.#all = strategies
    this.#emit = emit
    this.byReference = strategies.every((strategy) => strategy.byReference)
    // What is only read any more issues nothing.
    const issuing = strategies.filter((_, i) => i === 0 || strategies[i - 1]!.overflows)
    this.readable = issuing.some((strategy) => strategy.readable)
    if (strategies.some((strategy) => strategy.list)) this.list = (userId) => run(this.#list(userId))
  }

  owns(credential: string): boolean {
    return this.#all.some((strategy) => strategy.owns(credential))
  }

  open(credential: string, now: number): Awaitable<State | Refusal> {
    const keeper = this.#all.find((strategy) => strategy.owns(credential))
    if (!keeper) return 'malformed'
    return then(keeper.open(credential, now), (found) => {
      if (typeof found === 'string') return found
      const user = found.record.userId !== undefined
      const issuer = this.#issuer(user)
      // What did not fit is tried again when it is written anyway: a request that only reads writes nothing.
      const misfit = keeper === this.#next(issuer) || this.#misfits.has(found.id)
      const stays = found.fixed || keeper === issuer || misfit
      // What should be kept otherwise is due at once: it moves at the commit of whoever asks for it first.
      const state = stays ? found : { ...found, due: true, successor: this.mint(user) }
      this.#kept.set(state, { keeper, found })
      return state
    })
  }

  /** One name for either place: a page has it before it is known whether the session fits where it should be kept. */
  mint(user: boolean): Minted {
    const issuer = this.#issuer(user)
    const spare = this.#next(issuer)?.mint(user)
    if (!spare) return issuer.mint(user)
    const minted = { id: spare.id, credential: '' }
    this.#spare.set(minted, spare)
    return minted
  }

  commit(draft: Draft, now: number): Awaitable<Outcome> {
    return run(this.#commit(draft, now))
  }

  adopt(draft: Draft, state: State, now: number): Awaitable<Outcome> {
    return this.#issuer(state.record.userId !== undefined).adopt(draft, state, now)
  }

  release(state: State, now: number): Awaitable<boolean> {
    return this.#kept.get(state)?.keeper.release(state, now) ?? false
  }

  fresh(state: State): Awaitable<boolean> {
    return this.#kept.get(state)?.keeper.fresh?.(state) ?? true
  }

  end(id: string): Awaitable<boolean> {
    return run(
      this.#sum(
        (strategy) => strategy.end?.(id),
        false,
        (a, b) => a || b,
      ),
    )
  }

  endAll(userId: string, except?: string): Awaitable<number> {
    return run(
      this.#sum(
        (strategy) => strategy.endAll?.(userId, except),
        0,
        (a, b) => a + b,
      ),
    )
  }

  close(): Awaitable<void> {
    return run(
      this.#sum(
        (strategy) => strategy.close?.(),
        undefined,
        () => undefined,
      ),
    )
  }

  /** Who keeps new sessions: the first, or for guests the first that can. */
  #issuer(user: boolean): Strategy {
    const able = user ? this.#all[0] : this.#all.find((strategy) => strategy.guests !== false)
    return able ?? this.#all[0]
  }

  /** Who keeps what is too large for `issuer`. */
  #next(issuer: Strategy): Strategy | undefined {
    return issuer.overflows ? this.#all[this.#all.indexOf(issuer) + 1] : undefined
  }

  *#commit(draft: Draft, now: number): Flow<Outcome> {
    const { state, intent } = draft
    const kept = state && this.#kept.get(state)
    const keeper = kept?.keeper
    const user = intent === 'login' || (intent !== 'logout' && state?.record.userId !== undefined)
    const issuer = this.#issuer(user)
    try {
      if (!keeper || keeper === issuer) return yield* wait(issuer.commit(draft, now))
      if (intent === 'logout') return yield* this.#leave(keeper, draft, now)
      if (staysWith(keeper, issuer, draft)) return yield* wait(keeper.commit({ ...draft, state: kept.found }, now))
      return yield* this.#move(kept, issuer, draft, now)
    } catch (error) {
      const next = this.#next(issuer)
      if (!(error instanceof Fault && error.code === 'ERR_TOO_LARGE')) throw error
      if (!next && kept && keeper !== issuer && intent === 'keep' && !kept.keeper.readOnly)
        return yield* this.#stay(kept, draft, now)
      if (!next) throw error
      const spared = this.#spared(draft)
      // It has ended, and only what a new guest is left with did not fit: nobody goes on with it.
      if (intent === 'logout') return yield* wait(next.commit(afterLogout(spared), now))
      return yield* kept && keeper !== next ? this.#move(kept, next, spared, now) : wait(next.commit(spared, now))
    }
  }

  /** Better where it is than nowhere: it was right before the strategy was changed. */
  *#stay({ keeper, found }: Kept, draft: Draft, now: number): Flow<Outcome> {
    if (this.#misfits.size >= MISFITS) this.#misfits.clear()
    this.#misfits.add(found.id)
    return yield* wait(keeper.commit({ ...draft, state: found }, now))
  }

  /** With the credential to the name that the page has, for who keeps under it what does not fit elsewhere. */
  #spared(draft: Draft): Draft {
    const minted = draft.minted ?? (draft.intent === 'keep' ? draft.state?.successor : undefined)
    return { ...draft, minted: minted && (this.#spare.get(minted) ?? minted) }
  }

  *#leave(keeper: Strategy, draft: Draft, now: number): Flow<Outcome> {
    const left = yield* wait(keeper.commit({ ...draft, changed: false }, now))
    if (!draft.changed) return left
    return yield* wait(this.#issuer(false).commit(afterLogout(draft), now))
  }

  /** New one first, old one after. When the old one changed meanwhile, it stays where it is, with the changes of both. */
  *#move({ keeper, found }: Kept, issuer: Strategy, draft: Draft, now: number): Flow<Outcome> {
    const going = { ...draft, minted: draft.minted ?? draft.state?.successor }
    const moved = yield* wait(
      draft.intent === 'login' ? issuer.commit(loginFrom(found, draft), now) : issuer.adopt(going, found, now),
    )
    if (moved.kind !== 'give') return moved
    if (yield* wait(keeper.release(found, now))) {
      const { id, record } = moved.state
      // Whoever knows the session by its handle learns the new one.
      if (draft.intent !== 'login')
        this.#emit({ type: 'rotated', id, from: found.id, reason: 'rotate', userId: record.userId })
      else if (found.record.userId !== undefined && found.record.userId !== record.userId)
        this.#emit({ type: 'ended', id: found.id, userId: found.record.userId, reason: 'login' })
      return moved
    }
    yield* wait(issuer.end?.(moved.state.id))
    return yield* wait(keeper.commit({ ...draft, state: found }, now))
  }

  *#list(userId: string): Flow<State[]> {
    const ask = (strategy: Strategy) => strategy.list?.(userId)
    const found = yield* this.#sum(ask, [] as State[], (a, b) => [...a, ...b])
    // Two stateless strategies may share their rows.
    return [...new Map(found.map((state) => [state.id, state])).values()]
  }

  *#sum<T>(ask: (strategy: Strategy) => Awaitable<T> | undefined, none: T, add: (a: T, b: T) => T): Flow<T> {
    let total = none
    // The issuer last: what moves to it while everything is ended is either not let go any more, or ended there.
    for (const strategy of this.#all.toReversed()) total = add(total, (yield* wait(ask(strategy))) ?? none)
    return total
  }
}

/**
 * Whether a session stays with its keeper for now. What this request has given away must open it in the next; and what it
 * has changed is kept by who can, where nothing can be changed any more after the move: it was right when it was sent.
 */
function staysWith(keeper: Strategy, issuer: Strategy, { state, intent, stays, changed }: Draft): boolean {
  // Moved, it would outlive what was lent: a pair's access token stays one.
  if (state?.fixed) return intent !== 'login'
  if (intent !== 'keep' || keeper.readOnly) return false
  return stays || (changed && issuer.mutable === false)
}

/** What was written after a logout, as the first of a new guest. */
function afterLogout(draft: Draft): Draft {
  return { ...draft, state: undefined, intent: 'keep', refused: undefined }
}

/** A login by one strategy over a session that another keeps: its data comes along as it would at home. */
function loginFrom({ record }: State, draft: Draft): Draft {
  const carries = record.userId === undefined || record.userId === draft.userId
  return { ...draft, state: undefined, carry: (text) => draft.carry(text ?? (carries ? record.data : undefined)) }
}
