import { Fault, type UserStore } from 'sojourn'
import { cached } from 'sojourn/store/cached'
import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { type Revocations, revocations } from 'sojourn/token/revocation'
import { afterEach, describe, expect, test, vi } from 'vitest'

const open: Revocations[] = []
afterEach(() => {
  for (const one of open.splice(0)) one.close()
})

function made(options: Parameters<typeof revocations>[0]): Revocations {
  const one = revocations(options)
  open.push(one)
  return one
}

/** A store that can be cut off, and counts. */
function wire(inner: UserStore) {
  const state = { cut: false, calls: 0 }
  const pass = <T>(call: () => T): T => {
    state.calls++
    if (state.cut) throw new Error('cut off')
    return call()
  }
  const store: UserStore = {
    get: (id) => pass(() => inner.get(id)),
    set: (id, record, was) => pass(() => inner.set(id, record, was)),
    delete: (id) => pass(() => inner.delete(id)),
    list: (userId) => pass(() => inner.list(userId)),
    endAll: (userId, except) => pass(() => inner.endAll(userId, except)),
  }
  return { store, state }
}

const LATER = 1_000_000

describe('two verifiers on one store', () => {
  const clock = manualClock()
  const pair = () => {
    const store = memory({ clock })
    const [here, there] = [wire(store), wire(store)]
    return {
      here: made({ store: here.store, clock, within: 5000 }),
      there: made({ store: there.store, clock, within: 5000 }),
      far: there.state,
    }
  }
  const token = (id: string, userId?: string) => ({ id, userId, issuedAt: clock() })

  test('what one ends, the other refuses within the bound, and the one at once', () => {
    const { here, there } = pair()
    const ann = token('a', 'ann')
    expect(there.check(ann)).toBe(false)
    here.end('a', clock() + LATER)
    expect(here.check(ann)).toBe(true)
    clock.advance(5001)
    expect(there.check(ann)).toBe(true)
  })

  test('news costs one call, however much was ended before; who was away for long reads it all', async () => {
    const { here, there, far } = pair()
    const asked = async (id: string) => {
      far.calls = 0
      const ended = await there.fresh(token(id))
      return { ended, calls: far.calls }
    }
    for (let n = 0; n < 1200; n++) here.end(`old ${n}`, clock() + LATER)
    expect(await asked('old 3')).toEqual({ ended: true, calls: 2 })
    for (let n = 0; n < 32; n++) here.end(`new ${n}`, clock() + LATER)
    expect(await asked('new 0')).toEqual({ ended: true, calls: 1 })
    for (let n = 0; n < 33; n++) here.end(`newer ${n}`, clock() + LATER)
    expect(await asked('newer 0')).toEqual({ ended: true, calls: 2 })
  })

  test('a long list holds nobody up: it is taken in by slices, and what is ended meanwhile counts', async () => {
    const { here, there } = pair()
    for (let n = 0; n < 2000; n++) here.end(`old ${n}`, clock() + LATER)
    const reading = there.fresh(token('old 1999'))
    expect(reading).toBeInstanceOf(Promise)
    const turns = new Promise((resolve) => setImmediate(resolve)).then(() => 'a turn')
    expect(await Promise.race([turns, reading])).toBe('a turn')
    there.end('meanwhile', clock() + LATER)
    expect(await reading).toBe(true)
    expect(there.check(token('meanwhile'))).toBe(true)
  })

  test('does not rest on copies, which would widen the bound unseen', () => {
    expect(() => made({ store: cached(memory()) })).toThrow(/answers from copies/)
  })

  test('what has run out is let go of', async () => {
    const { here, there } = pair()
    const early = token('early')
    here.end('early', clock() + 1000)
    expect(there.check(early)).toBe(true)
    clock.advance(700_000)
    here.end('late', clock() + LATER)
    expect(there.check(token('late'))).toBe(true)
    expect(there.check(early)).toBe(false)
  })

  test('a user, with an exception, and only what was issued before', () => {
    const { here, there } = pair()
    const [one, kept, other] = [token('1', 'ann'), token('2', 'ann'), token('3', 'bea')]
    here.endAll('ann', clock() + LATER, '2')
    const next = { id: '4', userId: 'ann', issuedAt: here.issueTime('ann', clock()) }
    for (const verifier of [here, there]) {
      expect([one, kept, other, next].map((each) => verifier.check(each))).toEqual([true, false, false, false])
    }
  })

  test('7.4.5: everybody, in two store calls, however many', () => {
    const { here, there } = pair()
    const tokens = Array.from({ length: 100 }, (_, i) => token(`t${i}`, `user ${i}`))
    here.endEverybody(clock() + LATER)
    clock.advance(5001)
    expect(tokens.every((each) => there.check(each))).toBe(true)
    expect(there.check({ id: 'new', userId: 'ann', issuedAt: here.issueTime('ann', clock()) })).toBe(false)
  })

  test('asks the store nothing while its copy is fresh, and one thing when nothing is new', () => {
    const { there, far } = pair()
    there.check(token('x'))
    far.calls = 0
    for (let i = 0; i < 1000; i++) there.check(token('x'))
    expect(far.calls).toBe(0)
    there.fresh(token('x'))
    expect(far.calls).toBe(1)
  })

  test('a copy that is older than the bound is not answered from: it fails closed', () => {
    const { there, far } = pair()
    expect(there.check(token('x'))).toBe(false)
    far.cut = true
    clock.advance(5000)
    expect(there.check(token('x'))).toBe(false)
    clock.advance(1)
    expect(() => there.check(token('x'))).toThrow(Fault)
    expect(there.lag).toBe(5001)
    far.cut = false
  })

  test('onStale: accept goes on, loudly', () => {
    const store = wire(memory({ clock }))
    const lenient = made({ store: store.store, clock, onStale: 'accept' })
    expect(lenient.check(token('x'))).toBe(false)
    store.state.cut = true
    clock.advance(6000)
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    expect(lenient.check(token('x'))).toBe(false)
    expect(warned.mock.calls[0]![0]).toMatch(/ended tokens may be honoured/)
    warned.mockRestore()
  })

  test('fresh asks the store, whatever the copy says', () => {
    const { here, there } = pair()
    expect(there.check(token('a'))).toBe(false)
    here.end('a', clock() + LATER)
    expect(there.check(token('a'))).toBe(false)
    expect(there.fresh(token('a'))).toBe(true)
  })

  test('forgets what has expired by itself', () => {
    const { here, there } = pair()
    here.end('a', clock() + 1000)
    clock.advance(6000)
    here.end('b', clock() + 1000)
    expect(there.fresh(token('a'))).toBe(false)
    expect(there.check(token('b'))).toBe(true)
  })
})

test('many enders at once lose nothing', async () => {
  const inner = memory()
  const slow: UserStore = {
    ...inner,
    get: async (id) => inner.get(id),
    set: async (id, record, was) => inner.set(id, record, was),
    delete: async (id) => inner.delete(id),
    list: (userId) => inner.list(userId),
    endAll: (userId, except) => inner.endAll(userId, except),
  }
  const enders = Array.from({ length: 5 }, () => made({ store: slow }))
  await Promise.all(Array.from({ length: 50 }, (_, i) => enders[i % 5]!.end(`t${i}`, Date.now() + LATER)))
  const verifier = made({ store: slow })
  const seen = await Promise.all(
    Array.from({ length: 50 }, (_, i) => verifier.fresh({ id: `t${i}`, userId: undefined, issuedAt: 1 })),
  )
  expect(seen.every(Boolean)).toBe(true)
})

test('fresh does not join a read that began before what was ended', async () => {
  const inner = memory()
  let release = (): void => {}
  const slow: UserStore = {
    set: (id, record, was) => inner.set(id, record, was),
    delete: (id) => inner.delete(id),
    list: (userId) => inner.list(userId),
    endAll: (userId, except) => inner.endAll(userId, except),
    async get(id) {
      const found = inner.get(id)
      await new Promise<void>((resolve) => {
        release = resolve
      })
      return found
    },
  }
  const verifier = made({ store: slow })
  const token = { id: 'a', userId: undefined, issuedAt: 1 }
  const first = verifier.fresh(token)
  release()
  expect(await first).toBe(false)
  const before = verifier.fresh(token)
  made({ store: inner }).end('a', Date.now() + LATER)
  const after = verifier.fresh(token)
  release()
  expect(await before).toBe(false)
  await vi.waitFor(async () => {
    release()
    expect(await Promise.race([after, new Promise((resolve) => setTimeout(resolve, 5, 'waiting'))])).toBe(true)
  })
})

test('options that cannot hold are refused', () => {
  expect(() => revocations({ store: memory(), within: 1 })).toThrow(TypeError)
  expect(() => revocations({ store: memory(), within: Number.NaN })).toThrow(TypeError)
})
