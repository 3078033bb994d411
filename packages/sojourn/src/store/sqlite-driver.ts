/**
 * SQLite as the store needs it: the least that `node:sqlite` and better-sqlite3 have in common, how a file is opened, and
 * how writes share a flush.
 */
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, resolve } from 'node:path'

/** An open database, of `node:sqlite` (`DatabaseSync`) or better-sqlite3 (`Database`). */
export interface SqliteDatabase {
  exec(sql: string): unknown
  prepare(sql: string): SqliteStatement
  close(): unknown
}

/** A prepared statement, as both have it. */
export interface SqliteStatement {
  run(...values: SqliteValue[]): { changes: number | bigint }
  get(...values: SqliteValue[]): unknown
  all(...values: SqliteValue[]): unknown[]
}

/** What the store binds. */
export type SqliteValue = string | number | null

/** How long a write waits for one of another process, milliseconds, before it throws. */
const BUSY = 2000
/** Writes that share a flush at most: a thousand of them hold the event loop for some 10 ms. */
const GROUP = 1000

type Open = new (path: string) => SqliteDatabase

function driver(): Open {
  const builtin = process.getBuiltinModule?.('node:sqlite') as { DatabaseSync: Open } | undefined
  if (builtin) return builtin.DatabaseSync
  try {
    return createRequire(import.meta.url)('better-sqlite3') as Open
  } catch (cause) {
    throw new Error(
      'sqlite: this Node has no `node:sqlite`, and better-sqlite3 cannot be loaded; `npm install better-sqlite3@12`, or use Node 22.13 or later',
      { cause },
    )
  }
}

/**
 * Opens the file at `path`, made with mode 0600 when it is missing, or a database in memory (`:memory:`). WAL, two
 * seconds' wait for other processes, and writes that outlive the process.
 *
 * @throws TypeError on an empty path; Error when there is no driver, or the file cannot be opened.
 */
export function open(path: string): SqliteDatabase {
  if (path === '') throw new TypeError('sqlite: the path is empty; name a file, or `:memory:`')
  const Database = driver()
  // Resolved, so that no driver takes a name like `file:x` for a URI.
  const file = path === ':memory:' ? path : resolve(path)
  if (file !== ':memory:') create(file)
  const db = new Database(file)
  try {
    // The cache is what better-sqlite3 comes with; the 2 MB of `node:sqlite` hold some three thousand sessions.
    db.exec(`PRAGMA busy_timeout = ${BUSY}; PRAGMA cache_size = -16000`)
    useWal(db)
    db.exec('PRAGMA synchronous = NORMAL')
  } catch (error) {
    db.close()
    throw error
  }
  return db
}

/** Makes the file, for its owner's eyes only. SQLite would make it by the umask; its `-wal` and `-shm` follow the file. */
function create(file: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  try {
    // Never opens a file that is there: closing it again would drop the locks that this process has on it (POSIX).
    closeSync(openSync(file, 'wx', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

/** Waits here, since SQLite does not: of two processes that switch a new file at once, it tells one that it is locked. */
function useWal(db: SqliteDatabase): void {
  const end = Date.now() + BUSY
  for (;;) {
    try {
      db.exec('PRAGMA journal_mode = WAL')
      return
    } catch (error) {
      // better-sqlite3 says it in `code`, `node:sqlite` in `errcode`.
      const { code, errcode } = error as { code?: string; errcode?: number }
      const busy = code?.startsWith('SQLITE_BUSY') || ((errcode ?? 0) & 0xff) === 5
      if (!busy || Date.now() > end) throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
    }
  }
}

/** Has each commit flushed to the disk. Never less than a handed connection has already: other tables may rely on it. */
export function flushCommits(db: SqliteDatabase): void {
  const { synchronous } = db.prepare('PRAGMA synchronous').get() as { synchronous: number | bigint }
  if (Number(synchronous) < 2) db.exec('PRAGMA synchronous = FULL')
}

/** Writes on their way to the disk together. */
export interface Group {
  /** Resolves with what `work` answered, once the transaction in which it ran is on the disk. */
  add<T>(work: () => T): Promise<T>
  /** Carries out all that waits. */
  flush(): void
}

/** Group commit: a flush costs the same for one write as for a thousand. */
export function groupCommit(db: SqliteDatabase): Group {
  const waiting: { run: () => () => void; reject: (error: unknown) => void }[] = []

  const commit = () => {
    const group = waiting.splice(0, GROUP)
    if (waiting.length > 0) setImmediate(commit)
    if (group.length === 0) return
    try {
      const answers = transaction(db, () => group.map(({ run }) => run()))
      for (const answer of answers) answer()
    } catch (error) {
      for (const { reject } of group) reject(error)
    }
  }
  return {
    add: (work) =>
      new Promise((resolve, reject) => {
        const run = () => {
          const value = work()
          return () => resolve(value)
        }
        // `setImmediate` comes after the turn's sockets were read, so that all of its requests share the flush.
        if (waiting.push({ run, reject }) === 1) setImmediate(commit)
      }),
    flush() {
      while (waiting.length > 0) commit()
    },
  }
}

function transaction<T>(db: SqliteDatabase, work: () => T): T {
  db.exec('BEGIN IMMEDIATE')
  try {
    const result = work()
    db.exec('COMMIT')
    return result
  } catch (error) {
    try {
      db.exec('ROLLBACK')
    } catch {
      // SQLite has rolled back on its own, as it does when the disk is full; what went wrong is in `error`.
    }
    throw error
  }
}
