/** The PostgreSQL store: the contract with each client, and what is its own: clients, names, text, sweeping, outages. */
import { EventEmitter } from 'node:events'
import pg from 'pg'
import postgresJs from 'postgres'
import type { SessionRecord, Store } from 'sojourn'
import {
  migrate,
  type PostgresClient,
  type PostgresOptions,
  type PostgresStore,
  postgres,
} from 'sojourn/store/postgres'
import { manualClock } from 'sojourn/testing/clock'
import { storeCases } from 'sojourn/testing/store'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { usePostgres } from './engines/postgres.js'
import { inRealTime } from './fixtures/real-time.js'

const engine = usePostgres()

/** A client of one of the libraries, and how to be rid of it. */
interface Connected {
  client: PostgresClient
  end(): Promise<unknown>
}

/** Each way to connect. */
const ways: Record<string, (url: string, options?: pg.PoolConfig) => Promise<Connected>> = {
  'pg.Pool': async (url, options) => {
    const client = new pg.Pool({ connectionString: url, max: 10, ...options })
    return { client, end: () => client.end() }
  },
  'pg.Client': async (url) => {
    const client = new pg.Client(url)
    await client.connect()
    return { client, end: () => client.end() }
  },
  'postgres.js': async (url) => {
    const client = postgresJs(url, { max: 5, onnotice: () => {} })
    return { client, end: () => client.end({ timeout: 1 }) }
  },
  // A naming scheme of the app's own, and no prepared statements, as behind an older PgBouncer.
  'postgres.js, camelCase, not prepared': async (url) => {
    const client = postgresJs(url, { max: 5, prepare: false, transform: postgresJs.camel, onnotice: () => {} })
    return { client, end: () => client.end({ timeout: 1 }) }
  },
}

const ending: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end()
})

async function connect(way = 'pg.Pool', url: string = engine().url, options?: pg.PoolConfig): Promise<PostgresClient> {
  const { client, end } = await ways[way]!(url, options)
  ending.push(end)
  return client
}

async function open(options: PostgresOptions = {}, way = 'pg.Pool'): Promise<PostgresStore> {
  const store = postgres(await connect(way), { migrate: true, ...options })
  ending.push(store.close)
  return store
}

/** Asks the server beside the store. */
async function ask(text: string, values: unknown[] = []): Promise<unknown[][]> {
  const client = new pg.Client(engine().url)
  await client.connect()
  try {
    return (await client.query({ text, values, rowMode: 'array' })).rows
  } finally {
    await client.end()
  }
}

function record(changes: Partial<SessionRecord> = {}, now: number = Date.now()): SessionRecord {
  return { data: '{}', createdAt: now, seenAt: now, expiresAt: now + 60_000, version: 1, ...changes }
}

async function ids(store: PostgresStore, userId?: string): Promise<string[]> {
  const found: string[] = []
  for await (const [id] of store.list(userId)) found.push(id)
  return found
}

let tables = 0
const table = () => `t${++tables}`

describe.each([
  ['pg.Pool', false],
  ['pg.Client', false],
  ['postgres.js', false],
  ['postgres.js, camelCase, not prepared', false],
  ['pg.Pool', true],
  ['postgres.js', true],
] as const)('the contract of stores: %s, push: %s', (way, push) => {
  const clock = manualClock()
  const clients: Connected[] = []
  const places = new WeakMap<Store, string>()
  beforeAll(async () => {
    for (let i = 0; i < 2; i++) if (engine()) clients.push(await ways[way]!(engine().url))
  })
  afterAll(() => Promise.all(clients.map(({ end }) => end())))

  const real = (name: string, i: number) => {
    const store = postgres(clients[i]!.client, { table: name, push, migrate: true })
    places.set(store, name)
    return store
  }
  const realTime = inRealTime({ create: () => real(table(), 0), second: (store) => real(places.get(store)!, 1) })
  const suite = storeCases({
    clock,
    ...(push && { tells: 1000 }),
    create() {
      const name = table()
      const store = postgres(clients[0]!.client, { table: name, clock, push, migrate: true })
      places.set(store, name)
      return store
    },
    second: (store) => postgres(clients[1]!.client, { table: places.get(store)!, clock, push, migrate: true }),
    breakBackend: async (store) => {
      await store.get('so that it has looked')
      await ask(`DROP TABLE ${places.get(store)}`)
    },
  }).concat(realTime)
  test.each(suite.map(({ name, run }) => [name, run] as const))('%s', { timeout: 30_000 }, (_, run) => run())
})

describe('clients', () => {
  test('what is no client is refused at once, with what to hand in', () => {
    for (const client of [
      undefined,
      null,
      'postgres://localhost/app',
      {},
      { query() {} },
      () => {},
      new EventEmitter(),
    ])
      expect(() => postgres(client as unknown as PostgresClient)).toThrow(/Pool or Client of "pg"/)
  })

  test('numbers, dates and names that the app reads in its own way are no trouble', async () => {
    const own = { getTypeParser: () => (text: string | Buffer) => `own:${text}`.slice(4) }
    const client = await connect('pg.Pool', engine().url, { types: own })
    const store = postgres(client, { migrate: true, table: table() })
    const kept = record({ userId: 'ada', authenticatedAt: 5, persistent: true, device: { ip: '::1' } })
    await store.set('a', kept, 0)
    expect(await store.get('a')).toEqual(kept)
    store.close()
  })

  test('two stores with two tables share one client', async () => {
    const client = await connect('pg.Client')
    const [a, b] = [table(), table()].map((name) => postgres(client, { migrate: true, table: name }))
    await a!.set('id', record({ data: '"a"' }), 0)
    await b!.set('id', record({ data: '"b"' }), 0)
    expect([(await a!.get('id'))?.data, (await b!.get('id'))?.data]).toEqual(['"a"', '"b"'])
  })

  test('a client that is handed in stays open, and is left as it was', async () => {
    const client = (await connect()) as pg.Pool
    const store = postgres(client, { migrate: true, table: table() })
    await store.get('a')
    store.close()
    store.close()
    expect(client.listenerCount('error')).toBe(0)
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
  })
})

describe('text', () => {
  test('A-79: users, ids and data that differ in what PostgreSQL does not take stay apart', async () => {
    const store = await open({ table: table() })
    const names = [
      'ada',
      'ada\0',
      'ada\0x',
      'ada\ud800',
      'ada\udc00',
      'ada\ufffd',
      'ada\x1b',
      'ada\x1b0000',
      '\u{1f600}',
    ]
    for (const name of names) {
      expect(await store.set(name, record({ userId: name, data: JSON.stringify(name) + name }), 0)).toBe(true)
    }
    for (const name of names) {
      expect(await store.get(name)).toMatchObject({ userId: name, data: JSON.stringify(name) + name })
      expect(await ids(store, name)).toEqual([name])
    }
    expect((await ids(store)).toSorted()).toEqual(names.toSorted())
    for (const name of names) expect(await store.endAll(name)).toBe(1)
  })

  test('a user id of any length is a user', async () => {
    const store = await open({ table: table() })
    const long = Array.from({ length: 20_000 }, (_, i) => i.toString(36)).join()
    await store.set('a', record({ userId: long }), 0)
    expect(await ids(store, long)).toEqual(['a'])
    expect(await store.endAll(`${long}!`)).toBe(0)
    expect(await store.endAll(long)).toBe(1)
  })

  test('A-79: a name that would change the SQL is refused at construction', async () => {
    const client = await connect()
    for (const name of ['a"b', 'a; DROP TABLE x', '', 'a.b', '1a', 'é', 'a'.repeat(49)]) {
      expect(() => postgres(client, { table: name })).toThrow(TypeError)
      expect(() => postgres(client, { schema: name })).toThrow(TypeError)
      await expect(migrate(client, { table: name })).rejects.toThrow(TypeError)
    }
  })

  test('a table may be named like a word of SQL, in a schema of its own, in letters of both sizes', async () => {
    const store = await open({ table: 'Select', schema: 'Table' })
    await store.set('a', record({ userId: 'u' }), 0)
    expect(await store.get('a')).toMatchObject({ userId: 'u' })
    expect(await ask('SELECT id FROM "Table"."Select"')).toEqual([['a']])
    expect(await store.sweep(Date.now())).toBe(0)
    expect(await store.endAll('u')).toBe(1)
  })
})

describe('reads', () => {
  /** The keys of each statement that reads records. */
  function asked(client: PostgresClient): string[][] {
    const statements: string[][] = []
    const verb = 'unsafe' in client ? 'unsafe' : 'query'
    const target = client as unknown as Record<string, (...args: unknown[]) => unknown>
    const before = target[verb]!
    target[verb] = (...args) => {
      const [text, values] = verb === 'unsafe' ? args : [args[0], (args[0] as { values?: unknown }).values]
      if (JSON.stringify(text).includes('string_to_table'))
        statements.push(String((values as unknown[])[0]).split('\x1f'))
      return before.apply(client, args)
    }
    return statements
  }

  test.each(Object.keys(ways))('of one turn of the event loop share a statement: %s', async (way) => {
    const client = await connect(way)
    const store = postgres(client, { migrate: true, table: table() })
    ending.push(store.close)
    const names = Array.from({ length: 90 }, (_, i) => (i === 0 ? '' : `id-${i}\x1f${i}`))
    for (const name of names) await store.set(name, record({ data: `"${name}"` }), 0)
    await store.set('ended', record(), 0)
    await store.delete('ended')

    const statements = asked(client)
    const wanted = [...names, 'nobody', 'ended', ...names.slice(0, 20)]
    const read = await Promise.all(wanted.map((name) => store.get(name)))
    expect(statements.map((keys) => keys.length)).toEqual([92])
    expect(read.map((found) => found?.data)).toEqual(
      wanted.map((name) => (names.includes(name) ? `"${name}"` : undefined)),
    )
    // Each has one of its own: what one does to it no other sees.
    expect(read[0]).not.toBe(read.at(-20))

    await store.get(names[1]!)
    await store.get(names[1]!)
    expect(statements.length).toBe(3)
  })

  test('of more than a hundred keys are several statements', async () => {
    const client = await connect()
    const store = postgres(client, { migrate: true, table: table() })
    ending.push(store.close)
    const names = Array.from({ length: 250 }, (_, i) => `id-${i}`)
    await Promise.all(names.map((name) => store.set(name, record({ data: name }), 0)))
    const statements = asked(client)
    const read = await Promise.all(names.map((name) => store.get(name)))
    expect(read.map((found) => found?.data)).toEqual(names)
    expect(statements.map((keys) => keys.length)).toEqual([100, 100, 50])
  })

  test('that fail together all say so, and the next ones are asked anew', async () => {
    const name = table()
    const store = await open({ table: name })
    await store.set('a', record(), 0)
    await ask(`ALTER TABLE ${name} RENAME TO ${name}_away`)
    const failed = await Promise.allSettled([store.get('a'), store.get('b')])
    expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    await ask(`ALTER TABLE ${name}_away RENAME TO ${name}`)
    expect(await store.get('a')).toBeDefined()
  })

  test('of a record that the server cannot read fail alone', async () => {
    const name = table()
    const client = await connect()
    const store = postgres(client, { migrate: true, table: name })
    ending.push(store.close)
    for (const id of ['bad', 'good', 'fine']) await store.set(id, record({ data: id }), 0)
    await ask(`ALTER TABLE ${name} RENAME TO ${name}_below`)
    const data = `CASE id WHEN 'bad' THEN (1 / (version - 1))::text ELSE data END AS data`
    const others = 'id, version, expires_at, created_at, seen_at, authenticated_at, persistent, user_id, device'
    await ask(`CREATE VIEW ${name} AS SELECT ${others}, ${data} FROM ${name}_below`)
    const comment = (await ask(`SELECT obj_description('${name}_below'::regclass)`))[0]![0]
    await ask(`COMMENT ON VIEW ${name} IS '${comment}'`)

    const statements = asked(client)
    const read = await Promise.allSettled(['good', 'bad', 'fine', 'good'].map((id) => store.get(id)))
    expect(read.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled'])
    expect(statements).toEqual([['good', 'bad', 'fine'], ['good'], ['bad'], ['fine']])
  })

  test('find their record by the index, also where the table was empty when the first was planned', async () => {
    const name = table()
    const client = (await connect('pg.Client')) as pg.Client
    const store = postgres(client, { migrate: true, table: name })
    for (let i = 0; i < 20; i++) await store.get('nobody')
    const prepared = `SELECT name, generic_plans FROM pg_prepared_statements WHERE statement LIKE '%string_to_table%'`
    const { rows } = await client.query(prepared)
    expect(Number(rows[0].generic_plans)).toBeGreaterThan(10)
    await ask(
      `INSERT INTO ${name} (id, expires_at, created_at, seen_at, version, persistent, data)
       SELECT 'id-' || n, $1::float8 + 60000, 1, 1, 1, false, '{}' FROM generate_series(1, 20000) n`,
      [Date.now()],
    )
    const plan = await client.query(`EXPLAIN EXECUTE "${rows[0].name}" ('id-1', 5)`)
    expect(JSON.stringify(plan.rows)).toContain('Index Scan')
    expect(await store.get('id-7')).toMatchObject({ data: '{}' })
    store.close()
  })
})

test.each(['wanted', 'own', 't', 'excluded', 'key', 'id'])(
  'a table may be named as what a statement has: %s',
  async (name) => {
    const store = await open({ table: name })
    await store.set('a', record({ userId: 'u' }), 0)
    expect(await store.set('a', record({ userId: 'u', version: 2 }), 1)).toBe(true)
    expect(await store.get('a')).toMatchObject({ version: 2 })
    expect(await ids(store, 'u')).toEqual(['a'])
    expect([await store.endAll('u'), await store.delete('a'), await store.sweep(Date.now())]).toEqual([1, false, 0])
  },
)

describe('lists', () => {
  test.each(['everybody', 'one user'])(
    'of %s go on from page to page without missing or repeating one',
    async (whose) => {
      const store = await open({ table: table() })
      const names = Array.from({ length: 250 }, (_, i) => `id-${i}`)
      await Promise.all(names.map((id) => store.set(id, record({ userId: 'ada' }), 0)))
      await store.set('other', record({ userId: 'bob' }), 0)
      const listed = await ids(store, whose === 'one user' ? 'ada' : undefined)
      expect(listed.toSorted()).toEqual([...names, ...(whose === 'one user' ? [] : ['other'])].toSorted())
    },
  )
})

describe('sweeping', () => {
  test('leaves a row that somebody holds for the next time, and waits for nobody', async () => {
    const name = table()
    const store = await open({ table: name })
    const now = Date.now()
    for (let i = 0; i < 10; i++) await store.set(`id-${i}`, record({ expiresAt: now + 60_000 + i }), 0)
    const holder = new pg.Client(engine().url)
    await holder.connect()
    ending.push(() => holder.end())
    await holder.query('BEGIN')
    await holder.query(`SELECT FROM ${name} WHERE id = 'id-3' FOR UPDATE`)
    expect(await store.sweep(now + 60_006)).toBe(6)
    await holder.query('ROLLBACK')
    expect(await store.sweep(now + 60_006)).toBe(1)
    expect(await ids(store)).toEqual(['id-7', 'id-8', 'id-9'])
  })

  test('A-78: goes through a table of many slices, while it is written to', { timeout: 60_000 }, async () => {
    const name = table()
    const store = await open({ table: name })
    await store.get('so that the table is there')
    await ask(
      `INSERT INTO ${name} (id, expires_at, created_at, seen_at, version, persistent, data)
       SELECT 'id-' || n, CASE n % 4 WHEN 0 THEN $1::float8 + 60000 ELSE 5 END, 1, 1, 1, false, repeat('x', 1000)
       FROM generate_series(1, 4000) n`,
      [Date.now()],
    )
    const blocks = Number((await ask(`SELECT pg_relation_size('${name}') / 8192`))[0]![0])
    expect(blocks).toBeGreaterThan(3 * 128)
    const [swept] = await Promise.all([
      store.sweep(Date.now()),
      ...Array.from({ length: 50 }, (_, i) => store.set(`new-${i}`, record(), 0)),
    ])
    expect(swept).toBe(3000)
    expect(Number((await ask(`SELECT count(*) FROM ${name}`))[0]![0])).toBe(1050)
  })
})
