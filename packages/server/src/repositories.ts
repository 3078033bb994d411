/** What the server keeps of its users, by `userId`, and what it is to it that the database fails. */
import { Fault, type Store } from 'sojourn'
import type { Accounts } from './accounts.js'
import type { Carts } from './carts.js'
import type { Identities } from './identity/identities.js'

/** What is kept of users, in one database. */
export interface Repositories {
  readonly accounts: Accounts
  readonly identities: Identities
  readonly carts: Carts
  /** Counts of wrong passwords. */
  readonly counts: Store
  /** One round trip. Rejects when the database does not answer, or has not the tables that this version needs. */
  ready(): Promise<void>
  /** Forgets what is old. */
  sweep(): Promise<void>
  close(): Promise<void>
}

/** Milliseconds that one call may take: more than the drivers wait, so that what they say is heard. */
const DEADLINE = 4_000

/** The same calls, whose failures are faults: answered with 503, and nobody is logged out. */
export function faulting<T extends object>(calls: T): T {
  const faulted = Object.entries(calls).map(([name, call]) => {
    const run = async (...args: unknown[]) => {
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(reject, DEADLINE, new Error(`no answer within ${DEADLINE} ms`))
      })
      try {
        return await Promise.race([(call as (...args: unknown[]) => Promise<unknown>)(...args), late])
      } catch (cause) {
        throw new Fault('ERR_STORE', 'the database of the accounts failed; nobody was logged out', { cause })
      } finally {
        clearTimeout(timer)
      }
    }
    return [name, run]
  })
  return Object.fromEntries(faulted) as T
}
