/** What the rest of the process does to sessions: another server, listeners, handlers that fail, clocks, keys. */
import { createSessions, generateSecret } from 'sojourn'
import { manualClock } from 'sojourn/testing/clock'
import { describe, expect, onTestFinished, test } from 'vitest'
import { App, HOUR, MINUTE, shop } from './helpers.js'

const DAY = 24 * HOUR

test('A-84, A-85: two servers on one store: what one writes or ends, the other knows at the next request', async () => {
  const clock = manualClock()
  const here = shop({ clock })
  const there = shop({ clock, store: here.store })
  const { given } = await here.request('', (s) => s.login('ada'))
  expect(await there.userOf(given!)).toBe('ada')
  await there.request(given!, (s) => s.update('count', (n) => n + 1))
  expect((await here.request(given!, (s) => s.data.count)).value).toBe(1)
  const [info] = await here.sessions.list('ada')
  await there.sessions.end(info!.id)
  expect(await here.userOf(given!)).toBeUndefined()
  expect(await there.userOf(given!)).toBeUndefined()
})

test('A-87, A-88: a request that breaks off keeps nothing, holds nothing, and is in nobody’s way', async () => {
  const app = shop()
  const { given } = await app.request('', (s) => s.login('ada'))
  const broken = app.request(given!, async (s) => {
    s.data.cart.push('half an order')
    s.rotate()
    expect((await app.request(given!, (s) => s.update('count', (n) => n + 1))).status).toBe(200)
    throw new DOMException('The client went away', 'AbortError')
  })
  await expect(broken).rejects.toThrow('The client went away')
  expect((await app.request(given!, (s) => [s.userId, s.data.count, s.data.cart])).value).toEqual(['ada', 1, []])
})

describe('A-89: listeners that fail', () => {
  function warnings(): string[] {
    const seen: string[] = []
    const take = ({ code, message }: Error & { code?: string }) => void seen.push(`${code} ${message}`)
    process.on('warning', take)
    onTestFinished(() => void process.off('warning', take))
    return seen
  }

  test.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('secret of ada')
      },
    ],
    ['rejects', () => Promise.reject(new TypeError('secret of ada'))],
    ['throws what is no error', () => Promise.reject('secret of ada')],
  ])('A-89: one that %s: the request goes on, the others hear, and it is said without its words', async (_, fail) => {
    const seen = warnings()
    const app = shop()
    const heard: string[] = []
    app.sessions.on(fail)
    app.sessions.on(({ type }) => void heard.push(type))
    const { status, given } = await app.request('', (s) => s.login('ada'))
    expect([status, heard, await app.userOf(given!)]).toEqual([200, ['created'], 'ada'])
    await new Promise((resolve) => setImmediate(resolve))
    expect(seen).toEqual([expect.stringMatching(/^SOJOURN_LISTENER /)])
    expect(seen.join()).not.toContain('ada')
  })

  test('A-89: one that has been taken off hears nothing more', async () => {
    const app = shop()
    const heard: string[] = []
    const off = app.sessions.on(({ type }) => void heard.push(type))
    await app.request('', (s) => s.login('ada'))
    off()
    await app.request('', (s) => s.login('ada'))
    expect(heard).toEqual(['created'])
  })
})

describe('A-86: times that are too short, too long, or none', () => {
  const wrong = [0, -1, 999, Number.NaN, Number.POSITIVE_INFINITY, 401 * DAY, 2 ** 53, '30m', null, undefined]
  test.each(wrong)('A-86: %j is no timeout', (ms) => {
    for (const timeouts of [
      { idle: ms, absolute: DAY },
      { idle: 1000, absolute: ms },
    ])
      for (const option of ['timeouts', 'remember'])
        expect(() => shop({ [option]: timeouts as never })).toThrow(new RegExp(`^${option}: \`(idle|absolute)\``))
  })

  test.each(['aal4', 'AAL1', '', 'constructor', '__proto__'])('A-86: %j is no preset', (preset) => {
    expect(() => shop({ timeouts: preset as never })).toThrow(TypeError)
  })

  test('A-86: an idle timeout that the absolute one always precedes is a mistake', () => {
    expect(() => shop({ timeouts: { idle: DAY, absolute: HOUR } })).toThrow(TypeError)
  })

  test('A-86: 400 days, far past 2^31 ms, are kept to the millisecond, and the cookie for as long', async () => {
    const year = { idle: 400 * DAY, absolute: 400 * DAY }
    const app = shop({ timeouts: year, remember: year })
    const { given, headers } = await app.request('', (s) => s.login('ada', { persistent: true }))
    expect(headers.getSetCookie()[0]).toContain(`; Max-Age=${400 * 86_400};`)
    app.clock.advance(400 * DAY - 1)
    expect(await app.userOf(given!)).toBe('ada')
    app.clock.advance(1)
    expect(await app.userOf(given!)).toBeUndefined()
  })

  test('A-86: one second, the shortest, neither ends at once nor lives on', async () => {
    const app = shop({ timeouts: { idle: 1000, absolute: 1000 } })
    const { given } = await app.request('', (s) => s.login('ada'))
    app.clock.advance(999)
    expect(await app.userOf(given!)).toBe('ada')
    app.clock.advance(1)
    expect(await app.userOf(given!)).toBeUndefined()
  })
})

describe('A-159: clocks that are wrong', () => {
  test('A-159: a server that booted in 1970 makes nothing eternal, and ends nothing that is not its own', async () => {
    const now = Date.UTC(2026, 0)
    const clock = manualClock(now)
    const app = shop({ clock })
    const before = await app.request('', (s) => s.login('ada'))
    clock.set(60_000)
    expect((await app.request(before.given!, (s) => [s.userId, s.refused])).value).toEqual([undefined, 'malformed'])
    const during = await app.request('', (s) => s.login('eve'))
    expect(await app.userOf(during.given!)).toBe('eve')
    clock.set(now + MINUTE)
    expect(await app.userOf(during.given!)).toBeUndefined()
    expect(await app.userOf(before.given!)).toBe('ada')
  })

  test('A-159: a clock that was in 2038 for a while leaves no session past its absolute end', async () => {
    const now = Date.UTC(2026, 0)
    const clock = manualClock(now)
    const app = shop({ clock })
    const { given } = await app.request('', (s) => s.login('ada'))
    clock.set(2 ** 31 * 1000 + 1)
    const late = await app.request('', (s) => s.login('eve'))
    expect(await app.userOf(late.given!)).toBe('eve')
    clock.set(now + 12 * HOUR)
    expect([await app.userOf(given!), await app.userOf(late.given!)]).toEqual([undefined, undefined])
  })

  test('A-159: servers whose clocks differ by minutes honour each other’s sessions', async () => {
    const clock = manualClock()
    const behind = manualClock(clock() - 4 * MINUTE)
    const here = shop({ clock })
    const there = shop({ clock: behind, store: here.store })
    const { given } = await here.request('', (s) => s.login('ada'))
    expect(await there.userOf(given!)).toBe('ada')
    await there.request(given!, (s) => s.update('count', (n) => n + 1))
    expect((await here.request(given!, (s) => s.data.count)).value).toBe(1)
  })

  test.each([
    ['the end of February', Date.UTC(2028, 1, 29, 23, 59, 59)],
    ['the change to summer time', Date.UTC(2026, 2, 29, 0, 59, 59)],
    ['the change of the year', Date.UTC(2026, 11, 31, 23, 59, 59)],
    ['2^31 seconds', 2 ** 31 * 1000 - 1],
  ])('A-159: %s passes without a trace', async (_, time) => {
    const app = shop({ clock: manualClock(time) })
    const { given } = await app.request('', (s) => s.login('ada'))
    app.clock.advance(30 * MINUTE - 1)
    expect(await app.userOf(given!)).toBe('ada')
  })
})

describe('A-90, A-160: configurations that do not start', () => {
  test('A-160: production without keys', () => {
    const { NODE_ENV } = process.env
    onTestFinished(() => {
      if (NODE_ENV === undefined) delete process.env.NODE_ENV
      else process.env.NODE_ENV = NODE_ENV
    })
    process.env.NODE_ENV = 'production'
    expect(() => createSessions()).toThrow(/production needs `keys`/)
    expect(() => createSessions({ keys: generateSecret() })).not.toThrow()
  })

  test.each<[string, object, RegExp]>([
    ['A-90: no key where one was meant to be', { keys: [] }, /^keys: /],
    ['A-90: a key that is undefined', { keys: [undefined] }, /^keys: /],
    ['a limit of none', { limit: { sessions: 0, policy: 'reject' } }, /^limit: /],
    ['a limit that is no number', { limit: { sessions: Number.NaN, policy: 'reject' } }, /^limit: /],
    ['a limit without a policy', { limit: { sessions: 1 } }, /^limit: /],
    ['an origin with a path', { origin: 'https://shop.example/app' }, /origin/],
    ['no strategy', { strategy: [] }, /^strategy: /],
    ['a trusted origin that is a pattern', { csrf: { trusted: ['https://*.example'] } }, /^csrf: /],
  ])('A-160: %s', (_, options, message) => {
    expect(() => createSessions({ keys: generateSecret(), ...options })).toThrow(TypeError)
    expect(() => createSessions({ keys: generateSecret(), ...options })).toThrow(message)
  })

  test('a limit needs a store that knows users', () => {
    const { get, set, delete: remove } = shop().store
    const store = { get, set, delete: remove }
    const limit = { sessions: 1, policy: 'reject' } as const
    expect(() => new App({ store: store as never, limit })).toThrow(/^opaque: `limit`/)
  })
})
