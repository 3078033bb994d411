/** Where the throttle's counts live: a table of the server's own database, so that they survive a restart, and bounded. */
import type { SessionRecord, Store } from 'sojourn'
import type { Database } from './database.js'

/** A store that forgets what is old, and the oldest of what is too much. */
export interface CountStore extends Store {
  sweep(now: number): number
}

interface Row {
  readonly level: string
  readonly at: number
  readonly expires: number
  readonly version: number
}

/** So many counts are kept, and as many known sources, which no flood of guesses pushes out. */
const ROWS = 100_000
/** What is kept for longer is no count, but a source that an owner has signed in from. */
const COUNTS_KEPT = 60 * 24 * 3_600_000
const SWEEP_EVERY = 1000

/** The table `counts` as a store. Each write is one statement, on disk before it is answered. */
export function createCountStore(database: Database, clock: () => number): CountStore {
  const read = database.prepare('SELECT level, at, expires, version FROM counts WHERE id = ? AND expires > ?')
  // Over a row that has expired, which counts as none, as well as where there is no row.
  const create = database.prepare(
    `INSERT INTO counts (level, at, expires, version, id) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET level = excluded.level, at = excluded.at, expires = excluded.expires, version = excluded.version
     WHERE expires <= ?`,
  )
  const replace = database.prepare(
    'UPDATE counts SET level = ?, at = ?, expires = ?, version = ? WHERE id = ? AND expires > ? AND version = ?',
  )
  const remove = database.prepare('DELETE FROM counts WHERE id = ? AND expires > ?')
  const old = database.prepare('DELETE FROM counts WHERE expires <= ?')
  const most = ['<=', '>'].map((kept) =>
    database.prepare(
      `DELETE FROM counts WHERE id IN (
         SELECT id FROM counts WHERE expires - at ${kept} ${COUNTS_KEPT} ORDER BY at DESC LIMIT -1 OFFSET ${ROWS})`,
    ),
  )
  let written = 0

  const store: CountStore = {
    get(id) {
      const row = read.get(id, clock()) as Row | undefined
      if (!row) return undefined
      const { level: data, at, expires: expiresAt, version } = row
      return { data, createdAt: at, seenAt: at, expiresAt, version }
    },
    set(id, { data, seenAt, expiresAt, version }: SessionRecord, was) {
      const row = [data, seenAt, expiresAt, version, id, clock()]
      const { changes } = was === 0 ? create.run(...row) : replace.run(...row, was)
      if (++written % SWEEP_EVERY === 0) store.sweep(clock())
      return Number(changes) === 1
    },
    delete: (id) => Number(remove.run(id, clock()).changes) === 1,
    sweep(now) {
      const gone = Number(old.run(now).changes)
      return most.reduce((sum, statement) => sum + Number(statement.run().changes), gone)
    },
  }
  return store
}
