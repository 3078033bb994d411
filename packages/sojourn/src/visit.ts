/** One request and its session: opened when somebody asks, committed before the headers leave. */
import { isPromise, then } from './awaitable.js'
import { decode } from './codec.js'
import type { Shape } from './content.js'
import { keepPrivate } from './cookies.js'
import { randomText } from './crypto/random.js'
import { Fault, type Problem, problem } from './errors.js'
import { issueToken, verifyToken } from './guard/csrf.js'
import { timeoutsOf } from './ledger/lifetime.js'
import type { MergeRules } from './merge.js'
import { type Host, Session } from './session.js'
import type { Arrival, Transports } from './transport/several.js'
import type {
  Awaitable,
  DerivedKey,
  Device,
  Draft,
  Exchange,
  Minted,
  Outcome,
  State,
  Strategy,
  StrategyContext,
  Transport,
} from './types.js'

/** What all visits of one `createSessions` share. */
export interface Core extends Shape {
  readonly strategy: Strategy
  readonly transports: Transports
  readonly context: StrategyContext
  /** How a guest's data becomes one with the user's at a login. */
  readonly merge: MergeRules<Record<string, unknown>>
  /** For form tokens: the first signs. */
  readonly csrfKeys: readonly [DerivedKey, ...DerivedKey[]]
  /** Whether a request may go on; absent where no cross-origin guard is wanted. */
  readonly guard: ((x: Exchange) => boolean) | undefined
  /** Told what a vault kept in a session that was logged out, so that it goes with it. */
  readonly leaving: ((vault: Readonly<Record<string, unknown>>) => Awaitable<void>)[]
}

const USER_AGENT_LENGTH = 256

/** The part of a request that adapters see: `guard`, then the handler, then `commit`. */
export class Visit<Data extends object> implements Host {
  readonly initial: Shape['initial']
  readonly schema: Shape['schema']
  readonly merge: Core['merge']
  readonly #core: Core
  readonly #x: Exchange
  #session: Awaitable<Session<Data>> | undefined
  #opened: Session<Data> | undefined
  #held = false
  #done = false
  #given = false
  #arrival: Arrival | undefined
  /** What the client has, or will have when this request is done. */
  #credential: string | undefined
  #commit: Promise<void> | undefined

  constructor(core: Core, x: Exchange) {
    this.#core = core
    this.#x = x
    this.initial = core.initial
    this.schema = core.schema
    this.merge = core.merge
    core.transports.begin(x)
  }

  /** The answer to a request that another site sent with the visitor's cookies; nothing when it may go on. */
  guard(): Problem | undefined {
    const { guard, transports, context } = this.#core
    if (guard === undefined || guard(this.#x) || transports.byHand(this.#x)) return undefined
    context.emit({ type: 'refused', reason: 'cross-origin', ip: this.#x.ip })
    return problem(
      403,
      'Forbidden',
      'This request came from another site, or from a page that does not say where it is from.',
    )
  }

  /** The session; opened at the first call, at the price of one store call if the request carries a credential. */
  session(): Awaitable<Session<Data>> {
    this.#session ??= this.#open()
    return this.#session
  }

  /**
   * Carries out what the handler wanted of the session, and sets or clears the credential. Adapters call it once the
   * response's own headers are known and before they leave. Nothing happens twice. Throws a `Fault`.
   */
  commit(): Awaitable<void> {
    if (this.#opened === undefined) return
    if (this.#done) {
      // The handler committed on its own, and may have set a header for shared caches since.
      if (this.#given) keepPrivate(this.#x)
      return this.#commit
    }
    this.#done = true
    const result = this.#carryOut(this.#opened)
    if (isPromise(result)) {
      // Only while it runs: a handler that awaited it, and dealt with the fault, is not told again by the adapter.
      const forget = () => {
        this.#commit = undefined
      }
      this.#commit = result.finally(forget)
      return this.#commit
    }
  }

  touch(): void {
    if (this.#held || this.#done) return
    this.#held = true
    if (this.#x.hold?.() !== false) return
    this.#done = true
    if (this.#opened) Session.settle(this.#opened as Session<object>, undefined)
  }

  mint(user: boolean): Minted {
    return this.#core.strategy.mint(user)
  }

  device(): Device | undefined {
    const userAgent = this.#x
      .header('user-agent')
      ?.replace(/\p{Cc}/gu, ' ')
      .slice(0, USER_AGENT_LENGTH)
    const { ip } = this.#x
    if (userAgent === undefined && ip === undefined) return undefined
    return { ...(userAgent === undefined ? {} : { userAgent }), ...(ip === undefined ? {} : { ip }) }
  }

  fresh(state: State): Awaitable<boolean> {
    return this.#core.strategy.fresh?.(state) ?? true
  }

  unreadable(): void {
    this.#core.context.emit({
      type: 'fault',
      code: 'ERR_DATA',
      message: "a session's data could not be read, so it begins anew; who is signed in was kept",
    })
  }

  issueToken(id: string): string {
    return issueToken(this.#core.csrfKeys[0].key, id, randomText(16))
  }

  verifyToken(id: string, token: unknown): boolean {
    if (this.#core.csrfKeys.some(({ key }) => verifyToken(key, id, token))) return true
    this.#core.context.emit({ type: 'refused', reason: 'csrf-token', ip: this.#x.ip })
    return false
  }

  credential(): string | undefined {
    return this.#credential
  }

  link(path: string, credential: string | undefined): string {
    return credential ? (this.#carrier.link?.(this.#x, path, credential) ?? path) : path
  }

  /** What is honoured is answered the way it came. A stranger's link must not decide how a new session travels. */
  get #carrier(): Transport {
    return this.#arrival?.credential === undefined ? this.#core.transports.first : this.#arrival.by
  }

  #open(): Awaitable<Session<Data>> {
    const { transports, strategy, context } = this.#core
    // Whoever looks at the session answers for one visitor: not for a shared cache (ASVS 14.2.2), unless the app, which may
    // still set the header, knows better. Now and not at the commit: what sends files says `public` where nobody spoke.
    if (this.#x.get('cache-control') === undefined) this.#x.set('cache-control', 'private, no-store')
    let arrival: Awaitable<Arrival>
    try {
      arrival = transports.open(this.#x, strategy, context.clock())
    } catch (fault) {
      return this.#fail(fault)
    }
    if (isPromise(arrival))
      return arrival.then(
        (arrival) => this.#begin(arrival),
        (fault) => this.#fail(fault),
      )
    return this.#begin(arrival)
  }

  #begin(arrival: Arrival): Session<Data> {
    const { found, credential } = arrival
    this.#arrival = arrival
    if (typeof found === 'string') {
      if (found !== 'absent') this.#core.context.emit({ type: 'refused', reason: found, ip: this.#x.ip })
    } else this.#credential = found.reissue ?? credential
    this.#opened = new Session<Data>(this, found)
    if (typeof found !== 'string' && (found.due || found.reissue !== undefined)) this.touch()
    return this.#opened
  }

  #carryOut(session: Session<Data>): Awaitable<void> {
    const draft = Session.draft(session as Session<object>)
    // Before the store is asked: what is changed while it thinks would not be kept, and must not vanish either.
    Session.settle(session as Session<object>, undefined)
    if (draft === undefined) return
    const now = this.#core.context.clock()
    try {
      const outcome = then(this.#core.strategy.commit(draft, now), (outcome) => this.#leave(draft, outcome))
      return isPromise(outcome)
        ? outcome.then((outcome) => this.#settle(session, outcome, now)).catch((fault) => this.#fail(fault))
        : this.#settle(session, outcome, now)
    } catch (fault) {
      this.#fail(fault)
    }
  }

  /** After the logout, which nothing here may undo: what stays behind can be opened by nobody, and expires. */
  #leave({ intent, state }: Draft, outcome: Outcome): Awaitable<Outcome> {
    const { leaving, context } = this.#core
    const kept = intent === 'logout' && state && leaving.length > 0 ? decode(state.record.data)?.vault : undefined
    if (kept === undefined) return outcome
    const failed = () => {
      const message = 'what a vault kept for a session that was logged out could not be deleted; it expires'
      context.emit({ type: 'fault', code: 'ERR_STORE', message })
    }
    const told = Promise.all(leaving.map(async (leave) => leave(kept)))
    return told.catch(failed).then(() => outcome)
  }

  #settle(session: Session<Data>, outcome: Outcome, now: number): void {
    const { context } = this.#core
    if (outcome.kind === 'give') {
      const { record } = outcome.state
      const persistent = record.persistent === true
      const endsAt = record.createdAt + timeoutsOf(record, context).absolute
      this.#given = true
      this.#credential = outcome.credential
      this.#carrier.write(this.#x, { credential: outcome.credential, endsAt, persistent }, now)
    }
    // Taken back where it came, honoured or not.
    if (outcome.kind === 'clear') this.#arrival?.by.clear(this.#x)
    if (outcome.kind === 'ended') context.emit({ type: 'refused', reason: 'ended', ip: this.#x.ip })
    if (outcome.kind === 'give') Session.settle(session as Session<object>, outcome.state)
  }

  #fail(fault: unknown): never {
    // Of what is not ours (an `update` that throws when it is run again) only the kind is told: its words may be data.
    const { code, message } = fault instanceof Fault ? fault : { code: 'ERR_APP', message: "the app's own code failed" }
    this.#core.context.emit({ type: 'fault', code, message })
    throw fault
  }
}
