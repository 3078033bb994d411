import { acceptNoRevocation, generateSecret, opaque, type StrategyFactory, sealed } from 'sojourn'
import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { revocations } from 'sojourn/token/revocation'
import { describe, expect, test } from 'vitest'
import { counted } from './helpers.js'
import { Client } from './jar.js'
import { place, type View } from './journey.js'

const keys = generateSecret()

function world() {
  const clock = manualClock()
  const store = memory({ clock })
  const byId = opaque({ store })
  const bySeal = sealed({ revocations: revocations({ store: memory({ clock }), clock }), devices: memory({ clock }) })
  const app = (...strategy: StrategyFactory[]) => place({ keys, clock, strategy })
  return { clock, store, byId, bySeal, app }
}

describe('one line changes the way, and nobody is logged out', () => {
  test('from opaque to sealed and back: user, data and age come along', async () => {
    const { byId, bySeal, app, clock } = world()
    const client = new Client(app(byId).handler)
    await client.send('/add')
    await client.send('/login/ann')
    clock.advance(60_000)

    const sealedNow = client.at(app(bySeal, byId).handler)
    expect(await sealedNow.get<View>('/')).toMatchObject({ user: 'ann', count: 1 })
    // From the second request on, the other strategy is not needed any more.
    const alone = sealedNow.at(app(bySeal).handler)
    expect(await alone.get<View>('/add')).toMatchObject({ user: 'ann', count: 2 })

    const back = alone.at(app(byId, bySeal).handler)
    expect(await back.get<View>('/add')).toMatchObject({ user: 'ann', count: 3 })
    expect(await back.at(app(byId).handler).get<View>('/')).toMatchObject({ user: 'ann', count: 3 })
    clock.advance(12 * 3600_000 - 60_000)
    expect((await back.get<View>('/')).user).toBeUndefined()
  })

  test('the identifier that it had opens nothing afterwards, in either direction', async () => {
    const { byId, bySeal, app } = world()
    const client = new Client(app(byId).handler)
    await client.send('/login/ann')
    const before = client.at(app(bySeal, byId).handler)
    await client.at(app(bySeal, byId).handler).send('/')
    expect(await before.get<View>('/')).toMatchObject({ refused: 'replaced' })

    const other = new Client(app(bySeal).handler)
    await other.send('/login/bea')
    const old = other.at(app(byId, bySeal).handler)
    await other.at(app(byId, bySeal).handler).send('/')
    expect(await old.get<View>('/')).toMatchObject({ refused: 'ended' })
  })

  test('a guest moves too, and a login moves what the guest had', async () => {
    const { byId, bySeal, app } = world()
    const client = new Client(app(byId).handler)
    await client.send('/add')
    const moved = client.at(app(bySeal, byId).handler)
    expect(await moved.get<View>('/login/ann')).toMatchObject({ user: 'ann', count: 1 })
    expect(await moved.at(app(bySeal).handler).get<View>('/')).toMatchObject({ user: 'ann', count: 1 })
  })

  test('a logout ends it where it was', async () => {
    const { byId, bySeal, app, store } = world()
    const client = new Client(app(byId).handler)
    await client.send('/login/ann')
    const copy = client.at(app(byId).handler)
    const leaving = client.at(app(bySeal, byId).handler)
    await leaving.send('/logout')
    expect(leaving.cookies.size).toBe(0)
    expect(await copy.get<View>('/')).toMatchObject({ refused: 'ended' })
    expect([...store.list()]).toEqual([])
  })

  test('several requests at once move it once, and all are answered', async () => {
    const { byId, bySeal, app } = world()
    const client = new Client(app(byId).handler)
    await client.send('/login/ann')
    const both = app(bySeal, byId)
    const copies = Array.from({ length: 10 }, () => client.at(both.handler))
    const answers = await Promise.all(copies.map((copy) => copy.send('/')))
    expect(answers.every((answer) => answer.status === 200)).toBe(true)
    expect(answers.filter((answer) => answer.headers.getSetCookie().length > 0)).toHaveLength(1)
    expect(await both.sessions.list('ann')).toHaveLength(1)
  })

  test('devices of both kinds are one list, and ending all ends both', async () => {
    const { byId, bySeal, app } = world()
    const [one, two] = [new Client(app(byId).handler), new Client(app(bySeal).handler)]
    await one.send('/login/ann')
    await two.send('/login/ann')
    const both = app(bySeal, byId)
    expect(await both.sessions.list('ann')).toHaveLength(2)
    expect(await both.sessions.endAll('ann')).toBe(2)
    for (const client of [one, two]) expect((await client.at(both.handler).get<View>('/')).refused).toBe('ended')
  })
})

describe('onTooLarge: next', () => {
  test('what does not fit is kept by the next strategy, and comes back when it fits', async () => {
    const clock = manualClock()
    const store = memory({ clock })
    const strategy = [sealed({ revocations: acceptNoRevocation, onTooLarge: 'next' }), opaque({ store })]
    const app = place({ keys, clock, strategy })
    const client = new Client(app.handler)
    await client.send('/login/ann')
    expect(store.size).toBe(0)
    await client.send('/text/8000')
    expect(await client.get<View>('/')).toMatchObject({ user: 'ann', text: 8000 })
    expect(store.size).toBe(1)
    expect([...client.cookies.values()].join('').length).toBeLessThan(200)
    await client.send('/text/10')
    expect(await client.get<View>('/')).toMatchObject({ user: 'ann', text: 10 })
    expect([...client.cookies.values()].join('').length).toBeGreaterThan(200)
  })

  test('a busy reader of what went there costs one call per read, and no write', async () => {
    const clock = manualClock()
    const { store, calls } = counted(memory({ clock }))
    const strategy = [sealed({ revocations: acceptNoRevocation, onTooLarge: 'next' }), opaque({ store })]
    const { handler, events } = place({ keys, clock, strategy })
    for (const user of [false, true]) {
      const client = new Client(handler)
      await client.send('/text/8000')
      if (user) await client.send('/login/ann')
      calls()
      events.length = 0
      for (let i = 0; i < 5; i++) {
        expect(await client.get<View>('/')).toMatchObject({ text: 8000 })
        expect(calls()).toEqual(['get'])
      }
      expect(events).toEqual([])
      // The sliding write, once in a tenth of the idle timeout, as in any store.
      clock.advance(3 * 60_000)
      await client.send('/')
      expect(calls()).toEqual(['get', 'set'])
      expect(events).toEqual(['renewed'])
      await client.send('/')
      expect(calls()).toEqual(['get'])
    }
  })

  test('what fits moves out of the store when it is next written', async () => {
    const clock = manualClock()
    const store = memory({ clock })
    const byId = opaque({ store })
    const client = new Client(place({ keys, clock, strategy: byId }).handler)
    await client.send('/login/ann')
    const strategy = [sealed({ revocations: acceptNoRevocation, onTooLarge: 'next' }), byId]
    const both = client.at(place({ keys, clock, strategy }).handler)
    const before = new Map(both.cookies)
    await both.send('/')
    expect(both.cookies).toEqual(before)
    clock.advance(3 * 60_000)
    expect(await both.get<View>('/')).toMatchObject({ user: 'ann' })
    const alone = sealed({ revocations: acceptNoRevocation })
    const after = both.at(place({ keys, clock, strategy: alone }).handler)
    expect(await after.get<View>('/')).toMatchObject({ user: 'ann' })
  })

  test('a new session that does not fit goes there at once', async () => {
    const store = memory()
    const strategy = [sealed({ revocations: acceptNoRevocation, onTooLarge: 'next' }), opaque({ store })]
    const client = new Client(place({ keys, strategy }).handler)
    await client.send('/text/8000')
    expect(await client.get<View>('/')).toMatchObject({ text: 8000 })
    expect(store.size).toBe(1)
  })
})

test.each(['error', 'chunk'] as const)(
  'onTooLarge: %s: a session that is too large to move stays',
  async (onTooLarge) => {
    const clock = manualClock()
    const { store, calls } = counted(memory({ clock }))
    const byId = opaque({ store })
    const client = new Client(place({ keys, clock, strategy: byId }).handler)
    await client.send('/login/ann')
    await client.send('/text/20000')
    const alone = sealed({ revocations: acceptNoRevocation, onTooLarge })
    const both = client.at(place({ keys, clock, strategy: [alone, byId] }).handler)
    calls()
    for (let i = 0; i < 3; i++) {
      expect(await both.get<View>('/')).toMatchObject({ user: 'ann', text: 20_000 })
      expect(calls().at(-1)).toBe('get')
    }
    expect(await both.get<View>('/add')).toMatchObject({ user: 'ann', count: 1 })
    expect(await both.get<View>('/')).toMatchObject({ user: 'ann', count: 1, text: 20_000 })
    // It is tried again when it is written: now it fits.
    await both.send('/text/10')
    const after = both.at(place({ keys, clock, strategy: alone }).handler)
    expect(await after.get<View>('/')).toMatchObject({ user: 'ann', count: 1, text: 10 })
  },
)

test('a login that does not fit goes to the next strategy, with a credential of its own', async () => {
  const store = memory()
  const strategy = [sealed({ revocations: acceptNoRevocation, onTooLarge: 'next' }), opaque({ store })]
  const client = new Client(place({ keys, strategy }).handler)
  await client.send('/text/8000')
  await client.send('/login/ann')
  expect(await client.get<View>('/')).toMatchObject({ user: 'ann', text: 8000 })
  expect(store.size).toBeGreaterThan(0)
})

test('an empty list does not start', () => {
  expect(() => place({ keys, strategy: [] })).toThrow(TypeError)
})
