/**
 * How sessions are kept, by one setting: the chosen way issues, the others are still read, so that a change of the
 * setting logs nobody out. In the stateless ways one row is written at a login, for the list of devices and for ending
 * them; on a request no store is asked.
 */
import { jwt, opaque, type StrategyFactory, sealed, type UserStore } from 'sojourn'
import { type Revocations, revocations } from 'sojourn/token/revocation'
import type { Config } from './config.js'

/** The strategies, and what they share. */
export interface Strategies {
  /** For `createSessions`: the first issues. */
  readonly strategy: readonly StrategyFactory[]
  readonly revocations: Revocations
  close(): Promise<void>
}

/** How long a sealed or signed session can outlive its end in another process of this server, milliseconds. */
const WITHIN = 5_000

/** `open` opens the store of records, of one table each. */
export function createStrategies(
  kind: Config['strategy'],
  store: UserStore,
  open: (table: string) => UserStore,
  issuer: string,
  clock: () => number,
): Strategies {
  const ended = open('sojourn_revocations')
  const shared = { revocations: revocations({ store: ended, within: WITHIN, clock }), devices: open('sojourn_devices') }
  const stored = opaque({ store })
  const inClient = sealed(shared)
  // Only users have claims to sign: a guest's cart is sealed until they sign in.
  const signed = jwt({ ...shared, issuer, audience: issuer })
  const order = {
    opaque: [stored, inClient, signed],
    sealed: [inClient, stored, signed],
    jwt: [signed, inClient, stored],
  }
  return {
    strategy: order[kind],
    revocations: shared.revocations,
    async close() {
      shared.revocations.close()
      await ended.close?.()
    },
  }
}
