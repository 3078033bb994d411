/** A store that moves: the contract of stores at each stage of a move, while everything moves to and fro, and what it refuses. */
import type { SessionRecord, UserStore } from 'sojourn'
import { cached } from 'sojourn/store/cached'
import { memory } from 'sojourn/store/memory'
import { type MovingStore, moving } from 'sojourn/store/moving'
import { sqlite } from 'sojourn/store/sqlite'
import { manualClock } from 'sojourn/testing/clock'
import { type StoreCase, storeCases } from 'sojourn/testing/store'
import { describe, expect, test } from 'vitest'
import { type App, gated, type Shop, shop } from './helpers.js'

const clock = manualClock()

const record = (more: Partial<SessionRecord> = {}): SessionRecord => {
  const now = clock()
  return { data: '{"n":1}', createdAt: now, seenAt: now, expiresAt: now + 60_000, version: 1, ...more }
}

const pair = () => ({ from: memory({ clock }), to: memory({ clock }), clock })

/** A sweep counts what a move has left as well: the mark that it has begun, and signposts. */
const counting = (cases: StoreCase[]) => cases.filter(({ name }) => !name.startsWith('A-78: sweeps'))

/** Each call waits for the mover, or comes in its midst. */
function restless(store: MovingStore): UserStore {
  let calls = 0
  const amid = async <T>(work: () => T): Promise<Awaited<T>> => {
    const moved = store.move()
    if (calls++ % 2) await moved
    const answer = await work()
    await moved
    return answer
  }
  return {
    ...store,
    get: (id) => amid(() => store.get(id)),
    set: (id, record, was) => amid(() => store.set(id, record, was)),
    delete: (id) => amid(() => store.delete(id)),
    endAll: (userId, except) => amid(() => store.endAll(userId, except)),
  }
}

describe('store/moving before the move', () => {
  for (const { name, run } of storeCases({ clock, tells: 0, create: () => moving(pair()) })) test(name, run)
})

describe('store/moving when the move has begun', () => {
  const create = async () => {
    const store = moving(pair())
    await store.move()
    return store
  }
  for (const { name, run } of counting(storeCases({ clock, tells: 0, create }))) test(name, run)
})

describe('store/moving while everything moves', () => {
  const create = () => restless(moving(pair()))
  for (const { name, run } of counting(storeCases({ clock, create }))) test(name, run)
})

describe('store/moving from one server to another that moves', () => {
  const stores = new WeakMap<UserStore, UserStore>()
  const create = () => {
    const both = pair()
    const store = moving(both)
    stores.set(store, restless(moving(both)))
    return store
  }
  for (const { name, run } of storeCases({
    clock,
    tells: 0,
    create,
    second: (store) => stores.get(store as UserStore)!,
  }))
    test(name, run)
})

describe('a move', () => {
  test('carries everything over as it is, users, guests and devices', async () => {
    const { from, to } = pair()
    const records: Record<string, SessionRecord> = {
      guest: record(),
      user: record({
        userId: 'ada',
        authenticatedAt: clock(),
        persistent: true,
        version: 7,
        device: { userAgent: 'A', ip: '::1' },
      }),
      sealed: record({ data: '~sealed', version: 2 ** 29 }),
      odd: record({ data: 'moving 3 {"n":1}', userId: 'ada' }),
    }
    for (const [id, value] of Object.entries(records)) from.set(id, value, 0)
    const told: number[] = []
    expect(await moving({ from, to, clock }).move({ onMoved: (n) => void told.push(n) })).toBe(4)
    expect(told).toEqual([1, 2, 3, 4])
    for (const [id, value] of Object.entries(records)) expect(to.get(id), id).toEqual(value)
    expect([...from.list()]).toEqual([])
    expect(to.size).toBe(4)
  })

  test('done twice does no harm', async () => {
    const { from, to } = pair()
    from.set('id', record(), 0)
    expect(await moving({ from, to, clock }).move()).toBe(1)
    to.set('id', record({ data: '{"n":2}', version: 2 }), 1)
    expect(await moving({ from, to, clock }).move()).toBe(0)
    expect(to.get('id')).toEqual(record({ data: '{"n":2}', version: 2 }))
    to.delete('id')
    expect(await moving({ from, to, clock }).move()).toBe(0)
    expect([...to.list()]).toEqual([])
  })

  test('goes back the way it came, and there again', async () => {
    const { from, to } = pair()
    const there = moving({ from, to, clock })
    const back = moving({ from: to, to: from, clock })
    from.set('id', record({ userId: 'ada' }), 0)
    for (let round = 0; round < 3; round++) {
      await there.move()
      expect([to.get('id'), await there.get('id')]).toEqual(Array(2).fill(record({ userId: 'ada' })))
      await back.move()
      expect([from.get('id'), await back.get('id')]).toEqual(Array(2).fill(record({ userId: 'ada' })))
      // Servers that were told of no move yet make new sessions in the old store again.
      const id = `new-${round}`
      expect(moving({ from, to, clock }).set(id, record(), 0)).toBe(true)
      expect(from.get(id)).toEqual(record())
    }
    expect(await moving({ from, to, clock }).move()).toBe(4)
  })

  test('does not begin into a store that has sessions of its own', async () => {
    const { from, to } = pair()
    from.set('id', record(), 0)
    to.set('id', record({ data: '{"n":0}' }), 0)
    const store = moving({ from, to, clock })
    expect(await store.stage()).toBe('occupied')
    await expect(store.move()).rejects.toThrow('the new store has sessions already')
    expect(from.get('id')).toEqual(record())
  })

  test('says beforehand what it would begin with, and writes nothing for it', async () => {
    const { from, to } = pair()
    from.set('id', record(), 0)
    const store = moving({ from, to, clock })
    for (let i = 0; i < 2; i++) expect(await store.stage()).toBe('ready')
    // Still so: what is new is made in the old store.
    store.set('another', record(), 0)
    expect(from.get('another')).toEqual(record())
    await store.move()
    expect(await store.stage()).toBe('begun')
  })

  test('is broken off by its signal, and goes on with the next', async () => {
    const { from, to } = pair()
    for (let i = 0; i < 100; i++) from.set(`id-${i}`, record(), 0)
    const store = moving({ from, to, clock })
    const stop = new AbortController()
    const onMoved = (moved: number) => moved === 40 && stop.abort(new Error('enough'))
    await expect(store.move({ onMoved, signal: stop.signal })).rejects.toThrow('enough')
    expect([...to.list()].length).toBe(40)
    expect(await store.move()).toBe(60)
    expect([...to.list()].length).toBe(100)
  })

  test('moves the others where some cannot be moved, says so, and gives up when nothing can', async () => {
    const { from, to } = pair()
    for (let i = 0; i < 60; i++) from.set(`id-${i}`, record(), 0)
    let calls = 0
    let broken = (id: unknown): boolean => id === 'id-7'
    const failing = gated(to, (verb, go, [id]) => {
      if (verb === 'set' && broken(id)) {
        calls++
        throw new Error('too large')
      }
      return go()
    })
    const store = moving({ from, to: failing, clock })
    await expect(store.move()).rejects.toThrow('too large')
    expect([[...from.list()].length, [...to.list()].length]).toEqual([1, 59])
    expect(store.get('id-7')).toEqual(record())
    for (let i = 0; i < 60; i++) from.set(`more-${i}`, record(), 0)
    broken = () => true
    calls = 0
    await expect(store.move({ parallel: 1 })).rejects.toThrow('too large')
    expect(calls).toBeLessThan(20)
    broken = () => false
    expect(await store.move()).toBe(61)
  })

  test('leaves the event loop to others, also between stores that answer at once', async () => {
    const from = sqlite(':memory:', { clock })
    const to = sqlite(':memory:', { clock })
    for (let i = 0; i < 3000; i++) from.set(`id-${i}`, record(), 0)
    let turns = 0
    const timer = setInterval(() => void turns++, 1)
    const began = performance.now()
    await moving({ from, to, clock }).move()
    clearInterval(timer)
    expect(turns).toBeGreaterThan((performance.now() - began) / 100)
    from.close()
    to.close()
  })

  test('is seen by an app as nothing at all', async () => {
    const { from, to } = pair()
    const app: App<Shop> = shop({ clock, store: from })
    const during = () => shop({ clock, store: moving({ from, to, clock }) })
    const after: App<Shop> = shop({ clock, store: to })
    const browser = app.browser()
    await browser.visit((session) => session.login('ada'))
    browser.cookie = await during()
      .browser(browser.cookie)
      .visit((session) => session.update('count', (n) => n + 1))
      .then(() => browser.cookie)
    await moving({ from, to, clock }).move()
    const moved = during().browser(browser.cookie)
    await moved.visit((session) => session.update('count', (n) => n + 1))
    const last = after.browser(moved.cookie)
    expect((await last.visit(({ userId, data }) => [userId, data.count])).value).toEqual(['ada', 2])
    // One that does not know of the new store refuses it, and does not take the cookie away.
    const lost = await app.request(last.cookie, (session) => session.userId)
    expect([lost.value, lost.cleared, lost.given]).toEqual([undefined, false, undefined])
    const wrote = await app.request(last.cookie, (session) => session.update('count', () => 9))
    expect([wrote.status, wrote.given]).toEqual([409, undefined])
    expect(await after.userOf(last.cookie)).toBe('ada')
  })
})

describe('moving refuses', () => {
  const weak = { get: () => undefined, set: () => true, delete: () => true, weak: true } as unknown as UserStore
  test.each<[string, () => unknown, string]>([
    ['a weak store', () => moving({ from: weak, to: memory() }), '`from` must be a store'],
    ['nothing', () => moving({ from: memory() } as never), '`to` must be a store'],
    [
      'a store that answers from copies',
      () => moving({ from: memory(), to: cached(memory()) }),
      '`to` answers from copies',
    ],
    [
      'to move from a store to itself',
      () => {
        const one = memory()
        return moving({ from: one, to: one })
      },
      'are one store',
    ],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(TypeError)
    expect(make).toThrow(message)
  })

  test('nothing of a cached store over it', async () => {
    const both = pair()
    const store = cached(moving(both), { clock })
    await store.set('id', record(), 0)
    await moving(both).move()
    expect(await store.get('id')).toEqual(record())
    both.to.delete('id')
    expect(await store.get('id')).toBeUndefined()
  })
})
