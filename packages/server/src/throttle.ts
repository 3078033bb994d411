/**
 * Slows down whoever guesses passwords, without letting an attacker lock anybody out (A-92, ASVS 6.3.1, N-21). The rules
 * are the library's; here they are counted in the server's database, and put into words.
 */
import { type Throttled, throttle } from 'sojourn/identity/throttle'
import type { Database } from './database.js'
import type { Refused } from './services.js'
import { createCountStore } from './throttle-store.js'

/** Guards the checks of passwords, and the making of accounts. */
export interface Throttle {
  /** Runs `check` unless too many were wrong, and counts what it says: `undefined` is wrong, and a check that throws counts as none. */
  guard<T>(account: string, ip: string, check: () => Promise<T | undefined>): Promise<Checked<T>>
  /** Counts one account made from there: at most 500 at once, refilled at 500 an hour. */
  signUp(ip: string): Promise<Refused<'throttled'> | undefined>
  /** Forgets what is old, and the oldest of what is too much. */
  sweep(): void
}

/** What came of a guarded check. */
export type Checked<T> = { readonly ok: true; readonly value: T | undefined } | Refused<'throttled'>

/** A school or an office signs up from one address; hashing is bounded by its gate anyway. */
const SIGN_UPS_PER_HOUR = 500

/** A throttle that counts in `database`. */
export function createThrottle(database: Database, clock: () => number): Throttle {
  const store = createCountStore(database, clock)
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
    sweep: () => void store.sweep(clock()),
  }
}

function refusal({ retryAfter }: Throttled): Refused<'throttled'> {
  const message = 'Too many attempts. Please wait a little and try again.'
  return { ok: false, reason: 'throttled', message, retryAfter }
}
