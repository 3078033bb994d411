/** The Redis store while its servers change: a replica takes over, slots move. Nobody is logged out, and nobody comes back. */
import { setTimeout as pause } from 'node:timers/promises'
import { type RedisStore, redis } from 'sojourn/store/redis'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { find } from '../../../scripts/programs.mjs'
import { type RedisServer, startCluster, startSentinel, until } from './engines/redis.js'
import { CLUSTERS, listed, type Open, record, SENTINELS } from './fixtures/redis.js'

const SIZE = 30

async function opened(open: Open, ports: number[]): Promise<RedisStore> {
  const { client, end } = await open(ports)
  const store = redis(client)
  onTestFinished(async () => {
    await store.close()
    await end()
  })
  return store
}

/** What `work` gives once it does not fail any more. */
async function atLast<T>(work: () => Promise<T>): Promise<T> {
  let value: T
  await until(() =>
    Promise.race([
      work().then(
        (got) => {
          value = got
          return true
        },
        () => false,
      ),
      // Some drivers wait for a server that never comes back.
      pause(1000, false),
    ]),
  )
  return value!
}

/** Kills the master when its replicas have everything, and looks at what is left. */
async function survives(
  store: RedisStore,
  fail: () => Promise<unknown>,
  replicated: () => Promise<boolean>,
  told: boolean,
) {
  const heard: string[] = []
  let cuts = 0
  store.watch(
    (id) => heard.push(id),
    () => cuts++,
  )
  await until(() => cuts === 1)
  for (let n = 0; n < SIZE; n++) {
    await store.set(`live-${n}`, record({ userId: `user-${n}`, expiresAt: Date.now() + 600_000 }), 0)
    await store.set(`ended-${n}`, record({ userId: `user-${n}`, expiresAt: Date.now() + 600_000 }), 0)
    expect(await store.delete(`ended-${n}`)).toBe(true)
  }
  await until(replicated)
  await fail()
  for (let n = 0; n < SIZE; n++) {
    // Whatever is answered meanwhile is a failure, and never that there is no session.
    const read = await atLast(() => store.get(`live-${n}`))
    expect(read, `live-${n}`).toMatchObject({ version: 1, userId: `user-${n}` })
    expect(await atLast(() => store.get(`ended-${n}`))).toBeUndefined()
  }
  for (let n = 0; n < SIZE; n++) {
    const next = record({ userId: `user-${n}`, version: 2, expiresAt: Date.now() + 600_000 })
    // A new master knows no script.
    await atLast(() => store.set(`live-${n}`, next, 1))
    expect(await store.get(`live-${n}`)).toMatchObject({ version: 2 })
    expect(await atLast(() => store.endAll(`user-${n}`))).toBe(1)
  }
  expect(await listed(store)).toEqual([])
  // Of a Cluster another server may have been listened to.
  if (told) await until(() => cuts >= 3, 15_000)
  await until(async () => {
    await store.set('a', record(), 0)
    await store.delete('a')
    await pause(50)
    return heard.includes('a')
  })
}

async function offset(server: RedisServer): Promise<string | undefined> {
  return /(?:master_repl_offset|slave_repl_offset):(\d+)/.exec(await server.command('INFO', 'replication'))?.[1]
}

beforeEach((context) => {
  if (find('redis')) return
  if (process.env.CI) throw new Error('no redis-server was found; set REDIS_SERVER')
  context.skip('no redis-server was found; set REDIS_SERVER')
})

describe('Sentinel', () => {
  test.each(Object.entries(SENTINELS))('A-80: a replica takes over: %s', { timeout: 40_000 }, async (_, open) => {
    const { servers, sentinels, stop } = await startSentinel()
    onTestFinished(stop)
    const store = await opened(
      open,
      sentinels.map(({ port }) => port),
    )
    const [master, replica] = servers as [RedisServer, RedisServer]
    const same = async () => (await offset(master)) === (await offset(replica))
    await survives(store, () => master.kill(), same, true)
  })
})

// The Cluster client of node-redis 5 waits for the dead master and looks for no other.
const FOLLOWING = Object.entries(CLUSTERS).filter(([name]) => !name.startsWith('node-redis 5'))

describe('a Cluster', () => {
  test.each(FOLLOWING)('A-80: a replica takes over: %s', { timeout: 40_000 }, async (_, open) => {
    const { masters, replicas, stop } = await startCluster(3, { replicas: 1 })
    onTestFinished(stop)
    const store = await opened(
      open,
      [...masters, ...replicas].map(({ port }) => port),
    )
    const same = async () => {
      const all = masters.map(async (master, i) => (await offset(master)) === (await offset(replicas[i]!)))
      return (await Promise.all(all)).every(Boolean)
    }
    await survives(store, () => masters[0]!.kill(), same, false)
  })

  test.each(Object.entries(CLUSTERS))(
    'A-69: slots move while sessions are written: %s',
    { timeout: 60_000 },
    async (_, open) => {
      const { masters, stop } = await startCluster(3)
      onTestFinished(stop)
      const store = await opened(
        open,
        masters.map(({ port }) => port),
      )
      for (let n = 0; n < SIZE; n++) await store.set(`s-${n}`, record({ userId: 'ada', data: '0' }), 0)

      let moving = true
      let wins = 0
      const writers = Array.from({ length: 4 }, async () => {
        for (let n = 0; moving; n = (n + 1) % SIZE) {
          const was = (await store.get(`s-${n}`))!
          expect(was, 'a session that moves is there all the time').toBeDefined()
          const data = String(Number(was.data) + 1)
          if (await store.set(`s-${n}`, { ...was, data, version: was.version + 1 }, was.version)) wins++
        }
      })
      await move(masters[0]!, masters[1]!, 0, 5460)
      moving = false
      await Promise.all(writers)
      let sum = 0
      for (let n = 0; n < SIZE; n++) sum += Number((await store.get(`s-${n}`))!.data)
      expect(sum).toBe(wins)
      expect(wins).toBeGreaterThan(50)
      expect(await listed(store, 'ada')).toHaveLength(SIZE)
      expect(await store.endAll('ada')).toBe(SIZE)
      expect(await listed(store)).toEqual([])
    },
  )
})

/** Moves the slots that have keys, one key at a time, as `redis-cli --cluster reshard` does. */
async function move(from: RedisServer, to: RedisServer, first: number, last: number): Promise<void> {
  const [source, target] = await Promise.all(
    [from, to].map(async (one) => (await one.command('CLUSTER', 'MYID')).trim()),
  )
  const keys = [...(await from.command('KEYS', '*')).matchAll(/^\$\d+\n(.*)$/gm)].map(([, key]) => key!)
  const slots = new Set<string>()
  for (const key of keys) slots.add(/:(\d+)/.exec(await from.command('CLUSTER', 'KEYSLOT', key))![1]!)
  expect(slots.size).toBeGreaterThan(2)
  for (const slot of slots) {
    expect(Number(slot)).toBeGreaterThanOrEqual(first)
    expect(Number(slot)).toBeLessThanOrEqual(last)
    await to.command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', source!)
    await from.command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', target!)
    for (const key of keys) {
      if (!(await from.command('CLUSTER', 'KEYSLOT', key)).includes(`:${slot}\n`)) continue
      await from.command('MIGRATE', to.host, String(to.port), key, '0', '5000')
      await pause(5)
    }
    await to.command('CLUSTER', 'SETSLOT', slot, 'NODE', target!)
    await from.command('CLUSTER', 'SETSLOT', slot, 'NODE', target!)
  }
}
