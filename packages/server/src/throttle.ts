/**
 * Slows down whoever guesses passwords, without letting an attacker lock anybody out (A-92, ASVS 6.3.1, N-21). The rules
 * are the library's; here they are counted where the accounts are, and put into words.
 */
import type { Store } from 'sojourn'
import { type Throttled, throttle } from 'sojourn/identity/throttle'
import type { Refused } from './services.js'

/** Guards the checks of passwords, and the making of accounts. */
export interface Throttle {
  /** Runs `check` unless too many were wrong, and counts what it says: `undefined` is wrong, and a check that throws counts as none. */
  guard<T>(account: string, ip: string, check: () => Promise<T | undefined>): Promise<Checked<T>>
  /** Counts one account made from there: at most 500 at once, refilled at 500 an hour. */
  signUp(ip: string): Promise<Refused<'throttled'> | undefined>
}

/** What came of a guarded check. */
export type Checked<T> = { readonly ok: true; readonly value: T | undefined } | Refused<'throttled'>

/** A school or an office signs up from one address; hashing is bounded by its gate anyway. */
const SIGN_UPS_PER_HOUR = 500

/** A throttle that counts in `store`. */
export function createThrottle(store: Store, clock: () => number): Throttle {
  const counted = throttle({ store, clock })
  return {
    async guard(account, ip, check) {
      const checked = await counted.guard(account, ip, check)
      return checked.ok ? checked : refusal(checked)
    },
    async signUp(ip) {
      const refused = await counted.charge('sign-up', ip, SIGN_UPS_PER_HOUR)
      return refused && refusal(refused)
    },
  }
}

function refusal({ retryAfter }: Throttled): Refused<'throttled'> {
  const message = 'Too many attempts. Please wait a little and try again.'
  return { ok: false, reason: 'throttled', message, retryAfter }
}
