/**
 * Password hashes: argon2id as PHC strings, at the cost that OWASP recommends (PW-01), a bounded number at once (PW-07,
 * Each computes 19 MiB for some 10 ms on a thread of its own.
 */
import { randomBytes } from 'node:crypto'
import { hash, type ParsedHashOptions, parseOptions, verify } from '@node-rs/argon2'
import { isHashable, normalised } from 'sojourn/identity/password-rules'
import { createGate, type Gate } from './gate.js'

/** Hashes and checks passwords. Both throw `Busy` when too many are waiting. */
export interface Passwords {
  /** The PHC string to keep. The salt is new with every call. */
  hash(password: string): Promise<string>
  /**
   * Whether the password fits the hash. Without a hash, because nobody has that name, it computes just as long and says
   * no.
   */
  verify(hash: string | undefined, password: string): Promise<boolean>
  /** The hash was made with less than today's cost: compute it anew while the password is at hand (PW-06). */
  isOutdated(hash: string): boolean
}

// The library's algorithm is argon2id unless told otherwise.
const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }
// A hash out of a tampered database must not be able to take the server's memory or time.
const BOUND = { memoryCost: 262_144, timeCost: 16, parallelism: 8 }

/** Passwords behind a gate of two at once and fifty waiting. */
export async function createPasswords(gate: Gate = createGate(2, 50)): Promise<Passwords> {
  // Made here and not written down: a constant in the source could be known to fit some password.
  const nobody = await hash(randomBytes(32), COST)
  return {
    hash: (password) => gate(() => hash(normalised(password), COST)),
    verify: (kept, password) =>
      gate(async () => {
        const hashable = isHashable(password)
        const usable = kept !== undefined && isAffordable(kept)
        // What never can have been set fits nobody; a stand-in for it keeps the time equal.
        const fits = await verify(usable ? kept : nobody, hashable ? normalised(password) : '')
        return fits && usable && hashable
      }),
    isOutdated: (kept) => {
      const cost = costOf(kept)
      return (
        cost?.memoryCost !== COST.memoryCost || cost.timeCost !== COST.timeCost || cost.parallelism !== COST.parallelism
      )
    },
  }
}

function isAffordable(kept: string): boolean {
  const cost = costOf(kept)
  return (
    cost !== undefined &&
    cost.memoryCost <= BOUND.memoryCost &&
    cost.timeCost <= BOUND.timeCost &&
    cost.parallelism <= BOUND.parallelism
  )
}

/** The cost that the PHC string states; `undefined` for every other format, which fits no password. */
function costOf(kept: string): ParsedHashOptions | undefined {
  try {
    return parseOptions(kept)
  } catch {
    return undefined
  }
}
