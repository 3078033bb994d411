/** Guessing is slowed down and nobody is locked out, in one process and in several over one store. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Fault, type SessionRecord, type UserStore } from 'sojourn'
import { type Throttle, throttle } from 'sojourn/identity/throttle'
import { sourceOf } from 'sojourn/identity/throttle-source'
import { memory } from 'sojourn/store/memory'
import { sqlite } from 'sojourn/store/sqlite'
import { type ManualClock, manualClock } from 'sojourn/testing/clock'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { counted, gated } from './helpers.js'

const HOUR = 3_600_000
const right = async () => true as const
const wrong = async () => undefined

let clock: ManualClock
beforeEach(() => {
  clock = manualClock()
})

/** Two processes over one file: each its own handle. */
function file(): [UserStore, UserStore] {
  const folder = mkdtempSync(join(tmpdir(), 'throttle-'))
  const stores = [1, 2].map(() => sqlite(join(folder, 'counts.db'), { clock })) as unknown as [UserStore, UserStore]
  onTestFinished(async () => {
    for (const store of stores) await store.close?.()
    rmSync(folder, { recursive: true, force: true })
  })
  return stores
}

const later = (store: UserStore) =>
  gated(store, async (_, go) => {
    await new Promise((resolve) => setImmediate(resolve))
    return go()
  })

/** Every other call goes to the other throttle. */
function both(stores: readonly UserStore[]): Throttle {
  const throttles = stores.map((store) => throttle({ store, clock }))
  let turn = 0
  const next = () => throttles[turn++ % throttles.length]!
  return { guard: (...args) => next().guard(...args), charge: (...args) => next().charge(...args) }
}

const over: [name: string, make: () => Throttle][] = [
  ['memory', () => throttle({ clock })],
  ['a store that answers later', () => throttle({ clock, store: later(memory({ clock })) })],
  ['two processes over one file', () => both(file())],
]

const address = (n: number) => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`

describe.each(over)('over %s', (_, make) => {
  let guarded: Throttle
  beforeEach(() => {
    guarded = make()
  })

  async function fail(account: string, ip: string, times: number): Promise<void> {
    for (let i = 0; i < times; i++)
      expect(await guarded.guard(account, ip, wrong)).toEqual({ ok: true, value: undefined })
  }

  test('6.3.1, A-92: one account, one source: five wrong ones are free, then the wait doubles up to 15 minutes', async () => {
    await fail('ada', '10.0.0.1', 5)
    const waits: number[] = []
    for (let i = 0; i < 10; i++) {
      const refused = await guarded.guard('ada', '10.0.0.1', right)
      if (refused.ok) throw new Error('let through')
      waits.push(refused.retryAfter)
      clock.advance(refused.retryAfter * 1000)
      await fail('ada', '10.0.0.1', 1)
    }
    expect(waits).toEqual([4, 8, 16, 32, 64, 128, 256, 512, 900, 900])
    expect(await guarded.guard('grace', '10.0.0.1', right)).toEqual({ ok: true, value: true })
    expect(await guarded.guard('ada', '10.0.0.2', right)).toEqual({ ok: true, value: true })
  })

  test('A-92: while the wait lasts nothing is checked, and nothing is counted', async () => {
    await fail('ada', '10.0.0.1', 5)
    let checked = 0
    for (let i = 0; i < 50; i++)
      expect(await guarded.guard('ada', '10.0.0.1', () => void checked++)).toEqual({ ok: false, retryAfter: 4 })
    expect(checked).toBe(0)
    clock.advance(4000)
    expect(await guarded.guard('ada', '10.0.0.1', right)).toEqual({ ok: true, value: true })
    // A right one resets it.
    await fail('ada', '10.0.0.1', 5)
  })

  test('6.3.1, A-92: one source, many accounts: fifty an hour; right ones cost nothing', async () => {
    for (let i = 0; i < 60; i++) await guarded.guard(`user${i}`, '10.0.0.1', right)
    for (let i = 0; i < 50; i++) await fail(`user${i}`, '10.0.0.1', 1)
    expect(await guarded.guard('one more', '10.0.0.1', right)).toEqual({ ok: false, retryAfter: 72 })
    clock.advance(72_000)
    await fail('one more', '10.0.0.1', 1)
    expect(await guarded.guard('and another', '10.0.0.1', right)).toMatchObject({ ok: false })
    clock.advance(HOUR)
    await fail('and another', '10.0.0.1', 1)
  })

  test('A-92, 15.4.2: parallel guesses are counted before they are checked', async () => {
    let checked = 0
    const slow = async () => {
      checked++
      await new Promise((resolve) => setTimeout(resolve, 1))
      return undefined
    }
    const outcomes = await Promise.all(
      Array.from({ length: 120 }, (_, i) => guarded.guard(`user${i}`, '10.0.0.1', slow)),
    )
    expect(checked).toBe(50)
    expect(outcomes.filter(({ ok }) => ok)).toHaveLength(50)
    // Those that were refused have left nothing behind with the account.
    clock.advance(HOUR)
    expect(await guarded.guard('user119', '10.0.0.1', right)).toEqual({ ok: true, value: true })
  })

  test('6.3.1, N-21: one account, many sources: nobody new is let through for an hour, and the owner always', async () => {
    await guarded.guard('ada', '198.51.100.7', right)
    for (let i = 0; i < 100; i++) await fail('ada', address(i), 1)
    expect(await guarded.guard('ada', '192.0.2.1', right)).toEqual({ ok: false, retryAfter: 3600 })
    expect(await guarded.guard('grace', '192.0.2.1', right)).toMatchObject({ ok: true })
    expect(await guarded.guard('ada', '198.51.100.7', right)).toMatchObject({ ok: true })
    // Which ends the attack's count.
    expect(await guarded.guard('ada', '192.0.2.1', right)).toMatchObject({ ok: true })
  })

  test('A-92: the account’s count alone ends after an hour', async () => {
    for (let i = 0; i < 100; i++) await fail('ada', address(i), 1)
    clock.advance(HOUR)
    await fail('ada', '192.0.2.1', 1)
    expect(await guarded.guard('ada', '192.0.2.2', right)).toEqual({ ok: false, retryAfter: 3600 })
  })

  test('a check that throws counts as none, and its error comes out', async () => {
    for (let i = 0; i < 110; i++)
      await expect(guarded.guard('ada', '10.0.0.1', () => Promise.reject(new Error('busy')))).rejects.toThrow('busy')
    expect(await guarded.guard('ada', '10.0.0.1', right)).toMatchObject({ ok: true })
  })

  test('A-93: any action, so many an hour from one source', async () => {
    for (let i = 0; i < 20; i++) expect(await guarded.charge('reset', '10.0.0.1', 20)).toBeUndefined()
    expect(await guarded.charge('reset', '10.0.0.1', 20)).toEqual({ ok: false, retryAfter: 180 })
    expect(await guarded.charge('reset', '10.0.0.2', 20)).toBeUndefined()
    expect(await guarded.charge('sign-up', '10.0.0.1', 20)).toBeUndefined()
    clock.advance(180_000)
    expect(await guarded.charge('reset', '10.0.0.1', 20)).toBeUndefined()
  })

  test('A-159: a clock that is put back keeps nobody waiting for the time that it showed', async () => {
    clock.advance(HOUR)
    await fail('ada', '10.0.0.1', 5)
    clock.advance(-HOUR)
    expect(await guarded.guard('ada', '10.0.0.1', right)).toEqual({ ok: false, retryAfter: 4 })
  })
})

test('a restart forgets nothing that is in a file', async () => {
  const [one, two] = file()
  for (let i = 0; i < 5; i++) await throttle({ store: one, clock }).guard('ada', '10.0.0.1', wrong)
  expect(await throttle({ store: two, clock }).guard('ada', '10.0.0.1', right)).toMatchObject({ ok: false })
})

test('the store holds no name and no address, and is left as clean as it was', async () => {
  const store = memory({ clock })
  const guarded = throttle({ store, clock })
  await guarded.guard('hunter2 typed into the wrong field', '203.0.113.77', wrong)
  await guarded.guard('ada', '203.0.113.77', right)
  const rows = JSON.stringify([...store.list()])
  expect(rows).toContain('expiresAt')
  expect(rows).not.toMatch(/hunter2|ada|203\.0/)
  clock.advance(91 * 24 * HOUR)
  await store.sweep(clock())
  expect([...store.list()]).toEqual([])
})

test('store calls: four when refused, six and one for a wrong one, at most six and seven for a right one', async () => {
  const { store, calls } = counted(memory({ clock }))
  const guarded = throttle({ store, clock })
  await guarded.guard('ada', '10.0.0.1', () => void expect(calls()).toEqual(['get', 'get', 'get', 'get', 'set', 'set']))
  expect(calls()).toEqual(['set'])
  await guarded.guard('ada', '10.0.0.1', () => {
    calls()
    return true
  })
  expect(calls()).toEqual(['get', 'set', 'get', 'delete', 'get', 'delete', 'set'])
  for (let i = 0; i < 5; i++) await guarded.guard('ada', '10.0.0.1', wrong)
  calls()
  await guarded.guard('ada', '10.0.0.1', wrong)
  expect(calls()).toEqual(['get', 'get', 'get', 'get'])
})

test('A-82: a store that fails lets nobody in, and checks nothing', async () => {
  let checked = 0
  const broken = gated(memory({ clock }), () => {
    throw new Error('down')
  })
  const guarded = throttle({ store: broken, clock })
  await expect(guarded.guard('ada', '10.0.0.1', () => void checked++)).rejects.toBeInstanceOf(Fault)
  expect(checked).toBe(0)
})

test('A-73: what somebody else wrote into the store counts as nothing', async () => {
  const store = memory({ clock })
  const guarded = throttle({ store, clock })
  for (let i = 0; i < 6; i++) await guarded.guard('ada', '10.0.0.1', wrong)
  expect(await guarded.guard('ada', '10.0.0.1', right)).toMatchObject({ ok: false })
  for (const [id, record] of [...store.list()] as [string, SessionRecord][])
    store.set(id, { ...record, data: '{"level":1e9}', version: record.version + 1 }, record.version)
  expect(await guarded.guard('ada', '10.0.0.1', right)).toMatchObject({ ok: true })
})

test.each([undefined, null, false])('what a database says of what it does not find is wrong: %s', async (answer) => {
  const guarded = throttle({ clock })
  for (let i = 0; i < 5; i++)
    expect(await guarded.guard('ada', '10.0.0.1', () => answer as undefined)).toEqual({ ok: true, value: answer })
  expect(await guarded.guard('ada', '10.0.0.1', right)).toEqual({ ok: false, retryAfter: 4 })
})

test('misuse is a TypeError', () => {
  for (const perHour of [0, -1, Number.NaN])
    expect(() => throttle().charge('x', '10.0.0.1', perHour)).toThrow(TypeError)
})

test.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:0DB8:0001:0002::9', '2001:db8:1:2::/64'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['::ffff:c000:0207', '192.0.2.7'],
  ['0:0:0:0:0:FFFF:192.0.2.7', '192.0.2.7'],
  ['', 'unknown'],
  ['192.0.2.7:50123', 'unknown'],
  ['[2001:db8::1]:443', 'unknown'],
  ['guess-1', 'unknown'],
])('%s is counted as %s', (ip, source) => {
  expect(sourceOf(ip)).toBe(source)
})
