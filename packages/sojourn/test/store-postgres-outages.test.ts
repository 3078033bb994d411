/** The PostgreSQL store when the server is slow, gone, killed or back: what is told, what is kept, what is let go. */
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import postgresJs from 'postgres'
import type { SessionRecord } from 'sojourn'
import { cached } from 'sojourn/store/cached'
import { migrate, type PostgresClient, type PostgresStore, postgres } from 'sojourn/store/postgres'
import { manualClock } from 'sojourn/testing/clock'
import { afterEach, describe, expect, test } from 'vitest'
import { usePostgres } from './engines/postgres.js'
import { shop } from './helpers.js'

const engine = usePostgres()
const ending: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end()
})

const clients = {
  'pg.Pool': () => {
    const pool = new pg.Pool({ connectionString: engine().url, max: 2 })
    ending.push(() => pool.end())
    return pool
  },
  'postgres.js': () => {
    const sql = postgresJs(engine().url, { max: 2, onnotice: () => {}, connection: { statement_timeout: 2000 } })
    ending.push(() => sql.end({ timeout: 1 }))
    return sql
  },
}
const each = Object.keys(clients) as (keyof typeof clients)[]

let tables = 0
async function open(client: PostgresClient, push = false, table = `t${++tables}`): Promise<PostgresStore> {
  const store = postgres(client, { table, push, migrate: true })
  ending.push(store.close)
  await store.get('so that the table is there')
  return store
}

function record(changes: Partial<SessionRecord> = {}): SessionRecord {
  const now = Date.now()
  return { data: '{}', createdAt: now, seenAt: now, expiresAt: now + 3_600_000, version: 1, ...changes }
}

/** Does something beside the store, and holds what it locked until it is told. */
async function holding(text: string): Promise<() => Promise<void>> {
  const client = new pg.Client(engine().url)
  await client.connect()
  await client.query(`BEGIN; ${text}`)
  return () => client.end()
}

describe('outages', () => {
  test.each(each)(
    'A-80: a server that goes and comes back is a failure meanwhile, and the process lives: %s',
    {
      timeout: 60_000,
    },
    async (way) => {
      const store = await open(clients[way]())
      await store.set('a', record(), 0)
      await Promise.all([store.get('a'), store.get('a')])
      await engine().stop()
      // Idle connections have broken: of a pool that nobody listens to, that ends the process.
      await pause(100)
      try {
        for (const verb of [
          () => store.get('a'),
          () => store.set('a', record({ version: 2 }), 1),
          () => store.delete('a'),
        ])
          await expect(verb()).rejects.toThrow()
      } finally {
        await engine().start()
      }
      await expect.poll(() => store.get('a').catch(() => 'not yet'), { timeout: 15_000 }).toMatchObject({ version: 1 })
    },
  )

  test('A-80: for sessions an outage is a 503, and nobody is signed out by it', { timeout: 60_000 }, async () => {
    const app = shop({ store: await open(clients['pg.Pool']()), clock: manualClock(Date.now()) })
    const browser = app.browser()
    await browser.visit((session) => session.login('ada'))
    await engine().stop()
    try {
      const answer = await browser.visit((session) => session.userId)
      expect([answer.status, answer.cleared, answer.given]).toEqual([503, false, undefined])
    } finally {
      await engine().start()
    }
    await expect
      .poll(async () => (await browser.visit((session) => session.userId)).value, { timeout: 15_000 })
      .toBe('ada')
  })

  test('A-69: after a failover to where it may not write, the store neither reads nor writes, until it is the primary', {
    timeout: 60_000,
  }, async () => {
    const store = await open(clients['pg.Pool']())
    await store.set('a', record(), 0)
    await engine().demote()
    try {
      const kept = async () => store.get('a').catch((error: Error) => error.message)
      await expect.poll(kept, { timeout: 10_000 }).toMatch(/is a replica/)
      await expect(store.set('b', record(), 0)).rejects.toThrow(/is a replica/)
      await expect(migrate(clients['pg.Pool']())).rejects.toThrow(/is a replica/)
    } finally {
      await engine().promote()
    }
    await expect.poll(() => store.get('a').catch(() => undefined), { timeout: 10_000 }).toMatchObject({ version: 1 })
  })

  test('kill -9 of the server in the middle of writes loses no write that was acknowledged', {
    timeout: 90_000,
  }, async () => {
    const store = await open(clients['pg.Pool']())
    const acknowledged = new Map<string, number>()
    let lost = 0
    for (let round = 0; round < 4; round++) {
      let killed = false
      const writers = Array.from({ length: 8 }, async (_, n) => {
        const id = `id-${n}`
        while (!killed) {
          try {
            const was = (await store.get(id))?.version ?? 0
            if (await store.set(id, record({ version: was + 1, userId: 'ada' }), was)) acknowledged.set(id, was + 1)
          } catch {
            // What failed may or may not have been written.
            await pause(5)
          }
        }
      })
      await pause(100 + 50 * round)
      await engine().kill()
      killed = true
      await Promise.all(writers)
      await engine().start()
      await expect.poll(() => store.get('id-0').catch(() => undefined), { timeout: 15_000 }).toBeDefined()
      for (const [id, version] of acknowledged) if (((await store.get(id))?.version ?? 0) < version) lost++
    }
    expect(acknowledged.size).toBe(8)
    expect(lost).toBe(0)
  })

  test.each(each)(
    'A-82: queries that nobody answers are given up, and hold no place in the pool: %s',
    { timeout: 30_000 },
    async (way) => {
      const client = clients[way]()
      const locked = await open(client)
      const other = await open(client)
      const free = await holding(`LOCK TABLE t${tables - 1} IN ACCESS EXCLUSIVE MODE`)
      try {
        const began = performance.now()
        const given = await Promise.allSettled([
          locked.get('a'),
          locked.get('b'),
          locked.delete('c'),
          locked.endAll('u'),
        ])
        expect(given.map(({ status }) => status)).toEqual(Array(4).fill('rejected'))
        expect(performance.now() - began).toBeLessThan(6_000)
        expect(await other.get('a')).toBeUndefined()
      } finally {
        await free()
      }
      expect(await locked.set('a', record(), 0)).toBe(true)
    },
  )
})

describe('watch', () => {
  /** What a watcher is told. */
  function told(store: PostgresStore) {
    const seen = { ids: [] as string[], cuts: 0, stop: () => {} }
    seen.stop = store.watch!(
      (id) => seen.ids.push(id),
      () => seen.cuts++,
    )
    ending.push(seen.stop)
    return seen
  }

  test('is not there unless push is asked for', async () => {
    const store = await open(clients['pg.Pool']())
    expect(store.watch).toBeUndefined()
  })

  test.each(each)(
    'tells of every change in another process, once its write is there, and of nothing else: %s',
    async (way) => {
      const table = `t${++tables}`
      const [here, there] = [await open(clients[way](), true, table), await open(clients['pg.Pool'](), true, table)]
      const elsewhere = await open(clients['pg.Pool'](), true)
      const seen = told(here)
      await expect.poll(() => seen.cuts, { message: 'that the feed is there now' }).toBe(1)
      const odd = 'b\0\ud800\u{1f600}\x1b'
      await there.set('a', record({ userId: 'u' }), 0)
      await there.set(odd, record({ userId: 'u' }), 0)
      await there.set('a', record({ userId: 'u', version: 2 }), 1)
      await there.set('a', record({ userId: 'u', version: 2 }), 1)
      await elsewhere.set('other', record(), 0)
      await there.delete('a')
      await there.delete('a')
      await there.set('c', record({ userId: 'u' }), 0)
      await there.set('c', record({ expiresAt: 0, version: 2 }), 1)
      await there.endAll('u')
      const expected = ['a', odd, 'a', 'a', 'c', 'c', odd]
      await expect.poll(() => seen.ids.length).toBeGreaterThanOrEqual(expected.length)
      await pause(50)
      expect(seen.ids).toEqual(expected)
      seen.stop()
      await there.set('d', record(), 0)
      await pause(50)
      expect(seen.ids).toEqual(expected)
      expect(seen.cuts).toBe(1)
    },
  )

  test('hears on a lone pg.Client too', async () => {
    const client = new pg.Client(engine().url)
    await client.connect()
    ending.push(() => client.end())
    const store = await open(client, true)
    const seen = told(store)
    await expect.poll(() => seen.cuts).toBe(1)
    await store.set('a', record(), 0)
    await expect.poll(() => seen.ids).toEqual(['a'])
  })

  test.each(each)('says when it was cut, and goes on when the server is back: %s', { timeout: 60_000 }, async (way) => {
    const store = await open(clients[way](), true)
    const seen = told(store)
    await expect.poll(() => seen.cuts).toBe(1)
    await engine().stop()
    await pause(300)
    await engine().start()
    await expect.poll(() => seen.cuts, { timeout: 20_000 }).toBeGreaterThan(1)
    let n = 0
    await expect
      .poll(
        async () => {
          await store.set(`id-${n++}`, record(), 0).catch(() => {})
          return seen.ids.length
        },
        { timeout: 20_000, interval: 200 },
      )
      .toBeGreaterThan(0)
  })

  test('a connection that is ended on the server alone is set up again', { timeout: 30_000 }, async () => {
    const store = await open(clients['pg.Pool'](), true)
    const seen = told(store)
    await expect.poll(() => seen.cuts).toBe(1)
    const free = await holding("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
    await free()
    // Once when it is lost, once when it is back.
    await expect.poll(() => seen.cuts, { timeout: 10_000 }).toBe(3)
    await store.set('a', record(), 0)
    await expect.poll(() => seen.ids).toEqual(['a'])
  })

  test.each(each)('A-85: copies in one process are taken away by what another one ends: %s', async (way) => {
    const table = `t${++tables}`
    const [here, there] = [await open(clients[way](), true, table), await open(clients['pg.Pool'](), true, table)]
    const copies = cached(here, { staleness: 60_000 })
    await there.set('a', record({ userId: 'u' }), 0)
    // Until the feed is there nothing is kept for long; then a read is answered at once, from a copy.
    await expect
      .poll(async () => (await copies.get('a')) && copies.get('a') instanceof Promise, { timeout: 5_000 })
      .toBe(false)
    await there.endAll('u')
    await expect.poll(async () => copies.get('a'), { timeout: 5_000 }).toBeUndefined()
  })

  test("nothing of the store keeps a pool's place or a listener once it is closed", async () => {
    const pool = clients['pg.Pool']()
    const store = await open(pool, true)
    const seen = told(store)
    await expect.poll(() => seen.cuts).toBe(1)
    store.close()
    await expect.poll(() => [pool.totalCount - pool.idleCount, pool.listenerCount('error')]).toEqual([0, 0])
  })
})
