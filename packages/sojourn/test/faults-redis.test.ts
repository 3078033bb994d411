/** Redis that is slow, cut off, corrupted, killed or replaced while visitors are at work. */
import { setTimeout as pause } from 'node:timers/promises'
import type { UserStore } from 'sojourn'
import { redis } from 'sojourn/store/redis'
import { afterAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { startCluster, startRedis, useRedis } from './engines/redis.js'
import { line, underLoad } from './fixtures/fault-load.js'
import { faultProxy } from './fixtures/fault-proxy.js'
import { expectKept, TROUBLES } from './fixtures/fault-troubles.js'
import { CLUSTERS, type Open, record, SINGLES } from './fixtures/redis.js'

/** Every write is on the disk before it is answered. */
const single = useRedis(() => startRedis({ appendonly: 'yes', appendfsync: 'always' }))
const cluster = useRedis(() => startCluster(3, { replicas: 1 }))
const lines: string[] = []
/** All servers of one test share what they keep. */
let tests = 0
beforeEach(() => {
  tests++
})
afterAll(() => console.log(lines.join('\n')))

/** Two servers, each with a client of its own. */
async function stores(opens: readonly Open[], ports: readonly number[]): Promise<UserStore[]> {
  return Promise.all(
    opens.map(async (open) => {
      const { client, end } = await open(ports)
      const store = redis(client, { prefix: `p${tests}:` })
      onTestFinished(async () => {
        await store.close()
        await end()
      })
      return store
    }),
  )
}

const DRIVERS = ['ioredis 6', 'node-redis 6'] as const

/** What node-redis does about rubbish is a story of its own, below. */
const troublesOf = (driver: string) =>
  Object.entries(TROUBLES).filter(([name]) => driver.startsWith('ioredis') || !name.includes('rubbish'))

describe.each(DRIVERS)('one Redis, by %s', (driver) => {
  test.each(troublesOf(driver))('A-80, A-69, A-68: %s', { timeout: 60_000 }, async (name, trouble) => {
    const proxies = await Promise.all([1, 2].map(() => faultProxy(single().port)))
    for (const proxy of proxies) onTestFinished(() => proxy.close())
    const both = (await Promise.all(proxies.map(({ port }) => stores([SINGLES[driver]!], [port])))).flat()
    const report = await underLoad(both, trouble(proxies))
    lines.push(line(`Redis (${driver})`, name, report))
    expectKept(report)
  })

  test('A-80: kill -9, and back a second later with what its disk has', { timeout: 60_000 }, async () => {
    const both = await stores([SINGLES[driver]!, SINGLES[driver]!], [single().port])
    const report = await underLoad(both, { begin: () => single().kill(), lasts: 1_000, end: () => single().start() })
    lines.push(line(`Redis (${driver})`, 'kill -9, back after 1 s', report))
    expectKept(report)
  })
})

/**
 * After an answer that it cannot read, node-redis goes on with the same connection, and has lost count: each answer goes
 * to a question that was asked before. It is connected again only when somebody closes it.
 */
test.each(Object.keys(SINGLES).filter((name) => !name.endsWith('pool')))(
  'A-79: a driver that has lost count of its answers hands nobody the session of somebody else: %s',
  { timeout: 30_000 },
  async (driver) => {
    const proxy = await faultProxy(single().port)
    onTestFinished(() => proxy.close())
    const [store] = await stores([SINGLES[driver]!], [proxy.port])
    for (let n = 0; n < 50; n++) await store!.set(`s-${n}`, record({ userId: `user-${n}` }), 0)
    const counts = { right: 0, wrong: 0, failed: 0 }
    const read = async (n: number) => {
      const late = pause(300).then(() => Promise.reject(new Error('late')))
      const found = await Promise.race([store!.get(`s-${n}`), late]).catch(() => 'failed' as const)
      counts[found === 'failed' ? found : found?.userId === `user-${n}` ? 'right' : 'wrong']++
    }
    proxy.corrupt(true)
    await Promise.all(Array.from({ length: 20 }, (_, n) => read(n)))
    expect(proxy.corrupt(false)).toBeGreaterThan(0)
    const crowd = Array.from({ length: 40 }, async (_, n) => {
      for (let i = 0; i < 50; i++) await read((n * 7 + i) % 50)
    })
    await Promise.all(crowd)
    expect(counts.wrong).toBe(0)
    expect(counts.failed).toBeGreaterThan(0)
    const login = store!.set('new', record({ userId: 'user-0' }), 0)
    const said = await Promise.race([login, pause(300, 'failed')]).catch(() => 'failed')
    expect(counts.right > 0 ? said === true : said === 'failed').toBe(true)
  },
)

describe('a Cluster', () => {
  test('A-80: kill -9 of a master, whose replica takes over', { timeout: 90_000 }, async () => {
    const { masters, replicas } = cluster()
    const ports = [...masters, ...replicas].map(({ port }) => port)
    const both = await stores([CLUSTERS['ioredis 6']!, CLUSTERS['node-redis 6']!], ports)
    const report = await underLoad(both, { begin: () => masters[0]!.kill(), lasts: 0 })
    lines.push(line('Redis Cluster', 'kill -9 of a master, for good', report))
    expectKept(report)
  })
})
