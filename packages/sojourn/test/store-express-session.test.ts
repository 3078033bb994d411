/** Stores of express-session as ours: the ones that apps have, for real, on the servers that they are made for. */
import { randomUUID } from 'node:crypto'
import { createRequire } from 'node:module'
import { setTimeout as pause } from 'node:timers/promises'
import { inspect } from 'node:util'
import pgSimple from 'connect-pg-simple'
import { RedisStore } from 'connect-redis'
import expressSession from 'express-session'
import memoryStore from 'memorystore'
import pg from 'pg'
import { createClient } from 'redis'
import {
  type Awaitable,
  acceptLostUpdates,
  acceptNoRevocation,
  createSessions,
  type Limit,
  opaque,
  type Store,
  sealed,
  type UserStore,
} from 'sojourn'
import { cached } from 'sojourn/store/cached'
import { type ExpressStore, fromExpressStore } from 'sojourn/store/express-session'
import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { storeCases } from 'sojourn/testing/store'
import { tokenPair } from 'sojourn/token/pair'
import { tickets } from 'sojourn/token/ticket'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { useStandIn } from './engines/mongodb.js'
import { usePostgres } from './engines/postgres.js'
import { startRedis, useRedis } from './engines/redis.js'
import { folder, record } from './fixtures/sqlite.js'
import { KEY, shop } from './helpers.js'

afterAll(() => void vi.useRealTimers())

/** Runs what every one of them owes. `make` gives an empty store of express-session, `fail` breaks its backend. */
function owes(make: () => Awaitable<ExpressStore>, fail?: (store: ExpressStore) => unknown): void {
  const clock = manualClock()
  const raw = new WeakMap<object, ExpressStore>()
  const create = async (store?: ExpressStore): Promise<Store> => {
    store ??= await make()
    const made = fromExpressStore(store, { clock })
    raw.set(made, store)
    // The suite is for stores that promise all of it; this one is held to the part that it keeps in one process.
    return made as object as Store
  }
  const suite = storeCases({
    create: () => create(),
    second: (store) => create(raw.get(store)!),
    clock,
    lacks: ['list', 'endAll', 'sweep'],
    ...(fail && { breakBackend: async (store) => void (await fail(raw.get(store)!)) }),
  })
  describe('the contract, within one process', () => {
    test.each(suite.map(({ name, run }) => [name, run] as const))('%s', { timeout: 30_000 }, (_, run) => run())
  })

  test('A-86: the backend forgets in time, and not before', { timeout: 15_000 }, async () => {
    const express = await make()
    const keys: string[] = []
    const seen: ExpressStore = {
      get: (sid, done) => express.get(sid, done),
      set(sid, session, done) {
        keys.push(sid)
        return express.set(sid, session, done)
      },
      destroy: (sid, done) => express.destroy(sid, done),
    }
    // Its own clock differs from the machine's, and must not matter.
    const store = fromExpressStore(seen, { clock })
    await store.set('short', record({ expiresAt: clock() + 1000 }, clock()), 0)
    await store.set('long', record({ expiresAt: clock() + 60_000 }, clock()), 0)
    const there = () =>
      Promise.all(
        keys.map(
          (key) => new Promise((resolve) => express.get(key, (error, session) => resolve(!error && session != null))),
        ),
      )
    expect(await there()).toEqual([true, true])
    await pause(3500)
    expect(await there()).toEqual([false, true])
  })

  test('A-68, A-69: an app loses no update of one process, and a logout stays one', async () => {
    const store = fromExpressStore(await make())
    const app = shop({ strategy: opaque({ store, weak: acceptLostUpdates }) })
    app.clock.set(Date.now())
    const { given } = await app.request('', (s) => s.login('ada'))
    const add = () => app.request(given!, (s) => s.update('count', (n) => n + 1))
    await Promise.all(Array.from({ length: 8 }, add))
    const { value } = await app.request(given!, (s) => [s.userId, s.data.count])
    expect(value).toEqual(['ada', 8])
    const late = app.request(given!, async (s) => {
      await app.request(given!, (other) => other.logout())
      s.data.cart.push('ghost')
    })
    expect((await late).status).toBeLessThan(500)
    expect(await app.userOf(given!)).toBeUndefined()
  })
}

describe('memorystore', () => {
  const Kind = memoryStore(expressSession)
  owes(
    () => new Kind({}),
    (store) => {
      const down = (_: string, done: (error: Error) => void) => done(new Error('down'))
      Object.assign(store, {
        get: down,
        destroy: down,
        set: (sid: string, _: never, done: (error: Error) => void) => down(sid, done),
      })
    },
  )
})

describe('session-file-store', () => {
  const Kind = createRequire(import.meta.url)('session-file-store')(expressSession) as new (
    options: object,
  ) => ExpressStore
  const { path, remove } = folder()
  afterAll(remove)
  owes(() => new Kind({ path: `${path}/${randomUUID()}`, retries: 0, reapInterval: -1, logFn() {} }))
})

describe('connect-redis on Redis', () => {
  const redis = useRedis(startRedis)
  let client: ReturnType<typeof createClient>
  let broken: ReturnType<typeof createClient>
  beforeAll(async () => {
    if (!redis()) return
    client = createClient({ url: `redis://127.0.0.1:${redis().port}` })
    broken = createClient({ url: `redis://127.0.0.1:${redis().port}` })
    await Promise.all([client.connect(), broken.connect()])
  })
  afterAll(() => client?.destroy())
  owes(
    () => new RedisStore({ client, prefix: `${randomUUID()}:` }),
    (store) => {
      if (broken.isOpen) broken.destroy()
      Object.assign(store, { client: broken })
    },
  )
})

describe('connect-pg-simple on PostgreSQL', () => {
  const postgres = usePostgres()
  const Kind = pgSimple(expressSession)
  let pool: pg.Pool
  beforeAll(() => {
    if (postgres()) pool = new pg.Pool({ connectionString: postgres().url })
  })
  // Before the server goes: a pool whose server stops is told so, loudly.
  afterAll(() => pool?.end())
  owes(async () => {
    // The package gives its key one name, whatever the table's; so a schema for each.
    const schemaName = `s${randomUUID().replaceAll('-', '')}`
    await pool.query(`CREATE SCHEMA ${schemaName}`)
    return new Kind({ pool, schemaName, createTableIfMissing: true, pruneSessionInterval: false })
  })
})

describe('connect-mongodb-session on a stand-in, which is NOT MongoDB', () => {
  type Mongo = ExpressStore & { client: { close(): Promise<void> }; initialConnectionPromise: Promise<unknown> }
  const Kind = createRequire(import.meta.url)('connect-mongodb-session')(expressSession) as new (
    options: object,
    done: () => void,
  ) => Mongo
  const opened: Mongo[] = []
  afterEach(async () => {
    for (const { client } of opened.splice(0)) await client.close()
  })
  owes(async () => {
    const { url } = await useStandIn()
    const store = new Kind({ uri: url, databaseName: 'test' }, () => {})
    opened.push(store)
    await store.initialConnectionPromise
    return store
  })
})

describe('what is weak about it', () => {
  const bare = () => {
    const rows = new Map<string, string>()
    const later = (done: () => void) => void setImmediate(done)
    const store: ExpressStore = {
      get(sid, done) {
        const text = rows.get(sid)
        later(() => done(null, text === undefined ? null : JSON.parse(text)))
      },
      set(sid, session, done) {
        rows.set(sid, JSON.stringify(session))
        later(done)
      },
      destroy(sid, done) {
        rows.delete(sid)
        later(done)
      },
    }
    return { rows, store }
  }

  test('between two processes an update can be lost, as the page says', async () => {
    const { store } = bare()
    // As from two processes: nothing that they share but the backend.
    const [here, there] = [fromExpressStore({ ...store }), fromExpressStore({ ...store })]
    await here.set('id', record(), 0)
    const next = record({ version: 2 })
    expect(await Promise.all([here.set('id', next, 1), there.set('id', next, 1)])).toEqual([true, true])
  })

  test('nothing of it opens a door: no identifier, and not even a handle', async () => {
    const { rows, store } = bare()
    await fromExpressStore(store).set('the-handle', record(), 0)
    expect([...rows].flat().join()).not.toContain('the-handle')
  })

  test('A-154: what a store says of a failure may quote the session, and is not passed on', async () => {
    const error = Object.assign(new Error('Error setting 0f3a to { sojourn: secret }'), { code: 'ECONNRESET' })
    const weak = fromExpressStore({ ...bare().store, set: (_sid, _session, done) => done(error) })
    const told = await Promise.resolve(weak.set('id', record(), 0)).catch((error: Error) => error)
    expect(inspect(told)).not.toMatch(/secret|0f3a/)
    expect(told).toMatchObject({ message: 'fromExpressStore: the store failed to set (Error, ECONNRESET)' })
  })

  test('A-73: what somebody else keeps there is nobody’s session', async () => {
    const { rows, store } = bare()
    const weak = fromExpressStore(store)
    await weak.set('id', record(), 0)
    const [key] = rows.keys()
    for (const text of ['{"cookie":{},"user":"ada"}', '{"cookie":{},"sojourn":"{"}', '{"sojourn":7}', 'null']) {
      rows.set(key!, text)
      expect(await weak.get('id'), text).toBeUndefined()
    }
  })

  test('a write that is never answered does not hold the next one for ever', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { store } = bare()
    let hangs = true
    const weak = fromExpressStore({
      ...store,
      set: (...args) => (hangs ? undefined : store.set(...args)),
    })
    void weak.set('id', record(), 0)
    await new Promise(setImmediate)
    hangs = false
    const next = weak.set('id', record(), 0)
    let done = false
    void Promise.resolve(next).then(() => {
      done = true
    })
    await vi.advanceTimersByTimeAsync(4999)
    expect(done).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(await next).toBe(true)
    vi.useRealTimers()
  })

  test('a store that fails by its promise alone is a failure, and ends no process (A-80)', async () => {
    const fails = async () => {
      throw new Error('down, and this is the session: {"secret":1}')
    }
    const weak = fromExpressStore({ get: fails, set: fails, destroy: fails })
    // One that nobody heard would fail this run as unhandled.
    await expect(weak.get('id')).rejects.toThrow(/^fromExpressStore: the store failed to get \(Error\)$/)
    await expect(weak.set('id', record(), 0)).rejects.toThrow('failed to get')
    const { store } = bare()
    const half = fromExpressStore({ get: (sid, done) => store.get(sid, done), set: fails, destroy: fails })
    await expect(half.set('id', record(), 0)).rejects.toThrow('failed to set')
  })

  test('it is taken only by those who say what that means, and where nothing rests on more', () => {
    const weak = fromExpressStore(bare().store)
    const limit: Limit = { sessions: 1, policy: 'reject' }
    // @ts-expect-error: it does not say so
    expect(() => opaque({ store: weak })).toThrow('opaque: `store` is a weak one')
    // @ts-expect-error: what is not weak needs no such word
    expect(() => opaque({ store: {} as Store, weak: acceptLostUpdates })).toThrow(TypeError)
    expect(() => shop({ strategy: opaque({ store: weak, weak: acceptLostUpdates }), limit })).toThrow(
      "opaque: `limit` needs a store that knows a user's sessions",
    )
    const sessions = createSessions({ keys: KEY })
    // @ts-expect-error: a ticket is good once
    expect(() => tickets({ sessions, store: weak })).toThrow('tickets: `store` is a weak store')
    const none = { revocations: acceptNoRevocation } as const
    // @ts-expect-error: it knows no users
    const listed: UserStore = { ...weak, list: () => [], endAll: () => 0 }
    expect(() =>
      tokenPair({ keys: KEY, store: listed, ...none, access: { issuer: 'https://a.example', audience: 'a' } }),
    ).toThrow('pair: `store` is a weak store')
    expect(() => createSessions({ keys: KEY, strategy: sealed({ ...none, devices: listed }) })).toThrow(
      'sealed: `devices` is a weak store',
    )
    const copies = cached(memory())
    expect(() => tickets({ sessions, store: copies })).toThrow('tickets: `store` answers from copies')
    // @ts-expect-error: a copy of what may be wrong
    expect(() => cached(weak)).toThrow('cached: `store` is a weak one')
    // @ts-expect-error: not a store
    expect(() => fromExpressStore({ get() {} })).toThrow('fromExpressStore: the store must have get, set and destroy')
  })
})
