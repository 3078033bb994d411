import { createHash, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import {
  acceptNoRevocation,
  generateSecret,
  header,
  jwt,
  opaque,
  type Refusal,
  type StrategyFactory,
  sealed,
  type UserStore,
} from 'sojourn'
import { fetch } from 'sojourn/adapter/fetch'
import { node } from 'sojourn/adapter/node'
import { memory } from 'sojourn/store/memory'
import { type ManualClock, manualClock } from 'sojourn/testing/clock'
import { revocations } from 'sojourn/token/revocation'
import { type Redeemed, tickets } from 'sojourn/token/ticket'
import { describe, expect, test } from 'vitest'
import { App, counted, gated, ORIGIN } from './helpers.js'

const PLAIN = { headers: {} }
const PATH = '/live'

interface Options {
  clock?: ManualClock
  store?: UserStore
  strategy?: StrategyFactory | StrategyFactory[]
  lifetime?: number
  header?: boolean
}

function world({ clock = manualClock(), store = memory({ clock }), lifetime, ...options }: Options = {}) {
  const { strategy = opaque({ store }) } = options
  const transport = options.header ? { transport: header() } : {}
  const app = new App({ clock, store, strategy, initial: () => ({ cart: [], count: 0 }), ...transport })
  const ticket = tickets({ sessions: app.sessions, store, ...(lifetime === undefined ? {} : { lifetime }) })
  const login = async (user = 'ann') => {
    const { given } = await app.request('', (session) => session.login(user))
    return given!
  }
  const issue = async (cookie: string, path = PATH) =>
    (await app.request(cookie, (session) => ticket.issue(session, path))).value as string
  const redeem = (text: unknown, path = PATH, request: Parameters<typeof ticket.redeem>[2] = PLAIN) =>
    ticket.redeem(text, path, request)
  return { app, clock, store, ticket, login, issue, redeem }
}

const userOf = (found: Redeemed | Refusal) => (typeof found === 'string' ? found : found.userId)

describe('a ticket', () => {
  test('opens the session that it was issued for, as it is when it is used', async () => {
    const { app, login, issue, redeem } = world()
    const cookie = await login()
    const [info] = await app.sessions.list('ann')
    const found = await redeem(await issue(cookie))
    const { id, createdAt, expiresAt, authenticatedAt } = info!
    expect(found).toMatchObject({ id, createdAt, expiresAt, authenticatedAt, userId: 'ann', persistent: false })
  })

  test('A-118: works once', async () => {
    const { login, issue, redeem, app } = world()
    const ticket = await issue(await login())
    expect(userOf(await redeem(ticket))).toBe('ann')
    app.told()
    expect(await redeem(ticket)).toBe('replayed')
    expect(app.events).toMatchObject([{ type: 'refused', reason: 'replayed' }])
  })

  test.each([2, 5, 50])('A-118: works for exactly one of %i who present it at once', async (count) => {
    const clock = manualClock()
    const inner = memory({ clock })
    // Everybody has read that it is there before anybody deletes it.
    const reading: (() => void)[] = []
    const store = gated(inner, async (verb, go) => {
      if (verb === 'get' && waiting) {
        await new Promise<void>((resolve) => {
          reading.push(resolve)
          if (reading.length === count) for (const release of reading) release()
        })
      }
      return go()
    })
    let waiting = false
    const { ticket, login, issue } = (() => {
      const made = world({ clock, store: inner })
      return { ...made, ticket: tickets({ sessions: made.app.sessions, store }) }
    })()
    const text = await issue(await login())
    waiting = true
    const found = await Promise.all(Array.from({ length: count }, () => ticket.redeem(text, PATH, PLAIN)))
    expect(found.filter((one) => typeof one !== 'string')).toHaveLength(1)
    expect(found.filter((one) => one === 'replayed')).toHaveLength(count - 1)
  })

  test.each(['/other', '/live/', '/LIVE', '/live?a=1', '/', ''])(
    'is for its path alone: %j costs no store call and does not use it up',
    async (path) => {
      const { login, issue, app, clock, store } = world()
      const watched = counted(store)
      const ticket = tickets({ sessions: app.sessions, store: watched.store })
      const text = await issue(await login())
      expect(await ticket.redeem(text, path, PLAIN)).toBe('forged')
      expect(watched.calls()).toEqual([])
      clock.advance(1)
      expect(userOf(await ticket.redeem(text, PATH, PLAIN))).toBe('ann')
    },
  )

  test('may be for a path and its query', async () => {
    const { login, issue, redeem } = world()
    const cookie = await login()
    expect(userOf(await redeem(await issue(cookie, '/file?id=1'), '/file?id=1'))).toBe('ann')
    expect(await redeem(await issue(cookie, '/file?id=1'), '/file?id=2')).toBe('forged')
  })

  test('lives 30 seconds, to the millisecond, and a minute at most', async () => {
    const { login, issue, redeem, clock, app, store } = world()
    const cookie = await login()
    const [early, late] = [await issue(cookie), await issue(cookie)]
    clock.advance(29_999)
    expect(userOf(await redeem(early))).toBe('ann')
    clock.advance(1)
    expect(await redeem(late)).toBe('expired')
    for (const lifetime of [999, 60_001, Number.NaN, Number.POSITIVE_INFINITY, -1])
      expect(() => tickets({ sessions: app.sessions, store, lifetime })).toThrow(TypeError)
  })

  test('whatever the store forgets: a late ticket is refused without it', async () => {
    const clock = manualClock()
    // Its own clock stands still, so that it forgets nothing.
    const store = memory({ clock: manualClock() })
    const { login, issue, redeem } = world({ clock, store, lifetime: 60_000 })
    const text = await issue(await login())
    clock.advance(60_000)
    expect(await redeem(text)).toBe('expired')
  })

  test.each<[string, Record<string, string>]>([
    ['Sec-Purpose', { 'sec-purpose': 'prefetch' }],
    ['a prerender', { 'sec-purpose': 'prefetch;prerender' }],
    ['Purpose', { purpose: 'prefetch' }],
    ['X-Purpose', { 'x-purpose': 'preview' }],
    ['X-Moz', { 'x-moz': 'prefetch' }],
  ])('A-146: a prefetch does not use it up: %s', async (_, headers) => {
    const { login, issue, redeem, app } = world()
    const text = await issue(await login())
    app.told()
    expect(await redeem(text, PATH, { headers })).toBe('absent')
    expect(await redeem(text, PATH, { headers: new Headers(headers) })).toBe('absent')
    expect(app.told()).toEqual([])
    expect(userOf(await redeem(text, PATH, { headers: new Headers() }))).toBe('ann')
  })

  test('is for guests too, and nobody is written about for one', async () => {
    const { app, issue, redeem, ticket } = world()
    const first = await app.request('', (session) => ticket.issue(session, PATH))
    expect(first.value).toBeUndefined()
    expect(first.given).toBeUndefined()
    const { given } = await app.request('', (session) => {
      session.data.count = 1
    })
    const found = await redeem(await issue(given!))
    expect(found).toMatchObject({ userId: undefined, id: expect.any(String) })
  })

  test('of the very request that signs in works once that is done', async () => {
    const { app, ticket, redeem } = world()
    const { value } = await app.request('', (session) => {
      session.login('ann')
      return ticket.issue(session, PATH)
    })
    expect(userOf(await redeem(value))).toBe('ann')
  })

  test.each(['https://evil.example/', '//evil.example', 'live', ''])('A-96: is for no place like %j', async (path) => {
    const { app, ticket, login } = world()
    await expect(app.request(await login(), (session) => ticket.issue(session, path))).rejects.toThrow(TypeError)
  })
})

describe('what is no ticket', () => {
  test('A-05 A-06: is refused before the store is asked', async () => {
    const { app, store, login, issue } = world()
    const watched = counted(store)
    const ticket = tickets({ sessions: app.sessions, store: watched.store })
    const good = await issue(await login())
    const [key, random, ends, mac] = good.split('.') as [string, string, string, string]
    const later = (Number.parseInt(ends, 36) + 1000).toString(36)
    const bad: [unknown, Refusal][] = [
      [undefined, 'absent'],
      ['', 'absent'],
      ['a', 'malformed'],
      [[good], 'malformed'],
      [{ ticket: good }, 'malformed'],
      ['x'.repeat(65_536), 'malformed'],
      [`${good}=`, 'malformed'],
      [good.slice(0, -1), 'malformed'],
      [` ${good}`, 'malformed'],
      [[key, random, later, mac].join('.'), 'forged'],
      [[key, random, ends, 'A'.repeat(43)].join('.'), 'forged'],
      [['other', random, ends, mac].join('.'), 'forged'],
    ]
    for (const [text, refusal] of bad) expect(await ticket.redeem(text, PATH, PLAIN)).toBe(refusal)
    expect(watched.calls()).toEqual([])
    expect(userOf(await ticket.redeem(good, PATH, PLAIN))).toBe('ann')
  })

  test('A-118: a credential is no ticket, a ticket no credential, nor the handle either', async () => {
    const { app, login, issue, redeem } = world()
    const cookie = await login()
    const [name, credential] = cookie.split('=') as [string, string]
    const ticket = await issue(cookie)
    const [{ id }] = (await app.sessions.list('ann')) as [{ id: string }]
    expect(await redeem(credential)).toBe('malformed')
    expect(await redeem(id)).toBe('malformed')
    expect((await app.request(`${name}=${ticket}`, (session) => session.refused)).value).toBe('malformed')
  })

  test('A-10: a stolen store opens nothing, and shows nobody', async () => {
    const { store, login, issue, redeem, app } = world()
    const cookie = await login()
    const before = new Set([...store.list()].map(([id]) => id))
    const text = await issue(cookie)
    const [row] = [...store.list()].filter(([id]) => !before.has(id))
    const dump = JSON.stringify(row)
    for (const secret of [text, ...text.split('.').filter((part) => part.length > 20), cookie.split('=')[1]!, 'ann'])
      expect(dump).not.toContain(secret)
    expect(await redeem(row![0])).toBe('malformed')
    expect(await app.sessions.end(row![0])).toBe(false)
    expect(await app.sessions.list('ann')).toHaveLength(1)
  })

  test('A-10: nor can who writes to it put one session in the place of another', async () => {
    const { store, login, issue, redeem } = world()
    const [eve, ann] = [await issue(await login('eve')), await issue(await login('ann'))]
    const row = (text: string) => `ticket ${createHash('sha256').update(text).digest('base64url')}`
    const [ofEve, ofAnn] = [(await store.get(row(eve)))!, (await store.get(row(ann)))!]
    expect(await store.set(row(eve), { ...ofEve, data: ofAnn.data, version: 2 }, 1)).toBe(true)
    expect(await redeem(eve)).toBe('forged')
  })

  test('A-90: a store that fails is a fault, and the ticket is as good as before', async () => {
    let broken = false
    const clock = manualClock()
    const store = gated(memory({ clock }), (_, go) => {
      if (broken) throw new Error('down')
      return go()
    })
    const { login, issue, redeem } = world({ clock, store })
    const text = await issue(await login())
    broken = true
    expect(() => redeem(text)).toThrow(expect.objectContaining({ code: 'ERR_STORE' }))
    broken = false
    expect(userOf(await redeem(text))).toBe('ann')
  })
})

const KINDS: Record<string, (clock: ManualClock, store: UserStore) => StrategyFactory | StrategyFactory[]> = {
  opaque: (_, store) => opaque({ store }),
  sealed: (clock) => sealed({ revocations: revocations({ store: memory({ clock }), clock }) }),
  jwt: (clock) => jwt({ issuer: 'i', audience: 'a', revocations: revocations({ store: memory({ clock }), clock }) }),
  'opaque and sealed': (clock, store) => [
    opaque({ store }),
    sealed({ revocations: revocations({ store: memory({ clock }), clock }) }),
  ],
}

describe.each(Object.keys(KINDS))('the ticket of a session that has ended, %s', (kind) => {
  const made = () => {
    const clock = manualClock()
    const store = memory({ clock })
    return world({ clock, store, strategy: KINDS[kind]!(clock, store) })
  }

  test.each<[string, (app: App, cookie: string) => unknown]>([
    ['A-123: logout', (app, cookie) => app.request(cookie, (session) => session.logout())],
    ['A-123: rotation', (app, cookie) => app.request(cookie, (session) => session.rotate())],
    ['A-123: another login', (app, cookie) => app.request(cookie, (session) => session.login('bea'))],
    ['A-123: endAll', (app) => app.sessions.endAll('ann')],
    [
      '7.4.2: end',
      async (app, cookie) => {
        const { value } = await app.request(cookie, (session) => session.id)
        await app.sessions.end(value!)
      },
    ],
  ])('%s: it opens nothing, and what it opened is alive no more', async (_, finish) => {
    const { app, login, issue, redeem } = made()
    const cookie = await login()
    const [text, used] = [await issue(cookie), await issue(cookie)]
    const open = (await redeem(used)) as Redeemed
    expect(open.userId).toBe('ann')
    expect(await open.alive()).toBe(true)
    await finish(app, cookie)
    expect(await redeem(text)).toMatch(/^(ended|replaced)$/)
    expect(await open.alive()).toBe(false)
  })

  test('7.3.2: its absolute end', async () => {
    const { login, issue, redeem, clock, app } = made()
    const cookie = await login()
    const open = (await redeem(await issue(cookie))) as Redeemed
    clock.advance(29 * 60_000)
    expect(await open.alive()).toBe(true)
    clock.advance(60_000)
    expect(await open.alive()).toBe(false)
    expect(app.told()).toContain('created')
  })
})

describe('POST /ticket', () => {
  const endpoint = async (init: RequestInit, cookie = true, options: Options = {}) => {
    const made = world(options)
    const handle = fetch(made.app.sessions, made.ticket.handler)
    const headers = { ...(cookie ? { cookie: await made.login() } : {}), ...(init.headers as Record<string, string>) }
    const response = await handle(new Request(`${ORIGIN}/api/ticket`, { method: 'POST', ...init, headers }))
    return { ...made, response }
  }
  const json = { 'content-type': 'application/json' }

  test('gives a ticket for the path', async () => {
    const { response, redeem } = await endpoint({ body: '{"path":"/live"}', headers: json })
    expect(response.status).toBe(200)
    expect(response.headers.get('cache-control')).toMatch(/no-store/)
    const { ticket, expires_in } = (await response.json()) as { ticket: string; expires_in: number }
    expect(expires_in).toBe(30)
    expect(userOf(await redeem(ticket))).toBe('ann')
  })

  test('takes a form as well', async () => {
    const { response } = await endpoint({ body: new URLSearchParams({ path: '/live' }) })
    expect(response.status).toBe(200)
  })

  test.each<[string, number, RequestInit, boolean]>([
    ['another method', 405, { method: 'GET' }, true],
    ['no path', 400, { body: '{}', headers: json }, true],
    ['a path elsewhere', 400, { body: '{"path":"//evil.example"}', headers: json }, true],
    ['no object', 400, { body: '[]', headers: json }, true],
    ['a broken body', 400, { body: '{', headers: json }, true],
    ['a body that is too long', 413, { body: 'x'.repeat(70_000), headers: json }, true],
    ['another type', 415, { body: 'path=/live', headers: { 'content-type': 'text/plain' } }, true],
    ['nobody', 401, { body: '{"path":"/live"}', headers: json }, false],
    ['A-138: another site', 403, { body: 'path=/live', headers: { 'sec-fetch-site': 'cross-site' } }, true],
  ])('%s: %i', async (_, status, init, cookie) => {
    const { response } = await endpoint(init, cookie)
    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect(response.headers.get('cache-control')).toMatch(/no-store/)
    if (status === 405) expect(response.headers.get('allow')).toBe('POST')
    if (status === 401) expect(response.headers.get('www-authenticate')).toBe('Bearer realm="session"')
  })
})

/** The example of docs/ticket.md: a WebSocket on node:http, by hand where a library would do it. */
describe('4.4.2: a WebSocket', () => {
  async function serve() {
    const { app, ticket, login, issue } = world()
    const sockets = new Set<{ socket: Duplex; redeemed: Redeemed }>()
    const server = createServer((req, res) => node(app.sessions)(req, res, () => res.end('page')))
    const refuse = (socket: Duplex, status: string) => socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`)
    server.on('upgrade', async (req: IncomingMessage, socket: Duplex) => {
      if (req.headers.origin !== ORIGIN) return refuse(socket, '403 Forbidden')
      const { pathname, searchParams } = new URL(req.url ?? '', ORIGIN)
      const redeemed = await ticket.redeem(searchParams.get('ticket'), pathname, req)
      if (typeof redeemed === 'string') return refuse(socket, '401 Unauthorized')
      const accept = createHash('sha1')
        .update(`${req.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
        .digest('base64')
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      )
      sockets.add({ socket, redeemed })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return { app, login, issue, sockets, server }
  }

  function knock(server: Server, path: string, origin: string): Promise<{ head: string; socket: Socket }> {
    const { port } = server.address() as AddressInfo
    const socket = connect(port, '127.0.0.1')
    const lines = [
      `GET ${path} HTTP/1.1`,
      `Host: 127.0.0.1:${port}`,
      `Origin: ${origin}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    ]
    socket.write(`${lines.join('\r\n')}\r\n\r\n`)
    return new Promise((resolve, reject) => {
      socket.once('error', reject)
      socket.once('data', (data) => resolve({ head: String(data).split('\r\n', 1)[0]!, socket }))
    })
  }

  test('A-123: opens with a ticket and the right origin, once, and is closed when the session ends', async () => {
    const { app, login, issue, sockets, server } = await serve()
    try {
      const cookie = await login()
      const text = await issue(cookie)
      expect((await knock(server, `/live?ticket=${text}`, 'https://evil.example')).head).toMatch(/ 403 /)
      expect((await knock(server, `/live?ticket=${text}`, 'null')).head).toMatch(/ 403 /)
      expect((await knock(server, '/live', ORIGIN)).head).toMatch(/ 401 /)
      expect((await knock(server, `/other?ticket=${text}`, ORIGIN)).head).toMatch(/ 401 /)
      const opened = await knock(server, `/live?ticket=${text}`, ORIGIN)
      expect(opened.head).toMatch(/ 101 /)
      expect((await knock(server, `/live?ticket=${text}`, ORIGIN)).head).toMatch(/ 401 /)

      const closed = new Promise<void>((resolve) => opened.socket.once('close', () => resolve()))
      await app.request(cookie, (session) => session.logout())
      for (const { socket, redeemed } of sockets) if (!(await redeemed.alive())) socket.destroy()
      await closed
    } finally {
      for (const { socket } of sockets) socket.destroy()
      server.close()
    }
  })
})

describe('rotated keys', () => {
  test('a ticket of the older one is redeemed, one of a key that is gone is not', async () => {
    const clock = manualClock()
    const store = memory({ clock })
    const [older, newer] = [generateSecret(), generateSecret()]
    const at = (keys: string | string[]) => {
      const app = new App({ clock, store, keys, strategy: opaque({ store }) })
      return { app, ticket: tickets({ sessions: app.sessions, store }) }
    }
    const first = at(older)
    const { given } = await first.app.request('', (session) => session.login('ann'))
    const issue = async () => (await first.app.request(given!, (s) => first.ticket.issue(s, PATH))).value
    expect(userOf(await at([newer, older]).ticket.redeem(await issue(), PATH, PLAIN))).toBe('ann')
    expect(await at(newer).ticket.redeem(await issue(), PATH, PLAIN)).toBe('forged')
  })
})

test('a strategy that cannot end sessions still ends them in time', async () => {
  const { login, issue, redeem } = world({ strategy: sealed({ revocations: acceptNoRevocation }) })
  expect(userOf(await redeem(await issue(await login())))).toBe('ann')
})
