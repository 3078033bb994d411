/**
 * What a vault keeps of one connection, and the envelope that it is kept in: encrypted and authenticated, for one owner
 * and one provider, so that a row or a text that is moved to somebody else's place does not open there.
 */
import { createSecretKey, hkdfSync } from 'node:crypto'
import { Sealer } from '../crypto/seal.js'
import type { DerivedKey } from '../types.js'
import type { ProviderTokens } from './oauth-tokens.js'

/** One connection: a user's tokens of one provider, and who is renewing them. Times are epoch milliseconds. */
export interface Entry {
  readonly tokens: ProviderTokens
  readonly connectedAt: number
  /** When the provider gave the tokens that are there now. */
  readonly obtainedAt: number
  /** Until then somebody is renewing them, and nobody else does. */
  readonly leasedUntil?: number
  /** Until then the provider is left alone: it failed a moment ago. */
  readonly restUntil?: number
  /** The provider has said that the grant is over; kept for a moment where there is no row to delete. */
  readonly over?: true
}

/** An entry as it was found. */
export interface Kept {
  readonly entry: Entry
  /** Whether the ring's current key sealed it. */
  readonly current: boolean
}

/** Renewed so long before it runs out, or in the last quarter of its life if that is shorter. */
const SKEW = 60_000

/** Whether the access token is to be renewed: it has run out, or is about to. */
export function isDue({ tokens: { expiresAt }, obtainedAt }: Entry, now: number): boolean {
  return expiresAt !== undefined && now >= expiresAt - Math.min(SKEW, (expiresAt - obtainedAt) / 4)
}

/** Whether the access token has not run out. */
export function isUsable({ tokens: { expiresAt } }: Entry, now: number): boolean {
  return expiresAt === undefined || now < expiresAt
}

/** What may stand in a header (RFC 6750, 2.1, and what providers make of it), no longer than servers accept there. */
const TOKEN = /^[\x21-\x7e]{1,16384}$/

/** Whether tokens can be sent, and run out at a time if they do: also after a renewal, providers break. */
export function areSendable({ accessToken, refreshToken, expiresAt }: ProviderTokens): boolean {
  const texts = [accessToken, refreshToken ?? '-'].every((text) => typeof text === 'string' && TOKEN.test(text))
  return texts && (expiresAt === undefined || Number.isFinite(expiresAt))
}

/** Seals the entries of one owner. */
export class Envelope {
  readonly #sealer: Sealer

  /**
   * `owner` says whose: what was sealed for another does not open. Without `secret`, where one is given, the ring's keys open nothing: what is
   * kept for a session is lost to everybody when the session, which holds the secret, is gone.
   */
  constructor(keys: readonly [DerivedKey, ...DerivedKey[]], owner: readonly string[], secret = '') {
    const own = keys.map(({ id, key }) => ({
      id,
      key: createSecretKey(Buffer.from(hkdfSync('sha256', key, secret, 'sojourn vault owner', 32))),
    }))
    this.#sealer = new Sealer(own as [DerivedKey, ...DerivedKey[]], JSON.stringify(['sojourn vault', ...owner]))
  }

  seal(entry: Entry): string {
    return this.#sealer.seal(JSON.stringify(entry))
  }

  /** `undefined` for another owner's, another provider's, what no key of the ring sealed, and what nobody did. */
  open(text: unknown, provider?: string): Kept | undefined {
    const unsealed = typeof text === 'string' ? this.#sealer.open(text) : 'malformed'
    if (typeof unsealed === 'string') return undefined
    const entry = JSON.parse(unsealed.text) as Entry
    if (provider !== undefined && entry.tokens.provider !== provider) return undefined
    return { entry, current: unsealed.current }
  }
}
