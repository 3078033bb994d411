/** Two servers whose clocks jump while visitors are at work, on Redis and on PostgreSQL, whose own clocks go on. */
import pg from 'pg'
import type { UserStore } from 'sojourn'
import { postgres } from 'sojourn/store/postgres'
import { redis } from 'sojourn/store/redis'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { usePostgres } from './engines/postgres.js'
import { startRedis, useRedis } from './engines/redis.js'
import { type Clocks, line, underLoad } from './fixtures/fault-load.js'
import { expectKept } from './fixtures/fault-troubles.js'
import { SINGLES } from './fixtures/redis.js'
import { type Skewed, skewed } from './fixtures/skewed.js'
import { HOUR, MINUTE } from './helpers.js'

const lines: string[] = []
afterAll(() => console.log(lines.join('\n')))
let names = 0

/** Milliseconds from one setting of the clocks to the next. */
const PACE = 500

type Open = (clocks: readonly Skewed[]) => Promise<UserStore[]>

/** Sets clocks, one setting after another, some time apart. */
async function jumps(open: Open, engine: string, name: string, timeouts: Clocks['timeouts'], steps: number[][]) {
  const clocks = [skewed(), skewed()]
  const set = (step: readonly number[]) => {
    for (const [n, ahead] of step.entries()) clocks[n]!.ahead = ahead
  }
  set(steps[0]!)
  let step = 0
  let timer: NodeJS.Timeout | undefined
  const next = () => {
    set(steps[++step]!)
    if (step < steps.length - 1) timer = setTimeout(next, PACE)
  }
  onTestFinished(() => clearTimeout(timer))
  const trouble = { begin: next, lasts: PACE * (steps.length - 1.5) }
  const report = await underLoad(await open(clocks), trouble, { clocks, timeouts })
  lines.push(`${line(engine, name, report)}, disbelieved ${report.disbelieved}`)
  expect(step).toBe(steps.length - 1)
  expectKept(report)
  return report
}

const DAYS = { idle: 12 * HOUR, absolute: 48 * HOUR }
const USUAL = { idle: 30 * MINUTE, absolute: 12 * HOUR }

function owes(engine: string, open: Open): void {
  test('A-159: all clocks three hours ahead, an hour back, and ahead again; one four minutes behind the other', {
    timeout: 60_000,
  }, async () => {
    const behind = -4 * MINUTE
    const steps = [3, 2, 3].map((hours) => [hours * HOUR, hours * HOUR + behind])
    await jumps(open, engine, 'all jump', DAYS, [[0, behind], ...steps])
  })

  test('A-159, 7.4.3: one server an hour behind, three hours ahead, an hour ahead, and right again', {
    timeout: 60_000,
  }, async () => {
    const steps = [0, -1, 3, 1, 0].map((hours) => [0, hours * HOUR])
    const report = await jumps(open, engine, 'one jumps', USUAL, steps)
    // What was not believed then was there again in the end.
    expect(report.disbelieved).toBeGreaterThan(0)
  })
}

describe('Redis', () => {
  const server = useRedis(() => startRedis())
  const open: Open = (clocks) => {
    const prefix = `p${names++}:`
    return Promise.all(
      clocks.map(async (clock) => {
        const { client, end } = await SINGLES['ioredis 6']!([server().port])
        const { now } = Date
        // As the default clock, by which Redis keeps nothing for longer.
        Date.now = clock
        const store = redis(client, { prefix })
        Date.now = now
        onTestFinished(async () => {
          await store.close()
          await end()
        })
        return store
      }),
    )
  }
  owes('Redis', open)

  test('A-159: all clocks set back by more than an idle timeout', { timeout: 60_000 }, async () => {
    const timeouts = { idle: 3_000, absolute: HOUR }
    const back = [-10_000, -10_000]
    const report = await jumps(open, 'Redis', 'all back by 10 s, idle 3 s', timeouts, [[0, 0], ...Array(8).fill(back)])
    expect(report.disbelieved).toBe(0)
  })
})

describe('PostgreSQL', () => {
  const engine = usePostgres()
  owes('PostgreSQL', async (clocks) => {
    const table = `t${names++}`
    const stores: UserStore[] = []
    for (const clock of clocks) {
      const pool = new pg.Pool({ connectionString: engine().url, max: 4 })
      const store = postgres(pool, { table, migrate: true, clock })
      await store.get('so that the table is there')
      onTestFinished(() => {
        store.close()
        void pool.end()
      })
      stores.push(store)
    }
    return stores
  })
})
