/**
 * The token pair: a short access token that needs no look-up, and a refresh token that rotates with each use and renews
 * it. A stolen access token is short-lived; a stolen refresh token is noticed, and then both halves end (RFC 9700).
 */
import { type Flow, run, wait } from '../awaitable.js'
import { Fault } from '../errors.js'
import { Events, type Listener } from '../events.js'
import { createKeyring, type Keys } from '../keys.js'
import { acceptNoRevocation, type RegistryOptions } from '../ledger/registry.js'
import { mustBeStrong } from '../ledger/strong.js'
import { resolveTimeouts } from '../timeouts.js'
import type { Awaitable, EventBody, Limit, Refusal, Timeouts, UserStore } from '../types.js'
import { type AccessTokenOptions, AccessTokens } from './access.js'
import { type AccessKeyOptions, accessKeys } from './access-keys.js'
import { Families, type Grant, type PairLogin } from './refresh.js'
import { RefreshTokens } from './refresh-token.js'
import type { Revocations } from './revocation.js'

/** The access half: as the `jwt` strategy that is to accept it has `issuer`, `audience`, `clientId`, `keys`, `encrypt`. */
export interface PairAccessOptions extends AccessTokenOptions, AccessKeyOptions {
  /** Milliseconds, 1,000 to an hour. Default 5 minutes. */
  lifetime?: number
}

/** The refresh half. */
export interface PairRefreshOptions {
  /** Ends a family that was not refreshed for so long, milliseconds. Default 14 days. */
  idle?: number
  /** Ends a family so long after its login, whatever happens, milliseconds. Default 30 days. */
  absolute?: number
  /**
   * Milliseconds within which a token that was just rotated gets the same successor again, so that parallel tabs and
   * lost responses log nobody out; a thief goes unnoticed for as long. At most, and by default, 10,000; 0 for none.
   */
  grace?: number
}

/** Options of `tokenPair`. */
export interface TokenPairOptions {
  /** The secrets of `createSessions`, current first. Keep a former one for as long as `refresh.idle`. */
  keys: Keys
  /** Where families live, one record each: the `devices` of the `jwt` strategy, so that they show as devices there. */
  store: UserStore
  /** The `revocations` of the `jwt` strategy; or `acceptNoRevocation`, and an access token outlives its family. */
  revocations: RegistryOptions['revocations']
  access: PairAccessOptions
  refresh?: PairRefreshOptions
  /** How many sessions a user may have in `store`. Default: as many as they like. */
  limit?: Limit
  /** Epoch milliseconds. Default `Date.now`. */
  clock?: () => number
}

/** A pair of tokens, fresh. */
export interface Tokens {
  readonly accessToken: string
  /** When the access token ends, epoch milliseconds. */
  readonly expiresAt: number
  /** Milliseconds from now to then. */
  readonly expiresIn: number
  readonly refreshToken: string
  /** When the family ends at the latest, epoch milliseconds. No refresh moves it. */
  readonly endsAt: number
  /** What the access token is good for. */
  readonly scope?: string
  /** The family's handle: the session's id in lists of devices, and the access token's `sid`. */
  readonly id: string
  readonly userId: string
  readonly persistent: boolean
}

/** What is said of a token (RFC 7662): whether it is honoured now, and if so its claims. */
export type Introspection = { readonly active: false } | ({ readonly active: true } & Record<string, unknown>)

const GRACE = 10_000
const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
/** Verifiers' clocks may be behind ours by so much: what was ended stays known for longer than it can live. */
const SLACK = 5 * MINUTE
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/

/** Issues, renews, ends and explains token pairs. */
export class TokenPair {
  /** Whom the access tokens are for. */
  readonly audience: string
  /** Whom the pairs are issued to, where there are several clients. */
  readonly clientId: string | undefined
  readonly #access: AccessTokens
  readonly #lifetime: number
  readonly #families: Families
  readonly #revocations: Revocations | undefined
  readonly #events: Events
  readonly #clock: () => number

  constructor(options: TokenPairOptions) {
    const { keys, store, revocations, access, limit, clock = Date.now } = options
    const { lifetime = 5 * MINUTE, issuer, audience, clientId } = access
    const { idle = 14 * DAY, absolute = Math.max(30 * DAY, idle), grace = GRACE } = options.refresh ?? {}
    check({ store, revocations, lifetime, grace })
    const limits: Timeouts = resolveTimeouts('refresh', { idle, absolute })
    const ring = createKeyring(keys)
    this.audience = audience
    this.clientId = clientId
    this.#access = new AccessTokens(access, accessKeys(access, ring))
    this.#lifetime = lifetime
    this.#revocations = revocations === acceptNoRevocation ? undefined : revocations
    this.#clock = clock
    this.#events = new Events(clock)
    this.#families = new Families({
      store,
      tokens: new RefreshTokens(ring, [issuer, audience, clientId ?? null]),
      revocations: this.#revocations,
      limits,
      grace,
      lifetime: lifetime + SLACK,
      limit,
      emit: (event) => this.#events.emit(event),
    })
  }

  /** Hears all events: created, renewed, ended, refused, fault. A replay is `refused` and `ended`, both `replayed`. */
  on(listener: Listener): () => void {
    return this.#events.on(listener)
  }

  /**
   * The pair of a user whom the app has just authenticated. Throws a `TypeError` for an empty user id and a malformed
   * scope, a `Fault` (`ERR_LIMIT`, `ERR_STORE`). Store calls: 1, more with revocations and a limit.
   */
  issue(login: PairLogin): Awaitable<Tokens> {
    if (typeof login.userId !== 'string' || login.userId === '')
      throw new TypeError("pair: the user's id is a text that is not empty; convert numbers with String()")
    if (login.scope !== undefined && !SCOPE.test(login.scope))
      throw new TypeError('pair: `scope` is words of visible ASCII with one space between; leave it out for none')
    const now = this.#clock()
    const families = this.#families
    return this.#run(function* (write) {
      return write(yield* families.begin(login, now), now)
    })
  }

  /**
   * The next pair. `scope` asks for less than was granted; for more, it answers `scope`, and rotates nothing. A token
   * used again after the grace ends its family. Store calls: 2, one or two for revocations; none for a forged token.
   */
  refresh(refreshToken: string, options: { scope?: string | undefined } = {}): Awaitable<Tokens | Refusal | 'scope'> {
    const now = this.#clock()
    const families = this.#families
    return this.#run(function* (write) {
      const grant = yield* families.renew(refreshToken, options.scope, now)
      return typeof grant === 'string' ? grant : write(grant, now)
    })
  }

  /** Whether we signed this refresh token, for this audience and client. No store call; it may have ended long ago. */
  owns(refreshToken: string): boolean {
    return this.#families.idOf(refreshToken) !== undefined
  }

  /** For endpoints: tells the listeners what happened there. */
  tell(event: EventBody): void {
    this.#events.emit(event)
  }

  /**
   * Ends the family of one of its tokens, either half and also a rotated one; `false` where there is nothing to end.
   * The refresh half ends at once, the access half within the bound of `revocations`.
   */
  revoke(token: string): Awaitable<boolean> {
    const now = this.#clock()
    const families = this.#families
    const id = families.idOf(token) ?? this.#idOf(token, now)
    return this.#run(function* () {
      return id === undefined ? false : yield* families.end(id, 'logout', now)
    })
  }

  /**
   * What an access token says, if it is honoured at this moment by the store's own word. A refresh token is not active:
   * who asks serves resources, and a refresh token opens none (ASVS 9.2.2). Store calls: 2 or 3.
   */
  introspect(token: string): Awaitable<Introspection> {
    const now = this.#clock()
    const families = this.#families
    const revocations = this.#revocations
    const opened = this.#access.read(token, now)
    return this.#run(function* (): Flow<Introspection> {
      if (typeof opened === 'string') return { active: false }
      const { id, issuedAt, record, claims } = opened
      const { userId } = record
      const { ses, pair, ...others } = claims
      const family = pair === 1 ? yield* families.find(id, now) : undefined
      if (typeof family === 'string') return { active: false }
      if (!family && (yield* wait(revocations?.fresh({ id, userId, issuedAt })))) return { active: false }
      return { ...others, active: true, token_type: 'Bearer' }
    })
  }

  /** The family of an access token that is still good. */
  #idOf(token: string, now: number): string | undefined {
    const opened = this.#access.read(token, now)
    return typeof opened !== 'string' && opened.claims.pair === 1 ? opened.id : undefined
  }

  /** Runs a flow; whatever failed is told to the listeners too. */
  #run<T>(flow: (write: (grant: Grant, now: number) => Tokens) => Flow<T>): Awaitable<T> {
    return run(this.#telling(flow((grant, now) => this.#write(grant, now))))
  }

  *#telling<T>(flow: Flow<T>): Flow<T> {
    try {
      return yield* flow
    } catch (error) {
      if (error instanceof Fault) this.#events.emit({ type: 'fault', code: error.code, message: error.message })
      throw error
    }
  }

  #write({ family, refreshToken, ...scope }: Grant, now: number): Tokens {
    const { id, userId, record, content } = family
    const endsAt = this.#families.endsAt(family)
    // A JWT counts whole seconds.
    const expiresAt = Math.floor(Math.min(now + this.#lifetime, endsAt) / 1000) * 1000
    const expiresIn = Math.max(expiresAt - now, 0)
    // Since the login, not since now: what ends all that was issued until then must also meet what is renewed meanwhile.
    const { issuedAt } = content
    const session = { ...record, data: JSON.stringify({ data: content.data, auth: content.auth }) }
    const accessToken = this.#access.write({ id, issuedAt, record: session }, expiresAt, { ...scope, pair: 1 })
    const persistent = record.persistent === true
    return { accessToken, expiresAt, expiresIn, refreshToken, endsAt, ...scope, id, userId, persistent }
  }
}

/**
 * Token pairs for single-page apps, mobile and command-line clients. Throws a `TypeError` for what cannot be right.
 *
 * ```ts
 * const pair = tokenPair({ keys, store, revocations, access: { issuer: 'https://shop.example', audience: 'shop api' } })
 * const { accessToken, refreshToken } = await pair.issue({ userId })
 * ```
 */
export function tokenPair(options: TokenPairOptions): TokenPair {
  return new TokenPair(options)
}

function check({
  store,
  revocations,
  lifetime,
  grace,
}: Pick<TokenPairOptions, 'store' | 'revocations'> & Numbers): void {
  const misuse = (what: string): never => {
    throw new TypeError(`pair: ${what}`)
  }
  for (const verb of ['get', 'set', 'delete', 'list'] as const) {
    if (typeof store?.[verb] !== 'function')
      misuse(`\`store\` must have get, set, delete and list; pass one, such as sqlite('pairs.db')`)
  }
  mustBeStrong('pair', 'store', store)
  if (revocations === undefined)
    misuse(
      'without `revocations` an access token lives on after its logout; pass revocations({ store }), or the symbol acceptNoRevocation to say that this is accepted',
    )
  if (!(lifetime >= 1000 && lifetime <= HOUR))
    misuse(
      '`access.lifetime` is milliseconds between 1,000 and an hour; what lives longer is renewed by the refresh token',
    )
  if (!(grace >= 0 && grace <= GRACE))
    misuse('`refresh.grace` is milliseconds between 0 and 10,000; a thief goes unnoticed for as long')
}

interface Numbers {
  lifetime: number
  grace: number
}
