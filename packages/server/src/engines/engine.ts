/** A database, as the server uses it: stores of records, and what is kept of users. */
import type { UserStore } from 'sojourn'
import type { Repositories } from '../repositories.js'

/** The tables of records: one store each. What PostgreSQL has of them is made by `sojourn migrate`. */
export const TABLES = [
  'sojourn_sessions',
  // What was ended and needs no look-up, the devices of such sessions and of token pairs, and tickets that were used.
  'sojourn_revocations',
  'sojourn_devices',
  'sojourn_tickets',
  // Sign-ins at a provider that came back, who signed in by whom, and providers' tokens, sealed.
  'sojourn_identity',
] as const

/** One of them. */
export type Table = (typeof TABLES)[number]

/** A connected database. */
export interface Engine {
  /** A store of one table. It uses the connection of the engine, which outlives it. */
  store(table: Table): UserStore
  /** What is kept of users; absent where an engine keeps records alone. */
  readonly repositories?: () => Repositories
  /** One round trip; rejects when the database does not answer. */
  ready(): Promise<void>
  /** Makes the tables or brings them up to date, and says what it did; absent where they are made when they are first used. */
  readonly migrate?: () => Promise<string[]>
  /**
   * Rejects where a table is missing that this version needs, or is of another layout, with `NotMigrated` where `migrate`
   * helps; absent where `migrate` is.
   */
  readonly laidOut?: () => Promise<void>
  close(): Promise<void>
}

/** Tables are missing, or of an older version's layout. Its message says what to do at the terminal. */
export class NotMigrated extends TypeError {}

/** What engines are made with. */
export interface EngineContext {
  /** The folder of what is in files. */
  readonly data: string
  readonly clock: () => number
}

/** Milliseconds after which a driver gives up an attempt: as long as the library waits for a store. */
export const PATIENCE = 2_000

/** Loads a driver, which is installed by who needs it. Throws a `TypeError` that says how. */
export async function driver<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (cause) {
    throw new TypeError(`The driver "${name}" is not installed here; run \`npm install ${name}\` beside the server`, {
      cause,
    })
  }
}
