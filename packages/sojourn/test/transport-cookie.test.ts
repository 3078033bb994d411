import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { type CookieOptions, type CookiePrefix, cookie } from 'sojourn/transport/cookie'
import { describe, expect, test } from 'vitest'
import { exchange, type FakeRequest } from './exchange.js'

const HOUR = 60 * 60 * 1000
const given = { credential: 'tok', endsAt: 8 * HOUR, persistent: false }

function written(options?: CookieOptions, request?: FakeRequest, persistent = false, now = 0): string[] {
  const x = exchange(request)
  cookie(options).write(x, { ...given, persistent }, now)
  return x.lines
}

function cleared(options?: CookieOptions, request?: FakeRequest): string[] {
  const x = exchange(request)
  cookie(options).clear(x)
  return x.lines
}

const plain = (host: string, cookies?: string): FakeRequest => ({
  secure: false,
  headers: { host, ...(cookies === undefined ? {} : { cookie: cookies }) },
})

describe('the cookie over HTTPS', () => {
  test('3.3.1, 3.3.2, 3.3.3, 3.3.4, CK-07, N-12, N-13: the default says all that browsers can hold us to', () => {
    expect(written()).toEqual(['__Host-Http-session=tok; Path=/; HttpOnly; Secure; SameSite=Lax'])
  })

  test('SM-06: the name gives no framework away', () => {
    expect(written()[0]).toMatch(/^__Host-Http-session=/)
  })

  test('N-09: the cookie ends with the browser unless "remember me" was chosen', () => {
    expect(written()[0]).not.toMatch(/max-age|expires/i)
    expect(written({ maxAge: HOUR })[0]).not.toMatch(/max-age|expires/i)
    expect(written({}, {}, true)[0]).toContain('; Max-Age=28800; Expires=Thu, 01 Jan 1970 08:00:00 GMT; ')
  })

  test('a remembered cookie is capped by `maxAge`, and never outlives its session', () => {
    expect(written({ maxAge: HOUR }, {}, true)[0]).toContain('; Max-Age=3600; ')
    expect(written({ maxAge: 9 * HOUR }, {}, true)[0]).toContain('; Max-Age=28800; ')
  })

  test('a remembered cookie is capped by `expires`; after that day cookies end with the browser', () => {
    const day = Date.now() + 10 * HOUR
    const options = { expires: new Date(day) }
    const write = (now: number) => {
      const x = exchange()
      cookie(options).write(x, { credential: 'tok', endsAt: now + 24 * HOUR, persistent: true }, now)
      return x.lines[0]
    }
    expect(write(day - 2 * HOUR)).toContain('; Max-Age=7200; ')
    expect(write(day)).toBe(written()[0])
  })

  test('every attribute is spelled as browsers read it', () => {
    const options = { prefix: '__Host-', sameSite: 'none', partitioned: true, priority: 'high', name: 'app' } as const
    expect(written(options)).toEqual([
      '__Host-app=tok; Path=/; HttpOnly; Secure; SameSite=None; Partitioned; Priority=High',
    ])
    expect(
      written({ prefix: '__Secure-', domain: 'example.com', path: '/app', sameSite: 'strict', httpOnly: false }),
    ).toEqual(['__Secure-session=tok; Path=/app; Domain=example.com; Secure; SameSite=Strict'])
    expect(written({ prefix: '', secure: false, priority: 'low' })).toEqual([
      'session=tok; Path=/; HttpOnly; SameSite=Lax; Priority=Low',
    ])
  })

  test('CK-02, A-31: a second writer of the same cookie replaces the first, and touches no other', () => {
    const x = exchange()
    const ours = '__Host-Http-session'
    x.setCookies([`${ours}=old; Path=/`, 'theme=dark', `${ours} = older`, `${ours}2=kept`, `x${ours}=kept`, 'noequals'])
    const transport = cookie()
    transport.write(x, given, 0)
    transport.write(x, { ...given, credential: 'two' }, 0)
    const kept = ['theme=dark', `${ours}2=kept`, `x${ours}=kept`, 'noequals']
    expect(x.lines).toEqual([...kept, `${ours}=two; Path=/; HttpOnly; Secure; SameSite=Lax`])
    transport.clear(x)
    expect(x.lines).toHaveLength(5)
    expect(x.lines[4]).toMatch(/^__Host-Http-session=; Max-Age=0; /)
  })

  test('browsers attach the cookie on their own', () => {
    expect(cookie().ambient).toBe(true)
  })

  test('CK-10: the crumbs of HTTP/2 are read as one header', async () => {
    const server = createServer((req, res) => {
      const { cookie: header } = req.headers
      res.end(String(cookie().read(exchange({ headers: header === undefined ? {} : { cookie: header } }))))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    const request = client.request({ cookie: ['a=1', '__Host-Http-session=tok', 'b=2'] })
    let body = ''
    for await (const chunk of request) body += chunk
    client.close()
    server.close()
    expect(body).toBe('tok')
  })
})

/** Every combination of the options that names and attributes are made of. */
const anyOptions = fc.record(
  {
    prefix: fc.constantFrom<CookiePrefix>('__Host-Http-', '__Host-', '__Secure-', '__Http-', ''),
    domain: fc.constant('example.com'),
    path: fc.constantFrom('/', '/app'),
    secure: fc.boolean(),
    httpOnly: fc.boolean(),
    sameSite: fc.constantFrom('strict' as const, 'lax' as const, 'none' as const),
    partitioned: fc.boolean(),
    priority: fc.constantFrom('low' as const, 'high' as const),
  },
  { requiredKeys: [] },
)

const anyRequest = fc.constantFrom<FakeRequest>({}, plain('localhost:3000'), plain('shop.example'))

/** Runs `body` for every combination that construction accepts, and makes sure that there are some. */
function forAllAccepted(body: (options: CookieOptions, request: FakeRequest) => void): void {
  let accepted = 0
  fc.assert(
    fc.property(anyOptions, anyRequest, (options, request) => {
      try {
        cookie(options)
      } catch (error) {
        expect(error).toBeInstanceOf(TypeError)
        return
      }
      accepted++
      body(options, request)
    }),
    { numRuns: 3000 },
  )
  expect(accepted).toBeGreaterThan(300)
}

describe('every combination that is accepted', () => {
  test('3.3.1, 3.3.3, CK-05, CK-07, CK-08, CK-14, CK-16: keeps the rules of its prefix, so that no browser drops it', () => {
    forAllAccepted((options, request) => {
      for (const line of written(options, request)) {
        const has = (attribute: string) =>
          line
            .split('; ')
            .slice(1)
            .some((part) => part.split('=')[0] === attribute)
        if (line.startsWith('__')) expect(has('Secure')).toBe(true)
        if (line.startsWith('__Host-')) expect([has('Domain'), line.includes('; Path=/; ')]).toEqual([false, true])
        if (/^__(Host-)?Http-/.test(line)) expect(has('HttpOnly')).toBe(true)
        if (line.includes('SameSite=None') || has('Partitioned')) expect(has('Secure')).toBe(true)
        expect(line).toMatch(/; SameSite=(Strict|Lax|None)/)
        const local = request.headers?.host === 'localhost:3000'
        expect(has('Secure')).toBe(options.secure !== false && !local)
      }
    })
  })

  test('CK-15, SM-08: is cleared with the very name and attributes that it was set with', () => {
    forAllAccepted((options, request) => {
      const set = written(options, request)
      const clear = cleared(options, request)
      expect(clear).toHaveLength(set.length)
      const past = '=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; '
      if (set[0] !== undefined) expect(clear[0]).toBe(set[0].replace('=tok; ', past))
    })
  })

  test('is read back under the name that was written, and under no other', () => {
    forAllAccepted((options, request) => {
      const [line] = written(options, request)
      if (line === undefined) return
      const jar = line.slice(0, line.indexOf(';'))
      const read = (sent: string) =>
        cookie(options).read(exchange({ ...request, headers: { ...request.headers, cookie: sent } }))
      expect(read(jar)).toBe('tok')
      expect(read(`x${jar}; ${jar.toUpperCase()}`)).toBe('')
    })
  })
})

describe('over plain HTTP', () => {
  test.each([
    'localhost',
    'localhost:3000',
    'LOCALHOST',
    'app.localhost:8080',
    'a.b.localhost',
    '127.0.0.1',
    '127.1.2.3:99',
    '[::1]',
    '[::1]:3000',
  ])('on %s the bare name is used, without what rests on TLS', (host) => {
    const options = { sameSite: 'none', partitioned: true } as const
    expect(written(options, plain(host))).toEqual(['session=tok; Path=/; HttpOnly; SameSite=Lax'])
    expect(cookie().read(exchange(plain(host, 'session=tok; __Host-Http-session=other')))).toBe('tok')
  })

  test('on localhost a domain is left out, and a stricter SameSite stays', () => {
    const options = { prefix: '__Secure-', domain: 'example.com', sameSite: 'strict' } as const
    expect(written(options, plain('localhost'))).toEqual(['session=tok; Path=/; HttpOnly; SameSite=Strict'])
  })

  test.each([
    'shop.example',
    'localhost.evil.example',
    'evil-localhost',
    'notlocalhost',
    '127.0.0.1.evil.example',
    '10.0.0.1',
    '[::2]',
    'localhost:3000@evil',
    '',
    'localhost:x',
  ])('A-27, N-04, SM-10: to %j nothing is sent, and nothing that comes is read', (host) => {
    expect(written({}, plain(host))).toEqual([])
    expect(cleared({}, plain(host))).toEqual([])
    expect(cookie().read(exchange(plain(host, '__Host-Http-session=tok; session=tok')))).toBe('')
  })

  test('A-27: without a Host header, as without TLS, nothing is sent', () => {
    expect(written({}, { secure: false })).toEqual([])
  })

  test('A-27: what a client says of its scheme changes nothing', () => {
    const headers = { host: 'shop.example', 'x-forwarded-proto': 'https', forwarded: 'proto=https' }
    expect(written({}, { secure: false, headers })).toEqual([])
  })

  test('SM-10: the names of the two schemes do not stand in for each other', () => {
    expect(cookie().read(exchange({ headers: { host: 'localhost', cookie: 'session=tok' } }))).toBe('')
    expect(cookie().read(exchange(plain('localhost', '__Host-Http-session=tok')))).toBe('')
  })

  test('`secure: false` is meant: the cookie travels in the clear', () => {
    const options = { secure: false, prefix: '' } as const
    expect(written(options, plain('intranet'))).toEqual(['session=tok; Path=/; HttpOnly; SameSite=Lax'])
    expect(cookie(options).read(exchange(plain('intranet', 'session=tok')))).toBe('tok')
  })

  test('the process is warned once of each, and never of HTTPS', () => {
    const script = `
      import { cookie } from 'sojourn/transport/cookie'
      const seen = []
      process.on('warning', (warning) => seen.push([warning.name, warning.code, warning.message]))
      const write = (secure, host) => cookie().write({
        secure, header: (name) => (name === 'host' ? host : undefined),
        get: () => undefined, set() {}, cookies: () => [], setCookies() {},
      }, { credential: 'tok', endsAt: 1, persistent: false }, 0)
      for (const round of [1, 2, 3]) { write(true, 'shop.example'); write(false, 'localhost:3000'); write(false, 'shop.example') }
      setImmediate(() => console.log(JSON.stringify(seen)))`
    const args = ['--no-warnings', '--input-type=module', '--eval', script]
    const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: import.meta.dirname, encoding: 'utf8' })
    expect(stderr).toBe('')
    const seen = JSON.parse(stdout) as [string, string, string][]
    expect(seen.map(([name, code]) => [name, code])).toEqual([
      ['SojournWarning', 'SOJOURN_PLAIN_HTTP'],
      ['SojournWarning', 'SOJOURN_COOKIE_WITHHELD'],
    ])
    expect(seen[0]![2]).toMatch(/bare name.*HTTPS brings both/)
    expect(seen[1]![2]).toMatch(/NO SESSION COOKIE WAS SENT.*`origin.*trust the proxy/)
    expect(JSON.stringify(seen)).not.toContain('tok')
  })
})

describe('A-28, SM-09: what sets or clears a credential is kept out of shared caches', () => {
  test.each([
    [undefined, 'private, no-store'],
    ['public, max-age=600', 'private, no-store'],
    ['max-age=600', 'private, no-store'],
    ['no-cache', 'private, no-store'],
    ['private="set-cookie", max-age=60', 'private, no-store'],
    ['public, private', 'private, no-store'],
    ['x-private', 'private, no-store'],
    ['no-store', 'no-store'],
    ['public, no-store', 'public, no-store'],
    ['Private, max-age=60', 'Private, max-age=60'],
  ])('Cache-Control %j becomes %j', (before, after) => {
    for (const act of ['write', 'clear'] as const) {
      const x = exchange()
      if (before !== undefined) x.set('cache-control', before)
      act === 'write' ? cookie().write(x, given, 0) : cookie().clear(x)
      expect(x.response.get('cache-control')).toBe(after)
    }
  })

  test('where no cookie is set nothing is said', () => {
    const x = exchange(plain('shop.example'))
    cookie().write(x, given, 0)
    cookie().clear(x)
    expect(x.response.size).toBe(0)
  })
})

describe('misuse is a TypeError that says what, why and what to do', () => {
  test.each<[CookieOptions, RegExp]>([
    [{ domain: 'example.com' }, /"__Host-Http-" allows no `domain`, which shares .*set prefix "__Secure-"/],
    [{ prefix: '__Host-', domain: 'example.com' }, /"__Host-" allows no `domain`/],
    [{ path: '/app' }, /"__Host-Http-" needs path "\/"; drop `path`/],
    [{ prefix: '__Host-', path: '/app' }, /needs path "\/"/],
    [{ secure: false }, /"__Host-Http-" needs `secure`; drop `secure: false`/],
    [{ prefix: '__Secure-', secure: false }, /needs `secure`/],
    [{ prefix: '__Http-', secure: false }, /needs `secure`/],
    [{ httpOnly: false }, /"__Host-Http-" needs `httpOnly`; drop/],
    [{ prefix: '__Http-', httpOnly: false }, /needs `httpOnly`/],
    [{ prefix: '', secure: false, sameSite: 'none' }, /SameSite=None needs `secure`, or browsers drop it/],
    [{ prefix: '', secure: false, partitioned: true }, /`partitioned` needs `secure`/],
    [{ prefix: '__host-' as CookiePrefix }, /there is no prefix "__host-"; use "__Host-Http-"/],
    [{ name: 'n'.repeat(65) }, /`name` is over 64 characters/],
    [{ name: '__Host-sid' }, /`name` begins with a prefix/],
    [{ name: '__HTTP-sid', prefix: '' }, /`name` begins with a prefix/],
    [{ sameSite: 'Lax' as 'lax' }, /`sameSite` must be one of "strict", "lax", "none"; it is "Lax"/],
    [{ sameSite: '__proto__' as 'lax' }, /`sameSite` must be one of/],
    [{ priority: 'highest' as 'high' }, /`priority` must be one of "low", "medium", "high"/],
    [{ secure: 'auto' as unknown as boolean }, /`secure` must be true or false/],
    [{ maxAge: Number.NaN }, /`maxAge` must be a number of milliseconds/],
    [{ maxAge: Number.POSITIVE_INFINITY }, /`maxAge` must be/],
    [{ maxAge: -1 }, /`maxAge` must be/],
    [{ maxAge: 0 }, /`maxAge` must be/],
    [{ expires: new Date(Number.NaN) }, /`expires` must be a Date in the future/],
    [{ expires: new Date(0) }, /`expires` must be a Date in the future/],
    [{ expires: '2099-01-01' as unknown as Date }, /`expires` must be a Date in the future/],
    [{ expires: new Date(Date.now() + HOUR), maxAge: HOUR }, /`maxAge` would silence `expires`; give one/],
  ])('%j', (options, message) => {
    expect(() => cookie(options)).toThrow(TypeError)
    expect(() => cookie(options)).toThrow(message)
  })

  test.each([
    'https://example.com',
    'example.com:443',
    '.example.com',
    'example.com.',
    'com',
    'localhost',
    '127.0.0.1',
    '[::1]',
    'example..com',
    '-a.com',
    'müller.de',
    'exam ple.com',
    'a.com; Secure',
    'a.com\r\n',
    '*.example.com',
    '',
  ])('A-22: the domain %j is refused', (domain) => {
    expect(() => cookie({ prefix: '__Secure-', domain })).toThrow(/is no domain for a cookie; write a bare host name/)
  })
})
