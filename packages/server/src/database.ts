/**
 * The server's own small database: accounts, carts and throttle in one SQLite file, through whichever driver the
 * runtime has. Every write is on disk before it is answered (`synchronous=FULL`): an account that was confirmed exists.
 */
import { chmodSync } from 'node:fs'
import { createRequire } from 'node:module'

/** A value that SQLite stores. */
export type Value = string | number | null

/** A prepared statement; parameters are positional. */
export interface Statement {
  run(...values: Value[]): { changes: number | bigint }
  get(...values: Value[]): unknown
  all(...values: Value[]): unknown[]
}

interface Driver {
  exec(sql: string): unknown
  prepare(sql: string): Statement
  close(): unknown
}

/** An open database. */
export interface Database {
  prepare(sql: string): Statement
  /** Runs `fn` as one unit that holds the write lock: all of it happened, or none. `fn` must be synchronous. */
  transaction<T>(fn: () => T): T
  close(): void
}

// A newer release appends a migration; `user_version` says how many a file has seen.
const MIGRATIONS = [
  `CREATE TABLE accounts (
     id TEXT PRIMARY KEY, username TEXT NOT NULL, name TEXT NOT NULL UNIQUE, password TEXT NOT NULL, created_at INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE carts (
     user_id TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE, sku TEXT NOT NULL, quantity INTEGER NOT NULL,
     PRIMARY KEY (user_id, sku)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE merged (
     cart TEXT NOT NULL, user_id TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE, sku TEXT NOT NULL,
     quantity INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (cart, user_id, sku)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX merged_at ON merged(at);
   CREATE TABLE throttle (key TEXT PRIMARY KEY, level REAL NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
   CREATE INDEX throttle_at ON throttle(at);
   CREATE TABLE known (key TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
   CREATE INDEX known_at ON known(at);`,
  // What was counted so far is forgotten: nobody waits for longer than an hour for it.
  `DROP TABLE throttle;
   DROP TABLE known;
   CREATE TABLE counts (
     id TEXT PRIMARY KEY, level TEXT NOT NULL, at INTEGER NOT NULL, expires INTEGER NOT NULL, version INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX counts_expires ON counts(expires);
   CREATE INDEX counts_at ON counts(at);`,
  `CREATE TABLE identities (
     issuer TEXT NOT NULL, sub TEXT NOT NULL, user_id TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
     label TEXT NOT NULL, linked_at INTEGER NOT NULL, PRIMARY KEY (issuer, sub), UNIQUE (user_id, issuer)
   ) STRICT, WITHOUT ROWID;`,
]

/** Opens the file, making or migrating it, readable by its owner alone. Throws without a driver, and for a newer release's file. */
export function openDatabase(path: string): Database {
  const driver = connect(path)
  try {
    if (path !== ':memory:') chmodSync(path, 0o600)
    driver.exec('PRAGMA busy_timeout=5000; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON')
    const database: Database = {
      prepare: (sql) => driver.prepare(sql),
      close: () => void driver.close(),
      transaction(fn) {
        driver.exec('BEGIN IMMEDIATE')
        try {
          const value = fn()
          driver.exec('COMMIT')
          return value
        } catch (error) {
          driver.exec('ROLLBACK')
          throw error
        }
      },
    }
    database.transaction(() => migrate(driver, path))
    return database
  } catch (error) {
    driver.close()
    throw error
  }
}

function migrate(driver: Driver, path: string): void {
  const { user_version: seen } = driver.prepare('PRAGMA user_version').get() as { user_version: number }
  if (seen > MIGRATIONS.length) {
    throw new TypeError(
      `data: ${path} was written by a newer release of this server; start that one, or restore a backup`,
    )
  }
  for (const sql of MIGRATIONS.slice(seen)) driver.exec(sql)
  driver.exec(`PRAGMA user_version=${MIGRATIONS.length}`)
}

/** `node:sqlite` where the runtime has it without a flag (22.13 and newer), else the optional better-sqlite3. */
function connect(path: string): Driver {
  const builtin = process.getBuiltinModule('node:sqlite') as { DatabaseSync: new (path: string) => Driver } | undefined
  if (builtin) return new builtin.DatabaseSync(path)
  let BetterSqlite3: new (path: string) => Driver
  try {
    BetterSqlite3 = createRequire(import.meta.url)('better-sqlite3')
  } catch (cause) {
    throw new TypeError(
      'data: this Node has no built-in SQLite and better-sqlite3 is not installed; run `npm install better-sqlite3`, or use Node 22.13 or newer',
      { cause },
    )
  }
  return new BetterSqlite3(path)
}
