/** What the PostgreSQL store does of itself: it sweeps in turn with other processes, and tries out its feed. */
import pg from 'pg'
import type { SessionRecord } from 'sojourn'
import { postgres } from 'sojourn/store/postgres'
import { feedOf } from 'sojourn/store/postgres-feed'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { usePostgres } from './engines/postgres.js'

const engine = usePostgres()
afterEach(() => {
  vi.useRealTimers()
})

function record(changes: Partial<SessionRecord> = {}): SessionRecord {
  const now = Date.now()
  return { data: '{}', createdAt: now, seenAt: now, expiresAt: now + 60_000, version: 1, ...changes }
}

test('A-78: once a minute one of several processes sweeps, and the next minute one does again', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
  const pool = new pg.Pool({ connectionString: engine().url, max: 4 })
  const stores = Array.from({ length: 3 }, () => postgres(pool, { migrate: true }))
  try {
    const query = vi.spyOn(pool, 'query')
    const slices = () => query.mock.calls.filter(([config]) => JSON.stringify(config).includes('SKIP LOCKED')).length
    const rows = async () => (await pool.query('SELECT id FROM sojourn_sessions ORDER BY id')).rows.map(({ id }) => id)
    for (let minute = 1; minute <= 2; minute++) {
      await stores[0]!.set('soon', record({ expiresAt: Date.now() + 10 }), 0)
      await stores[0]!.set('later', record({ expiresAt: Date.now() + 600_000 }), 0)
      await vi.advanceTimersByTimeAsync(60_000)
      await expect.poll(slices, { timeout: 5_000 }).toBe(minute)
      await vi.waitFor(async () => expect(await rows()).toEqual(['\x1b:sweep', 'later']))
      // The others have asked for their turn, and were told that it is taken.
      await new Promise((resolve) => setImmediate(resolve))
      expect(slices()).toBe(minute)
    }
    const listed: string[] = []
    for await (const [id] of stores[0]!.list()) listed.push(id)
    expect(listed).toEqual(['later'])
    expect(await stores[0]!.get('\x1b:sweep')).toBeUndefined()
  } finally {
    for (const store of stores) store.close()
    vi.useRealTimers()
    await pool.end()
  }
})

describe('a feed', () => {
  /** A feed over a channel that can be made deaf, and what its watcher is told. */
  function feed() {
    const state = {
      deaf: false,
      broken: false,
      listening: 0,
      tries: 0,
      ids: [] as string[],
      cuts: 0,
      say: (_: string) => {},
    }
    const made = feedOf({
      own: '!',
      listen(listener) {
        state.listening++
        state.tries++
        state.say = (payload) => {
          if (!state.deaf) listener.heard(payload)
        }
        if (state.broken) queueMicrotask(() => listener.down())
        else queueMicrotask(() => listener.up())
        return () => state.listening--
      },
      say: async (payload) => state.say(payload),
    })
    const stop = made.watch(
      (id) => state.ids.push(id),
      () => state.cuts++,
    )
    return { made, state, stop }
  }

  test('that is healthy stays quiet, and what it says to itself is told nobody', async () => {
    vi.useFakeTimers()
    const { state, stop } = feed()
    await vi.advanceTimersByTimeAsync(600_000)
    state.say('a')
    expect([state.ids, state.cuts, state.listening]).toEqual([['a'], 1, 1])
    stop()
    expect([state.listening, vi.getTimerCount()]).toEqual([0, 0])
  })

  test('A-85: that hears nothing any more, without a word, is cut within twenty seconds and set up anew', async () => {
    vi.useFakeTimers()
    const { state } = feed()
    await vi.advanceTimersByTimeAsync(9_999)
    state.deaf = true
    expect(state.cuts).toBe(1)
    await vi.advanceTimersByTimeAsync(10_001)
    expect(state.cuts).toBe(2)
    state.deaf = false
    await vi.advanceTimersByTimeAsync(200)
    expect([state.cuts, state.listening]).toEqual([3, 1])
    state.say('a')
    expect(state.ids).toEqual(['a'])
  })

  test('A-85: that takes a LISTEN and passes nothing on is cut every second, until it does', async () => {
    vi.useFakeTimers()
    const { state } = feed()
    state.deaf = true
    await vi.advanceTimersByTimeAsync(9_500)
    expect(state.cuts).toBe(10)
    state.deaf = false
    await vi.advanceTimersByTimeAsync(15_000)
    const { cuts } = state
    await vi.advanceTimersByTimeAsync(60_000)
    expect(state.cuts).toBe(cuts)
  })

  test('that cannot be set up is tried more and more seldom, and never given up', async () => {
    vi.useFakeTimers()
    const { state, made } = feed()
    state.broken = true
    await vi.advanceTimersByTimeAsync(0)
    state.deaf = true
    await vi.advanceTimersByTimeAsync(120_000)
    expect(state.tries).toBeGreaterThan(20)
    expect(state.tries).toBeLessThan(60)
    // Whoever keeps copies must have none that is older than a second.
    expect(state.cuts).toBeGreaterThanOrEqual(119)
    state.broken = state.deaf = false
    await vi.advanceTimersByTimeAsync(5_200)
    state.say('a')
    expect([state.ids, state.listening]).toEqual([['a'], 1])
    made.close()
    expect([state.listening, vi.getTimerCount()]).toEqual([0, 0])
  })
})
