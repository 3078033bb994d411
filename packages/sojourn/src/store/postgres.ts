/**
 * Records in one table of a PostgreSQL database, for any number of processes and machines. Every verb is one statement:
 * what must happen together is together without a transaction that a crash could leave open.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { escaped, unescaped } from '../escape.js'
import type { SessionRecord, UserStore } from '../types.js'
import { driverOf, type PgClient, type PostgresJs, type Statement } from './postgres-client.js'
import { feedOf } from './postgres-feed.js'
import { channelOf, check, found, LAYOUT, lockKey, migration, namesOf, type Place, survey } from './postgres-layout.js'
import { OWN, PAGE, recordOf, statements, textOf, valuesOf } from './postgres-rows.js'
import { together } from './postgres-together.js'

export type { PgClient, PgQuery, PostgresJs, PostgresValue } from './postgres-client.js'
export type { Place } from './postgres-layout.js'

/** A `Pool` or `Client` of `pg`, or the `sql` of `postgres` (postgres.js). */
export type PostgresClient = PgClient | PostgresJs

/** How a PostgreSQL store keeps its records. */
export interface PostgresOptions extends Place {
  /** Makes the table, or brings it up to date, before the first use. Default `false`: `sojourn migrate` does. */
  migrate?: boolean
  /**
   * Says with every write what was changed, so that any process can `watch`. Say so in every process that writes.
   * Default `false`: PostgreSQL lets only one transaction commit at a time while it queues a notification.
   */
  push?: boolean
  /** Tells the time, epoch milliseconds. Default `Date.now`: the app's clock, not the database's. */
  clock?: () => number
}

/** A store over PostgreSQL. */
export interface PostgresStore extends UserStore {
  /** One round trip, shared with what else is read in this turn of the event loop. */
  get(id: string): Promise<SessionRecord | undefined>
  /** One round trip. */
  set(id: string, record: SessionRecord, was: number): Promise<boolean>
  /** One round trip. */
  delete(id: string): Promise<boolean>
  /** Pages of 100, a round trip each, in no transaction. */
  list(userId?: string): AsyncIterable<[id: string, record: SessionRecord]>
  /** One round trip; waits for writes of this user's sessions that are under way. */
  endAll(userId: string, except?: string): Promise<number>
  /** Reads the table once, a megabyte at a time; done of itself once a minute, by one process of all. */
  sweep(now: number): Promise<number>
  /** There when `push` is set. `onCut` also says that the feed is there, at first and again. */
  watch?(onChange: (id: string) => void, onCut?: () => void): () => void
  /** Stops sweeping and watching. The client is yours, and stays open. */
  close(): void
}

/** Blocks of 8 kB in a slice of a sweep. */
const SLICE = 128
/** Milliseconds between sweeps. Expired records are honoured by nobody meanwhile: reads look at the clock. */
const SWEEP_EVERY = 60_000
/** Milliseconds that the others leave it to the one who sweeps; less than its own pause, so that it is done each time. */
const LEASED = 55_000
/** How much longer than a slice took a sweep in the background rests after it. */
const REST = 9
/** The record whose creator sweeps next. A record, not a lock of the session: those stay behind in a pooler's connections. */
const LEASE = `${OWN}sweep`

/**
 * Keeps records in PostgreSQL 14 or later. `client` is used as it is and never closed; give a `pg.Pool` rather than a
 * `pg.Client`, which does not come back from a lost connection. It must lead to the primary, not to a replica.
 *
 * A verb rejects when PostgreSQL fails; when the table is not there or of another version, the error says what to do.
 * The first verb, and the first after a failure, costs one round trip more, to look. A `pg` query that has no answer after two seconds is given up and
 * its connection closed.
 *
 * @throws TypeError on a client of another kind, and on a table or schema name that is not one.
 */
export function postgres(client: PostgresClient, options: PostgresOptions = {}): PostgresStore {
  const { clock = () => Date.now(), push = false } = options
  const names = namesOf(options)
  let looked: Promise<unknown> | undefined
  const lookAgain = () => {
    looked = undefined
  }
  const driver = driverOf(client, lookAgain)
  const channel = push ? channelOf(names) : undefined
  const sql = statements(names, channel)

  let migrating = options.migrate
  const look = async () => {
    if (migrating) await migrate(client, options)
    migrating = false
    const { text, values } = survey(names)
    check(names, found(names, (await driver.run({ text }, values)).rows))
  }
  const run = async (statement: Statement, ...values: (string | number | boolean | null)[]) => {
    looked ??= look()
    try {
      await looked
      return await driver.run(statement, values)
    } catch (error) {
      // Whatever it was: it may be another server by now, and a replica.
      lookAgain()
      throw error
    }
  }
  const lockOf = (user: string | null) => (user === null ? null : lockKey(names, 'user', user))

  const read = together(async (keys) => {
    const { rows } = await run(sql.get, textOf(keys), clock())
    return new Map(rows.map(([key, ...row]) => [key as string, row]))
  }, isOfData)
  const get = async (id: string) => {
    const row = await read(escaped(id))
    return row && recordOf(row)
  }
  const create = async (key: string, record: SessionRecord, now: number) => {
    const lock = lockOf(record.userId ?? null)
    return (await run(sql.create, key, lock, ...valuesOf(record), now)).count > 0
  }

  let closed = false
  const sweep = async (now: number, rest: number) => {
    let swept = 0
    const { rows } = await run(sql.blocks, names.full)
    const blocks = Number(rows[0]![0])
    for (let from = 0; from < blocks && !closed; from += SLICE) {
      const began = performance.now()
      swept += (await run(sql.sweep, from, from + SLICE, now, LEASE)).count
      if (rest > 0) await pause(rest * (performance.now() - began), undefined, { ref: false })
    }
    return swept
  }
  const sweepInTurn = async () => {
    const now = clock()
    const lease = { data: '', createdAt: now, seenAt: now, expiresAt: now + LEASED, version: 1 }
    if (await create(LEASE, lease, now)) await sweep(now, REST)
  }
  let timer: NodeJS.Timeout | undefined
  const later = () => {
    // A sweep that fails has told nobody a wrong thing; the next may do better, and the verbs report the same trouble.
    if (!closed) timer = setTimeout(() => sweepInTurn().then(later, later), SWEEP_EVERY).unref()
  }
  later()

  const feed =
    channel === undefined
      ? undefined
      : feedOf({
          listen: (listener) => driver.listen(channel, listener),
          say: (payload) => run({ text: 'SELECT pg_notify($1, $2)' }, channel, payload),
          own: OWN,
        })

  return {
    get,
    async set(id, record, was) {
      const now = clock()
      const key = escaped(id)
      // Written so that a time which is no number counts as past.
      if (!(record.expiresAt > now)) {
        return was === 0 ? (await get(id)) === undefined : (await run(sql.end, key, was, now)).count > 0
      }
      if (was === 0) return create(key, record, now)
      return (await run(sql.update, key, lockOf(record.userId ?? null), ...valuesOf(record), was, now)).count > 0
    },
    delete: async (id) => (await run(sql.remove, escaped(id), clock())).count > 0,
    async *list(userId) {
      const user = userId === undefined ? [] : [escaped(userId)]
      for (let last: string[] = []; ; ) {
        const { rows } = await run(sql.page(user.length > 0, last.length > 0), clock(), ...user, ...last)
        for (const [id, ...row] of rows) yield [unescaped(id as string), recordOf(row)]
        if (rows.length < PAGE) return
        last = [rows[PAGE - 1]![0] as string]
      }
    },
    async endAll(userId, except) {
      const spared = except === undefined ? null : escaped(except)
      const values = [escaped(userId), spared, clock(), lockOf(userId), channel ?? null]
      const { rows } = await run(sql.endAll, ...values)
      return Number(rows[0]![0])
    },
    sweep: (now) => sweep(now, 0),
    ...(feed && { watch: (onChange, onCut) => feed.watch((payload) => onChange(unescaped(payload)), onCut) }),
    close() {
      if (closed) return
      closed = true
      clearTimeout(timer)
      feed?.close()
      driver.release()
    },
  }
}

/**
 * Whether the server stumbled over what stands in a row, such as one that the disk has damaged. What it says of itself, and
 * what a pooler says before there is one, is fatal.
 */
function isOfData(fault: unknown): boolean {
  const { code, severity } = (fault ?? {}) as { code?: unknown; severity?: unknown }
  return /^(?:22|58|XX)/.test(String(code)) && severity !== 'FATAL'
}

/**
 * Makes the table, or brings it to the layout that this version needs, in one transaction; does nothing where there is
 * nothing to do. Any number of processes may do so at once. The role needs the right to create in the schema.
 *
 * @returns the layout that was found (0: none) and the one that is there now.
 * @throws TypeError on a client or a name that is none.
 * @throws Error when the table is somebody else's, or of a newer version; then nothing was changed.
 */
export async function migrate(client: PostgresClient, place: Place = {}): Promise<{ from: number; to: number }> {
  const names = namesOf(place)
  const driver = driverOf(client)
  const look = async () => {
    const { text, values } = survey(names)
    return found(names, (await driver.run({ text }, values)).rows)
  }
  try {
    const from = await look()
    if (from < LAYOUT) await driver.run({ text: migration(names), patient: true }, [])
    // Also when it was another process that has just done it, or a newer version.
    check(names, from === LAYOUT ? from : await look())
    return { from, to: LAYOUT }
  } finally {
    driver.release()
  }
}
