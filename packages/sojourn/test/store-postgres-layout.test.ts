/** The layout of the PostgreSQL store: who makes it, who may use it, and what is refused and left alone. */
import pg from 'pg'
import type { SessionRecord } from 'sojourn'
import { migrate, type PostgresOptions, postgres } from 'sojourn/store/postgres'
import { found, namesOf, survey } from 'sojourn/store/postgres-layout'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { usePostgres } from './engines/postgres.js'

const engine = usePostgres()
const ending: (() => unknown)[] = []
let pool: pg.Pool

function connect(url: string, options: pg.PoolConfig = {}): pg.Pool {
  const made = new pg.Pool({ connectionString: url, max: 3, ...options })
  ending.push(() => made.end())
  return made
}

beforeEach(async () => {
  pool = connect(await engine().database())
})
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end()
})

function open(options: PostgresOptions = {}, client: pg.Pool = pool): ReturnType<typeof postgres> {
  const store = postgres(client, options)
  ending.push(store.close)
  return store
}

function record(changes: Partial<SessionRecord> = {}): SessionRecord {
  const now = Date.now()
  return { data: '{}', createdAt: now, seenAt: now, expiresAt: now + 60_000, version: 1, ...changes }
}

const columns = async (table: string) =>
  (await pool.query('SELECT column_name FROM information_schema.columns WHERE table_name = $1', [table])).rows.length

test('a table that is not there is not made unasked; what to do is said, and then goes without a restart', async () => {
  const store = open()
  await expect(store.get('a')).rejects.toThrow('"sojourn_sessions" is not there. Run `sojourn migrate`')
  await expect(store.endAll('a')).rejects.toThrow('sojourn migrate')
  expect(await columns('sojourn_sessions')).toBe(0)
  expect(await migrate(pool)).toEqual({ from: 0, to: 1 })
  expect(await store.set('a', record(), 0)).toBe(true)
})

test('who looks while a table is being made finds it or does not, and never takes it for somebody else’s', async () => {
  const client = connect(await engine().database(), { max: 4 })
  const names = namesOf({ table: 'made' })
  const { text, values } = survey(names)
  const layouts = new Set<number>()
  let over = false
  const look = async () => {
    while (!over) {
      const { rows } = await client.query({ text, values, rowMode: 'array' })
      layouts.add(found(names, rows))
    }
  }
  const make = async () => {
    for (let round = 0; round < 300; round++) {
      await client.query("BEGIN; CREATE TABLE made (); COMMENT ON TABLE made IS 'Sojourn sessions, layout 1'; COMMIT")
      await client.query('DROP TABLE made')
    }
  }
  const making = make().finally(() => {
    over = true
  })
  await Promise.all([making, look(), look(), look()])
  expect([...layouts].toSorted()).toEqual([0, 1])
})

test('migrating again changes nothing and keeps the records', async () => {
  const store = open({ migrate: true, table: 'kept' })
  await store.set('a', record(), 0)
  expect(await migrate(pool, { table: 'kept' })).toEqual({ from: 1, to: 1 })
  expect(await store.get('a')).toBeDefined()
})

test('a layout that a newer version has made is refused, by the store and by migrations, and left alone', async () => {
  await migrate(pool)
  await pool.query("COMMENT ON TABLE sojourn_sessions IS 'Sojourn sessions, layout 2'")
  for (const store of [open(), open({ migrate: true })]) await expect(store.get('a')).rejects.toThrow(/newer/)
  await expect(migrate(pool)).rejects.toThrow(/has layout 2.*knows 1/)
  const { rows } = await pool.query("SELECT obj_description('sojourn_sessions'::regclass) AS comment")
  expect(rows[0].comment).toBe('Sojourn sessions, layout 2')
})

test("somebody else's table is refused and left alone, whatever its comment", async () => {
  await pool.query('CREATE TABLE sojourn_sessions (sid text PRIMARY KEY, sess json, expire timestamp)')
  for (const comment of ['NULL', "'sessions'", "'Sojourn sessions, layout '", "'Sojourn sessions, layout x'"]) {
    await pool.query(`COMMENT ON TABLE sojourn_sessions IS ${comment}`)
    await expect(migrate(pool)).rejects.toThrow(/not Sojourn's/)
    await expect(open({ migrate: true }).get('a')).rejects.toThrow(/not Sojourn's/)
  }
  expect(await columns('sojourn_sessions')).toBe(3)
})

test('a migration that fails leaves nothing behind', async () => {
  // The function's name is taken, which the last statement finds out.
  await pool.query(`CREATE FUNCTION sojourn_sessions_end_all(text, text, double precision, bigint, text)
    RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'`)
  await expect(migrate(pool)).rejects.toThrow(/already exists/)
  expect(await columns('sojourn_sessions')).toBe(0)
})

test('a schema is made where there is none, and the same table in two schemas is two tables', async () => {
  const [a, b] = [open({ migrate: true, schema: 'a' }), open({ migrate: true, schema: 'b' })]
  await a.set('id', record({ userId: 'u' }), 0)
  expect(await b.get('id')).toBeUndefined()
  expect([await b.endAll('u'), await a.endAll('u')]).toEqual([0, 1])
})

test('several tables are migrated into one new schema at once, and one table by several', async () => {
  const wide = connect(pool.options.connectionString!, { max: 10 })
  // Connected, and with what a session remembers of a schema that is not there.
  await Promise.all(Array.from({ length: 10 }, () => wide.query("SELECT to_regclass('app0.t0'), pg_sleep(0.05)")))
  for (let round = 0; round < 5; round++) {
    const tables = Array.from({ length: 10 }, (_, i) => ({ schema: `app${round}`, table: `t${i % 5}` }))
    await Promise.all(tables.map((place) => migrate(wide, place)))
    for (const place of tables) expect(await migrate(wide, place)).toEqual({ from: 1, to: 1 })
  }
})

test('without a schema the search path decides, as for any table', async () => {
  await pool.query('CREATE SCHEMA app')
  const inApp = connect(`${pool.options.connectionString}?options=-c%20search_path%3Dapp%2Cpublic`)
  expect(await migrate(inApp)).toEqual({ from: 0, to: 1 })
  expect(await open({}, inApp).set('a', record({ userId: 'u' }), 0)).toBe(true)
  expect(await open({}, inApp).endAll('u')).toBe(1)
  expect((await pool.query('SELECT count(*)::int AS n FROM app.sojourn_sessions')).rows).toEqual([{ n: 0 }])
  await expect(open().get('a')).rejects.toThrow('sojourn migrate')
})

test('a role that may only read and write the rows is enough for the store', async () => {
  await migrate(pool)
  await pool.query('CREATE ROLE app LOGIN')
  await pool.query('GRANT SELECT, INSERT, UPDATE, DELETE ON sojourn_sessions TO app')
  const own = connect(pool.options.connectionString!.replace('postgres@', 'app@'))
  const store = open({ migrate: true }, own)
  expect(await store.set('a', record({ userId: 'u' }), 0)).toBe(true)
  expect(await store.sweep(Date.now())).toBe(0)
  expect(await store.endAll('u')).toBe(1)
  expect(await store.delete('a')).toBe(false)
})

test('a database that cannot hold every text, and transactions that see no newer rows, are refused', async () => {
  const latin = connect(await engine().database("ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"))
  await expect(migrate(latin)).rejects.toThrow(/LATIN1.*UTF8/)
  await migrate(pool)
  const repeatable = connect(
    `${pool.options.connectionString}?options=-c%20default_transaction_isolation%3Dserializable`,
  )
  await expect(open({}, repeatable).get('a')).rejects.toThrow(/"serializable".*"read committed"/)
})

test('rows are updated in place: no index is written when a session is renewed', async () => {
  const store = open({ migrate: true })
  for (let n = 0; n < 50; n++) await store.set(`id-${n}`, record({ userId: 'u', data: 'x'.repeat(500) }), 0)
  for (let n = 0; n < 50; n++) {
    await store.set(
      `id-${n}`,
      record({ userId: 'u', data: 'y'.repeat(500), expiresAt: Date.now() + 99_000, version: 2 }),
      1,
    )
  }
  await expect
    .poll(
      async () =>
        (
          await pool.query(
            "SELECT n_tup_upd::int AS all, n_tup_hot_upd::int AS hot FROM pg_stat_user_tables WHERE relname = 'sojourn_sessions'",
          )
        ).rows[0],
      { timeout: 10_000 },
    )
    .toMatchObject({ all: 50 })
  const { rows } = await pool.query(
    "SELECT n_tup_hot_upd::int AS hot FROM pg_stat_user_tables WHERE relname = 'sojourn_sessions'",
  )
  expect(rows[0].hot).toBeGreaterThan(40)
})
