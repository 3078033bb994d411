import { openDatabase } from '@sojourn/server/database'
import { createThrottle, type Throttle } from '@sojourn/server/throttle'
import { type CountStore, createCountStore } from '@sojourn/server/throttle-store'
import { manualClock } from 'sojourn/testing/clock'
import { beforeEach, describe, expect, test } from 'vitest'

const HOUR = 3_600_000
const right = async () => true as const
const wrong = async () => undefined

let clock: ReturnType<typeof manualClock>
let database: ReturnType<typeof openDatabase>
let counts: CountStore
let throttle: Throttle

beforeEach(() => {
  clock = manualClock()
  database = openDatabase(':memory:')
  counts = createCountStore(database, clock)
  throttle = createThrottle(counts, clock)
})

/** An address of its own for each number. */
const address = (n: number) => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`

/** Fails so often; each attempt must have been let through. */
async function fail(account: string, ip: string, times: number): Promise<void> {
  for (let i = 0; i < times; i++)
    expect(await throttle.guard(account, ip, wrong)).toEqual({ ok: true, value: undefined })
}

describe('6.3.1, A-92: one account, one source', () => {
  test('five wrong ones are free, then the wait doubles up to 15 minutes', async () => {
    await fail('ada', '10.0.0.1', 5)
    const waits: number[] = []
    for (let i = 0; i < 10; i++) {
      const refused = await throttle.guard('ada', '10.0.0.1', right)
      if (refused.ok) throw new Error('let through')
      expect(refused.reason).toBe('throttled')
      waits.push(refused.retryAfter!)
      clock.advance(refused.retryAfter! * 1000)
      await fail('ada', '10.0.0.1', 1)
    }
    expect(waits).toEqual([4, 8, 16, 32, 64, 128, 256, 512, 900, 900])
  })

  test('while the wait lasts nothing is checked, and nothing is counted', async () => {
    await fail('ada', '10.0.0.1', 5)
    let checked = 0
    const counting = async () => void checked++
    for (let i = 0; i < 100; i++)
      expect(await throttle.guard('ada', '10.0.0.1', counting)).toMatchObject({ ok: false, retryAfter: 4 })
    expect(checked).toBe(0)
    clock.advance(4000)
    expect(await throttle.guard('ada', '10.0.0.1', right)).toEqual({ ok: true, value: true })
  })

  test('a right one resets the count', async () => {
    for (let round = 0; round < 5; round++) {
      await fail('ada', '10.0.0.1', 4)
      expect(await throttle.guard('ada', '10.0.0.1', right)).toEqual({ ok: true, value: true })
    }
  })

  test('other accounts and other sources go on', async () => {
    await fail('ada', '10.0.0.1', 5)
    expect(await throttle.guard('grace', '10.0.0.1', right)).toMatchObject({ ok: true })
    expect(await throttle.guard('ada', '10.0.0.2', right)).toMatchObject({ ok: true })
  })

  test('A-159: a clock that is put back keeps nobody waiting for the time that it showed', async () => {
    clock.advance(365 * 24 * HOUR)
    await fail('ada', '10.0.0.1', 5)
    clock.advance(-365 * 24 * HOUR)
    expect(await throttle.guard('ada', '10.0.0.1', right)).toMatchObject({ ok: false, retryAfter: 4 })
  })

  test('a restart forgets nothing', async () => {
    await fail('ada', '10.0.0.1', 5)
    expect(
      await createThrottle(createCountStore(database, clock), clock).guard('ada', '10.0.0.1', right),
    ).toMatchObject({ ok: false })
  })
})

describe('A-92: one source, many accounts', () => {
  test('fifty an hour, whoever they are aimed at', async () => {
    for (let i = 0; i < 50; i++) await fail(`user${i}`, '10.0.0.1', 1)
    const refused = await throttle.guard('one more', '10.0.0.1', right)
    expect(refused).toMatchObject({ ok: false, reason: 'throttled', retryAfter: 72 })
    clock.advance(72_000)
    await fail('one more', '10.0.0.1', 1)
    expect(await throttle.guard('and another', '10.0.0.1', right)).toMatchObject({ ok: false })
    clock.advance(HOUR)
    for (let i = 0; i < 50; i++) await fail(`other${i}`, '10.0.0.1', 1)
  })

  test('right ones cost nothing', async () => {
    for (let i = 0; i < 200; i++)
      expect(await throttle.guard(`user${i}`, '10.0.0.1', right)).toMatchObject({ ok: true })
  })

  test('parallel guesses are counted before they are checked', async () => {
    let checked = 0
    const slow = async () => {
      checked++
      await new Promise((resolve) => setTimeout(resolve, 1))
      return undefined
    }
    await Promise.all(Array.from({ length: 200 }, (_, i) => throttle.guard(`user${i}`, '10.0.0.1', slow)))
    expect(checked).toBe(50)
  })

  test('a check that throws counts as none', async () => {
    for (let i = 0; i < 200; i++) {
      await expect(throttle.guard('ada', '10.0.0.1', () => Promise.reject(new Error('busy')))).rejects.toThrow('busy')
    }
    expect(await throttle.guard('ada', '10.0.0.1', right)).toMatchObject({ ok: true })
  })
})

describe('6.3.1, A-92, N-21: one account, many sources', () => {
  const attack = async (account: string) => {
    for (let i = 0; i < 100; i++) await fail(account, address(i), 1)
  }

  test('after a hundred in a row nobody new is let through', async () => {
    await attack('ada')
    const refused = await throttle.guard('ada', '192.0.2.1', right)
    expect(refused).toMatchObject({ ok: false, reason: 'throttled', retryAfter: 3600 })
    clock.advance(HOUR)
    expect(await throttle.guard('ada', '192.0.2.1', right)).toMatchObject({ ok: true })
  })

  test('the owner is let in from where they have signed in before, which ends the attack’s count', async () => {
    await throttle.guard('ada', '198.51.100.7', right)
    await attack('ada')
    expect(await throttle.guard('ada', '192.0.2.1', right)).toMatchObject({ ok: false })
    expect(await throttle.guard('ada', '198.51.100.7', right)).toMatchObject({ ok: true })
    expect(await throttle.guard('ada', '192.0.2.1', right)).toMatchObject({ ok: true })
  })

  test('other accounts are as they were', async () => {
    await attack('ada')
    expect(await throttle.guard('grace', '192.0.2.1', right)).toMatchObject({ ok: true })
  })
})

describe('signing up', () => {
  test('A-93: five hundred an hour from one source', async () => {
    for (let i = 0; i < 500; i++) expect(await throttle.signUp('10.0.0.1')).toBeUndefined()
    expect(await throttle.signUp('10.0.0.1')).toMatchObject({ reason: 'throttled', retryAfter: 8 })
    expect(await throttle.signUp('10.0.0.2')).toBeUndefined()
    clock.advance(8_000)
    expect(await throttle.signUp('10.0.0.1')).toBeUndefined()
  })
})

describe('the table', () => {
  test('holds no name and no address', async () => {
    await fail('hunter2 typed into the wrong field', '203.0.113.77', 1)
    await throttle.guard('ada', '203.0.113.77', right)
    const rows = JSON.stringify(database.prepare('SELECT * FROM counts').all())
    expect(rows).toContain('level')
    expect(rows).not.toMatch(/hunter2|ada|203\.0/)
  })

  test('forgets what is a month old, and known sources after three', async () => {
    await fail('ada', '10.0.0.1', 1)
    await throttle.guard('grace', '10.0.0.2', right)
    const count = () => (database.prepare('SELECT count(*) n FROM counts').get() as { n: number }).n
    clock.advance(31 * 24 * HOUR)
    counts.sweep(clock())
    expect(count()).toBe(1)
    clock.advance(60 * 24 * HOUR)
    counts.sweep(clock())
    expect(count()).toBe(0)
  })

  test('does not grow over its bound, forgets the oldest first, and no known source for a flood of guesses', async () => {
    await throttle.guard('ada', '10.0.0.1', right)
    const known = database.prepare('SELECT id FROM counts WHERE expires > ?').get(clock() + 80 * 24 * HOUR)
    clock.advance(24 * HOUR)
    database.transaction(() => {
      const insert = database.prepare('INSERT INTO counts (id, level, at, expires, version) VALUES (?, 1, ?, ?, 1)')
      for (let i = 0; i < 100_010; i++) insert.run(`key${i}`, clock() - i, clock() + HOUR)
    })
    counts.sweep(clock())
    const kept = database.prepare("SELECT count(*) n, min(at) oldest FROM counts WHERE id LIKE 'key%'").get()
    expect(kept).toEqual({ n: 100_000, oldest: clock() - 99_999 })
    expect(known).toBeDefined()
    expect(database.prepare('SELECT id FROM counts WHERE expires > ?').get(clock() + 80 * 24 * HOUR)).toEqual(known)
  })
})
