/** What a vault is given and what it gives, and what cannot be right. */
import { sha256 } from '../crypto/digest.js'
import type { Keys } from '../keys.js'
import type { Session } from '../session.js'
import type { Sessions } from '../sessions.js'
import type { Awaitable, Store } from '../types.js'
import type { Core } from '../visit.js'
import type { ProviderTokens } from './oauth-tokens.js'
import { areSendable, type Entry } from './vault-entry.js'

/** What a vault asks of the providers. `oauth` offers all of it. */
export interface VaultProviders {
  /** Base URLs of the provider's API: the token goes below these and nowhere else. Throws for one that is unknown. */
  apiOf(provider: string): Awaitable<readonly string[]>
  /**
   * New tokens for a refresh token; or a refusal, which is a word: `unavailable`, `misconfigured` and `unusable` say
   * nothing of the grant, every other one says that it is over. `sub`: whose tokens they must be. Others ask again after
   * 18 seconds: take no more than 15, and give up no sooner, as the refresh token may be void by then.
   */
  refresh(provider: string, refreshToken: string, sub: string): Promise<ProviderTokens | string>
  /** Gives up the grant at the provider. `true`: it is gone there. */
  revoke(provider: string, tokens: ProviderTokens): Promise<unknown>
}

/** Options of `vault`. */
export interface VaultOptions<Data extends object> {
  /** Whose sessions the tokens are kept for. */
  sessions: Sessions<Data>
  /** The vault's own secrets, current first; those of the sessions are for the sessions. */
  keys: Keys
  providers: VaultProviders
  /** Where the tokens are kept, one row for each connection. Default: in the session itself, sealed. */
  store?: Store
  /**
   * For whom: a `session`, and they go with it; or a `user`, in all sessions and without any, until disconnected, which
   * needs a `store` that knows whose a record is. Default `session`.
   */
  owner?: 'session' | 'user'
  /**
   * Without `store`: where processes that share sessions hand over what a renewal brought, for a minute. Default: memory,
   * for one process.
   */
  handover?: Store
  /** How long a provider's API may take, its answer's body included, milliseconds. Default 10,000. */
  timeout?: number
}

/** For whom: a session; where the vault is a user's, a session of theirs or their id. */
export type VaultOwner<Data extends object> = Session<Data> | string

/** What came of calling a provider. Times are milliseconds. */
export type VaultAnswer =
  /** The provider's answer, whatever else its status; redirects are not followed. */
  | { readonly kind: 'answer'; readonly provider: string; readonly response: Response }
  /** Not connected, or not any more: the user has to connect again. */
  | { readonly kind: 'reconnect'; readonly provider: string; readonly why: 'absent' | 'expired' | 'revoked' }
  /** The user granted less than this needs: one of these scopes, where the provider says which. */
  | { readonly kind: 'scope'; readonly provider: string; readonly scope: readonly string[] }
  /** Too many requests; or the provider failed, or did not answer in time. */
  | { readonly kind: 'limited' | 'unavailable'; readonly provider: string; readonly retryAfter?: number }

/** A connection as it may be shown: no token is in it. Times are epoch milliseconds. */
export interface Connection {
  readonly provider: string
  /** The user at the provider, below `issuer`. */
  readonly sub: string
  readonly issuer: string
  readonly scope: readonly string[] | undefined
  readonly connectedAt: number
  /** When it ends without the user's doing; absent where it does not, or where it is renewed. */
  readonly endsAt: number | undefined
}

const NAME = /^[A-Za-z0-9_-]{1,64}$/
/** Rows are nobody's sessions: users' ids never begin so. */
export const LABEL = '\u0001vault'

/** Throws a `TypeError` for options that cannot be right. */
export function checkOptions(options: VaultOptions<object>, { strategy }: Core): void {
  const { store, owner = 'session', handover, providers, timeout = 10_000 } = options
  if (owner !== 'session' && owner !== 'user') throw new TypeError('vault: `owner` is "session" or "user"')
  if (!(timeout >= 1 && timeout <= 600_000))
    throw new TypeError('vault: `timeout` is milliseconds, 600,000 at most; a request waits so long for a provider')
  for (const verb of ['apiOf', 'refresh', 'revoke'] as const)
    if (typeof providers?.[verb] !== 'function')
      throw new TypeError(`vault: \`providers\` has no ${verb}(); give what oauth() made`)
  if (owner === 'user' && !(store?.list && store.endAll))
    throw new TypeError(
      "vault: a user's tokens outlive their sessions, so they need a `store`, one that knows whose a record is; give one, or keep them for the session",
    )
  if (store && handover)
    throw new TypeError('vault: `handover` is for tokens that the session carries; with a `store` renewals meet there')
  if (owner === 'session' && strategy.readable)
    throw new TypeError(
      'vault: whoever holds a jwt() can read it, and an access token is never in a cookie in clear (RFC 6750, 5.3); use sealed() or opaque(), or keep the tokens in a store for the user: `owner: "user"`',
    )
}

/** Throws a `TypeError` for what is no provider's name. */
export function checkName(provider: unknown): void {
  if (typeof provider !== 'string' || !NAME.test(provider) || provider === '__proto__')
    throw new TypeError('vault: a provider is named by the name that it is configured under: letters, digits, _ and -')
}

/** Throws a `TypeError` for what are no tokens of a provider. */
export function checkTokens(tokens: ProviderTokens): void {
  const { tokenType, sub, issuer } = tokens
  checkName(tokens.provider)
  const texts = [sub, issuer].every((text) => typeof text === 'string')
  if (!texts || !areSendable(tokens) || tokenType !== 'bearer')
    throw new TypeError('vault.keep: these are no tokens of a provider; give what the sign-in there brought')
}

/** The session of a vault that keeps for sessions. */
export function sessionOf<Data extends object>(owner: VaultOwner<Data>): Session<Data> {
  if (typeof owner === 'object' && owner !== null) return owner
  throw new TypeError('vault: it keeps tokens for sessions; give the session, or make a vault with `owner: "user"`')
}

/** The user of a vault that keeps for users; nobody for a guest. */
export function userOf(owner: VaultOwner<never> | VaultOwner<object>): string | undefined {
  const userId = typeof owner === 'object' && owner !== null ? owner.userId : owner
  if (userId === undefined || (typeof userId === 'string' && userId !== '')) return userId
  throw new TypeError('vault: a user is named by an id that is not empty')
}

/** The name that all rows of a user are filed under. */
export function labelOf(userId: string): string {
  return `${LABEL} ${sha256(userId)}`
}

/** The row of a user's connection. */
export function userRow(userId: string, provider: string): string {
  return `vault user ${sha256(JSON.stringify([userId, provider]))}`
}

/** The row of a session's connection. */
export function sessionRow(reference: string): string {
  return `vault session ${sha256(reference)}`
}

/** What of a connection may be shown. */
export function shown({ tokens, connectedAt }: Entry): Connection {
  const { provider, sub, issuer, scope, expiresAt, refreshToken } = tokens
  return { provider, sub, issuer, scope, connectedAt, endsAt: refreshToken === undefined ? expiresAt : undefined }
}
