/** Records as rows of PostgreSQL, and the statements that the verbs are. */
import { createHash } from 'node:crypto'
import { ESCAPE, escaped, unescaped } from '../escape.js'
import type { SessionRecord } from '../types.js'

/** The columns of a record, and their types. */
const COLUMNS: readonly (readonly [name: string, type: string])[] = [
  ['version', 'integer'],
  ['expires_at', 'double precision'],
  ['created_at', 'double precision'],
  ['seen_at', 'double precision'],
  ['authenticated_at', 'double precision'],
  ['persistent', 'boolean'],
  ['user_id', 'text'],
  ['device', 'text'],
  ['data', 'text'],
]
const NAMES = COLUMNS.map(([name]) => name).join(', ')

/** The values of `NAMES`, in their order. */
export function valuesOf(record: SessionRecord): (string | number | boolean | null)[] {
  return [
    record.version,
    record.expiresAt,
    record.createdAt,
    record.seenAt,
    record.authenticatedAt ?? null,
    record.persistent === true,
    record.userId === undefined ? null : escaped(record.userId),
    record.device === undefined ? null : JSON.stringify(record.device),
    escaped(record.data),
  ]
}

/** The record of a row of `NAMES`, also where the client has been told to leave numbers and booleans as text. */
export function recordOf(row: readonly unknown[]): SessionRecord {
  const [version, expiresAt, createdAt, seenAt, authenticatedAt, persistent, userId, device, data] = row
  return {
    userId: userId === null ? undefined : unescaped(userId as string),
    data: unescaped(data as string),
    createdAt: Number(createdAt),
    seenAt: Number(seenAt),
    authenticatedAt: authenticatedAt === null ? undefined : Number(authenticatedAt),
    expiresAt: Number(expiresAt),
    version: Number(version),
    persistent: persistent === true || persistent === 't' || undefined,
    device: device === null ? undefined : JSON.parse(device as string),
  }
}

/** Rows of a page of a list. */
export const PAGE = 100

/** Stands between keys in a text: no escaped text has it. */
const SEPARATOR = '\u001f'

/** Keys as the text that `get` takes. That of the empty key alone would be a list of none; it is asked for twice. */
export function textOf(keys: readonly string[]): string {
  return keys.join(SEPARATOR) || SEPARATOR
}

interface Prepared {
  readonly name: string
  readonly text: string
}

/** The statements; each is one round trip, and its parameters stand beside it. */
export interface Statements {
  /** ids as `textOf` makes them, now; gives each id before its record */
  readonly get: Prepared
  /** id, lock, values, now */
  readonly create: Prepared
  /** id, lock, values, was, now */
  readonly update: Prepared
  /** id, was, now */
  readonly end: Prepared
  /** id, now */
  readonly remove: Prepared
  /** user, except, now, lock, channel */
  readonly endAll: Prepared
  /** now, then the user where `user`, then the last id of the page before where `after` */
  page(user: boolean, after: boolean): Prepared
  /** table */
  readonly blocks: Prepared
  /** first block, block after the last, now, the id to spare */
  readonly sweep: Prepared
}

/** The statements on a table. With a `channel` each write says there what it changed, in the same statement. */
export function statements(names: { full: string; endAll: string }, channel: string | undefined): Statements {
  const { full } = names
  const write = (lock: string, statement: string) =>
    channel === undefined
      ? prepared(lock && `WITH ${lock} `, statement)
      : prepared(
          `WITH ${lock && `${lock}, `}done AS (`,
          `${statement} RETURNING t.id) SELECT pg_notify('${channel}', id) FROM done`,
        )
  // Whoever writes a session of a user holds the user's lock until the write is visible: see `endAll` in the layout.
  // No user, no lock: the function makes nothing of NULL.
  const lock = 'lock AS (SELECT pg_advisory_xact_lock_shared($2::bigint))'
  const values = COLUMNS.map(([, type], i) => `$${i + 3}::${type}`).join(', ')
  const [nth, last] = [COLUMNS.length + 3, COLUMNS.length + 4]
  const fresh = COLUMNS.map(([name]) => `excluded.${name}`).join(', ')
  const pages = new Map<string, Prepared>()

  return {
    // Key by key (OFFSET 0 keeps it so): as for a single one, the planner takes the index also where the table was empty when
    // it planned, and knows as little of the number of keys each time, so that it plans once.
    get: prepared(
      `SELECT own.* FROM string_to_table($1, chr(${SEPARATOR.charCodeAt(0)})) AS wanted (key), LATERAL
       (SELECT t.id, ${NAMES} FROM ${full} AS t WHERE t.id = wanted.key AND t.expires_at > $2 OFFSET 0) AS own`,
    ),
    create: write(
      lock,
      `INSERT INTO ${full} AS t (id, ${NAMES}) SELECT $1::text, ${values} FROM lock
       ON CONFLICT (id) DO UPDATE SET (${NAMES}) = ROW(${fresh}) WHERE t.expires_at <= $${nth}::double precision`,
    ),
    update: write(
      lock,
      `UPDATE ${full} AS t SET (${NAMES}) = ROW(${values}) FROM lock
       WHERE t.id = $1 AND t.version = $${nth}::integer AND t.expires_at > $${last}::double precision`,
    ),
    end: write('', `DELETE FROM ${full} AS t WHERE id = $1 AND version = $2 AND expires_at > $3`),
    remove: write('', `DELETE FROM ${full} AS t WHERE id = $1 AND expires_at > $2`),
    endAll: prepared(`SELECT ${names.endAll}($1, $2, $3, $4, $5)`),
    page(user, after) {
      const key = `${user} ${after}`
      const known = pages.get(key)
      if (known) return known
      const live = `expires_at > $1 AND data <> ''`
      // OFFSET 0 keeps the planner from walking everybody's records in order to find the user's.
      const from = user ? `(SELECT * FROM ${full} WHERE user_id = $2 OFFSET 0) AS own` : full
      const beyond = after ? ` AND id > $${user ? 3 : 2}` : ''
      const made = prepared(`SELECT id, ${NAMES} FROM ${from} WHERE ${live}${beyond} ORDER BY id LIMIT ${PAGE}`)
      pages.set(key, made)
      return made
    },
    blocks: prepared(`SELECT pg_relation_size($1::regclass) / current_setting('block_size')::integer`),
    // A slice of the table's pages, read once each; a row that somebody holds is left for the next time.
    sweep: prepared(
      `DELETE FROM ${full} WHERE expires_at <= $3 AND ctid = ANY (ARRAY(
         SELECT ctid FROM ${full} WHERE ctid >= format('(%s,0)', $1::bigint)::tid
           AND ctid < format('(%s,0)', $2::bigint)::tid AND expires_at <= $3 AND id <> $4
         FOR UPDATE SKIP LOCKED))`,
    ),
  }
}

// The name is of the text, so that two stores on one connection never mean different things by one name.
function prepared(...parts: string[]): Prepared {
  const text = parts.join('')
  return { name: `sojourn_${createHash('sha256').update(text).digest('hex').slice(0, 24)}`, text }
}

/** Begins what is none of the ids: no escaped text has it. */
export const OWN: string = `${ESCAPE}:`
