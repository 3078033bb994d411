/**
 * How sessions are kept, by one setting: the chosen way issues, the others are still read, so that a change of the
 * setting logs nobody out. In the stateless ways one row is written at a login, for the list of devices and for ending
 * them; on a request no store is asked. Token pairs are kept beside them, and are devices like any other.
 */
import { jwt, type Key, opaque, type StrategyFactory, sealed, type UserStore } from 'sojourn'
import { jwksEndpoint } from 'sojourn/token/jwks'
import { type TokenPair, tokenPair } from 'sojourn/token/pair'
import { revocations } from 'sojourn/token/revocation'
import { signingRing } from 'sojourn/token/signing-keys'
import type { Config } from './config.js'
import type { Table } from './engines/engine.js'
import { derivedSigningKeys } from './given-keys.js'
import { loadSigningKeys } from './keys-file.js'

/** The strategies, and what they share. */
export interface Strategies {
  /** For `createSessions`: the first issues. */
  readonly strategy: readonly StrategyFactory[]
  /** Its access tokens are sessions of the `jwt` strategy, whichever issues. */
  readonly pair: TokenPair
  /** The store of records. */
  readonly store: UserStore
  /** How old the copy of what was ended is, milliseconds. */
  readonly lag: () => number
  /** Answers with what others verify them with. */
  readonly publicKeys: (request: Request) => Response
  close(): Promise<void>
}

/** What strategies are made of. */
export interface StrategyParts {
  readonly config: Pick<Config, 'strategy' | 'origin' | 'data' | 'keys'>
  readonly keys: Key[]
  /** A store of one table. */
  readonly open: (table: Table) => UserStore
  readonly clock: () => number
}

/** How long a sealed or signed session can outlive its end in another process of this server, milliseconds. */
const WITHIN = 5_000

/** Puts the strategies together. Makes the key that signs tokens where there is none. */
export function createStrategies({ config, keys, open, clock }: StrategyParts): Strategies {
  const signing = signingRing(config.keys ? derivedSigningKeys(config.keys) : loadSigningKeys(config.data, clock()))
  const store = open('sojourn_sessions')
  const ended = open('sojourn_revocations')
  const devices = open('sojourn_devices')
  const shared = { revocations: revocations({ store: ended, within: WITHIN, clock }), devices }
  const issuer = config.origin ?? 'https://localhost'
  const access = { issuer, audience: issuer, keys: signing }
  const stored = opaque({ store })
  const inClient = sealed(shared)
  // Only users have claims to sign: a guest's cart is sealed until they sign in.
  const signed = jwt({ ...shared, ...access })
  const order = {
    opaque: [stored, inClient, signed],
    sealed: [inClient, stored, signed],
    jwt: [signed, inClient, stored],
  }
  return {
    strategy: order[config.strategy],
    store,
    lag: () => shared.revocations.lag,
    pair: tokenPair({ keys, store: devices, revocations: shared.revocations, access, clock }),
    publicKeys: jwksEndpoint(signing, { clock }),
    async close() {
      shared.revocations.close()
      await ended.close?.()
    },
  }
}
