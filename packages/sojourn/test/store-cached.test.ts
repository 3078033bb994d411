/** Copies of records: the contract through them, what takes them away, and how long one that is wrong can last. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import type { SessionRecord, Store } from 'sojourn'
import { opaque } from 'sojourn'
import { fetch } from 'sojourn/adapter/fetch'
import { cached } from 'sojourn/store/cached'
import { memory } from 'sojourn/store/memory'
import { sqlite } from 'sojourn/store/sqlite'
import { manualClock } from 'sojourn/testing/clock'
import { storeCases } from 'sojourn/testing/store'
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest'
import { PlainStore } from './fixtures/plain-store.js'
import { connect, folder, record } from './fixtures/sqlite.js'
import { counted, gated, ORIGIN, shop, type Verb } from './helpers.js'

afterEach(() => void vi.useRealTimers())

/** A store without a push, behind a count. */
function pulled(clock: () => number = Date.now) {
  const backend = new PlainStore(clock)
  return { backend, ...counted(backend) }
}

/** The same store, each call a turn later. */
function slow(store: Store, turn: (verb: Verb) => Promise<unknown> = () => new Promise(setImmediate)) {
  return gated(store as PlainStore, async (verb, go) => {
    await turn(verb)
    const value = go()
    await turn(verb)
    return value
  })
}

describe('the contract of stores, through copies', () => {
  const clock = manualClock()
  const { path, remove } = folder()
  afterAll(remove)
  let files = 0
  /** How another handle on a store's data is had, and how the data becomes unreachable. */
  const ways = new WeakMap<Store, { again(): Store; fail(): void }>()
  const make = (open: () => Store, fail: () => void): Store => {
    const store = cached(open(), { clock, staleness: 40 })
    ways.set(store, { again: () => cached(open(), { clock, staleness: 40 }), fail })
    return store
  }
  const kinds: Record<string, { create: () => Store; lacks?: ['sweep'] }> = {
    'memory, which pushes': {
      create() {
        const backend = memory({ clock })
        return make(
          () => ({ ...bound(backend), close: () => undefined }),
          () => backend.close(),
        )
      },
    },
    'SQLite, which says that something changed': {
      create() {
        const file = join(path, `${files++}.db`)
        return make(
          () => sqlite(file, { clock }),
          () => connect(file).exec('DROP TABLE sojourn_sessions'),
        )
      },
    },
    'one without a push, that answers later': {
      lacks: ['sweep'],
      create() {
        const backend = new PlainStore(clock)
        let down = false
        const turn = async () => {
          await new Promise(setImmediate)
          if (down) throw new Error('down')
        }
        return make(
          () => slow(backend, turn),
          () => {
            down = true
          },
        )
      },
    },
  }
  describe.each(Object.entries(kinds))('%s', (_, { create, lacks = [] }) => {
    const suite = storeCases({
      create,
      clock,
      lacks,
      second: (store) => ways.get(store)!.again(),
      breakBackend: (store) => ways.get(store)!.fail(),
    })
    test.each(suite.map(({ name, run }) => [name, run] as const))('%s', { timeout: 30_000 }, (_, run) => run())
  })
})

function bound(store: ReturnType<typeof memory>): Store {
  return {
    get: (id) => store.get(id),
    set: (id, record, was) => store.set(id, record, was),
    delete: (id) => store.delete(id),
    list: (userId) => store.list(userId),
    endAll: (userId, except) => store.endAll(userId, except),
    sweep: (now) => store.sweep(now),
    watch: (onChange) => store.watch(onChange),
  }
}

describe('a hit', () => {
  test('costs no store call, makes no promise, and is the same frozen record for everybody', async () => {
    const { backend, store, calls } = pulled()
    backend.set('id', record({ device: { ip: '::1' } }), 0)
    const copies = cached(slow(store))
    const first = await copies.get('id')
    expect(first).toMatchObject({ version: 1, device: { ip: '::1' } })
    expect(calls()).toEqual(['get'])
    expect(copies.get('id')).toBe(first)
    expect(calls()).toEqual([])
    expect([first, first?.device].every(Object.isFrozen)).toBe(true)
  })

  test('keeps a request synchronous whose store is not', async () => {
    const copies = cached(slow(new PlainStore(Date.now)))
    const app = shop({ strategy: opaque({ store: copies }) })
    app.clock.set(Date.now())
    const { given } = await app.request('', (s) => s.login('ada'))
    const opened: unknown[] = []
    const handle = fetch(app.sessions, async (request) => {
      const session = app.sessions.of(request)
      opened.push(session instanceof Promise)
      await session
      return new Response()
    })
    for (let i = 0; i < 2; i++) await handle(new Request(ORIGIN, { headers: { cookie: given! } }))
    expect(opened).toEqual([false, false])
  })

  test('absent records are not remembered: a login elsewhere is seen at once', () => {
    const { backend, store, calls } = pulled()
    const copies = cached(store)
    expect(copies.get('id')).toBeUndefined()
    backend.set('id', record(), 0)
    expect(copies.get('id')).toMatchObject({ version: 1 })
    expect(calls()).toEqual(['get', 'get'])
  })

  test('what has expired by the clock is asked for again: it may have been used elsewhere', () => {
    const clock = manualClock()
    const { backend, store } = pulled(clock)
    backend.set('id', record({}, clock()), 0)
    const copies = cached(store, { clock })
    copies.get('id')
    clock.advance(60_000)
    expect(copies.get('id')).toBeUndefined()
    clock.advance(-1)
    copies.get('id')
    backend.set('id', record({ version: 2, expiresAt: clock() + 60_000 }, clock()), 1)
    clock.advance(1)
    expect(copies.get('id')).toMatchObject({ version: 2 })
  })
})

describe('a miss', () => {
  test('is one call for all who ask meanwhile, whatever comes of it', async () => {
    const { backend, store, calls } = pulled()
    backend.set('id', record(), 0)
    const copies = cached(slow(store))
    const all = await Promise.all(Array.from({ length: 50 }, () => copies.get('id')))
    expect(new Set(all).size).toBe(1)
    expect(calls()).toEqual(['get'])

    let fails = true
    const failing = cached(
      slow(store, async () => {
        if (fails) throw new Error('down')
      }),
    )
    const told = await Promise.allSettled([failing.get('id'), failing.get('id')])
    expect(told.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    fails = false
    expect(await failing.get('id')).toMatchObject({ version: 1 })
  })

  test('one that is never answered is not waited for by all who come later', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const { backend } = pulled()
    backend.set('id', record(), 0)
    let asked = 0
    const copies = cached({
      get: (id) => (asked++ === 0 ? new Promise(() => {}) : Promise.resolve(backend.get(id))),
      set: () => false,
      delete: () => false,
    })
    copies.get('id')
    vi.advanceTimersByTime(999)
    copies.get('id')
    expect(asked).toBe(1)
    vi.advanceTimersByTime(1)
    expect(await copies.get('id')).toMatchObject({ version: 1 })
    expect(asked).toBe(2)
  })
})

describe('A-85: how long a copy can be wrong', () => {
  test('without a push, one second; by the clock that nobody sets', () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const clock = manualClock()
    const { backend, store } = pulled(clock)
    backend.set('id', record({}, clock()), 0)
    const copies = cached(store, { clock })
    expect(copies.staleness).toBe(1000)
    copies.get('id')
    backend.delete('id')
    vi.advanceTimersByTime(999)
    clock.advance(-5000)
    expect(copies.get('id')).toBeDefined()
    vi.advanceTimersByTime(1)
    expect(copies.get('id')).toBeUndefined()
  })

  test('its age counts from the question, not from the answer', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const { backend } = pulled()
    backend.set('id', record(), 0)
    const copies = cached(
      slow(backend, async () => void vi.advanceTimersByTime(300)),
      { staleness: 500 },
    )
    await copies.get('id')
    expect(copies.get('id')).toBeInstanceOf(Promise)
  })

  test('with a push, not at all: what changed is dropped, and a cut drops everything', () => {
    let told: { change: (id: string) => void; cut: (() => void) | undefined } | undefined
    const { backend, store } = pulled()
    const copies = cached({
      ...store,
      watch(change, cut) {
        told = { change, cut }
        return () => {
          told = undefined
        }
      },
    })
    expect(copies.staleness).toBe(5000)
    for (const id of ['a', 'b', 'c']) {
      backend.set(id, record(), 0)
      copies.get(id)
      backend.delete(id)
    }
    const held = () => ['a', 'b', 'c'].map((id) => copies.get(id) !== undefined)
    expect(held()).toEqual([true, true, true])
    told!.change('b')
    expect(held()).toEqual([true, false, true])
    told!.cut!()
    expect(held()).toEqual([false, false, false])
    copies.close?.()
    expect(told).toBeUndefined()
  })

  test('fresh asks the store, and so does session.fresh()', async () => {
    const { backend, store } = pulled()
    const app = shop({ strategy: opaque({ store: cached(store, { clock: () => app.clock() }) }) })
    app.clock.set(Date.now())
    const { given } = await app.request('', (s) => s.login('ada'))
    backend.endAll('ada')
    const told = await app.request(given!, async (s) => [s.userId, await s.fresh(), await s.fresh()])
    expect(told.value).toEqual(['ada', false, false])
    expect(await app.userOf(given!)).toBeUndefined()
  })

  test('A-68, A-69: a stale copy loses no update and brings nothing back', async () => {
    const backend = new PlainStore(() => clock())
    const clock = manualClock()
    const node = () => shop({ clock, strategy: opaque({ store: cached(counted(backend).store, { clock }) }) })
    const [here, there] = [node(), node()]
    const { given } = await here.request('', (s) => s.login('ada'))
    await there.userOf(given!)
    await here.request(given!, (s) => s.update('count', (n) => n + 1))
    await there.request(given!, (s) => s.update('count', (n) => n + 1))
    expect((await there.request(given!, (s) => s.data.count)).value).toBe(2)
    await here.request(given!, (s) => s.data.count)
    await there.request(given!, (s) => s.logout())
    await here.request(given!, (s) => {
      expect(s.userId).toBe('ada')
      s.data.cart.push('ghost')
    })
    expect(backend.list()).toEqual([])
    expect(await here.userOf(given!)).toBeUndefined()
  })
})

describe('what is done here is seen here at once', () => {
  test('a write, a write that lost, a delete, and endAll', async () => {
    const { backend, store, calls } = pulled()
    const copies = cached(slow(store)) as ReturnType<typeof cached<PlainStore>>
    expect(await copies.set('id', record({ userId: 'ada' }), 0)).toBe(true)
    expect(copies.get('id')).toMatchObject({ userId: 'ada' })
    expect(calls()).toEqual(['set'])
    backend.set('id', record({ userId: 'ada', version: 2 }), 1)
    expect(await copies.set('id', record({ version: 2 }), 1)).toBe(false)
    expect(await copies.get('id')).toMatchObject({ userId: 'ada', version: 2 })
    expect(await copies.endAll('ada')).toBe(1)
    expect(await copies.get('id')).toBeUndefined()
    await copies.set('id', record(), 0)
    await copies.set('id', record({ version: 2, expiresAt: 0 }), 1)
    expect(await copies.get('id')).toBeUndefined()
    await copies.set('id', record(), 0)
    expect(await copies.delete('id')).toBe(true)
    expect(await copies.get('id')).toBeUndefined()
  })

  test('a write that failed may have happened: nobody believes the copy', async () => {
    const { backend, store } = pulled()
    backend.set('id', record(), 0)
    const copies = cached({
      ...store,
      set(...args) {
        backend.set(...args)
        throw new Error('the answer was lost')
      },
    })
    copies.get('id')
    expect(() => copies.set('id', record({ version: 2 }), 1)).toThrow('lost')
    expect(copies.get('id')).toMatchObject({ version: 2 })
  })
})

test('A-78: the copies take no more room than they may', () => {
  const { backend, store, calls } = pulled()
  const copies = cached(store, { maxBytes: 65_536 })
  for (let i = 0; i < 200; i++) {
    backend.set(`id-${i}`, record({ data: 'x'.repeat(200) }), 0)
    copies.get(`id-${i}`)
    copies.get('id-0')
  }
  calls()
  copies.get('id-0')
  expect(calls(), 'what is in use stays').toEqual([])
  for (let i = 0; i < 200; i++) copies.get(`id-${i}`)
  expect(calls().length).toBeGreaterThan(100)
  backend.set('vast', record({ data: 'x'.repeat(40_000) }), 0)
  copies.get('vast')
  copies.get('vast')
  expect(calls().slice(-2)).toEqual(['get', 'get'])
})

/** What one process does, and what happens elsewhere, in any order, with answers and pushes that come late. */
describe('whichever is faster', () => {
  type Step = 'get' | 'fresh' | 'set' | 'delete' | 'endAll' | 'elsewhere' | 'end elsewhere' | 'cut'
  const step = fc.constantFrom<Step>(
    'get',
    'get',
    'fresh',
    'set',
    'delete',
    'endAll',
    'elsewhere',
    'end elsewhere',
    'cut',
  )

  test.each(['push', 'no push'])(
    'A-85: when all is told, no copy is wrong; own writes are never unseen (%s)',
    async (kind) => {
      await fc.assert(
        fc.asyncProperty(fc.scheduler(), fc.array(step, { minLength: 2, maxLength: 8 }), async (s, steps) => {
          const backend = new PlainStore(Date.now)
          const late = () => s.schedule(Promise.resolve())
          let tell: { change: (id: string) => void; cut: (() => void) | undefined } | undefined
          const changed = () => void late().then(() => tell?.change('id'))
          const store = slow(backend, late) as PlainStore
          const copies = cached<PlainStore>(
            Object.assign(store, {
              ...(kind === 'push' && {
                watch(change: (id: string) => void, cut?: () => void) {
                  tell = { change, cut }
                  return () => {}
                },
              }),
            }),
            { staleness: kind === 'push' ? 3_600_000 : 1 },
          )
          backend.set('id', record({ userId: 'ada' }), 0)
          /** What was written, in the order in which it was; each has a version of its own. */
          const log = [1]
          const { set } = backend
          backend.set = (...args) => set.apply(backend, args) && log.push(args[1].version) > 0
          const place = (found: SessionRecord) => log.indexOf(found.version)
          /** What was written before this place is known here to be over. */
          let known = 0
          let last = 1
          const next = () => record({ userId: 'ada', version: ++last })
          const act: Record<Step, () => Promise<void>> = {
            async get() {
              const floor = known
              const found: SessionRecord | undefined = await copies.get('id')
              if (kind === 'push' && found) expect(place(found)).toBeGreaterThanOrEqual(floor)
            },
            async fresh() {
              const floor = known
              const found: SessionRecord | undefined = await copies.fresh('id')
              if (found) expect(place(found)).toBeGreaterThanOrEqual(floor)
            },
            async set() {
              const written = next()
              const was: SessionRecord | undefined = await copies.fresh('id')
              if (await copies.set('id', written, was?.version ?? 0)) known = Math.max(known, place(written))
            },
            async delete() {
              const before = log.length
              if (await copies.delete('id')) known = Math.max(known, before)
            },
            async endAll() {
              const before = log.length
              await copies.endAll('ada')
              known = Math.max(known, before)
            },
            async elsewhere() {
              await late()
              if (backend.set('id', next(), backend.get('id')?.version ?? 0)) changed()
            },
            async 'end elsewhere'() {
              await late()
              if (backend.delete('id')) changed()
            },
            async cut() {
              await late()
              tell?.cut?.()
            },
          }
          const done = Promise.all(steps.map((name) => late().then(act[name])))
          await s.waitFor(done)
          await s.waitIdle()
          if (kind === 'no push') await new Promise((resolve) => setTimeout(resolve, 2))
          const asked = Promise.resolve(copies.get('id'))
          const found = await s.waitFor(asked)
          expect(found?.version).toBe(backend.get('id')?.version)
        }),
        { numRuns: 400 },
      )
    },
  )
})

describe('A-85: two processes on one SQLite file', () => {
  const CHILD = fileURLToPath(new URL('fixtures/cached-child.mjs', import.meta.url))

  /** Ends sessions here, each held as a copy there; how long each was honoured after its end, milliseconds, sorted. */
  async function delays(kind: 'push' | 'pull', staleness: number, count: number): Promise<number[]> {
    const { path, remove } = folder()
    const file = join(path, 'sessions.db')
    const store = sqlite(file)
    const child = spawn(process.execPath, [CHILD, file, kind, String(staleness)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const line = async () => (await lines.next()).value as string
    try {
      const found: number[] = []
      for (let n = 0; n < count; n++) {
        store.set(`id-${n}`, record(), 0)
        child.stdin.write(`id-${n}\n`)
        expect(await line()).toBe('held')
        // Anywhere between two looks.
        await new Promise((resolve) => setTimeout(resolve, (n * 7) % 50))
        store.delete(`id-${n}`)
        const ended = process.hrtime.bigint()
        found.push(Number(BigInt(await line()) - ended) / 1e6)
      }
      return found.toSorted((a, b) => a - b)
    } finally {
      child.kill()
      store.close()
      remove()
    }
  }

  test.each([
    ['push', 60_000, 60],
    ['pull', 200, 20],
  ] as const)('what one ends, the other refuses in time (%s)', { timeout: 60_000 }, async (kind, staleness, count) => {
    const found = await delays(kind, staleness, count)
    const [median, p99] = [found[count >> 1]!, found[Math.ceil(count * 0.99) - 1]!]
    console.log(`cached(sqlite), ${kind}: median ${median.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`)
    // 50 ms between looks, or the staleness; and a busy machine.
    expect(p99).toBeLessThan((kind === 'push' ? 50 : staleness) + 500)
  })
})

test('misuse says what to do', () => {
  const { store } = pulled()
  expect(() => cached(store, { staleness: 0 })).toThrow('cached: `staleness` is milliseconds between 1 and')
  expect(() => cached(store, { staleness: Number.NaN })).toThrow(TypeError)
  expect(() => cached(store, { maxBytes: 10 })).toThrow('cached: `maxBytes`')
  expect(() => cached(cached(store))).toThrow('cached: the store answers from copies already')
})
