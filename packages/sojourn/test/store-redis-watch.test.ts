/** What the Redis store pushes: each change and each end, whoever made it, and each gap in which something may be missed. */
import { setTimeout as pause } from 'node:timers/promises'
import { type RedisStore, redis } from 'sojourn/store/redis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type RedisServer, startCluster, startRedis, until, useRedis } from './engines/redis.js'
import { CLUSTERS, type Open, record, SINGLES } from './fixtures/redis.js'

let prefixes = 0

async function opened(open: Open, ports: number[], prefix: string = `t${prefixes++}:`): Promise<RedisStore> {
  const { client, end } = await open(ports)
  const store = redis(client, { prefix })
  onTestFinished(async () => {
    await store.close()
    await end()
  })
  return store
}

/** Watches, and waits until the feed stands. */
async function watching(store: RedisStore): Promise<{ heard: string[]; cuts: () => number; end: () => void }> {
  const heard: string[] = []
  let cuts = 0
  const end = store.watch(
    (id) => heard.push(id),
    () => cuts++,
  )
  await until(() => cuts === 1)
  return { heard, cuts: () => cuts - 1, end }
}

async function writes(store: RedisStore): Promise<void> {
  const hostile = 'a\ud800\0:\u001b'
  await store.set('a', record({ userId: 'ada' }), 0)
  await store.set('a', record({ userId: 'ada', version: 2 }), 1)
  await store.set('a', record({ userId: 'ada', version: 2 }), 1)
  await store.set(hostile, record(), 0)
  await store.delete(hostile)
  await store.delete(hostile)
  await store.set('past', record(), 0)
  await store.set('past', record({ version: 2, expiresAt: 1 }), 1)
  await store.endAll('ada')
}
const WRITTEN = ['a', 'a\ud800\0:\u001b', 'past', 'a']

const server = useRedis(() => startRedis())
const cluster = useRedis(() => startCluster(3))

describe.each([
  ...Object.entries(SINGLES).map(([name, open]) => [name, open, () => [server()]] as const),
  ...Object.entries(CLUSTERS).map(([name, open]) => [`a Cluster, ${name}`, open, () => cluster().masters] as const),
])('%s', (_, open, nodes: () => readonly RedisServer[]) => {
  const ports = () => nodes().map(({ port }) => port)

  test('hears of what is changed and ended, by itself and by others, and of nothing else', async () => {
    const prefix = `t${prefixes++}:`
    const one = await opened(open, ports(), prefix)
    const other = await opened(SINGLES[_] ?? CLUSTERS['ioredis 6']!, ports(), prefix)
    const { heard, cuts, end } = await watching(one)
    await writes(other)
    await until(() => heard.length >= WRITTEN.length)
    await writes(one)
    await until(() => heard.length >= 2 * WRITTEN.length)
    await pause(50)
    // What two servers of a Cluster publish comes in either order.
    expect(heard.toSorted()).toEqual([...WRITTEN, ...WRITTEN].sort())
    expect(cuts()).toBe(0)
    end()
    await writes(other)
    await pause(50)
    expect(heard).toHaveLength(2 * WRITTEN.length)
  })

  test('tells of a connection that broke, at once and when it stands again, and goes on', async () => {
    const store = await opened(open, ports())
    const { heard, cuts } = await watching(store)
    for (const node of nodes()) await node.command('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await until(() => cuts() === 2, 5000)
    await store.set('a', record(), 0)
    await store.delete('a')
    await until(() => heard.includes('a'))
    expect(cuts()).toBe(2)
  })
})

/** Writes until it is heard of. */
async function heardAgain(store: RedisStore, heard: string[]): Promise<void> {
  await until(async () => {
    await store.set('a', record(), 0).catch(() => false)
    await store.delete('a').catch(() => false)
    await pause(20)
    return heard.length > 0
  }, 10_000)
}

describe('a feed', () => {
  test.each(['ioredis 6', 'node-redis 6'])(
    'A-85: that is dead and does not say so is found out within two beats: %s',
    { timeout: 30_000 },
    async (name) => {
      const frozen = await startRedis()
      onTestFinished(() => frozen.stop())
      const store = await opened(SINGLES[name]!, [frozen.port])
      const { cuts, heard } = await watching(store)
      // Two good beats, so that a feed which is well is known to be left alone.
      await pause(4500)
      expect(cuts()).toBe(0)
      frozen.freeze()
      const from = performance.now()
      await until(() => cuts() === 1, 10_000)
      expect(performance.now() - from).toBeLessThan(4500)
      await until(() => cuts() === 4, 3500)
      frozen.thaw()
      await heardAgain(store, heard)
      // And that is the end of it.
      const last = cuts()
      await pause(1500)
      expect(cuts()).toBe(last)
    },
  )

  test('stands once the server does, which may be late', async () => {
    const late = await startRedis()
    onTestFinished(() => late.stop())
    await late.kill()
    const store = await opened(SINGLES['ioredis 6']!, [late.port])
    const heard: string[] = []
    let cuts = 0
    store.watch(
      (id) => heard.push(id),
      () => cuts++,
    )
    // Told of every second, so that nobody's copies are older.
    await pause(2500)
    expect(cuts).toBe(2)
    await late.start()
    await heardAgain(store, heard)
  })

  test('is one connection for all who watch, opened for the first and closed with the last', async () => {
    const listeners = async () => (await server().command('CLIENT', 'LIST', 'TYPE', 'pubsub')).split('id=').length - 1
    await until(async () => (await listeners()) === 0)
    const store = await opened(SINGLES['ioredis 6']!, [server().port])
    await store.set('a', record(), 0)
    expect(await listeners()).toBe(0)
    const first = await watching(store)
    let second = 0
    const end = store.watch(() => second++)
    expect(await listeners()).toBe(1)
    first.end()
    first.end()
    await store.delete('a')
    await until(() => second === 1)
    expect(first.heard).toEqual([])
    end()
    await until(async () => (await listeners()) === 0)
    const again = await watching(store)
    await store.close()
    await until(async () => (await listeners()) === 0)
    expect(again.cuts()).toBe(0)
    expect(await store.get('a')).toBeUndefined()
  })
})
