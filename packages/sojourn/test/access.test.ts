/** Who may go on: a program is challenged, a page led to the sign-in form, the same behind every adapter. */
import { createServer } from 'node:http'
import express5 from 'express'
import express4 from 'express4'
import { type Awaitable, acceptNoRevocation, cookie, createSessions, header, jwt, opaque, type Sessions } from 'sojourn'
import { express } from 'sojourn/adapter/express'
import { fetch as fetched } from 'sojourn/adapter/fetch'
import { node } from 'sojourn/adapter/node'
import { type Access, requireRecentLogin, requireScope, requireUser, wayBack } from 'sojourn/guard/access'
import { memory } from 'sojourn/store/memory'
import { type ManualClock, manualClock } from 'sojourn/testing/clock'
import { type TokenPair, tokenPair } from 'sojourn/token/pair'
import { tickets } from 'sojourn/token/ticket'
import { afterEach, describe, expect, test } from 'vitest'
import { HOSTILE_PATHS, OWN_PATHS } from './fixtures/hostile-paths.js'
import { listening } from './fixtures/servers.js'
import { KEY, MINUTE } from './helpers.js'

const HTML = { accept: 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.8' }

interface World {
  readonly clock: ManualClock
  readonly pair: TokenPair
  get(path: string, init?: RequestInit): Promise<Response>
  close(): Awaitable<void>
}

type Rules = { user: Access; recent: Access; otp: Access; orders: Access }
type Serve = (sessions: Sessions, rules: Rules) => Promise<{ origin: string; close(): Awaitable<void> }>

const ISSUED = { issuer: 'https://shop.example', audience: 'shop' }

const LOGINS: Record<string, { amr?: string[]; acr?: string }> = {
  '/login': {},
  '/login/pwd': { amr: ['pwd'] },
  '/login/otp': { amr: ['pwd', 'otp'], acr: 'aal2' },
}

function ruleOf(rules: Rules, path: string): Access | undefined {
  return path.startsWith('/user')
    ? rules.user
    : path.startsWith('/recent')
      ? rules.recent
      : path.startsWith('/otp')
        ? rules.otp
        : path.startsWith('/orders')
          ? rules.orders
          : undefined
}

const onExpress =
  (framework: typeof express5): Serve =>
  async (sessions, rules) => {
    const app = framework()
    app.use(express(sessions))
    app.use('/mounted', rules.user.express, (_req, res) => void res.end('in'))
    for (const name of ['user', 'recent', 'otp', 'orders'] as const) app.use(`/${name}`, rules[name].express)
    app.use(async (req, res) => {
      const login = LOGINS[req.path]
      if (login) (await sessions.of(req)).login('ada', login)
      res.end('in')
    })
    const { port, close } = await listening(createServer(app))
    return { origin: `http://127.0.0.1:${port}`, close }
  }

const serves: [name: string, serve: Serve][] = [
  ['express 5', onExpress(express5)],
  ['express 4', onExpress(express4 as unknown as typeof express5)],
  [
    'node',
    async (sessions, rules) => {
      const attach = node(sessions)
      const server = createServer((req, res) =>
        attach(req, res, async () => {
          const path = (req.url ?? '').split('?')[0]!
          const rule = ruleOf(rules, path) ?? (path.startsWith('/mounted') ? rules.user : undefined)
          if (rule && !(await rule.node(req, res))) return
          const login = LOGINS[path]
          if (login) (await sessions.of(req)).login('ada', login)
          res.end('in')
        }),
      )
      const { port, close } = await listening(server)
      return { origin: `http://127.0.0.1:${port}`, close }
    },
  ],
  [
    'fetch',
    async (sessions, rules) => {
      const handler = fetched(sessions, async (request) => {
        const path = new URL(request.url).pathname
        const rule = ruleOf(rules, path) ?? (path.startsWith('/mounted') ? rules.user : undefined)
        const refused = await rule?.fetch(request)
        if (refused) return refused
        const login = LOGINS[path]
        if (login) (await sessions.of(request)).login('ada', login)
        return new Response('in')
      })
      const server = createServer(async (req, res) => {
        const headers = Object.entries(req.headers).map(([name, value]) => [name, String(value)] as [string, string])
        const response = await handler(
          new Request(`http://${req.headers.host}${req.url}`, { method: req.method!, headers }),
        )
        res.writeHead(response.status, [...response.headers].flat())
        res.end(await response.text())
      })
      const { port, close } = await listening(server)
      return { origin: `http://127.0.0.1:${port}`, close }
    },
  ],
]

const open: World[] = []
afterEach(async () => {
  for (const world of open.splice(0)) await world.close()
})

async function start(serve: Serve): Promise<World> {
  const clock = manualClock()
  const store = memory({ clock })
  const pair = tokenPair({ keys: KEY, clock, store, revocations: acceptNoRevocation, access: ISSUED })
  const sessions = createSessions({
    keys: KEY,
    clock,
    strategy: [
      opaque({ store: memory({ clock }) }),
      jwt({ ...ISSUED, revocations: acceptNoRevocation, devices: store }),
    ],
    transport: [cookie(), header()],
  })
  const signIn = '/sign-in'
  const rules = {
    user: requireUser(sessions, { signIn, realm: 'shop' }),
    recent: requireRecentLogin(sessions, { within: 5 * MINUTE, signIn, realm: 'shop' }),
    otp: requireRecentLogin(sessions, { within: 5 * MINUTE, method: ['pwd', 'otp'], acr: ['aal3', 'aal2'], signIn }),
    orders: requireScope(sessions, ['orders', 'cart'], { signIn, realm: 'shop' }),
  }
  const { origin, close } = await serve(sessions, rules)
  let held = ''
  const get: World['get'] = async (path, init = {}) => {
    const headers = { ...(held === '' ? {} : { cookie: held }), ...(init.headers as Record<string, string>) }
    const response = await fetch(origin + path, { redirect: 'manual', ...init, headers })
    held = response.headers.getSetCookie().at(-1)?.split(';')[0] ?? held
    return response
  }
  const world = { clock, pair, get, close }
  open.push(world)
  return world
}

describe.each(serves)('%s', (_, serve) => {
  test('a program that is not signed in is challenged, and told nothing it could use', async () => {
    const { get } = await start(serve)
    const response = await get('/user/things')
    expect(response.status).toBe(401)
    expect(response.headers.get('www-authenticate')).toBe('Bearer realm="shop"')
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect(response.headers.get('cache-control')).toMatch(/no-store/)
    expect(await response.json()).toMatchObject({ status: 401, title: 'Unauthorized' })
    expect((await get('/recent')).headers.get('www-authenticate')).toBe('Bearer realm="shop"')
  })

  test('a page leads to the form, with the way back', async () => {
    const { get } = await start(serve)
    const response = await get('/user/things?a=1&b=%2F', { headers: HTML })
    expect(response.status).toBe(303)
    expect(response.headers.get('location')).toBe(`/sign-in?next=${encodeURIComponent('/user/things?a=1&b=%2F')}`)
    expect(response.headers.get('cache-control')).toMatch(/no-store/)
    expect(await response.text()).toBe('')
    const mounted = await get('/mounted/deep', { headers: HTML })
    expect(mounted.headers.get('location')).toBe('/sign-in?next=%2Fmounted%2Fdeep')
  })

  test('A-99, 6.3.3, RFC 9470: a login that is too old, or of another kind, is asked for again; a step-up opens', async () => {
    const { get, clock } = await start(serve)
    await get('/login/pwd')
    expect((await get('/user')).status).toBe(200)
    expect((await get('/recent')).status).toBe(200)
    const other = await get('/otp')
    expect(other.status).toBe(401)
    expect(other.headers.get('www-authenticate')).toBe(
      'Bearer realm="session", error="insufficient_user_authentication", error_description="Sign in again to go on", max_age="300", acr_values="aal3 aal2"',
    )
    clock.advance(5 * MINUTE)
    expect((await get('/recent')).status).toBe(200)
    clock.advance(1)
    const old = await get('/recent')
    expect([old.status, old.headers.get('www-authenticate')]).toEqual([401, expect.stringContaining('max_age="300"')])
    expect(old.headers.get('www-authenticate')).not.toContain('acr_values')
    expect((await get('/user')).status).toBe(200)
    const page = await get('/recent/form', { headers: HTML })
    expect([page.status, page.headers.get('location')]).toEqual([303, '/sign-in?next=%2Frecent%2Fform'])

    await get('/login/otp')
    expect((await get('/otp')).status).toBe(200)
    expect((await get('/recent')).status).toBe(200)
    // A later login that proves less opens less.
    await get('/login')
    expect((await get('/otp')).status).toBe(401)
    expect((await get('/recent')).status).toBe(200)
  })

  test('BR-04 AT-05: a token that is not good for it is 403 with what it lacks, to pages too; a wider one opens', async () => {
    const { get, pair } = await start(serve)
    const by = async (scope?: string) => {
      const { accessToken } = await pair.issue({ userId: 'ada', scope })
      return { authorization: `Bearer ${accessToken}` }
    }
    for (const scope of ['cart', 'orders', 'order cart', 'ORDERS CART', 'orderscart']) {
      const headers = await by(scope)
      for (const accept of [{}, HTML]) {
        const refused = await get('/orders', { headers: { ...headers, ...accept } })
        expect(refused.status).toBe(403)
        expect(refused.headers.get('www-authenticate')).toBe(
          'Bearer realm="shop", error="insufficient_scope", scope="orders cart"',
        )
        expect(refused.headers.get('cache-control')).toMatch(/no-store/)
        expect(await refused.json()).toMatchObject({ status: 403, title: 'Forbidden' })
      }
      expect((await get('/user', { headers })).status).toBe(200)
    }
    for (const scope of ['orders cart', 'cart admin orders', undefined])
      expect((await get('/orders', { headers: await by(scope) })).status).toBe(200)
    // A session that is no token's is not limited, and nobody's is led to the form.
    const nobody = await get('/orders')
    expect([nobody.status, nobody.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="shop"'])
    expect((await get('/orders', { headers: { authorization: 'Bearer a.b.c' } })).status).toBe(401)
    expect((await get('/orders', { headers: HTML })).headers.get('location')).toBe('/sign-in?next=%2Forders')
    await get('/login')
    expect((await get('/orders')).status).toBe(200)
  })

  test('BR-02: a malformed Authorization header is refused as every credential is, and never passes', async () => {
    const { get } = await start(serve)
    for (const authorization of ['Bearer a,b', 'Bearer', 'Bearer "a"', 'Bearer a b']) {
      const refused = await get('/user', { headers: { authorization } })
      expect(refused.status).toBe(401)
      expect(refused.headers.get('www-authenticate')).toBe('Bearer realm="shop", error="invalid_token"')
    }
  })

  test('A-96: from a form that was sent, back to the page that it was on, and only to one of ours', async () => {
    const { get } = await start(serve)
    const send = async (referer?: string) => {
      const headers = { ...HTML, 'sec-fetch-site': 'same-origin', ...(referer === undefined ? {} : { referer }) }
      return (await get('/user/change', { method: 'POST', headers })).headers.get('location')
    }
    expect(await send()).toBe('/sign-in')
    expect(await send('https://evil.example/user')).toBe('/sign-in')
    expect(await send('not a url')).toBe('/sign-in')
    const { host } = new URL((await get('/open')).url)
    expect(await send(`http://${host}/user/form?x=1`)).toBe('/sign-in?next=%2Fuser%2Fform%3Fx%3D1')
    expect(await send(`http://${host.replace(/\d+$/, '1')}/user/form`)).toBe('/sign-in')
  })
})

describe('the decision', () => {
  const sessions = createSessions({ keys: KEY })
  const rule = requireUser(sessions, { signIn: '/sign-in?from=app' })
  const guest = {
    userId: undefined,
    refused: 'absent',
    authenticatedAt: undefined,
    amr: undefined,
    acr: undefined,
    scope: undefined,
  } as const
  const request = (url: string, accept = 'text/html', method = 'GET') => ({
    method,
    url,
    header: (name: string) => (name === 'accept' ? accept : undefined),
  })

  test.each([
    ['text/html', 303],
    ['application/xhtml+xml', 303],
    ['TEXT/HTML;level=1', 303],
    ['*/*', 401],
    ['application/json', 401],
    ['', 401],
    ['text/html;q=0, */*', 401],
    ['text/html;q=0.5', 303],
    ['text/htmlx', 401],
  ])('Accept: %s is answered %d', (accept, status) => {
    expect(rule.refuse(guest, request('/', accept))?.status).toBe(status)
  })

  test.each([...HOSTILE_PATHS, '/sign-in', '/sign-in?from=x'])('A-96: %j is no way back', (url) => {
    expect(rule.refuse(guest, request(url))?.headers.location).toBe('/sign-in?from=app')
  })

  test('a form path with a query keeps it', () => {
    expect(rule.refuse(guest, request('/a?b=c&d'))?.headers.location).toBe('/sign-in?from=app&next=%2Fa%3Fb%3Dc%26d')
  })

  test('a credential that was refused is answered invalid_token, and never why (A-156)', () => {
    const { headers } = rule.refuse({ ...guest, refused: 'expired' }, request('/', '*/*'))!
    expect(headers['www-authenticate']).toBe('Bearer realm="session", error="invalid_token"')
  })

  test('A-99, 6.3.3: one factor of two passes no guard that asks for both, nor do both when they are too old', () => {
    const both = requireRecentLogin(sessions, { within: 5 * MINUTE, method: ['pwd', 'otp'] })
    const answer = (amr: string[] | undefined, ago = 0) =>
      both.refuse({ ...guest, userId: 'ada', amr, authenticatedAt: Date.now() - ago }, request('/', '*/*'))
    for (const half of [undefined, [], ['pwd'], ['otp'], ['otp pwd'], ['pwd', 'pwd']]) {
      const refused = answer(half)
      expect(refused?.status).toBe(401)
      expect(refused?.headers['www-authenticate']).toContain('error="insufficient_user_authentication"')
    }
    expect(answer(['pwd', 'otp'])).toBeUndefined()
    expect(answer(['pwd', 'otp'], 6 * MINUTE)?.status).toBe(401)
  })

  test('a login from the future is not recent for years', () => {
    const recent = requireRecentLogin(sessions, { within: MINUTE })
    const at = (authenticatedAt: number | undefined) =>
      recent.refuse({ ...guest, userId: 'ada', authenticatedAt }, request('/', '*/*'))?.status
    expect([at(Date.now()), at(Date.now() + 10 * MINUTE), at(Date.now() - 2 * MINUTE), at(undefined)]).toEqual([
      undefined,
      401,
      401,
      401,
    ])
  })

  test.each([
    ...OWN_PATHS.map((path) => [path, path]),
    ...[...HOSTILE_PATHS, undefined, ['/x'], 7].map((next) => [next, '/home']),
  ])('A-96: wayBack(%j) is %j', (next, path) => {
    expect(wayBack(next, '/home')).toBe(path)
  })

  test.each([
    [() => requireUser(sessions, { signIn: 'https://id.example/' }), /`signIn`/],
    [() => requireUser(sessions, { signIn: '/a#b' }), /`signIn`/],
    [() => requireUser(sessions, { realm: 'a"b' }), /realm/],
    [() => requireRecentLogin(sessions, { within: 999 }), /`within`/],
    [() => requireRecentLogin(sessions, {} as never), /`within`/],
    [() => requireRecentLogin(sessions, { within: 1000, method: 'two words' }), /`method`/],
    [() => requireRecentLogin(sessions, { within: 1000, acr: ['a"b'] }), /`acr`/],
    [() => requireRecentLogin(sessions, { within: 1000, acr: [] }), /`acr`.*empty/],
    [() => requireRecentLogin(sessions, { within: 1000, method: [] }), /`method`.*empty/],
    [() => requireScope(sessions, []), /`scope`.*empty/],
    [() => requireScope(sessions, undefined as never), /`scope`.*empty/],
    [() => requireScope(sessions, ''), /`scope`.*word/],
    [() => requireScope(sessions, 'cart orders'), /`scope`.*or a list/],
    [() => requireScope(sessions, ['cart', 'a"b']), /`scope`.*word/],
    [() => requireScope(sessions, 'cart', { realm: 'a"b' }), /realm/],
  ])('misuse is a TypeError', (make, why) => {
    expect(make).toThrow(TypeError)
    expect(make).toThrow(why)
  })
})

test('a token says when and how its user signed in, and is judged by it', async () => {
  const clock = manualClock()
  const strategy = jwt({ issuer: 'https://a.example', audience: 'api', revocations: acceptNoRevocation })
  const sessions = createSessions({ keys: KEY, clock, strategy, transport: header() })
  const rule = requireRecentLogin(sessions, { within: MINUTE, method: 'hwk' })
  const handle = fetched(sessions, async (request) => {
    if (new URL(request.url).pathname === '/login') (await sessions.of(request)).login('ada', { amr: ['hwk'] })
    else return (await rule.fetch(request)) ?? new Response('in')
    await (await sessions.of(request)).commit()
    return new Response('done')
  })
  const given = await handle(new Request('https://a.example/login', { method: 'POST' }))
  const authorization = [...given.headers].map(([, value]) => /(?:Bearer )?(eyJ\S+)/.exec(value)?.[1]).find(Boolean)
  const get = () => handle(new Request('https://a.example/', { headers: { authorization: `Bearer ${authorization}` } }))
  expect((await get()).status).toBe(200)
  clock.advance(2 * MINUTE)
  const refused = await get()
  expect(refused.status).toBe(401)
  expect(refused.headers.get('www-authenticate')).toContain('max_age="60"')
})

describe('AT-05: the scope of a session', () => {
  const clock = manualClock()
  const store = memory({ clock })
  const pair = tokenPair({ keys: KEY, clock, store, revocations: acceptNoRevocation, access: ISSUED })
  const byToken = jwt({ ...ISSUED, revocations: acceptNoRevocation, devices: store })
  const sessions = createSessions({ keys: KEY, clock, strategy: byToken, transport: header() })
  const all = tickets({ sessions, store: memory({ clock }) })

  /** What a handler sees, with a token or none. */
  const see = async <T>(token: string, work: (session: Awaited<ReturnType<typeof sessions.of>>) => T): Promise<T> => {
    let seen: T | undefined
    const handle = fetched(sessions, async (request) => {
      seen = await work(await sessions.of(request))
      return new Response('done')
    })
    const headers = token === '' ? {} : { authorization: `Bearer ${token}` }
    await handle(new Request('https://shop.example/', { headers }))
    return seen as T
  }
  const scopeOf = (token: string) => see(token, (session) => session.scope)

  test('is what the pair granted, at each sight of the token, and absent where it granted none', async () => {
    const { accessToken } = await pair.issue({ userId: 'ada', scope: 'cart orders' })
    for (let n = 0; n < 3; n++) expect(await scopeOf(accessToken)).toEqual(['cart', 'orders'])
    expect(await scopeOf((await pair.issue({ userId: 'ada' })).accessToken)).toBeUndefined()
    expect(await scopeOf('')).toBeUndefined()
  })

  test('narrows with a refresh that asks for less, and never widens by one that asks for nothing', async () => {
    const first = await pair.issue({ userId: 'ada', scope: 'cart orders' })
    let { refreshToken } = first
    const renewed = async (scope?: string) => {
      const tokens = await pair.refresh(refreshToken, { scope })
      if (typeof tokens === 'string') throw new Error(tokens)
      refreshToken = tokens.refreshToken
      return scopeOf(tokens.accessToken)
    }
    expect(await renewed('orders')).toEqual(['orders'])
    for (const nothing of ['', ' ', '   ', undefined]) expect(await renewed(nothing)).toEqual(['cart', 'orders'])
    expect(await pair.refresh(refreshToken, { scope: 'cart admin' })).toBe('scope')
  })

  test('is the same where other strategies issue, and a login in the session is a session of its own', async () => {
    const { accessToken } = await pair.issue({ userId: 'ada', scope: 'cart' })
    const strategy = [opaque({ store: memory({ clock }) }), byToken]
    const several = createSessions({ keys: KEY, clock, strategy, transport: header() })
    const seen: unknown[] = []
    const handle = fetched(several, async (request) => {
      const session = await several.of(request)
      seen.push(session.scope)
      session.login('ada')
      seen.push(session.scope)
      await session.commit()
      seen.push(session.scope)
      return new Response('done')
    })
    await handle(new Request('https://shop.example/', { headers: { authorization: `Bearer ${accessToken}` } }))
    expect(seen).toEqual([['cart'], undefined, undefined])
  })

  test('goes with a ticket', async () => {
    const { accessToken } = await pair.issue({ userId: 'ada', scope: 'cart' })
    const ticket = await see(accessToken, (session) => all.issue(session, '/live'))
    expect(await all.redeem(await ticket, '/live', { headers: {} })).toMatchObject({ userId: 'ada', scope: ['cart'] })
  })

  test('a frozen list: no handler widens it for the next', async () => {
    const { accessToken } = await pair.issue({ userId: 'ada', scope: 'cart' })
    expect(await see(accessToken, (session) => Object.isFrozen(session.scope))).toBe(true)
  })
})

test('a store that fails answers 503 and lets nobody in', async () => {
  const clock = manualClock()
  const store = memory({ clock })
  const sessions = createSessions({ keys: KEY, clock, strategy: opaque({ store }) })
  const attach = requireUser(sessions)
  const make = fetched(sessions, async (request) => {
    if (request.method === 'POST') (await sessions.of(request)).login('ada')
    else return (await attach.fetch(request)) ?? new Response('in')
    return new Response('done')
  })
  const given = await make(new Request('https://a.example/', { method: 'POST' }))
  const cookie = given.headers.getSetCookie()[0]!.split(';')[0]!
  const get = () => make(new Request('https://a.example/', { headers: { cookie } }))
  expect((await get()).status).toBe(200)
  store.close()
  const response = await get()
  expect([response.status, response.headers.getSetCookie()]).toEqual([503, []])
})
