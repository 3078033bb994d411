/** Copies over stores across a network, whose push comes from real servers: the contract, the bound, and what a cut does. */
import { Redis } from 'ioredis'
import pg from 'pg'
import type { Store, UserStore } from 'sojourn'
import { type CachedStore, cached } from 'sojourn/store/cached'
import { postgres } from 'sojourn/store/postgres'
import { redis } from 'sojourn/store/redis'
import { manualClock } from 'sojourn/testing/clock'
import { storeCases } from 'sojourn/testing/store'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { usePostgres } from './engines/postgres.js'
import { startRedis, useRedis } from './engines/redis.js'
import { record } from './fixtures/sqlite.js'

/** A store of the server, over a connection of its own. `clock` and a name are its options. */
type Open = (name: string, clock?: () => number) => Promise<UserStore>

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

/** Two processes' view of one store: each with a connection and copies of its own. `staleness` is long: only a push helps. */
function owes(open: Open, cut: () => Promise<() => Promise<void>>): void {
  const clock = manualClock()
  let names = 0
  let name = ''
  beforeEach(() => {
    name = `t${++names}`
  })
  const copies = async (clock?: () => number, staleness = 60_000) => {
    const store = await open(name, clock)
    const made = cached(store, { staleness, ...(clock && { clock }) })
    closing.push(() => made.close?.())
    return made
  }

  describe('the contract of stores, through copies', () => {
    const again = async () => (await copies(clock, 300)) as Store
    const suite = storeCases({ create: again, second: again, clock })
    test.each(suite.map(({ name, run }) => [name, run] as const))('%s', { timeout: 60_000 }, (_, run) => run())
  })

  /** Until the copy of it is gone there, and the store has been asked. */
  const refused = async (there: CachedStore<UserStore>, id: string) => {
    while ((await there.get(id)) !== undefined) await new Promise(setImmediate)
  }

  /** Holds a copy, and goes on until it stays: until the feed stands, it is dropped again. */
  const held = async (there: CachedStore<UserStore>, id: string) => {
    await vi.waitUntil(async () => {
      await there.get(id)
      await new Promise((resolve) => setTimeout(resolve, 5))
      return !(there.get(id) instanceof Promise)
    })
  }

  test('A-85: what is ended in one place is refused in the other within milliseconds', {
    timeout: 60_000,
  }, async () => {
    const [here, there] = [await copies(), await copies()]
    const found: number[] = []
    for (let n = 0; n < 60; n++) {
      await here.set(`id-${n}`, record({ userId: 'ada' }), 0)
      await held(there, `id-${n}`)
      const ended = performance.now()
      if (n % 2) await here.delete(`id-${n}`)
      else await here.endAll('ada')
      await refused(there, `id-${n}`)
      found.push(performance.now() - ended)
    }
    const sorted = found.toSorted((a, b) => a - b)
    console.log(
      `cached, pushed: from the call to the refusal, median ${sorted[30]!.toFixed(1)} ms, p99 ${sorted[59]!.toFixed(1)} ms`,
    )
    expect(sorted[59]).toBeLessThan(2000)
  })

  test('A-80: where the push is cut every copy goes, and nobody is honoured from what nobody could correct', {
    timeout: 60_000,
  }, async () => {
    const [here, there] = [await copies(), await copies()]
    await here.set('id', record(), 0)
    await held(there, 'id')
    const mend = await cut()
    await vi
      .waitUntil(() => there.get('id') instanceof Promise, { timeout: 10_000, interval: 5 })
      .catch(() => {
        throw new Error('the copy outlived the push')
      })
    await expect(Promise.resolve(there.get('id'))).rejects.toThrow()
    await mend()
  })
}

describe('Redis', () => {
  const server = useRedis(() => startRedis({ appendonly: 'yes', appendfsync: 'always' }))

  test('A-85: where the push is not permitted, a copy is wrong for a second or so, as without one', {
    timeout: 30_000,
  }, async () => {
    await server().command('ACL', 'SETUSER', 'deaf', 'on', '>word', '~*', '&*', '+@all', '-subscribe')
    const clients = [{}, { username: 'deaf', password: 'word' }].map((user) => new Redis(server().port, user))
    closing.push(() => clients.map((client) => client.disconnect()))
    const [here, there] = clients.map((client) => redis(client, { prefix: 'deaf:' }))
    const copies = cached(there!)
    closing.push(() => copies.close())
    expect(copies.staleness).toBe(5000)
    const found: number[] = []
    for (let n = 0; n < 3; n++) {
      await here!.set(`id-${n}`, record(), 0)
      await copies.get(`id-${n}`)
      await here!.delete(`id-${n}`)
      const ended = performance.now()
      await vi.waitUntil(async () => (await copies.get(`id-${n}`)) === undefined, { timeout: 10_000, interval: 5 })
      found.push(performance.now() - ended)
    }
    expect(Math.max(...found)).toBeLessThan(1500)
    // It was kept, so that it is the push that took it away.
    expect(Math.max(...found)).toBeGreaterThan(100)
  })

  owes(
    async (name, clock) => {
      const client = new Redis({ port: server().port, maxRetriesPerRequest: 0 })
      client.on('error', () => {})
      closing.push(() => client.disconnect())
      return redis(client, { prefix: `${name}:`, ...(clock && { clock }) })
    },
    async () => {
      await server().kill()
      return () => server().start()
    },
  )
})

describe('PostgreSQL', () => {
  const server = usePostgres()
  owes(
    async (name, clock) => {
      const pool = new pg.Pool({ connectionString: server().url, max: 3 })
      pool.on('error', () => {})
      closing.push(() => pool.end())
      const store = postgres(pool, { table: name, push: true, migrate: true, ...(clock && { clock }) })
      await store.get('so that the table is there')
      return store
    },
    async () => {
      await server().stop()
      return () => server().start()
    },
  )
})
