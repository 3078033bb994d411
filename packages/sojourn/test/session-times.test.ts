/** When a session ends, to the millisecond, on the server's clock whatever the client does (ASVS 7.3; NIST N-05, N-15 to N-17). */
import type { TimeoutPreset } from 'sojourn'
import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { describe, expect, test } from 'vitest'
import { type App, counted, gated, HOUR, MINUTE, shop } from './helpers.js'

const DAY = 24 * HOUR

const presets: [string, TimeoutPreset | undefined, { idle: number; absolute: number }][] = [
  ['the default', undefined, { idle: 30 * MINUTE, absolute: 12 * HOUR }],
  ['aal1', 'aal1', { idle: 7 * DAY, absolute: 30 * DAY }],
  ['aal2', 'aal2', { idle: HOUR, absolute: 24 * HOUR }],
  ['aal3', 'aal3', { idle: 15 * MINUTE, absolute: 12 * HOUR }],
]

describe.each(presets)('%s', (_, preset, { idle, absolute }) => {
  const begin = async () => {
    const app = shop(preset ? { timeouts: preset } : {})
    const { given } = await app.request('', (s) => s.login('ada'))
    return { app, cookie: given! }
  }

  test('7.3.1, N-16: the idle end, to the millisecond', async () => {
    const early = await begin()
    early.app.clock.advance(idle - 1)
    expect(await early.app.userOf(early.cookie)).toBe('ada')
    const late = await begin()
    late.app.clock.advance(idle)
    expect((await late.app.request(late.cookie, (s) => [s.userId, s.refused])).value).toEqual([undefined, 'ended'])
    expect(await late.app.sessions.list('ada')).toEqual([])
  })

  test('7.3.2, N-15: the absolute end, to the millisecond, however busy', async () => {
    const { app, cookie } = await begin()
    const start = app.clock()
    while (app.clock() + idle / 2 < start + absolute) {
      app.clock.advance(idle / 2)
      await app.request(cookie, (s) => s.update('count', (n) => n + 1))
    }
    app.clock.set(start + absolute - 1)
    const last = await app.request(cookie, (s) => [s.userId, s.expiresAt])
    expect(last.value).toEqual(['ada', start + absolute])
    app.clock.set(start + absolute)
    expect((await app.request(cookie, (s) => [s.userId, s.refused])).value).toEqual([undefined, 'ended'])
    expect([...(app.store.list() as Iterable<unknown>)]).toEqual([])
  })
})

test('7.3.2: neither rotating, writing nor being signed with a new key moves the absolute end', async () => {
  const app = shop()
  const browser = app.browser()
  await browser.visit((s) => s.login('ada'))
  const end = app.clock() + 12 * HOUR
  for (let i = 0; i < 35; i++) {
    app.clock.advance(20 * MINUTE)
    await browser.visit((s) => [s.rotate(), s.update('count', (n) => n + 1)])
  }
  app.clock.set(end - 1)
  expect(await app.userOf(browser.cookie)).toBe('ada')
  app.clock.set(end)
  expect(await app.userOf(browser.cookie)).toBeUndefined()
})

test('N-17: signing in again begins both anew', async () => {
  const app = shop()
  const browser = app.browser()
  await browser.visit((s) => s.login('ada'))
  app.clock.advance(29 * MINUTE)
  await browser.visit((s) => s.login('ada'))
  expect((await browser.visit((s) => [s.createdAt, s.expiresAt])).value).toEqual([
    app.clock(),
    app.clock() + 30 * MINUTE,
  ])
})

test('7.3.1: "remember me" has times of its own, a guest’s cookie has none', async () => {
  const app = shop({ remember: { idle: 2 * DAY, absolute: 3 * DAY } })
  const browser = app.browser()
  await browser.visit((s) => s.login('ada', { persistent: true }))
  const start = app.clock()
  app.clock.advance(2 * DAY - 1)
  expect((await browser.visit((s) => s.userId)).value).toBe('ada')
  app.clock.set(start + 3 * DAY - 1)
  expect((await browser.visit((s) => s.userId)).value).toBe('ada')
  app.clock.set(start + 3 * DAY)
  expect((await browser.visit((s) => s.userId)).value).toBeUndefined()
  // A rotation does not make the cookie outlive the session.
  const { given } = await app.request('', (s) => s.login('ada', { persistent: true }))
  app.clock.advance(DAY)
  const rotated = await app.request(given!, (s) => s.rotate())
  expect(rotated.headers.getSetCookie()[0]).toContain(`; Max-Age=${2 * 86_400};`)
})

describe('the sliding write', () => {
  test('comes at most once per tenth of the idle timeout, whatever is read', async () => {
    const clock = manualClock()
    const { store, calls } = counted(memory({ clock }))
    const app = shop({ clock, store })
    const { given } = await app.request('', (s) => s.login('ada'))
    calls()
    const start = clock()
    const writes: number[] = []
    for (let second = 1; second <= 1800; second++) {
      clock.advance(1000)
      await app.request(given!, (s) => s.userId)
      if (calls().includes('set')) writes.push((clock() - start) / MINUTE)
    }
    expect(writes).toEqual([3, 6, 9, 12, 15, 18, 21, 24, 27, 30])
  })

  test('keeps who comes every quarter of an hour until the absolute end', async () => {
    const app = shop()
    const { given } = await app.request('', (s) => s.login('ada'))
    for (let i = 1; i < 48; i++) {
      app.clock.advance(15 * MINUTE)
      expect(await app.userOf(given!), `after ${i} quarters`).toBe('ada')
    }
    app.clock.advance(15 * MINUTE)
    expect(await app.userOf(given!)).toBeUndefined()
  })

  test('A-159: comes once when the clock was set back, and then as ever', async () => {
    const clock = manualClock()
    const { store, calls } = counted(memory({ clock }))
    const app = shop({ clock, store, timeouts: { idle: 10 * MINUTE, absolute: HOUR } })
    const { given } = await app.request('', (s) => s.login('ada'))
    clock.advance(-5 * MINUTE)
    calls()
    const start = clock()
    const writes: number[] = []
    for (let second = 0; second <= 180; second++) {
      expect(await app.userOf(given!)).toBe('ada')
      if (calls().includes('set')) writes.push((clock() - start) / MINUTE)
      clock.advance(1000)
    }
    expect(writes).toEqual([0, 1, 2, 3])
    // In between it is what `expiresAt` says.
    expect((await app.request(given!, (s) => s.expiresAt)).value).toBe(clock() + 10 * MINUTE - 1000)
  })

  test('A-159: of two servers whose clocks differ by less than half an idle timeout, they do not write in turn', async () => {
    const [here, there] = [manualClock(), manualClock()]
    there.advance(4 * MINUTE + 50_000)
    const { store, calls } = counted(memory({ clock: here }))
    const timeouts = { idle: 10 * MINUTE, absolute: HOUR }
    const [behind, ahead] = [shop({ clock: here, store, timeouts }), shop({ clock: there, store, timeouts })]
    const { given } = await ahead.request('', (s) => s.login('ada'))
    calls()
    let writes = 0
    for (let second = 0; second < 180; second++) {
      expect([await behind.userOf(given!), await ahead.userOf(given!)]).toEqual(['ada', 'ada'])
      writes += calls().filter((verb) => verb === 'set').length
      for (const clock of [here, there]) clock.advance(1000)
    }
    expect(writes).toBeLessThanOrEqual(3)
  })

  test('of many that are due at once one is done, and none is told as a conflict', async () => {
    const app = shop()
    const { given } = await app.request('', (s) => s.login('ada'))
    app.clock.advance(4 * MINUTE)
    app.told()
    const answers = await Promise.all(Array.from({ length: 20 }, () => app.request(given!, (s) => s.userId)))
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
    expect(app.told()).toEqual(['renewed'])
  })
})

describe('what lies between a request’s beginning and its end', () => {
  test.each<[string, Parameters<App['request']>[1]]>([
    ['a write', (s) => s.update('count', (n) => n + 1)],
    ['a rotation', (s) => s.rotate()],
    ['a slide', (s) => s.userId],
  ])('7.3.1: %s does not bring back a session that ran out meanwhile', async (_, work) => {
    const app = shop()
    const { given } = await app.request('', (s) => s.login('ada'))
    app.clock.advance(30 * MINUTE - 1)
    const slow = await app.request(given!, (s) => {
      work(s, new Request('https://shop.example'))
      app.clock.advance(1)
      return s.userId
    })
    expect([slow.status, slow.value, slow.given]).toEqual([200, 'ada', undefined])
    expect([...(app.store.list() as Iterable<unknown>)]).toEqual([])
    expect(await app.userOf(given!)).toBeUndefined()
  })

  test('7.3.2: a store that forgets late, or never, makes nothing live longer', async () => {
    const clock = manualClock()
    const lazy = memory({ clock: () => 0 })
    for (const advance of [30 * MINUTE, 12 * HOUR]) {
      const app = shop({ clock, store: gated(lazy, (_, go) => go()) })
      const { given } = await app.request('', (s) => s.login('ada'))
      clock.advance(advance)
      expect((await app.request(given!, (s) => [s.userId, s.refused])).value).toEqual([undefined, 'expired'])
      expect(await app.sessions.list('ada')).toEqual([])
    }
  })
})
