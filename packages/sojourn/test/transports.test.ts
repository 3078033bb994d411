import {
  acceptCredentialsInUrls,
  acceptNoRevocation,
  cookie,
  createSessions,
  generateSecret,
  header,
  opaque,
  query,
  type StrategyFactory,
  sealed,
  type Transport,
} from 'sojourn'
import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { describe, expect, test } from 'vitest'
import { App, gated, ORIGIN } from './helpers.js'
import { place, type View } from './journey.js'

const keys = generateSecret()
const url = query({ risk: acceptCredentialsInUrls })
const COOKIE = '__Host-Http-session'

function world(transport: Transport[] = [cookie(), header()], strategy?: StrategyFactory) {
  const clock = manualClock()
  const byId = strategy ?? opaque({ store: memory({ clock }) })
  const at = (transport: Transport | Transport[]) => place({ keys, clock, strategy: byId, transport })
  const app = at(transport)
  const send = async (path: string, headers: Record<string, string> = {}, method = 'GET') => {
    const response = await app.handler(new Request(ORIGIN + path, { method, headers }))
    const view = response.status === 200 ? ((await response.json()) as View) : undefined
    const line = response.headers.getSetCookie()[0]
    return { status: response.status, view, line, token: response.headers.get('session-token') }
  }
  /** A new session, as the credential that one transport alone gives for it. */
  const credential = async (path: string) => {
    const response = await at(header()).handler(new Request(ORIGIN + path))
    return response.headers.get('session-token')!
  }
  return { app, at, send, credential, clock }
}

const byCookie = (value: string) => ({ cookie: `${COOKIE}=${value}` })
const byHeader = (value: string) => ({ authorization: `Bearer ${value}` })

describe('which transport answers', () => {
  test('what is new goes by the first, and by no other', async () => {
    const first = await world([cookie(), header()]).send('/add')
    expect(first.line).toMatch(COOKIE)
    expect(first.token).toBeNull()
    const other = await world([header(), cookie()]).send('/add')
    expect(other.line).toBeUndefined()
    expect(other.token).toMatch(/\./)
  })

  test('what came is answered the way it came: login, and logout', async () => {
    const { send, credential } = world()
    const guest = await credential('/add')
    const login = await send('/login/ann', byHeader(guest))
    expect(login).toMatchObject({ line: undefined, view: { user: 'ann', count: 1 } })
    expect(login.token).not.toBe(guest)
    const logout = await send('/logout', byHeader(login.token!))
    expect(logout).toMatchObject({ line: undefined, token: '' })

    const again = await send('/login/bea', byCookie(await credential('/add')))
    expect(again).toMatchObject({ token: null, view: { user: 'bea', count: 1 } })
    expect(again.line).toMatch(COOKIE)
  })

  test('A-04: a link with a dead session in it does not move a new one into the URL', async () => {
    const { app } = world([cookie(), url])
    const response = await app.handler(new Request(`${ORIGIN}/add?session=planted`))
    expect(response.headers.getSetCookie()[0]).toMatch(COOKIE)
  })

  test('a refused one is taken back by a logout where it was, and by nothing else', async () => {
    const { send, credential, clock } = world()
    const old = await credential('/login/ann')
    clock.advance(13 * 3600_000)
    expect(await send('/', byHeader(old))).toMatchObject({ line: undefined, token: null, view: {} })
    expect(await send('/logout', byHeader(old))).toMatchObject({ line: undefined, token: '' })
  })
})

describe('several credentials in one request', () => {
  test('one that is honoured counts, whatever else is not', async () => {
    const { send, credential } = world()
    const ann = await credential('/login/ann')
    for (const [a, b] of [
      [ann, 'garbage'],
      ['garbage', ann],
      [ann, 'a,b'],
    ] as const)
      expect((await send('/', { ...byCookie(a), ...byHeader(b) })).view).toMatchObject({ user: 'ann' })
  })

  test('the same session twice is that session', async () => {
    const { send, credential } = world()
    const ann = await credential('/login/ann')
    const { view } = await send('/add', { ...byCookie(ann), ...byHeader(ann) })
    expect(view).toMatchObject({ user: 'ann', count: 1 })
  })

  test('two sessions of one user: the first in the order wins', async () => {
    const sessions = async (transports: Transport[]) => {
      const { send, credential } = world(transports)
      const [one, two] = [await credential('/login/ann'), await credential('/login/ann')]
      await send('/add', byCookie(one))
      return (await send('/', { ...byCookie(one), ...byHeader(two) })).view
    }
    expect(await sessions([cookie(), header()])).toMatchObject({ user: 'ann', count: 1 })
    expect(await sessions([header(), cookie()])).toMatchObject({ user: 'ann', count: 0 })
  })

  test.each([
    ['two users', '/login/ann', '/login/eve'],
    ['a user and a guest', '/login/ann', '/add'],
    ['a guest and a user', '/add', '/login/ann'],
    ['two guests', '/add', '/add'],
  ])('A-119: %s are refused, in either order, and told', async (_, a, b) => {
    const { app, send, credential } = world()
    const [one, two] = [await credential(a), await credential(b)]
    for (const headers of [
      { ...byCookie(one), ...byHeader(two) },
      { ...byCookie(two), ...byHeader(one) },
    ]) {
      app.events.splice(0)
      const { view, line, token } = await send('/', headers)
      expect(view).toEqual({ refused: 'malformed', count: 0, text: 0 })
      expect([line, token]).toEqual([undefined, null])
      expect(app.events).toEqual(['refused malformed'])
    }
    // Neither of them was ended by it.
    expect((await send('/', byHeader(one))).view?.refused).toBeUndefined()
    expect((await send('/', byCookie(two))).view?.refused).toBeUndefined()
  })

  test('A-119: three places, and the last is another user', async () => {
    const { send, credential } = world([cookie(), header(), url])
    const [ann, eve] = [await credential('/login/ann'), await credential('/login/eve')]
    const { view } = await send(`/?session=${eve}`, { ...byCookie(ann), ...byHeader(ann) })
    expect(view).toMatchObject({ refused: 'malformed' })
  })

  test('A-13: two in one place stay what they are with one transport, whatever is in another', async () => {
    const { send, credential } = world()
    const [one, two] = [await credential('/login/ann'), await credential('/login/ann')]
    const cookies = { cookie: `${COOKIE}=${one}; ${COOKIE}=${two}` }
    expect((await send('/', cookies)).view).toMatchObject({ refused: 'malformed' })
  })

  test('A-80: a store that fails is a fault, once, and nobody is logged out', async () => {
    let broken = false
    const failing = (go: () => unknown) => {
      if (broken) return Promise.reject(new Error('down'))
      return Promise.resolve(go())
    }
    const store = gated(memory(), (_, go) => failing(go))
    const app = new App({ store, transport: [cookie(), header()], strategy: opaque({ store }) })
    const { given } = await app.request('', (session) => session.login('ann'))
    broken = true
    const headers = byHeader(given!.split('=')[1]!)
    const answer = await app.request(given!, (session) => session.userId, { headers })
    expect(answer.status).toBe(503)
    expect(answer.headers.has('session-token')).toBe(false)
    expect(answer.headers.getSetCookie()).toEqual([])
  })
})

describe('the cross-origin guard', () => {
  const foreign = { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }
  const cases: [string, 200 | 403, (ann: string) => Record<string, string>][] = [
    ['A-138: a cookie came', 403, byCookie],
    ['A-138: nothing came, which may be a login', 403, () => ({})],
    ['a header came, which no other site can send', 200, byHeader],
    ['A-119: both came', 403, (ann) => ({ ...byCookie(ann), ...byHeader(ann) })],
    ['a header came that is no credential', 403, () => byHeader('a,b')],
    ['another scheme came, which browsers do send', 403, () => ({ authorization: 'Basic YTpi' })],
    ['a header came, and a cookie that opens nothing', 403, (ann) => ({ ...byCookie('garbage'), ...byHeader(ann) })],
    ['a header came, and somebody else’s cookie', 200, (ann) => ({ cookie: 'other=1', ...byHeader(ann) })],
  ]

  test.each(cases)('%s: %i', async (_, status, headers) => {
    for (const transports of [
      [cookie(), header()],
      [header(), cookie()],
    ]) {
      const { send, credential } = world(transports)
      const ann = await credential('/login/ann')
      expect((await send('/add', { ...foreign, ...headers(ann) }, 'POST')).status).toBe(status)
      expect((await send('/', { ...foreign, ...headers(ann) }, 'GET')).status).toBe(200)
    }
  })

  test('A-125: a method that overrides is not looked at', async () => {
    const { send, credential } = world()
    const ann = await credential('/login/ann')
    const override = { ...foreign, ...byCookie(ann), 'x-http-method-override': 'GET' }
    expect((await send('/add?_method=GET', override, 'POST')).status).toBe(403)
  })
})

describe('the list', () => {
  test('is not empty, and reads no place twice', () => {
    expect(() => createSessions({ keys, transport: [] })).toThrow(/empty/)
    expect(() => createSessions({ keys, transport: [header(), header()] })).toThrow(/same place/)
    expect(() => createSessions({ keys, transport: [header(), header({ name: 'X-Session-Id' })] })).not.toThrow()
  })

  test('of one is that one, and joining another logs nobody out, sealed or not', async () => {
    for (const strategy of [undefined, sealed({ revocations: acceptNoRevocation })]) {
      const { at, send } = world([cookie(), header()], strategy)
      const response = await at(cookie()).handler(new Request(`${ORIGIN}/login/ann`))
      const pair = response.headers.getSetCookie()[0]!.split(';', 1)[0]!
      expect((await send('/', { cookie: pair })).view).toMatchObject({ user: 'ann' })
    }
  })

  test('carries no more than each of them can', async () => {
    const { send } = world([cookie(), header()], sealed({ revocations: acceptNoRevocation }))
    expect((await send('/text/5000')).status).toBe(200)
    expect((await send('/text/7000')).status).toBe(500)
  })
})
