/**
 * Records in one table of a SQLite file, for one process or several on one machine, with nothing to run beside them.
 * Synchronous, because the file is here: a read takes some microseconds, and a promise would be a good part of that.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { escaped, unescaped } from '../escape.js'
import type { SessionRecord, UserStore } from '../types.js'
import { flushCommits, groupCommit, open, type SqliteDatabase, type SqliteValue } from './sqlite-driver.js'
import { feed } from './sqlite-feed.js'

export type { SqliteDatabase, SqliteStatement } from './sqlite-driver.js'

/** What an acknowledged write outlives: `normal` the process, `full` also the power. */
export type Durability = 'normal' | 'full'

/** What a write answers with: its result at once, or a promise of it that resolves when the disk has it. */
export type Written<D extends Durability, T> = D extends 'full' ? Promise<T> : T

/** How a SQLite store keeps its records. */
export interface SqliteOptions<D extends Durability = Durability> {
  /**
   * `normal`, the default: a write that returned outlives a crash or kill of the process; a power cut may undo the
   * writes of the last moments, a logout among them, and leaves the file whole. `full`: a write resolves when it is
   * flushed to the disk; the writes of one turn of the event loop share a flush.
   */
  durability?: D
  /** The table's name, default `sojourn_sessions`. It is created when it is missing. */
  table?: string
  /** Tells the time, epoch milliseconds. Default `Date.now`. */
  clock?: () => number
}

/** A store over SQLite. Reads answer at once; writes at once when `normal`, with a promise when `full`. */
export interface SqliteStore<D extends Durability = 'normal'> extends UserStore {
  get(id: string): SessionRecord | undefined
  set(id: string, record: SessionRecord, was: number): Written<D, boolean>
  delete(id: string): Written<D, boolean>
  /** Reads pages of 100, the newest first, and holds no lock and no cursor between them. */
  list(userId?: string): Iterable<[id: string, record: SessionRecord]>
  endAll(userId: string, except?: string): Written<D, number>
  /** Walks the table in slices of 100 rows; done of itself once a minute. */
  sweep(now: number): Promise<number>
  /**
   * What is written here is told when it is acknowledged. What another connection to the file commits, also to other
   * tables, is told within 50 ms as a cut: SQLite says that there was a write, and not of what.
   */
  watch(onChange: (id: string) => void, onCut?: () => void): () => void
  /** Carries out what waits for a shared flush, stops sweeping, and closes the database if the store opened it. */
  close(): void
}

/** Rows in a slice: deleting so many holds the event loop, and the other processes, for a few milliseconds. */
const SLICE = 100
/** Milliseconds between sweeps. Expired records are honoured by nobody meanwhile: reads look at the clock. */
const SWEEP_EVERY = 60_000

/**
 * Keeps records in the SQLite file at a path, or in a database that is open already.
 *
 * A path (or `:memory:`) is opened with `node:sqlite` where Node has it (22.13 and later), else with better-sqlite3.
 * A new file has mode 0600, folders are made, WAL is switched on. An open database keeps its journal mode and timeout
 * and is left open by `close`; for `full` it must serve the store alone, since the store opens transactions on it.
 * The verbs throw (or reject) when SQLite fails, also when another process held the file for two seconds.
 *
 * @throws TypeError on a durability or a table name that is not one, and on a table of that name that is somebody else's.
 * @throws Error when there is no driver, or the file cannot be opened.
 */
export function sqlite<D extends Durability = 'normal'>(
  pathOrDatabase: string | SqliteDatabase,
  options: SqliteOptions<D> = {},
): SqliteStore<D> {
  const { table = 'sojourn_sessions', clock = () => Date.now() } = options
  if (!/^(?!sqlite_)[a-z_][a-z0-9_]{0,62}$/i.test(table))
    throw new TypeError('sqlite: `table` goes into SQL as it is; use letters, digits and underscores')
  const { durability = 'normal' } = options
  if (durability !== 'normal' && durability !== 'full')
    throw new TypeError("sqlite: `durability` is 'normal' or 'full'")
  const full = durability === 'full'
  const opened = typeof pathOrDatabase === 'string' ? open(pathOrDatabase) : undefined
  const db = opened ?? (pathOrDatabase as SqliteDatabase)
  try {
    if (full) flushCommits(db)
    layOut(db, table)
  } catch (error) {
    opened?.close()
    throw error
  }
  const rows = verbs(db, `"${table}"`, clock)
  const group = full ? groupCommit(db) : undefined
  const news = feed(db)
  const write = <T, R>(work: () => T, tell: (value: T) => R) =>
    (group ? group.add(work).then(tell) : tell(work())) as Written<D, R>
  const tell = (id: string) => (changed: boolean) => {
    if (changed) news.tell(id)
    return changed
  }

  let closed = false
  let timer: NodeJS.Timeout | undefined
  const sweep = async (now: number, ref: boolean): Promise<number> => {
    let swept = 0
    for (let from: number | undefined = 0; from !== undefined && !closed; ) {
      const slice = rows.sweep(from, now)
      swept += slice.swept
      from = slice.next
      // Processes that wait for the file ask now and then, not in turn: after a write, leave them room to be let in.
      if (from !== undefined) await pause(slice.swept > 0 ? 10 : 1, undefined, { ref })
    }
    return swept
  }
  const later = () => {
    // A sweep that fails has told nobody a wrong thing; the next may do better, and the verbs report the same trouble.
    if (!closed) timer = setTimeout(() => sweep(clock(), false).then(later, later), SWEEP_EVERY).unref()
  }
  later()

  return {
    get: rows.get,
    list: rows.list,
    set: (id, record, was) => write(() => rows.set(id, record, was), tell(id)),
    delete: (id) => write(() => rows.delete(id), tell(id)),
    endAll: (userId, except) =>
      write(
        () => rows.endAll(userId, except),
        ({ ids, count }) => {
          for (const id of ids) news.tell(id)
          return count
        },
      ),
    sweep: (now) => sweep(now, true),
    watch: news.watch,
    close() {
      if (closed) return
      closed = true
      clearTimeout(timer)
      news.close()
      group?.flush()
      opened?.close()
    },
  }
}

// `data` is last: it may be long, and a row is read from the left, so that a sweep stays off its overflow pages.
const COLUMNS = 'version, expires_at, created_at, seen_at, authenticated_at, persistent, device, data'

/**
 * The layout. `seq` orders pages, and survives VACUUM as a hidden rowid does not. There is no index on `expires_at`,
 * which every write moves: it would make each a third dearer, to save a sweep of 0.2 microseconds a row.
 * The database's `user_version` is not ours: it may count the migrations of an application.
 */
function layOut(db: SqliteDatabase, table: string): void {
  db.exec(`CREATE TABLE IF NOT EXISTS "${table}" (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, user_id TEXT, version INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, created_at INTEGER NOT NULL, seen_at INTEGER NOT NULL, authenticated_at INTEGER,
    persistent INTEGER NOT NULL, device TEXT, data TEXT NOT NULL)`)
  const found = db.prepare(`SELECT name FROM pragma_table_info('${table}')`).all() as { name: string }[]
  if (found.map(({ name }) => name).join(', ') !== `seq, id, user_id, ${COLUMNS}`)
    throw new TypeError(`sqlite: the table "${table}" is not of this store's layout; give \`table\` another name`)
  db.exec(`CREATE INDEX IF NOT EXISTS "${table}_user" ON "${table}" (user_id) WHERE user_id IS NOT NULL`)
}

interface Row {
  seq: number
  id: string
  user_id: string | null
  version: number
  expires_at: number
  created_at: number
  seen_at: number
  authenticated_at: number | null
  persistent: number
  device: string | null
  data: string
}

// `Number`, because a handed database may have been told to read integers as bigints.
function recordOf(row: Omit<Row, 'seq' | 'id'>): SessionRecord {
  return {
    userId: row.user_id === null ? undefined : unescaped(row.user_id),
    data: unescaped(row.data),
    createdAt: Number(row.created_at),
    seenAt: Number(row.seen_at),
    authenticatedAt: row.authenticated_at === null ? undefined : Number(row.authenticated_at),
    expiresAt: Number(row.expires_at),
    version: Number(row.version),
    persistent: Number(row.persistent) === 1 || undefined,
    device: row.device === null ? undefined : JSON.parse(row.device),
  }
}

/** Of `COLUMNS`, in their order. */
function valuesOf(record: SessionRecord): SqliteValue[] {
  return [
    record.version,
    record.expiresAt,
    record.createdAt,
    record.seenAt,
    record.authenticatedAt ?? null,
    record.persistent ? 1 : 0,
    record.device === undefined ? null : JSON.stringify(record.device),
    escaped(record.data),
  ]
}

type Verbs = Pick<SqliteStore, 'get' | 'set' | 'delete' | 'list'> & {
  /** All that are gone, and how many of them were sessions that lived. */
  endAll(userId: string, except?: string): { ids: string[]; count: number }
  /** Forgets what expired among the rows after `from`; `next` is where to go on, absent at the end. */
  sweep(from: number, now: number): { swept: number; next: number | undefined }
}

/** The verbs, each one statement: what must happen together is together without a transaction. `table` is quoted. */
function verbs(db: SqliteDatabase, table: string, clock: () => number): Verbs {
  const each = (text: string) => COLUMNS.replaceAll(/\w+/g, text)
  const same = 'WHERE id = ? AND version = ? AND expires_at > ?'
  const select = `SELECT seq, id, user_id, ${COLUMNS} FROM ${table} WHERE`
  // Downwards, so that a caller who writes a record for each one listed does not meet his own. Empty data: replaced.
  const page = `seq < ? AND expires_at > ? AND data <> '' ORDER BY seq DESC LIMIT ${SLICE}`

  const read = db.prepare(`SELECT user_id, ${COLUMNS} FROM ${table} WHERE id = ? AND expires_at > ?`)
  const create = db.prepare(
    `INSERT INTO ${table} (id, user_id, ${COLUMNS}) VALUES (?, ?, ${each('?')}) ON CONFLICT (id) DO UPDATE
     SET (user_id, ${COLUMNS}) = (excluded.user_id, ${each('excluded.$&')}) WHERE ${table}.expires_at <= ?`,
  )
  // A statement that names an indexed column writes the index, also where the value stays; that is a third of a write.
  const update = db.prepare(`UPDATE ${table} SET (${COLUMNS}) = (${each('?')}) ${same} AND user_id IS ?`)
  const updateUser = db.prepare(`UPDATE ${table} SET (user_id, ${COLUMNS}) = (?, ${each('?')}) ${same}`)
  const end = db.prepare(`DELETE FROM ${table} ${same}`)
  const remove = db.prepare(`DELETE FROM ${table} WHERE id = ? AND expires_at > ?`)
  const removeUser = db.prepare(
    `DELETE FROM ${table} WHERE user_id = ? AND id IS NOT ? RETURNING id, expires_at > ? AND data <> '' AS counts`,
  )
  const pageOfAll = db.prepare(`${select} ${page}`)
  const pageOfUser = db.prepare(`${select} user_id = ? AND ${page}`)
  const survey = db.prepare(
    `SELECT count(*) AS rows, max(seq) AS last, sum(expires_at <= ?) AS due
     FROM (SELECT seq, expires_at FROM ${table} WHERE seq > ? ORDER BY seq LIMIT ${SLICE})`,
  )
  const forget = db.prepare(`DELETE FROM ${table} WHERE seq > ? AND seq <= ? AND expires_at <= ?`)

  const get = (id: string) => {
    const row = read.get(escaped(id), clock()) as Omit<Row, 'seq' | 'id'> | undefined
    return row && recordOf(row)
  }
  return {
    get,
    set(id, record, was) {
      const now = clock()
      const key = escaped(id)
      // Written so that a time which is no number counts as past.
      if (!(record.expiresAt > now)) return was === 0 ? get(id) === undefined : changes(end.run(key, was, now)) > 0
      const user = record.userId === undefined ? null : escaped(record.userId)
      const values = valuesOf(record)
      if (was === 0) return changes(create.run(key, user, ...values, now)) > 0
      if (changes(update.run(...values, key, was, now, user)) > 0) return true
      return changes(updateUser.run(user, ...values, key, was, now)) > 0
    },
    delete: (id) => changes(remove.run(escaped(id), clock())) > 0,
    *list(userId) {
      const user = userId === undefined ? undefined : escaped(userId)
      let last = Number.MAX_SAFE_INTEGER
      for (;;) {
        const now = clock()
        const rows = (user === undefined ? pageOfAll.all(last, now) : pageOfUser.all(user, last, now)) as Row[]
        for (const row of rows) yield [unescaped(row.id), recordOf(row)]
        if (rows.length < SLICE) return
        last = Number(rows[SLICE - 1]!.seq)
      }
    },
    endAll(userId, except) {
      const ended = removeUser.all(escaped(userId), except === undefined ? null : escaped(except), clock()) as {
        id: string
        counts: number | bigint
      }[]
      return {
        ids: ended.map(({ id }) => unescaped(id)),
        count: ended.filter(({ counts }) => Number(counts) === 1).length,
      }
    },
    sweep(from, now) {
      // Looks before it deletes: a delete waits for the file's one write lock even when it finds nothing.
      const { rows, last, due } = survey.get(now, from) as { rows: number; last: number; due: number }
      return {
        swept: Number(due) > 0 ? changes(forget.run(from, last, now)) : 0,
        next: Number(rows) < SLICE ? undefined : Number(last),
      }
    },
  }
}

function changes(result: { changes: number | bigint }): number {
  return Number(result.changes)
}
