import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import fc from 'fast-check'
import {
  acceptNoRevocation,
  challenge,
  createSessions,
  generateSecret,
  header,
  opaque,
  sealed,
  type Transport,
} from 'sojourn'
import { node } from 'sojourn/adapter/node'
import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { describe, expect, test } from 'vitest'
import { exchange } from './exchange.js'
import { type Place, place, type View } from './journey.js'

const NONE = ''
const MALFORMED: string[] = []
const B64TOKEN = 'AZaz09-._~+/=='

const read = (authorization: string, transport = header()) =>
  transport.read(exchange({ headers: { host: 'shop.example', authorization } }))

describe('RFC 6750: what is a Bearer credential', () => {
  test.each([
    ['a b64token', `Bearer ${B64TOKEN}`, B64TOKEN],
    ['A-120: the scheme in small letters', 'bearer x', 'x'],
    ['A-120: the scheme in capitals', 'BEARER x', 'x'],
    ['A-120 BR-01: several spaces', 'Bearer  x', 'x'],
    ['A-120: no credential', 'Bearer', MALFORMED],
    ['A-120: no credential after a space', 'Bearer ', MALFORMED],
    ['A-120: a list', 'Bearer a,b', MALFORMED],
    ['A-120: two credentials', 'Bearer a, Bearer b', MALFORMED],
    ['A-120: another scheme beside it', 'Basic dXNlcg==, Bearer b', MALFORMED],
    ['A-120: parameters', 'Bearer a b=c', MALFORMED],
    ['A-120: quotes', 'Bearer "a"', MALFORMED],
    ['A-120: a tab in place of the space', 'Bearer\tx', MALFORMED],
    ['A-120: padding within', 'Bearer a=b', MALFORMED],
    ['A-120: text that is not ASCII', 'Bearer ünïcode', MALFORMED],
    ['A-06: 64 KB', `Bearer ${'a'.repeat(65_536)}`, MALFORMED],
    ['A-120: another scheme', 'Basic dXNlcjpwYXNz', NONE],
    ['A-120: a DPoP-bound one, which is no Bearer', 'DPoP x', NONE],
    ['a scheme that only begins so', 'BearerX y', NONE],
    ['nothing', '', NONE],
  ])('%s', (_, authorization, found) => {
    expect(read(authorization)).toEqual(found)
  })

  test('A-158: whatever a stranger sends is one token68 out of it, nothing, or malformed', () => {
    const piece = fc.constantFrom(
      'Bearer',
      'bearer',
      ' ',
      '  ',
      '\t',
      ',',
      '=',
      'abc',
      'Basic',
      '"',
      '\r\n',
      'é',
      'x.y',
    )
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(piece).map((pieces) => pieces.join('')),
    )
    fc.assert(
      fc.property(text, (authorization) => {
        const found = read(authorization)
        if (typeof found !== 'string') expect(found).toEqual(MALFORMED)
        else if (found === '') expect(authorization).not.toMatch(/^bearer [^ ]/i)
        else {
          expect(found).toMatch(/^[\w.~+/-]+=*$/)
          expect(authorization.replace(/^bearer +/i, '')).toBe(found)
        }
      }),
      { numRuns: 1000 },
    )
  })

  test('A-158: 64 KB of anything take no time to speak of', () => {
    const hostile = ['Bearer ', ',', ', ', ' \t', 'bearer ,', 'a=', '='].map((text) =>
      text.repeat(65_536 / text.length),
    )
    const began = performance.now()
    for (const text of hostile) read(text)
    for (const text of hostile) read(`Bearer ${text}!`)
    expect(performance.now() - began).toBeLessThan(100)
  })
})

describe('a header of the app’s own', () => {
  const own = header({ name: 'X-Session-Id' })
  const readOwn = (headers: Record<string, string>) => own.read(exchange({ headers }))

  test('holds the credential bare', () => {
    expect(readOwn({ 'x-session-id': B64TOKEN })).toBe(B64TOKEN)
    expect(readOwn({})).toBe(NONE)
    expect(readOwn({ 'x-session-id': '' })).toBe(NONE)
  })

  test('A-03: and `Authorization` is then not read', () => {
    expect(readOwn({ authorization: 'Bearer x' })).toBe(NONE)
  })

  test.each(['a, b', 'Bearer a', 'a b', '"a"', 'a;b'])('A-120: %s is malformed', (value) => {
    expect(readOwn({ 'x-session-id': value })).toEqual(MALFORMED)
  })

  test.each(['cookie', 'Set-Cookie', 'Host', 'Origin', 'Sec-Fetch-Site', 'Proxy-Authorization', 'a b', '', 'x:y', 'é'])(
    '%j is not for it to have',
    (name) => {
      expect(() => header({ name })).toThrow(TypeError)
      expect(() => header({ responseHeader: name })).toThrow(TypeError)
    },
  )

  test('and what comes back is no request header', () => {
    expect(() => header({ responseHeader: 'Authorization' })).toThrow(/request header/)
  })
})

describe('BR-08: plain HTTP', () => {
  const over = (host: string, transport: Transport = header()) => {
    const x = exchange({ secure: false, headers: { host, authorization: 'Bearer x' } })
    transport.write(x, { credential: 'new', endsAt: 1, persistent: false }, 0)
    return { found: transport.read(x), given: x.response.get('session-token') }
  }

  test('A-27: elsewhere, a credential is refused, and none is given', () => {
    expect(over('shop.example')).toEqual({ found: MALFORMED, given: undefined })
    expect(over('localhost.evil.example')).toEqual({ found: MALFORMED, given: undefined })
  })

  test.each(['localhost:3000', '127.0.0.1', '[::1]:80', 'app.localhost'])('on %s it works', (host) => {
    expect(over(host)).toEqual({ found: 'x', given: 'new' })
  })
})

/** A client that keeps what the response header says, as `sojourn/client` does. */
class Holder {
  token = ''
  last = new Response()
  readonly #place: Place

  constructor(place: Place, token = '') {
    this.#place = place
    this.token = token
  }

  async get(path: string, init: RequestInit = {}): Promise<View> {
    const authorization: Record<string, string> = this.token === '' ? {} : { authorization: `Bearer ${this.token}` }
    const headers = { ...authorization, ...(init.headers as Record<string, string>) }
    this.last = await this.#place.handler(new Request(`https://shop.example${path}`, { ...init, headers }))
    this.token = this.last.headers.get('session-token') ?? this.token
    return (await this.last.json()) as View
  }
}

const keys = generateSecret()
const clock = manualClock()
const strategies = {
  opaque: () => opaque({ store: memory({ clock }) }),
  sealed: () => sealed({ revocations: acceptNoRevocation }),
}

describe.each(Object.keys(strategies) as (keyof typeof strategies)[])('the journey of a header, %s', (strategy) => {
  const app = () => place({ keys, clock, strategy: strategies[strategy](), transport: header() })

  test('visit, write, login, slide, expire', async () => {
    const client = new Holder(app())
    await client.get('/')
    expect(client.token).toBe('')
    await client.get('/add')
    const guest = client.token
    expect(guest).not.toBe('')
    expect(await client.get('/login/ann')).toMatchObject({ user: 'ann', count: 1 })
    expect(client.token).not.toBe(guest)
    clock.advance(20 * 60_000)
    expect(await client.get('/')).toMatchObject({ user: 'ann' })
    clock.advance(20 * 60_000)
    expect(await client.get('/add')).toMatchObject({ user: 'ann', count: 2 })
    clock.advance(31 * 60_000)
    expect(await client.get('/')).toMatchObject({ count: 0, refused: expect.stringMatching(/expired|ended/) })
  })

  test('logout gives an empty header, and no cookie is ever set', async () => {
    const client = new Holder(app())
    await client.get('/login/ann')
    expect(client.last.headers.getSetCookie()).toEqual([])
    await client.get('/logout')
    expect(client.last.headers.get('session-token')).toBe('')
    expect(client.token).toBe('')
    expect(client.last.headers.getSetCookie()).toEqual([])
  })

  test('A-28: what gives a credential is never kept by a shared cache', async () => {
    const client = new Holder(app())
    await client.get('/login/ann')
    expect(client.last.headers.get('cache-control')).toBe('private, no-store')
  })

  test('A-138: no other site can make a request with it, so none is guarded', async () => {
    const client = new Holder(app())
    await client.get('/login/ann')
    const headers = { 'sec-fetch-site': 'cross-site', origin: 'https://app.example' }
    expect(await client.get('/add', { method: 'POST', headers })).toMatchObject({ user: 'ann', count: 1 })
    expect(client.last.status).toBe(200)
  })
})

describe('the answer', () => {
  test('A-02: an unknown identifier is never adopted, and a forged one is told', async () => {
    const one = place({ keys, clock, transport: header() })
    const client = new Holder(one)
    await client.get('/add')
    const other = place({ keys: generateSecret(), clock, transport: header() })
    const stranger = new Holder(other, client.token)
    expect(await stranger.get('/add')).toMatchObject({ refused: 'forged', count: 1 })
    expect(stranger.token).not.toBe(client.token)
    expect(other.events).toEqual(['refused forged', 'created'])
  })

  test('the malformed is told, and opens nothing', async () => {
    const app = place({ keys, clock, transport: header() })
    expect(await new Holder(app).get('/', { headers: { authorization: 'Bearer a,b' } })).toMatchObject({
      refused: 'malformed',
    })
    expect(app.events).toEqual(['refused malformed'])
  })

  test('pages of other origins may see it where CORS lets them, beside what the app exposes', () => {
    const written = (exposed?: string, origin?: string) => {
      const x = exchange(origin === undefined ? {} : { headers: { origin } })
      if (exposed !== undefined) x.set('access-control-expose-headers', exposed)
      header().write(x, { credential: 'new', endsAt: 1, persistent: false }, 0)
      header().write(x, { credential: 'new', endsAt: 1, persistent: false }, 0)
      return x.response.get('access-control-expose-headers')
    }
    expect(written(undefined, 'https://app.example')).toBe('session-token')
    expect(written('X-Total, ETag', 'https://app.example')).toBe('X-Total, ETag, session-token')
    expect(written('Session-Token', 'https://app.example')).toBe('Session-Token')
    expect(written()).toBeUndefined()
  })

  test('what is too long for a header is refused before anything is sent', async () => {
    const app = place({ keys, clock, strategy: sealed({ revocations: acceptNoRevocation }), transport: header() })
    const response = await app.handler(new Request('https://shop.example/text/9000'))
    expect(response.status).toBe(500)
    expect(response.headers.has('session-token')).toBe(false)
  })
})

describe('over a socket', () => {
  test('A-120: two Authorization lines are malformed, although node keeps the first alone', async () => {
    const sessions = createSessions({ keys, transport: header(), initial: () => ({ count: 0 }) })
    const attach = node(sessions)
    const server = createServer((req, res) =>
      attach(req, res, async () => {
        const session = await sessions.of(req)
        session.update('count', (n) => n + 1)
        res.end(String(session.refused ?? session.data.count))
      }),
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const send = (...lines: string[]) =>
      new Promise<string>((resolve, reject) => {
        let text = ''
        connect(port, '127.0.0.1')
          .on('data', (data) => {
            text += data
          })
          .on('end', () => resolve(text))
          .on('error', reject)
          .end(['GET / HTTP/1.1', `Host: 127.0.0.1:${port}`, 'Connection: close', ...lines, '', ''].join('\r\n'))
      })
    try {
      const token = /^session-token: (.+)\r$/im.exec(await send())?.[1]
      expect(await send(`Authorization: Bearer ${token}`)).toMatch(/\r\n\r\n2$/)
      expect(await send(`Authorization: Bearer ${token}`, 'authorization: Bearer other')).toMatch(/malformed/)
      expect(await send('Authorization: Bearer other', `Authorization: Bearer ${token}`)).toMatch(/malformed/)
    } finally {
      server.close()
      await sessions.close()
    }
  })
})

describe('RFC 6750, 3: the challenge', () => {
  test('BR-03: no error where no credential came', () => {
    expect(challenge({ refused: undefined })).toBe('Bearer realm="session"')
    expect(challenge({ refused: 'absent' }, 'The shop')).toBe('Bearer realm="The shop"')
  })

  test.each(['malformed', 'forged', 'expired', 'ended', 'replaced', 'replayed'] as const)(
    'BR-04 A-156: %s is invalid_token, like all others',
    (refused) => {
      expect(challenge({ refused })).toBe('Bearer realm="session", error="invalid_token"')
    },
  )

  test.each(['', 'a"b', 'a\\b', 'a\r\nb', 'é', 'x'.repeat(129)])('BR-07: the realm %j cannot be quoted', (realm) => {
    expect(() => challenge({ refused: undefined }, realm)).toThrow(TypeError)
  })
})
