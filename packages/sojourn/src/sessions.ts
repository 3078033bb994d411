/** The front door: everything that is configured, checked once, and what an app and its adapters do with it. */
import { isPromise, then } from './awaitable.js'
import type { Fields } from './changes.js'
import { Events, type Listener } from './events.js'
import { crossOriginGuard } from './guard/csrf.js'
import { createKeyring, generateSecret, type Keys } from './keys.js'
import { checkRules, type MergeRules } from './merge.js'
import type { StandardSchema } from './schema.js'
import { checkUserId, type Session } from './session.js'
import { memory } from './store/memory.js'
import { opaque } from './strategy/opaque.js'
import { several } from './strategy/several.js'
import { DEFAULT_REMEMBER, DEFAULT_TIMEOUTS, resolveTimeouts, type TimeoutPreset } from './timeouts.js'
import { cookie } from './transport/cookie.js'
import { several as severalTransports } from './transport/several.js'
import type {
  Awaitable,
  Device,
  Exchange,
  Limit,
  State,
  StrategyContext,
  StrategyFactory,
  Timeouts,
  Transport,
} from './types.js'
import { type Core, Visit } from './visit.js'

/** The cross-origin guard; on by default where browsers attach the credential on their own. */
export interface CsrfOptions {
  /** Other origins that may send unsafe requests, each exactly `https://host[:port]`. Default none. */
  trusted?: readonly string[]
  /** Paths that are not guarded, for webhooks that verify a signature: exact, or all below one that ends in `/`. */
  exempt?: readonly string[]
  /** Refuse unsafe requests that do not say where they are from: programs and very old browsers. Default `false`. */
  strict?: boolean
}

/** Options of `createSessions`. All have a safe default but `keys`. */
export interface SessionsOptions<Data extends object> {
  /** The secrets, current first. Default, for trying things out: one made up at start, which a restart forgets. */
  keys?: Keys
  /**
   * How a session becomes a credential. Default `opaque` over `memory()`. Several: all are read, the first issues, and a
   * live session of another moves to it at its next commit, so that one line changes the way and nobody is logged out.
   */
  strategy?: StrategyFactory | readonly StrategyFactory[]
  /**
   * Where the credential travels. Default `cookie()`. Several: all are read, what came is answered the way it came, and
   * new sessions go by the first. Two visitors in one request are refused.
   */
  transport?: Transport | readonly Transport[]
  /** The data of a new session, at once and not as a promise; its type is the data's type. Default: an empty object. */
  initial?: () => Data
  /** A Standard Schema that data is checked against when it is read and before it is kept. */
  schema?: StandardSchema<Data>
  /** How a guest's data becomes one with what `login` hands over as `data`, by key. Default: what is handed over stands. */
  merge?: MergeRules<Data>
  /** `aal1`, `aal2`, `aal3`, or milliseconds. Default 30 minutes idle, 12 hours absolute. */
  timeouts?: Timeouts | TimeoutPreset
  /** The timeouts of "remember me" sessions. Default 14 days idle, 30 days absolute. */
  remember?: Timeouts
  /** How many sessions a user may have. Default: as many as they like. */
  limit?: Limit
  /**
   * The public origin, such as `https://shop.example`. Says whether cookies are `Secure`, and what counts as the same
   * origin, where a proxy stands in front. Default: what the request itself shows.
   */
  origin?: string
  /** The cross-origin guard's options, or `false` for none. */
  csrf?: CsrfOptions | false
  /** Epoch milliseconds. Default `Date.now`. */
  clock?: () => number
}

/** One of a user's sessions, for a list of devices. */
export interface SessionInfo {
  /** The handle, for `end`. */
  readonly id: string
  readonly createdAt: number
  readonly seenAt: number
  readonly expiresAt: number
  readonly authenticatedAt: number | undefined
  readonly persistent: boolean
  /** Untrusted text: escape it. */
  readonly device: Device | undefined
}

/** Sessions, configured. One for each kind of session that an app has; most have one. */
export class Sessions<Data extends object = Record<string, unknown>> {
  readonly #core: Core
  readonly #events: Events
  /** What the configured origin says of every request, whatever the wire looks like behind a proxy. */
  readonly #secure: boolean | undefined
  /** Where an adapter leaves the visit on the framework's own request; one of its own for each `createSessions`. */
  readonly #visit: symbol = Symbol('sojourn')

  constructor(options: SessionsOptions<Data>) {
    const { clock = Date.now, initial = () => ({}), schema, limit, origin, csrf = {}, merge = {} } = options
    checkFunction('initial', initial, 'such as () => ({ cart: [] })')
    checkFunction('clock', clock, 'that gives epoch milliseconds, such as Date.now')
    checkStandard(schema)
    checkLimit(limit)
    checkRules(merge)
    this.#events = new Events(clock)
    const keys = createKeyring(options.keys ?? madeUp())
    const transports = severalTransports([options.transport ?? cookie()].flat())
    const context: StrategyContext = {
      keys,
      timeouts: resolveTimeouts('timeouts', options.timeouts ?? DEFAULT_TIMEOUTS),
      remember: resolveTimeouts('remember', options.remember ?? DEFAULT_REMEMBER),
      limit,
      clock,
      emit: (event) => this.#events.emit(event),
      binding: transports.binding,
      capacity: transports.capacity,
    }
    this.#core = {
      context,
      transports,
      initial: () => atOnce(initial()),
      schema,
      merge: merge as Core['merge'],
      strategy: several([options.strategy ?? opaque({ store: memory({ clock }) })].flat())(context),
      csrfKeys: keys.derive('csrf token'),
      leaving: [],
      guard: csrf === false || !transports.ambient ? undefined : crossOriginGuard({ origin, ...csrf }),
    }
    if (transports.exposed && this.#core.strategy.byReference !== true) {
      throw new TypeError(
        'query: only opaque() may travel in URLs, as its credential is worth nothing once the session has ended; use that, or a cookie or header',
      )
    }
    this.#secure = origin === undefined ? undefined : isSecure(origin)
  }

  /** The session of a request, in any handler behind an adapter. One store call at most, at the first call. */
  of(request: object): Awaitable<Session<Data>> {
    const visit = (request as Record<symbol, Visit<Data> | undefined>)[this.#visit]
    if (visit === undefined) {
      throw new TypeError(
        'sessions.of: no adapter has seen this request; put one in front of the handler, such as app.use(express(sessions))',
      )
    }
    return visit.session()
  }

  /** For adapters: begins a visit, and leaves it on `request` for `of`. The one already there, if there is one. */
  begin(x: Exchange, request: object): Visit<Data> {
    const holder = request as Record<symbol, Visit<Data> | undefined>
    if (this.#secure !== undefined) x.secure = this.#secure
    // Asked of the request alone: to learn that a symbol is nowhere on a long chain of prototypes takes microseconds.
    if (Object.hasOwn(request, this.#visit)) return holder[this.#visit]!
    const visit = new Visit<Data>(this.#core, x)
    holder[this.#visit] = visit
    return visit
  }

  /** Hears all events: created, renewed, rotated, ended, refused, fault. Returns what stops it. */
  on(listener: Listener): () => void {
    return this.#events.on(listener)
  }

  /** A user's live sessions, newest first. One store call. */
  list(userId: string): Awaitable<SessionInfo[]> {
    checkUserId('sessions.list', userId)
    return then(this.#able('list')(userId), (states) => states.map(info).sort((a, b) => b.createdAt - a.createdAt))
  }

  /**
   * Ends one session by its handle, from anywhere. `false`: there was none. Throws `ERR_CONFLICT` where the session got
   * another handle just now: list again. Two store calls. Check whose it is before.
   */
  end(id: string): Awaitable<boolean> {
    // A parser may hand over an array, or nothing.
    if (typeof id !== 'string') return false
    return then(this.#able('end')(id), (ended) => {
      if (ended) this.#events.emit({ type: 'ended', id, reason: 'revoked' })
      return ended
    })
  }

  /** Ends all of a user's sessions, or all but one, and says how many: nothing issued before is honoured after. */
  endAll(userId: string, options: { except?: string | undefined } = {}): Awaitable<number> {
    checkUserId('sessions.endAll', userId)
    return then(this.#able('endAll')(userId, options.except), (count) => {
      if (count > 0) this.#events.emit({ type: 'ended', userId, reason: 'revoked-all', count })
      return count
    })
  }

  /** Closes the store. */
  close(): Awaitable<void> {
    return this.#core.strategy.close?.()
  }

  /** For tickets: what all sessions share. */
  static core(sessions: Sessions<object>): Core {
    return sessions.#core
  }

  #able<Verb extends 'list' | 'end' | 'endAll'>(verb: Verb): NonNullable<Core['strategy'][Verb]> {
    const method = this.#core.strategy[verb]
    if (method === undefined)
      throw new TypeError(
        `sessions.${verb}: this strategy's store does not know whose a session is; choose one that does`,
      )
    return method.bind(this.#core.strategy) as NonNullable<Core['strategy'][Verb]>
  }
}

/** Configures sessions. Throws a `TypeError` for what cannot be right, saying what to do. */
export function createSessions<Data extends object = Record<string, unknown>>(
  options: SessionsOptions<Data> = {},
): Sessions<Data> {
  return new Sessions(options)
}

function info({ id, record }: State): SessionInfo {
  const { createdAt, seenAt, expiresAt, authenticatedAt, persistent = false, device } = record
  return { id, createdAt, seenAt, expiresAt, authenticatedAt, persistent, device }
}

function isSecure(origin: string): boolean {
  if (!URL.canParse(origin) || new URL(origin).origin !== origin.toLowerCase() || !/^https?:/.test(origin)) {
    throw new TypeError(
      'origin: it is "https://host" or "http://host", with a port where it has one, and nothing after that',
    )
  }
  return origin.startsWith('https:')
}

function checkFunction(option: string, value: unknown, such: string): void {
  if (typeof value !== 'function') throw new TypeError(`${option}: it is a function ${such}`)
}

function checkStandard(schema: StandardSchema | undefined): void {
  if (schema !== undefined && typeof schema?.['~standard']?.validate !== 'function')
    throw new TypeError(
      'schema: it is a Standard Schema, such as z.object({ cart: z.array(z.string()) }) of zod 4; this has no ["~standard"].validate',
    )
}

function atOnce(data: object): Fields {
  if (isPromise(data))
    throw new TypeError(
      'initial: it gives a promise, which a session cannot wait for; load what it needs before createSessions',
    )
  return data as Fields
}

function checkLimit(limit: Limit | undefined): void {
  if (limit === undefined) return
  if (!Number.isInteger(limit.sessions) || limit.sessions < 1)
    throw new TypeError('limit: `sessions` is a whole number of at least 1')
  if (limit.policy !== 'evict-oldest' && limit.policy !== 'reject')
    throw new TypeError('limit: `policy` is "evict-oldest" or "reject"')
}

function madeUp(): string {
  if (process.env.NODE_ENV === 'production') {
    throw new TypeError(
      'createSessions: production needs `keys` of its own; make one with generateSecret() and keep it where only the server reads it',
    )
  }
  process.emitWarning('createSessions: no `keys`, so one was made up; every session ends when this process does', {
    code: 'SOJOURN_NO_KEYS',
  })
  return generateSecret()
}
