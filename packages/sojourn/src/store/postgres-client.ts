/** PostgreSQL as the store needs it: what `pg` and `postgres` (postgres.js) have in common, told apart by structure. */

/** A value that a statement is given. */
export type PostgresValue = string | number | boolean | null

/** A `Pool` or a `Client` of `pg`. */
export interface PgClient {
  query(config: PgQuery): Promise<{ rows: unknown[][]; rowCount: number | null }>
  connect(): Promise<unknown>
  on(event: 'error', listener: (error: Error) => void): unknown
  off(event: 'error', listener: (error: Error) => void): unknown
}

/** What `pg` is asked. */
export interface PgQuery {
  name?: string
  text: string
  values: PostgresValue[]
  rowMode: 'array'
  query_timeout?: number
}

/** The `sql` of `postgres` (postgres.js). */
export interface PostgresJs {
  (strings: TemplateStringsArray): unknown
  unsafe(
    text: string,
    values: PostgresValue[],
    options: { prepare: boolean },
  ): { values(): PromiseLike<unknown[][] & { count: number }> }
  listen(channel: string, heard: (payload: string) => void, listening: () => void): PromiseLike<unknown>
  readonly options: { readonly prepare?: boolean }
}

/** A statement, and the name that it is prepared under, if it is. `patient`: it may take as long as it takes. */
export interface Statement {
  readonly text: string
  readonly name?: string
  readonly patient?: boolean
}

/** What hears a channel. `down`: it hears no more, and is to be set up anew. */
export interface Listener {
  up(): void
  heard(payload: string): void
  down(): void
}

/** A client of either kind. */
export interface Driver {
  /** One round trip. Rows are lists of columns, so that no naming scheme of the client is in the way. */
  run(statement: Statement, values: PostgresValue[]): Promise<{ rows: unknown[][]; count: number }>
  /** Gives back what ends it. Never throws: a feed that cannot be is `down`. */
  listen(channel: string, listener: Listener): () => void
  /** Takes the store's hands off the client, which stays open. */
  release(): void
}

/**
 * Milliseconds after which a query is given up, the same that the library waits. `pg` then throws the connection away,
 * so that a query which never ends holds no place in the pool.
 */
const PATIENCE = 2000

/** The driver of `client`; `lost` is called when an idle connection of it has broken. @throws TypeError when it is neither library's. */
export function driverOf(client: unknown, lost: () => void = () => {}): Driver {
  const has = (...names: string[]) =>
    names.every((name) => typeof (client as Record<string, unknown> | null)?.[name] === 'function')
  if (typeof client === 'function' && has('unsafe', 'listen')) return postgresJs(client as PostgresJs)
  if (typeof client === 'object' && has('query', 'connect', 'on', 'off')) return pg(client as PgClient, lost)
  throw new TypeError('postgres: give it a Pool or Client of "pg", or the `sql` of "postgres"; it opens no connection')
}

/** A client answers one query at a time, and the next release of `pg` will not queue for it. A pool does. */
const lasts = new WeakMap<PgClient, Promise<unknown>>()

function pg(client: PgClient, lost: () => void): Driver {
  // An idle connection that breaks has told nobody anything wrong, and the next query reports the trouble if it lasts;
  // but an 'error' that nobody listens to ends the process. The app's own listeners hear it as before.
  const heard = () => lost()
  client.on('error', heard)
  const ask = (query: PgQuery) => {
    if ('totalCount' in client) return client.query(query)
    const answer = (lasts.get(client) ?? Promise.resolve()).then(() => client.query(query))
    lasts.set(
      client,
      answer.catch(() => {}),
    )
    return answer
  }
  return {
    async run({ name, text, patient }, values) {
      const named = name === undefined ? {} : { name }
      const patience = patient ? {} : { query_timeout: PATIENCE }
      const { rows, rowCount } = await ask({ ...named, ...patience, text, values, rowMode: 'array' })
      return { rows, count: rowCount ?? 0 }
    },
    listen: (channel, listener) => listenPg(client, channel, listener),
    release: () => void client.off('error', heard),
  }
}

/** A connection of `pg`, as a feed needs it. */
interface PgConnection {
  query(text: string): Promise<unknown>
  release?(destroy: boolean): void
  on(event: string, listener: (said: never) => void): unknown
  off(event: string, listener: (said: never) => void): unknown
}

/** On a connection of its own where there is a pool; a client is listened on itself. */
function listenPg(client: PgClient, channel: string, listener: Listener): () => void {
  let connection: PgConnection | undefined
  let over = false
  const heard = (said: { channel: string; payload?: string }) => {
    if (said.channel === channel) listener.heard(said.payload ?? '')
  }
  const stop = () => {
    over = true
    connection?.off('notification', heard)
    connection?.off('end', down)
    if (connection?.release) {
      // The 'error' listener stays: what the connection says while it is closed is nobody's concern.
      connection.release(true)
    } else if (connection) {
      connection.off('error', down)
      connection.query(`UNLISTEN "${channel}"`).catch(() => {})
    }
    connection = undefined
  }
  const down = () => {
    if (over) return
    stop()
    listener.down()
  }
  const start = async () => {
    const found =
      'totalCount' in client ? ((await client.connect()) as PgConnection) : (client as unknown as PgConnection)
    if (over) return found.release?.(true)
    connection = found
    found.on('error', down)
    found.on('end', down)
    found.on('notification', heard)
    await found.query(`LISTEN "${channel}"`)
    if (!over) listener.up()
  }
  start().catch(down)
  return stop
}

function postgresJs(sql: PostgresJs): Driver {
  const prepare = sql.options.prepare !== false
  // Listened to once: postgres.js comes back to its channels by itself, and cannot be made to forget one reliably.
  const current = new Map<string, Listener | undefined>()
  return {
    async run({ name, text }, values) {
      const rows = await sql.unsafe(text, values, { prepare: prepare && name !== undefined }).values()
      return { rows, count: rows.count }
    },
    listen(channel, listener) {
      const known = current.has(channel)
      current.set(channel, listener)
      const up = () => current.get(channel)?.up()
      if (known) queueMicrotask(up)
      // What it rejects with it also tries again; `up` is called each time that it has succeeded.
      else sql.listen(channel, (payload) => current.get(channel)?.heard(payload), up).then(undefined, () => {})
      return () => current.set(channel, undefined)
    },
    release() {},
  }
}
