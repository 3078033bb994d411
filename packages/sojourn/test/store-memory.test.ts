/** The memory store: the contract, and what is its own: the bound, forgetting without pauses, timers that hold nothing. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import fc from 'fast-check'
import type { SessionRecord } from 'sojourn'
import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { storeCases } from 'sojourn/testing/store'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { PlainStore } from './fixtures/plain-store.js'
import { inRealTime } from './fixtures/real-time.js'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE
const clock = manualClock()

function record(more: Partial<SessionRecord> = {}, now: number = clock()): SessionRecord {
  return { data: '{}', createdAt: now, seenAt: now, expiresAt: now + MINUTE, version: 1, ...more }
}

afterEach(() => void vi.useRealTimers())

describe('the contract of stores', () => {
  const suite = storeCases({
    clock,
    tells: 20,
    create: () => memory({ clock }),
    breakBackend: (store) => store.close?.(),
  })
  for (const { name, run } of suite) test(name, run)
  for (const { name, run } of inRealTime({ create: () => memory() })) test(name, run)

  test('answers as the plainest store does, whatever is asked of it, and evicts whom it should', () => {
    // Most have the same letters in the middle, so that one shelf holds them all and has an order to keep.
    const id = fc.constantFrom(...Array.from('abcdefghijklmnopqrst', (letter) => `${letter}--`), 'uvw', 'xyz')
    const userId = fc.constantFrom('u', 'v', undefined)
    const step = fc.oneof(
      fc.record({
        verb: fc.constant('set' as const),
        id,
        userId,
        was: fc.nat(3),
        life: fc.integer({ min: -1, max: 40 }),
      }),
      fc.record({ verb: fc.constant('write' as const), id, userId, life: fc.integer({ min: -1, max: 40 }) }),
      fc.record({ verb: fc.constant('delete' as const), id }),
      fc.record({ verb: fc.constant('endAll' as const), userId: fc.constantFrom('u', 'v'), except: id }),
      fc.record({ verb: fc.constant('advance' as const), ms: fc.nat(2000) }),
    )
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.array(step, { maxLength: 150, size: 'max' }), (max, steps) => {
        const store = memory({ clock, max })
        const plain = new PlainStore(clock)
        const check = (id: string, next: SessionRecord, was: number) => {
          const live = [...plain.records].filter(([id]) => plain.get(id))
          const adds = was === 0 && !plain.get(id) && next.expiresAt > clock()
          if (adds && live.length === max) {
            const guests = live.filter(([, { userId }]) => userId === undefined)
            const soonest = (guests.length > 0 ? guests : live).toSorted(([, a], [, b]) => a.expiresAt - b.expiresAt)
            plain.records.delete(soonest[0]![0])
          }
          expect(store.set(id, next, was)).toBe(plain.set(id, next, was))
        }
        steps.forEach((step, i) => {
          if (step.verb === 'advance') clock.advance(step.ms)
          else if (step.verb === 'delete') expect(store.delete(step.id)).toBe(plain.delete(step.id))
          else if (step.verb === 'endAll')
            expect(store.endAll(step.userId, step.except)).toBe(plain.endAll(step.userId, step.except))
          else {
            // No two expire at once, so that there is one right answer to who goes first.
            const expiresAt = clock() + step.life * 1000 + i / 1024
            const was = step.verb === 'set' ? step.was : (plain.get(step.id)?.version ?? 0)
            check(step.id, record({ userId: step.userId, expiresAt, version: was + 1, data: `${i}` }), was)
          }
          for (const user of ['u', 'v', undefined])
            expect(Object.fromEntries(store.list(user))).toEqual(Object.fromEntries(plain.list(user)))
          expect(store.size).toBeLessThanOrEqual(max)
        })
        store.close()
      }),
      { numRuns: 300 },
    )
  })
})

describe('records', () => {
  test('are copied: what is handed in is not frozen, and no verb makes a promise', () => {
    const store = memory({ clock })
    const given = record({ userId: 'u', device: { ip: '192.0.2.1' } })
    expect(store.set('id', given, 0)).toBe(true)
    expect([Object.isFrozen(given), Object.isFrozen(given.device)]).toEqual([false, false])
    expect(store.get('id')).toEqual(given)
    expect([...store.list('u')]).toEqual([['id', given]])
    expect(store.endAll('u')).toBe(1)
  })

  test("listing and ending a user's walks nobody else's", () => {
    let asked = 0
    const store = memory({
      clock: () => {
        asked++
        return clock()
      },
    })
    for (let i = 0; i < 5000; i++) store.set(`id-${i}`, record({ userId: i % 1000 ? 'crowd' : 'u' }), 0)
    asked = 0
    expect([...store.list('u')]).toHaveLength(5)
    expect(store.endAll('u')).toBe(5)
    // The time is asked for once for each record that is looked at.
    expect(asked).toBeLessThan(10)
  })

  test('are listed as they are when their turn comes', () => {
    const store = memory({ clock })
    for (const id of ['a', 'b', 'c']) store.set(id, record({ userId: 'u' }), 0)
    const seen: string[] = []
    for (const [id] of store.list('u')) {
      seen.push(id)
      for (const other of ['a', 'b', 'c']) if (other !== id) store.set(other, record({ userId: 'v', version: 2 }), 1)
    }
    expect(seen).toHaveLength(1)
  })
})

describe('A-78: the bound', () => {
  test('A-77: a flood of guests ends the session of no user', () => {
    const store = memory({ clock, max: 100 })
    for (let i = 0; i < 50; i++) store.set(`user-${i}`, record({ userId: `${i}` }), 0)
    for (let i = 0; i < 10_000; i++) store.set(`guest-${i}`, record({ expiresAt: clock() + DAY }), 0)
    expect(store.size).toBe(100)
    for (let i = 0; i < 50; i++) expect(store.get(`user-${i}`)).toBeDefined()
    expect(store.get('guest-9999')).toBeDefined()
  })

  test('the guest nearest its expiry makes room, then the user nearest to it', () => {
    const store = memory({ clock, max: 4 })
    const at = (minutes: number, userId?: string) => record({ userId, expiresAt: clock() + minutes * MINUTE })
    store.set('user 1', at(1, 'u'), 0)
    store.set('user 9', at(9, 'u'), 0)
    store.set('guest 3', at(3), 0)
    store.set('guest 2', at(2), 0)
    const ids = () => [...store.list()].map(([id]) => id).sort()
    store.set('user 5', at(5, 'u'), 0)
    expect(ids()).toEqual(['guest 3', 'user 1', 'user 5', 'user 9'])
    store.set('user 6', at(6, 'u'), 0)
    store.set('user 7', at(7, 'u'), 0)
    expect(ids()).toEqual(['user 5', 'user 6', 'user 7', 'user 9'])
  })

  test('a session that slides goes back in the queue, and one that is cut short goes forward', () => {
    const store = memory({ clock, max: 3 })
    const at = (minutes: number, version = 1) => record({ version, expiresAt: clock() + minutes * MINUTE })
    for (const [i, id] of ['a--', 'b--', 'c--'].entries()) store.set(id, at(i + 1), 0)
    store.set('a--', at(9, 2), 1)
    store.set('new 1', at(9), 0)
    expect(store.get('b--')).toBeUndefined()
    store.set('a--', at(1, 3), 2)
    store.set('new 2', at(9), 0)
    expect(store.get('a--')).toBeUndefined()
    expect(store.get('c--')).toBeDefined()
  })

  test('what has expired makes room before anybody who has not, and an overwrite needs none', () => {
    const store = memory({ clock, max: 2 })
    store.set('user', record({ userId: 'u' }), 0)
    store.set('guest', record({ expiresAt: clock() + DAY }), 0)
    expect(store.set('guest', record({ expiresAt: clock() + DAY, version: 2 }), 1)).toBe(true)
    expect(store.get('user')).toBeDefined()
    clock.advance(MINUTE)
    store.set('new', record(), 0)
    expect(store.get('guest')).toBeDefined()
    expect(store.size).toBe(2)
  })

  test('A-86: those who never expire make room too', () => {
    const store = memory({ clock, max: 1 })
    for (const userId of [undefined, 'u', 'u', undefined]) {
      const id = `${Math.random()}`
      expect(store.set(id, record({ userId, expiresAt: Infinity }), 0)).toBe(true)
      expect([...store.list()]).toMatchObject([[id, { userId }]])
    }
  })

  test('room is used again: coming and going takes no more of it', () => {
    const store = memory({ clock })
    store.set('stays', record(), 0)
    const before = process.memoryUsage().arrayBuffers
    for (let i = 0; i < 200_000; i++) {
      store.set(`guest-${i}--`, record(), 0)
      store.delete(`guest-${i}--`)
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4_000_000)
  })

  test.each([0, -1, 1.5, Number.NaN, Infinity])('refuses `max: %s`', (max) => {
    expect(() => memory({ max })).toThrow(
      new TypeError('memory: `max` is how many records are held at most; give a whole number above 0'),
    )
  })
})

describe('A-78: forgetting', () => {
  test('what nobody asks for again is forgotten, and an empty store has no timer', () => {
    vi.useFakeTimers()
    const store = memory()
    expect(vi.getTimerCount()).toBe(0)
    for (let i = 0; i < 1000; i++) store.set(`id-${i}`, record({ ...(i % 2 && { userId: 'u' }) }, Date.now()), 0)
    expect(vi.getTimerCount()).toBe(1)
    vi.advanceTimersByTime(MINUTE - 1)
    expect(store.size).toBe(1000)
    vi.advanceTimersByTime(2000)
    expect(store.size).toBe(0)
    expect(vi.getTimerCount()).toBe(0)
    store.set('id', record({}, Date.now()), 0)
    vi.advanceTimersByTime(MINUTE + 1000)
    expect([store.size, vi.getTimerCount()]).toEqual([0, 0])
  })

  test('A-86: an expiry further off than a timer can count makes no timer spin', () => {
    vi.useFakeTimers()
    const timers = vi.spyOn(globalThis, 'setTimeout')
    const store = memory()
    for (const expiresAt of [Date.now() + 60 * DAY, Infinity]) store.set(`${expiresAt}`, record({ expiresAt }), 0)
    vi.advanceTimersByTime(MINUTE)
    expect(timers.mock.calls.length).toBeLessThanOrEqual(61)
    expect(store.size).toBe(2)
    timers.mockRestore()
  })

  test('many that expire at once are forgotten in slices, by the timer and by `sweep`', async () => {
    const store = memory({ clock })
    const fill = () => {
      for (let i = 0; i < 60_000; i++) store.set(`id-${i}`, record(), 0)
      clock.advance(MINUTE)
    }
    fill()
    let turns = 0
    const counting = setInterval(() => turns++, 0)
    expect(await store.sweep(clock())).toBe(60_000)
    expect(turns).toBeGreaterThan(1)

    fill()
    const sizes = new Set<number>()
    await vi.waitUntil(() => sizes.add(store.size) && store.size === 0, { interval: 1, timeout: 15_000 })
    clearInterval(counting)
    expect(sizes.size).toBeGreaterThan(2)
  })

  test('a timer keeps no process alive', async () => {
    const program = `
      import { memory } from 'sojourn/store/memory'
      const now = Date.now()
      memory().set('id', { data: '{}', createdAt: now, seenAt: now, expiresAt: now + 3_600_000, version: 1 }, 0)
      process.on('exit', () => console.log(process.uptime() < 30 ? 'gone' : 'late'))`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
      timeout: 15_000,
    })
    expect(stdout).toBe('gone\n')
  })

  test('a closed store has no timer, and every verb throws instead of knowing nobody', async () => {
    vi.useFakeTimers()
    const store = memory()
    store.set('id', record({ userId: 'u' }, Date.now()), 0)
    store.close()
    expect([store.size, vi.getTimerCount()]).toEqual([0, 0])
    const closed = 'memory: the store is closed'
    expect(() => store.get('id')).toThrow(closed)
    expect(() => store.set('id', record(), 0)).toThrow(closed)
    expect(() => store.delete('id')).toThrow(closed)
    expect(() => [...store.list()]).toThrow(closed)
    expect(() => store.endAll('u')).toThrow(closed)
    await expect(store.sweep(0)).rejects.toThrow(closed)
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('watch', () => {
  test('tells of each write, end and eviction before the verb returns, and of nothing that was not done', () => {
    const store = memory({ max: 4 })
    const told: string[] = []
    const stop = store.watch((id) => void told.push(id))
    const alsoStop = store.watch((id) => void told.push(`also ${id}`))
    alsoStop()
    const news = () => told.splice(0)
    store.set('a', record({ userId: 'ada' }, Date.now()), 0)
    store.set('a', record({ userId: 'ada' }, Date.now()), 0)
    store.set('a', record({ userId: 'ada', version: 3 }, Date.now()), 2)
    expect(news()).toEqual(['a'])
    store.set('a', record({ userId: 'ada', version: 2 }, Date.now()), 1)
    store.set('b', record({ userId: 'ada' }, Date.now()), 0)
    expect(news()).toEqual(['a', 'b'])
    store.set('c', record({}, Date.now()), 0)
    expect([store.delete('c'), store.delete('c')]).toEqual([true, false])
    expect(news()).toEqual(['c', 'c'])
    expect(store.endAll('ada', 'b')).toBe(1)
    expect(news()).toEqual(['a'])
    for (const id of ['d', 'e', 'f', 'g']) store.set(id, record({}, Date.now()), 0)
    expect(news(), 'the first guest makes room').toEqual(['d', 'e', 'f', 'd', 'g'])
    stop()
    store.delete('b')
    expect(news()).toEqual([])
  })
})
