/** The Redis store, where servers' clocks differ from each other's and from that of Redis. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { createSessions, generateSecret, opaque, type SessionRecord } from 'sojourn'
import { fetch } from 'sojourn/adapter/fetch'
import { type RedisStore, redis } from 'sojourn/store/redis'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { startRedis, useRedis } from './engines/redis.js'
import { listed, record, SINGLES } from './fixtures/redis.js'

const server = useRedis(() => startRedis())
let prefixes = 0

async function opened(): Promise<{ client: Redis; prefix: string }> {
  const { client, end } = await SINGLES['ioredis 6']!([server().port])
  onTestFinished(async () => void (await end()))
  return { client: client as unknown as Redis, prefix: `t${prefixes++}:` }
}

describe('A-159: processes whose clocks differ', () => {
  const HOUR = 3_600_000
  const IDLE = HOUR / 2
  /** Processes on the same data: each is as many hours ahead of Redis as is said. */
  const apart = async (...hours: number[]) => {
    const { client, prefix } = await opened()
    const clocks = hours.map((ahead) => () => Date.now() + ahead * HOUR)
    return {
      client,
      index: `${prefix}user:ada`,
      stores: clocks.map((clock) => redis(client, { prefix, clock })),
      ada: (process: number, more: Partial<SessionRecord> = {}) => {
        const now = clocks[process]!()
        return record({ userId: 'ada', expiresAt: now + IDLE, ...more }, now)
      },
    }
  }

  test('7.4.3: a login by a process that is ahead hides no session of the others from endAll', async () => {
    const { stores, ada } = await apart(0, 3)
    const [right, ahead] = stores as [RedisStore, RedisStore]
    await right.set('thief', ada(0), 0)
    await ahead.set('late', ada(1), 0)
    expect(await listed(right, 'ada')).toEqual(['late', 'thief'])
    expect(await right.endAll('ada')).toBe(2)
    expect([await right.get('thief'), await ahead.get('late')]).toEqual([undefined, undefined])
  })

  test('7.4.3: nor does a login by one that is right hide those of a process that is behind', async () => {
    const { stores, ada } = await apart(0, -3)
    const [right, behind] = stores as [RedisStore, RedisStore]
    await behind.set('thief', ada(1), 0)
    await right.set('ada', ada(0), 0)
    expect(await listed(behind, 'ada')).toEqual(['ada', 'thief'])
    await right.endAll('ada')
    expect(await behind.get('thief')).toBeUndefined()
  })

  test('a sweep by a process that is ahead takes no entry away that may be needed', async () => {
    const { client, stores, ada, index } = await apart(0, 3)
    await stores[0]!.set('a', ada(0), 0)
    await stores[1]!.sweep(Date.now() + 3 * HOUR)
    expect(await client.zcard(index)).toBe(1)
  })

  test('what one that is far behind slides on is entered anew, for as long as it may be slid on there', async () => {
    const { client, stores, ada, index } = await apart(0, -0.05, -3)
    const tokens = async () => (await client.zrange(index, '0', '-1')).map((member) => member.split(':')[0])
    await stores[0]!.set('a', ada(0), 0)
    const first = await tokens()
    expect(await stores[1]!.set('a', ada(1, { version: 2 }), 1)).toBe(true)
    expect(await tokens()).toEqual(first)
    expect(await stores[2]!.set('a', ada(2, { version: 3 }), 2)).toBe(true)
    expect(await tokens()).toHaveLength(1)
    expect(await tokens()).not.toEqual(first)
    const [, score] = await client.zrange(index, '0', '-1', 'WITHSCORES')
    expect(Number(score)).toBeGreaterThan(Date.now() + 2 * IDLE)
  })

  test('who is active stays signed in when the clock was set back, though Redis counts on', {
    timeout: 20_000,
  }, async () => {
    const { client, prefix } = await opened()
    const real = Date.now
    let back = 0
    // For the default clock alone Redis forgets a record on the millisecond.
    const set = vi.spyOn(Date, 'now').mockImplementation(() => real() - back)
    onTestFinished(() => set.mockRestore())
    const store = redis(client, { prefix })
    const timeouts = { idle: 1500, absolute: 60_000 }
    const sessions = createSessions({ keys: generateSecret(), strategy: opaque({ store }), timeouts })
    const handle = fetch(sessions, async (request) => {
      const session = await sessions.of(request)
      if (request.url.endsWith('/login')) await session.login('ada')
      return new Response(session.userId)
    })
    const login = await handle(new Request('https://shop.example/login'))
    const cookie = login.headers.getSetCookie()[0]!.split(';')[0]!
    back = 10_000
    for (const until = real() + 3000; real() < until; ) {
      const answer = await handle(new Request('https://shop.example/', { headers: { cookie } }))
      expect(await answer.text()).toBe('ada')
      await pause(100)
    }
  })

  test('an entry whose time is over by both clocks is forgotten at the next login', async () => {
    const { client, stores, ada, index } = await apart(0)
    await client.zadd(index, Date.now() - 1, 'token:old')
    await client.zadd(index, Date.now() + 60_000, 'token:other')
    await stores[0]!.set('a', ada(0), 0)
    expect(await client.zcard(index)).toBe(2)
  })
})
