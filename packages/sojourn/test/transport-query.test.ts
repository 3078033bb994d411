import fc from 'fast-check'
import {
  acceptCredentialsInUrls,
  acceptNoRevocation,
  cookie,
  createSessions,
  generateSecret,
  opaque,
  query,
  redactUrl,
  type Session,
  type SessionEvent,
  sealed,
} from 'sojourn'
import { fetch } from 'sojourn/adapter/fetch'
import { memory } from 'sojourn/store/memory'
import { describe, expect, test } from 'vitest'
import { exchange } from './exchange.js'
import { HOSTILE_PATHS, OWN_PATHS } from './fixtures/hostile-paths.js'

const risk: typeof acceptCredentialsInUrls = acceptCredentialsInUrls
const keys = generateSecret()
const ours = query({ risk })
const read = (url: string, transport = ours) => transport.read(exchange({ url }))

interface Data {
  count: number
  [key: string]: unknown
}

/** An app that answers with what `work` returns: a path to go to, most often. */
function app(options: { transport?: ReturnType<typeof query>[]; keys?: string } = {}) {
  const sessions = createSessions<Data>({
    keys,
    strategy: opaque({ store: memory() }),
    transport: ours,
    initial: () => ({ count: 0 }),
    ...options,
  })
  const events: SessionEvent[] = []
  sessions.on((event) => void events.push(event))
  const at = async (
    url: string,
    work: (session: Session<Data>) => unknown = (session) => session.userId,
    init: RequestInit = {},
  ) => {
    let value: unknown
    const handle = fetch(sessions, async (request) => {
      value = await work(await sessions.of(request))
      return new Response('done')
    })
    const response = await handle(new Request(`https://shop.example${url}`, init))
    return { response, value: value as string }
  }
  const guest = async () => {
    const { value } = await at('/', (session) => {
      session.data.count = 1
      return session.url('/')
    })
    return value
  }
  return { sessions, events, at, guest }
}

describe('opt-in, by what it costs', () => {
  test('14.2.1: never without the symbol that says so', () => {
    // @ts-expect-error: silence is no consent
    expect(() => query({})).toThrow(/tickets/)
    // @ts-expect-error: nor is anything that looks like it
    expect(() => query({ risk: true })).toThrow(TypeError)
  })

  test('only for credentials that are worth nothing once the session has ended', () => {
    const stateless = sealed({ revocations: acceptNoRevocation })
    expect(() => createSessions({ keys, strategy: stateless, transport: ours })).toThrow(/only opaque\(\)/)
    const both = [opaque({ store: memory() }), stateless]
    expect(() => createSessions({ keys, strategy: both, transport: [cookie(), ours] })).toThrow(/only opaque\(\)/)
    expect(() => createSessions({ keys, transport: ours })).not.toThrow()
  })

  test.each(['', 'a b', 'a=b', 'a&b', '1st', 'é', 'x'.repeat(33)])('%j is no name', (name) => {
    expect(() => query({ risk, name })).toThrow(TypeError)
  })
})

describe('what is read', () => {
  test.each<[string, string, string | string[]]>([
    ['one', '/?session=a.b-c_d~', 'a.b-c_d~'],
    ['one among others', '/?a=1&session=x&b=2', 'x'],
    ['none', '/', ''],
    ['an empty one', '/?session=', ''],
    ['A-15: a longer name', '/?mysession=x', ''],
    ['A-15: another case', '/?Session=x', ''],
    ['A-15: an encoded name', '/?%73ession=x', ''],
    ['in the path', '/session=x', ''],
    ['twice', '/?session=x&session=y', []],
    ['twice the same', '/?session=x&session=x', []],
    ['as an array', '/?session[]=x', ''],
    ['A-07: encoded', '/?session=%78', []],
    ['A-07: with a space', '/?session=a+b', []],
    ['A-06: 64 KB', `/?session=${'a'.repeat(65_536)}`, []],
  ])('%s', (_, url, found) => {
    expect(read(url)).toEqual(found)
  })

  test('A-158: 64 KB of anything take no time to speak of', () => {
    const began = performance.now()
    for (const text of ['&', '?', 'session=', 'session', '=', '&session=a']) {
      read(`/?${text.repeat(65_536 / text.length)}`)
      redactUrl(`/?${text.repeat(65_536 / text.length)}`)
    }
    redactUrl(`/?${'%25'.repeat(21_845)}`)
    expect(performance.now() - began).toBeLessThan(300)
  })

  test('A-27: over plain HTTP, but for localhost, none is honoured and none is written', () => {
    const plain = (host: string) => exchange({ secure: false, url: '/?session=x', headers: { host } })
    expect(ours.read(plain('shop.example'))).toEqual([])
    expect(ours.link?.(plain('shop.example'), '/a', 'x')).toBe('/a')
    expect(ours.read(plain('localhost:3000'))).toBe('x')
    expect(ours.link?.(plain('localhost:3000'), '/a', 'x')).toBe('/a?session=x')
  })
})

describe('session.url', () => {
  const link = (path: string) => ours.link?.(exchange(), path, 'X')

  test.each([
    ['/', '/?session=X'],
    ['/cart?a=1', '/cart?a=1&session=X'],
    ['/cart#top', '/cart?session=X#top'],
    ['/cart?a=1&session=old&b=2#top?x', '/cart?a=1&b=2&session=X#top?x'],
    ['/cart?', '/cart?session=X'],
  ])('%s', (path, expected) => {
    expect(link(path)).toBe(expected)
  })

  test.each(HOSTILE_PATHS)('A-96: %j never gets the session', async (path) => {
    const { at, guest } = app()
    const url = await guest()
    await expect(at(url, (session) => session.url(path))).rejects.toThrow(/session\.url/)
  })

  test.each(OWN_PATHS)('%j gets it', async (path) => {
    const { at, guest } = app()
    const base = 'https://own.example'
    await at(await guest(), (session) => {
      const written = new URL(session.url(path), base)
      expect([written.pathname, written.searchParams.has('session')]).toEqual([new URL(path, base).pathname, true])
    })
  })

  test('A-96: whatever gets it is a path of this origin, and keeps what else it said', async () => {
    const { at, guest } = app()
    const url = await guest()
    const piece = fc.constantFrom(
      '/',
      '\\',
      '.',
      '..',
      '?',
      '#',
      '&',
      'a',
      'session=x',
      '%2f',
      '@',
      ':',
      'evil.example',
      '\t',
    )
    const paths = fc.sample(
      fc.array(piece, { maxLength: 8 }).map((pieces) => `/${pieces.join('')}`),
      { numRuns: 1000, seed: 1 },
    )
    await at(url, (session) => {
      for (const path of paths) {
        let written: string
        try {
          written = session.url(path)
        } catch (error) {
          expect(error).toBeInstanceOf(TypeError)
          continue
        }
        const [to, from] = [new URL(written, 'https://shop.example'), new URL(path, 'https://shop.example')]
        expect(to.origin).toBe('https://shop.example')
        expect([to.pathname, to.hash]).toEqual([from.pathname, from.hash])
        expect(to.searchParams.getAll('session')).toEqual([url.split('=')[1]])
      }
    })
  })

  test('a guest’s first change, and everything after it, is found again', async () => {
    const { at } = app()
    const first = await at('/', (session) => {
      session.update('count', (n) => n + 1)
      return session.url('/cart')
    })
    expect(first.value).toMatch(/^\/cart\?session=.{80,}$/)
    const second = await at(first.value, (session) => {
      session.update('count', (n) => n + 1)
      return [session.data.count, session.url('/cart')]
    })
    expect(second.value).toEqual([2, first.value])
  })

  test('nobody is written about for a link', async () => {
    const { at, events } = app()
    expect((await at('/', (session) => session.url('/cart'))).value).toBe('/cart')
    expect(events).toEqual([])
  })

  test('A-01: a login and a rotation give links with the new identifier, and the old one opens nothing', async () => {
    const { at, guest } = app()
    const before = await guest()
    const { value: after } = await at(before, (session) => {
      session.login('ann')
      return session.url('/')
    })
    expect(after).not.toBe(before)
    expect((await at(after)).value).toBe('ann')
    expect((await at(before)).value).toBeUndefined()

    const rotated = await at(after, async (session) => {
      session.rotate()
      await session.commit()
      return session.url('/')
    })
    expect(rotated.value).not.toBe(after)
    expect((await at(rotated.value)).value).toBe('ann')
    expect((await at(after)).value).toBeUndefined()
  })

  test('after a logout links are plain, and the old ones open nothing', async () => {
    const { at } = app()
    const login = await at('/', (session) => {
      session.login('ann')
      return session.url('/')
    })
    const { value } = await at(login.value, async (session) => {
      session.logout()
      const before = session.url('/')
      await session.commit()
      return [before, session.url('/')]
    })
    expect(value).toEqual(['/', '/'])
    expect((await at(login.value)).value).toBeUndefined()
  })

  test('a link made with a key that was rotated since has the new signature', async () => {
    const store = memory()
    const strategy = opaque({ store })
    const old = createSessions<Data>({ keys, strategy, transport: ours, initial: () => ({ count: 0 }) })
    const next = createSessions<Data>({ keys: [generateSecret(), keys], strategy, transport: ours })
    const visit = async (sessions: typeof old, url: string, work: (session: Session<Data>) => string) => {
      let value = ''
      const handle = fetch(sessions, async (request) => {
        value = work(await sessions.of(request))
        return new Response()
      })
      await handle(new Request(`https://shop.example${url}`))
      return value
    }
    const first = await visit(old, '/', (session) => {
      session.login('ann')
      return session.url('/')
    })
    const second = await visit(next, first, (session) => session.url('/'))
    expect(second).not.toBe(first)
    expect(await visit(next, second, (session) => String(session.userId))).toBe('ann')
  })
})

describe('A-117: what the response says', () => {
  test('no referrer and no store, whether or not somebody asks for the session', async () => {
    const { sessions, guest } = app()
    const url = await guest()
    const silent = fetch(sessions, () => new Response('hello'))
    for (const path of [url, '/?session=garbage', '/?session=a&session=b']) {
      const { headers } = await silent(new Request(`https://shop.example${path}`))
      expect(headers.get('referrer-policy')).toBe('no-referrer')
      expect(headers.get('cache-control')).toMatch(/no-store/)
    }
    const other = await silent(new Request('https://shop.example/'))
    expect(other.headers.has('referrer-policy')).toBe(false)
  })

  test('also where links are written for the first time', async () => {
    const { at } = app()
    const { response } = await at('/', (session) => {
      session.data.count = 1
      return session.url('/')
    })
    expect(response.headers.get('referrer-policy')).toBe('no-referrer')
    expect(response.headers.get('cache-control')).toBe('private, no-store')
    expect(response.headers.getSetCookie()).toEqual([])
  })
})

describe('fixation', () => {
  test('A-02: an unknown identifier of the right form is never adopted', async () => {
    const { at, events } = app()
    const elsewhere = app()
    const planted = await elsewhere.guest()
    const { value } = await at(planted, (session) => {
      session.data.count = 1
      return [session.refused, session.url('/')]
    })
    expect(value[0]).toBe('ended')
    expect(value[1]).not.toBe(planted)
    expect(events.map(({ type }) => type)).toEqual(['refused', 'created'])
    const stolen = await at(planted, (session) => session.data.count)
    expect(stolen.value).toBe(0)
  })

  test('A-05: nor is one that somebody made up', async () => {
    const { at } = app()
    for (const made of ['undefined', 'null', '0', 'a.b.c', '..-..-x', 'x'.repeat(94)]) {
      const { value } = await at(`/?session=${made}`, (session) => {
        session.data.count = 1
        return [session.refused, session.url('/')]
      })
      expect(value[0]).toBe('malformed')
      expect(value[1]).not.toBe(`/?session=${made}`)
    }
  })

  test('A-03: where the session is in a cookie, the URL is not read, nor the body, nor a header', async () => {
    const { guest } = app()
    const credential = (await guest()).split('=')[1]!
    const sessions = createSessions<Data>({ keys, initial: () => ({ count: 0 }) })
    let refused: string | undefined
    const handle = fetch(sessions, async (request) => {
      refused = (await sessions.of(request)).refused
      return new Response()
    })
    const body = new URLSearchParams({ session: credential, '__Host-Http-session': credential })
    const headers = { authorization: `Bearer ${credential}`, 'x-session-id': credential }
    await handle(new Request(`https://shop.example/?${body}`, { method: 'POST', body, headers }))
    expect(refused).toBe('absent')
  })

  test('A-138: anybody can link to a session of their own, so the guard holds for URLs too', async () => {
    const { at, guest } = app()
    const url = await guest()
    const foreign = { method: 'POST', headers: { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' } }
    expect((await at(url, () => 'reached', foreign)).response.status).toBe(403)
    const own = { method: 'POST', headers: { 'sec-fetch-site': 'same-origin', origin: 'https://shop.example' } }
    expect((await at(url, () => 'reached', own)).value).toBe('reached')
  })
})

describe('A-117 A-154: what a log may show', () => {
  test.each([
    ['/cart', '/cart'],
    ['/cart?a=1&b=session', '/cart?a=1&b=session'],
    ['/?session=canary', '/?session=[redacted]'],
    ['/?a=1&session=canary&b=2#c', '/?a=1&session=[redacted]&b=2#c'],
    ['https://shop.example/live?ticket=canary', 'https://shop.example/live?ticket=[redacted]'],
    ['/?SESSION=canary', '/?SESSION=[redacted]'],
    ['/?%73ession=canary', '/?%73ession=[redacted]'],
    ['/?session%3Dcanary', '/?[redacted]'],
    ['/a;session=canary?b=1', '/a;session=[redacted]?b=1'],
    ['/#access_token=canary&x=1', '/#access_token=[redacted]&x=1'],
    ['/?next=/a?session=canary', '/?next=/a?session=[redacted]'],
    ['/?next=%2Fa%3Fsession%3Dcanary', '/?next=[redacted]'],
    ['/?next=%252Fa%253Fb%253D1%2526session%253Dcanary', '/?next=[redacted]'],
    ['/?session=a=canary', '/?session=[redacted]'],
    ['/?%&session=canary&%zz', '/?%&session=[redacted]&%zz'],
  ])('%s', (url, shown) => {
    expect(redactUrl(url)).toBe(shown)
    expect(redactUrl(url)).not.toContain('canary')
  })

  test('names of the app’s own', () => {
    expect(redactUrl('/?key=canary&session=shown', ['key'])).toBe('/?key=[redacted]&session=shown')
    expect(() => redactUrl('/', ['a.*'])).toThrow(TypeError)
  })
})
