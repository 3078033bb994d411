/** The layout of the PostgreSQL store's table: what it is named, how it is made, and how a process knows that it fits. */
import { createHash } from 'node:crypto'

/** Where the table is. */
export interface Place {
  /** The table's name, default `sojourn_sessions`. Letters, digits and underscores, 48 at most. */
  table?: string
  /** Its schema. Default: the first of the connection's `search_path`, as for any table. */
  schema?: string
}

/** Names that stand in SQL as they are: checked, and quoted. */
export interface Names {
  readonly table: string
  readonly schema: string | undefined
  /** The table as SQL names it. */
  readonly full: string
  /** The function that ends a user's sessions. */
  readonly endAll: string
}

/** The layout that this code reads and writes. It stands in the table's comment, so that it needs no second table. */
export const LAYOUT = 1
const COMMENT = 'Sojourn sessions, layout '

/** @throws TypeError on a name that is not one. */
export function namesOf({ table = 'sojourn_sessions', schema }: Place): Names {
  for (const [option, name] of Object.entries({ table, schema }))
    if (name !== undefined && !/^[a-z_][a-z0-9_]{0,47}$/i.test(name))
      throw new TypeError(`postgres: \`${option}\` goes into SQL; use letters, digits and underscores, 48 at most`)
  const within = schema === undefined ? '' : `"${schema}".`
  return { table, schema, full: `${within}"${table}"`, endAll: `${within}"${table}_end_all"` }
}

/**
 * The key of an advisory lock: 64 bits of a hash, so that it meets neither another user's nor the application's own.
 * A number of that size is text, in JavaScript.
 */
export function lockKey({ full }: Pick<Names, 'full'>, purpose: string, subject: string): string {
  return createHash('sha256').update(`sojourn\0${full}\0${purpose}\0${subject}`).digest().readBigInt64BE().toString()
}

/** The channel of what changes in the table. */
export function channelOf({ full }: Names): string {
  return `sojourn_${createHash('sha256').update(full).digest('hex').slice(0, 24)}`
}

/**
 * Asks what is there; `found` reads the answer. The table is looked up by the statement's own view of the catalogue, as its
 * comment is: `to_regclass` alone sees a table that is made this moment, and its comment not yet.
 */
export function survey({ full }: Names): { text: string; values: string[] } {
  return {
    text: `SELECT (c.oid IS NOT NULL)::integer, obj_description(c.oid, 'pg_class'),
      current_setting('server_encoding'), current_setting('server_version_num')::integer,
      current_setting('transaction_isolation'), pg_is_in_recovery()::integer
      FROM (SELECT to_regclass($1) AS oid) AS named LEFT JOIN pg_class AS c ON c.oid = named.oid`,
    values: [full],
  }
}

/**
 * The layout that is there; 0: there is no table.
 * @throws Error when the table is somebody else's or the server cannot hold it.
 */
export function found(names: Names, [row]: unknown[][]): number {
  const [there, comment, encoding, server, isolation, replica] = row as [unknown, string | null, ...string[]]
  if (Number(server) < 140_000) throw new Error('postgres: the server is older than PostgreSQL 14')
  if (Number(replica) === 1)
    throw new Error('postgres: the server is a replica, which takes no writes and learns late of ends; use the primary')
  if (encoding !== 'UTF8')
    throw new Error(`postgres: the database's encoding is ${encoding}, which cannot hold every text; it must be UTF8`)
  if (isolation !== 'read committed')
    throw new Error(
      `postgres: the connection's transactions are "${isolation}"; the store's guarantees rest on "read committed", ` +
        'the default of PostgreSQL. Give it a client of its own',
    )
  if (Number(there) === 0) return 0
  const layout = comment?.startsWith(COMMENT) ? Number(comment.slice(COMMENT.length)) : Number.NaN
  if (!Number.isInteger(layout) || layout < 1)
    throw new Error(`postgres: the table ${names.full} is not Sojourn's; give \`table\` another name`)
  return layout
}

/** @throws Error when the layout that is there is not the one that this code knows. */
export function check(names: Names, layout: number): void {
  if (layout === LAYOUT) return
  if (layout > LAYOUT)
    throw new Error(
      `postgres: the table ${names.full} has layout ${layout}, and this version of Sojourn knows ${LAYOUT}: a newer ` +
        'version has migrated it. Run that version here too',
    )
  const what = layout === 0 ? 'is not there' : `has layout ${layout}, and this version of Sojourn needs ${LAYOUT}`
  throw new Error(`postgres: the table ${names.full} ${what}. Run \`sojourn migrate\`, or set \`migrate: true\``)
}

/**
 * One statement that brings the table from whatever layout to the current one, or changes nothing at all. Several
 * processes may run it at once: they take turns, and those who come later find the work done.
 */
export function migration(names: Names): string {
  const { table, schema, full } = names
  const path = schema === undefined ? 'current_schemas(false)' : `ARRAY['${schema}']::name[]`
  const steps = STEPS.map((step, i) => `IF layout < ${i + 1} THEN ${step(names)} END IF;`)
  // Its tables have a lock each, and would all make the schema at once.
  const within =
    schema === undefined
      ? ''
      : `PERFORM pg_advisory_xact_lock(${lockKey({ full: `"${schema}"` }, 'migrate', '')});
      IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = '${schema}') THEN CREATE SCHEMA "${schema}"; END IF;`
  return `DO $migration$
    DECLARE layout integer := 0; there record;
    BEGIN
      ${within}
      PERFORM pg_advisory_xact_lock(${lockKey(names, 'migrate', '')});
      -- Not to_regclass: it would answer from what the session remembers of the time before the lock.
      SELECT coalesce(obj_description(c.oid, 'pg_class'), '') AS comment INTO there
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relname = '${table}' AND n.nspname = ANY (${path})
        ORDER BY array_position(${path}, n.nspname) LIMIT 1;
      IF FOUND AND there.comment !~ '^${COMMENT}[0-9]{1,4}$' THEN
        RAISE EXCEPTION 'the table is not Sojourn''s';
      ELSIF FOUND THEN
        layout := substr(there.comment, ${COMMENT.length + 1})::integer;
      END IF;
      IF layout < ${LAYOUT} THEN
        ${steps.join('\n')}
        COMMENT ON TABLE ${full} IS '${COMMENT}${LAYOUT}';
      END IF;
    END $migration$`
}

/**
 * What leads from each layout to the next. What has been published is never changed: a later layout is a step more, and
 * one under which processes of the version before, which are still running, go on working.
 */
const STEPS: readonly ((names: Names) => string)[] = [
  // Times are doubles: exact for every millisecond, a number in every driver, and `to_timestamp(expires_at / 1000)` is right.
  // COLLATE "C": byte order is the fastest, and does not change with the operating system's, which breaks other indexes.
  // No index on `expires_at`, which every write moves: it would have each write every index (no HOT update), to save a
  // sweep that reads the table once. Room in each page, so that an updated row stays on its own.
  // The user's index is of hashes: it is asked for equality alone, and takes a user id of any length.
  ({ table, full, endAll }) => `
    CREATE TABLE ${full} (
      expires_at double precision NOT NULL, created_at double precision NOT NULL, seen_at double precision NOT NULL,
      authenticated_at double precision, version integer NOT NULL, persistent boolean NOT NULL,
      id text COLLATE "C" PRIMARY KEY, user_id text COLLATE "C", device text, data text NOT NULL
    ) WITH (fillfactor = 80);
    CREATE INDEX "${table}_user" ON ${full} USING hash (user_id);
    CREATE FUNCTION ${endAll}(owner text, spared text, moment double precision, key bigint, channel text)
    RETURNS bigint LANGUAGE plpgsql AS $end_all$
      DECLARE ended bigint := 0; gone record;
      BEGIN
        -- Sessions of this user that are being written hold the lock shared until they are visible; those that come
        -- later wait. The DELETE is a statement of its own, and so sees all that the lock has waited for.
        PERFORM pg_advisory_xact_lock(key);
        FOR gone IN DELETE FROM ${full} WHERE user_id = owner AND id IS DISTINCT FROM spared
          RETURNING id, expires_at > moment AND data <> '' AS live
        LOOP
          IF gone.live THEN ended := ended + 1; END IF;
          IF channel IS NOT NULL THEN PERFORM pg_notify(channel, gone.id); END IF;
        END LOOP;
        RETURN ended;
      END $end_all$;`,
]
