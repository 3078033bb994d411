/**
 * A provider's tokens, kept for a session or for a user so that the app can call the provider for them: encrypted under
 * keys of their own, renewed before they run out, and never handed to a page, a log, an event or an error (ASVS 10.1.1).
 */
import { setTimeout as pause } from 'node:timers/promises'
import { inspect } from 'node:util'
import { collect } from '../awaitable.js'
import type { Changes } from '../changes.js'
import { sha256 } from '../crypto/digest.js'
import { randomText } from '../crypto/random.js'
import { createKeyring } from '../keys.js'
import { type Ask, patience } from '../patience.js'
import { Session } from '../session.js'
import { Sessions } from '../sessions.js'
import { memory } from '../store/memory.js'
import type { DerivedKey, Store, UserStore } from '../types.js'
import type { Core } from '../visit.js'
import type { ProviderTokens } from './oauth-tokens.js'
import { type Called, call, target, type VaultInit } from './vault-call.js'
import { type Entry, Envelope, isDue, type Kept } from './vault-entry.js'
import {
  type Connection,
  checkName,
  checkOptions,
  checkTokens,
  LABEL,
  labelOf,
  sessionOf,
  sessionRow,
  shown,
  userOf,
  userRow,
  type VaultAnswer,
  type VaultOptions,
  type VaultOwner,
  type VaultProviders,
} from './vault-options.js'
import { CarriedPlace, type Place, StoredPlace } from './vault-place.js'
import { isLeased, Renewals, WAIT } from './vault-renewal.js'
import { HandoverShelf, StoredShelf } from './vault-shelf.js'

export type { VaultInit } from './vault-call.js'
export type { Connection, VaultAnswer, VaultOptions, VaultOwner, VaultProviders } from './vault-options.js'

const REFERENCE = /^[\w-]{43}$/
const FOREVER = 8_640_000_000_000_000
const HANDED_OVER_FOR = 60_000
const REVOKE_PATIENCE = 5_000
const ROUNDS = 8

/** Keeps tokens, and calls providers with them. */
export class Vault<Data extends object> {
  readonly #core: Core
  readonly #keys: readonly [DerivedKey, ...DerivedKey[]]
  readonly #providers: VaultProviders
  readonly #store: Store | undefined
  readonly #owner: 'session' | 'user'
  readonly #handover: Store
  readonly #timeout: number
  readonly #ask: Ask = patience()
  readonly #renewals: Renewals

  constructor(options: VaultOptions<Data>) {
    const { sessions, keys, providers, store, owner = 'session', timeout = 10_000 } = options
    this.#core = Sessions.core(sessions as unknown as Sessions<object>)
    const { clock } = this.#core.context
    checkOptions(options as unknown as VaultOptions<object>, this.#core)
    this.#keys = createKeyring(keys).derive('vault')
    this.#providers = providers
    this.#store = store
    this.#owner = owner
    this.#handover = options.handover ?? memory({ max: 10_000, clock })
    this.#timeout = timeout
    this.#renewals = new Renewals(clock)
    if (store && owner === 'session') this.#core.leaving.push((kept) => this.#leave(kept, store))
  }

  /**
   * Keeps what a sign-in at a provider brought; what was there of that provider is replaced. Call it after `login()`: what
   * is kept for a guest does not pass to a user. Two store calls, none where the session carries it. Throws a `TypeError`
   * for what are no tokens, and `ERR_STORE`.
   */
  async keep(owner: VaultOwner<Data>, tokens: ProviderTokens): Promise<void> {
    checkTokens(tokens)
    const now = this.#core.context.clock()
    const place = this.#place(owner, tokens.provider) ?? this.#newPlace(owner, tokens.provider)
    await place.keep({ tokens, connectedAt: now, obtainedAt: now })
  }

  /**
   * Calls the provider's API for the user: `path` is one of its own, or a whole URL below one of its configured bases.
   * The token is renewed first where it is due, and once where the provider refuses it. One store call, none where the
   * session carries the token; four more where it is renewed. Throws a `TypeError` for another place than the provider's
   * own, `ERR_STORE`, and where the session carries tokens that must be renewed, `ERR_LATE` after the headers have left.
   */
  async fetch(owner: VaultOwner<Data>, provider: string, path: string, init: VaultInit = {}): Promise<VaultAnswer> {
    const place = this.#place(owner, provider)
    const url = target(await this.#providers.apiOf(provider), path)
    let entry = await place?.current()
    if (!place || !entry) return { kind: 'reconnect', provider, why: 'absent' }
    for (let failing: string | undefined; ; ) {
      if (failing !== undefined || isDue(entry, this.#core.context.clock())) {
        const renewal = await place.renew(entry, (tokens) => this.#refresh(tokens), failing)
        if (renewal.kind === 'over') return { kind: 'reconnect', provider, why: renewal.why }
        if (renewal.kind === 'unavailable') return { ...renewal, provider }
        entry = renewal.entry
      }
      const { accessToken } = entry.tokens
      const called: Called = await call(url, init, accessToken, this.#timeout)
      if (called.kind !== 'refused') return { ...called, provider }
      if (failing !== undefined) return { kind: 'reconnect', provider, why: 'revoked' }
      failing = accessToken
    }
  }

  /**
   * What is connected, without any token. No store call where the session carries it, otherwise one for each connection of
   * a session and one for all of a user's.
   */
  async connections(owner: VaultOwner<Data>): Promise<Connection[]> {
    const entries = this.#owner === 'user' ? await this.#ofUser(owner) : await this.#ofSession(owner)
    return entries.map(shown).sort((a, b) => (a.provider < b.provider ? -1 : 1))
  }

  /**
   * The identity token of a connection, to name the user in `oauth.endSession`. It says who somebody is, and opens nothing;
   * `undefined` where there is none. One store call, none where the session carries it.
   */
  async idToken(owner: VaultOwner<Data>, provider: string): Promise<string | undefined> {
    return (await this.#place(owner, provider)?.current())?.tokens.idToken
  }

  /**
   * Ends a connection: gives it up at the provider, and forgets it here whatever the provider says. `revoked`: it is gone
   * there too; `forgotten`: it is not known to be, so that the user may want to look there; `absent`: there was none. Waits
   * for a renewal that is under way. Three store calls; two of `handover` where the session carries it. Throws `ERR_STORE`,
   * and `ERR_LATE` after the headers have left, before anything has happened.
   */
  async disconnect(owner: VaultOwner<Data>, provider: string): Promise<'revoked' | 'forgotten' | 'absent'> {
    const place = this.#place(owner, provider)
    if (!place) return 'absent'
    const slot = this.#owner === 'session' ? this.#slot(sessionOf(owner), 'vault.disconnect') : undefined
    const ended = await this.#end(place, provider)
    await place.clear()
    slot?.remove(provider)
    return ended
  }

  /**
   * Forgets all connections here, and asks no provider: for an account that is closed. A logout does it by itself for what
   * is kept for the session. One store call for each connection of a session, one for all of a user's.
   */
  async forget(owner: VaultOwner<Data>): Promise<void> {
    if (this.#owner === 'user') {
      const userId = userOf(owner)
      if (userId !== undefined) await this.#ask(() => (this.#store as UserStore).endAll(labelOf(userId)))
      return
    }
    const session = sessionOf(owner)
    for (const provider of Object.keys(this.#slot(session).view)) {
      await this.#place(session, provider)?.clear()
      this.#slot(session).remove(provider)
    }
  }

  /** How it keeps, and nothing of what. */
  toJSON(): { vault: string } {
    return { vault: this.#store ? `${this.#owner}, in a store` : 'session, in itself' }
  }

  async #end(place: Place, provider: string): Promise<'revoked' | 'forgotten' | 'absent'> {
    const shelf = place.shelf()
    const deadline = performance.now() + WAIT
    let ended: 'revoked' | 'forgotten' | 'absent' = 'absent'
    for (let round = 0; shelf && round < ROUNDS; ) {
      const row = await shelf.read()
      // Somebody whose renewal was refused for our revocation may have taken it away.
      if (row === undefined) return ended
      if (row === 'unreadable') return 'forgotten'
      if (row.entry.over) return 'revoked'
      // What a renewal brings just now is to be revoked, not what it was exchanged for.
      if (isLeased(row.entry, this.#core.context.clock()) && performance.now() < deadline) {
        await pause(50)
        continue
      }
      ended = (await this.#revoke(provider, row.entry.tokens)) ? 'revoked' : 'forgotten'
      if (await shelf.remove(row.version)) return ended
      round++
    }
    return shelf ? 'forgotten' : 'absent'
  }

  /** What throws says nothing of the grant either. */
  async #refresh({ provider, refreshToken, sub }: ProviderTokens): Promise<ProviderTokens | string> {
    return this.#providers.refresh(provider, refreshToken!, sub)
  }

  async #revoke(provider: string, tokens: ProviderTokens): Promise<boolean> {
    const late = new AbortController()
    const waited = pause(REVOKE_PATIENCE, false, { signal: late.signal }).catch(() => false)
    const revoked = (async () => (await this.#providers.revoke(provider, tokens)) === true)().catch(() => false)
    return Promise.race([revoked, waited]).finally(() => late.abort())
  }

  async #ofUser(owner: VaultOwner<Data>): Promise<Entry[]> {
    const userId = userOf(owner)
    if (userId === undefined) return []
    const rows = await this.#ask(() => collect((this.#store as UserStore).list(labelOf(userId))))
    return rows.flatMap(([id, { data }]) => this.#opened(userId, id, data))
  }

  /** A row that was moved to another provider's place is none of this user's. */
  #opened(userId: string, id: string, data: string): Entry[] {
    const entry = this.#userEnvelope(userId).open(data)?.entry
    return entry && id === userRow(userId, entry.tokens.provider) ? [entry] : []
  }

  async #ofSession(owner: VaultOwner<Data>): Promise<Entry[]> {
    const session = sessionOf(owner)
    const names = Object.keys(this.#slot(session).view)
    const found = await Promise.all(names.map((provider) => this.#place(session, provider)?.current()))
    return found.filter((entry) => entry !== undefined)
  }

  /** Where the connection is, if there is one: by the user, or by what the session holds. */
  #place(owner: VaultOwner<Data>, provider: string): Place | undefined {
    checkName(provider)
    if (this.#owner === 'user') {
      const userId = userOf(owner)
      return userId === undefined ? undefined : this.#usersPlace(userId, provider)
    }
    const session = sessionOf(owner)
    const kept = this.#slot(session).view[provider]
    if (typeof kept !== 'string') return undefined
    if (!this.#store) return this.#carriedPlace(session, provider)
    return REFERENCE.test(kept) ? this.#sessionsPlace(session, provider, kept) : undefined
  }

  #newPlace(owner: VaultOwner<Data>, provider: string): Place {
    if (this.#owner === 'user')
      throw new TypeError('vault: nobody is signed in, so there is no user to keep tokens for; call login() first')
    const session = sessionOf(owner)
    if (!this.#store) return this.#carriedPlace(session, provider)
    const reference = randomText(32)
    this.#slot(session).assign(provider, reference)
    return this.#sessionsPlace(session, provider, reference)
  }

  #usersPlace(userId: string, provider: string): Place {
    const envelope = this.#userEnvelope(userId)
    const shelf = this.#shelf(userRow(userId, provider), provider, envelope, labelOf(userId), () => FOREVER)
    return new StoredPlace(shelf, this.#renewals, 0)
  }

  #sessionsPlace(session: Session<Data>, provider: string, reference: string): Place {
    const { clock, timeouts, remember } = this.#core.context
    const longest = Math.max(timeouts.absolute, remember.absolute)
    const envelope = new Envelope(this.#keys, ['session', session.userId ?? '', reference], reference)
    const shelf = this.#shelf(sessionRow(reference), provider, envelope, LABEL, () => clock() + longest)
    return new StoredPlace(shelf, this.#renewals, session.expiresAt ?? 0)
  }

  #carriedPlace(session: Session<Data>, provider: string): Place {
    const { clock } = this.#core.context
    const envelope = new Envelope(this.#keys, ['carried', session.userId ?? ''])
    return new CarriedPlace({
      provider,
      slot: (what) => this.#slot(session, what),
      envelope,
      handover: (kept) => this.#handoverShelf(provider, envelope, kept),
      renewals: this.#renewals,
      clock,
    })
  }

  /** Named by the refresh token that is to be exchanged: whoever carries the same one meets here. */
  #handoverShelf(provider: string, envelope: Envelope, kept: Kept): HandoverShelf {
    const { refreshToken, accessToken } = kept.entry.tokens
    const id = `vault handover ${sha256(JSON.stringify([provider, refreshToken ?? accessToken]))}`
    const ends = () => this.#core.context.clock() + HANDED_OVER_FOR
    const { clock } = this.#core.context
    const options = { id, store: this.#handover, ask: this.#ask, envelope, provider, clock, label: LABEL, ends }
    return new HandoverShelf(options, kept)
  }

  #shelf(id: string, provider: string, envelope: Envelope, label: string, ends: () => number): StoredShelf {
    const { clock } = this.#core.context
    return new StoredShelf({ id, store: this.#store!, ask: this.#ask, envelope, provider, clock, label, ends })
  }

  #userEnvelope(userId: string): Envelope {
    return new Envelope(this.#keys, ['user', userId])
  }

  #slot(session: Session<Data>, what?: string): Changes {
    return Session.vault(session as unknown as Session<object>, what)
  }

  /** The rows of a session that was logged out. */
  async #leave(kept: Readonly<Record<string, unknown>>, store: Store): Promise<void> {
    const references = Object.values(kept).filter((one) => typeof one === 'string' && REFERENCE.test(one)) as string[]
    await Promise.all(references.map((reference) => this.#ask(() => store.delete(sessionRow(reference)))))
  }
}

Object.defineProperty(Vault.prototype, inspect.custom, {
  value(this: Vault<object>) {
    return `Vault { ${this.toJSON().vault} }`
  },
})

/** A vault for providers' tokens. Throws a `TypeError` for what cannot be right, saying what to do. */
export function vault<Data extends object>(options: VaultOptions<Data>): Vault<Data> {
  return new Vault(options)
}
