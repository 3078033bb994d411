import { createHmac, createSecretKey, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { type CrossOriginOptions, crossOriginGuard, issueToken, verifyToken } from 'sojourn/guard/csrf'
import { describe, expect, test } from 'vitest'
import { exchange, type FakeRequest } from './exchange.js'

const SITE = 'https://example.com'

function passes(request: FakeRequest, options?: CrossOriginOptions): boolean {
  return crossOriginGuard(options)(exchange({ ...request, headers: { host: 'example.com', ...request.headers } }))
}

const post = (headers: Record<string, string>, url = '/'): FakeRequest => ({ method: 'POST', url, headers })
const crossSite = { 'sec-fetch-site': 'cross-site', origin: 'https://attacker.example' }

describe('the cross-origin guard', () => {
  test.each<[string, Record<string, string>, boolean]>([
    ['POST', { 'sec-fetch-site': 'same-origin' }, true],
    ['POST', { 'sec-fetch-site': 'none' }, true],
    ['POST', { 'sec-fetch-site': 'cross-site' }, false],
    ['POST', { 'sec-fetch-site': 'same-site' }, false],
    ['POST', {}, true],
    ['POST', { origin: SITE }, true],
    ['POST', { origin: 'https://attacker.example' }, false],
    ['POST', { origin: 'null' }, false],
    ['GET', { 'sec-fetch-site': 'cross-site' }, true],
    ['HEAD', { 'sec-fetch-site': 'cross-site' }, true],
    ['OPTIONS', { 'sec-fetch-site': 'cross-site' }, true],
    ['PUT', { 'sec-fetch-site': 'cross-site' }, false],
    ['DELETE', { 'sec-fetch-site': 'cross-site' }, false],
    ['PATCH', { 'sec-fetch-site': 'cross-site' }, false],
    ['get', { 'sec-fetch-site': 'cross-site' }, false],
    ['POST', { 'sec-fetch-site': 'Same-Origin' }, false],
    ['POST', { 'sec-fetch-site': 'same-origin, cross-site' }, false],
    ['POST', { 'sec-fetch-site': 'unheard-of' }, false],
    ['POST', { 'sec-fetch-site': '', origin: 'https://attacker.example' }, false],
    ['POST', { 'sec-fetch-site': 'cross-site', origin: SITE }, false],
  ])('CS-01, CS-02, CS-03: %s %j: %s', (method, headers, allowed) => {
    expect(passes({ method, headers })).toBe(allowed)
    expect(passes({ method, headers }, { origin: SITE })).toBe(allowed)
  })

  test.each(['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data', undefined])(
    'A-138: a cross-site POST is refused whatever its content is (%s)',
    (type) => {
      expect(passes(post({ ...crossSite, ...(type === undefined ? {} : { 'content-type': type }) }))).toBe(false)
    },
  )

  test('A-139: a sibling subdomain is refused unless its origin is listed', () => {
    const headers = { 'sec-fetch-site': 'same-site', origin: 'https://blog.example.com' }
    expect(passes(post(headers))).toBe(false)
    expect(passes(post(headers), { trusted: ['https://blog.example.com'] })).toBe(true)
    expect(passes(post({ 'sec-fetch-site': 'same-site' }), { trusted: ['https://blog.example.com'] })).toBe(false)
  })

  test('A-140, CS-04: neither header is a program, and is refused in strict mode', () => {
    const headers = { referer: 'https://attacker.example/' }
    expect(passes(post(headers))).toBe(true)
    expect(passes(post(headers), { strict: true })).toBe(false)
    expect(passes(post({ origin: SITE }), { strict: true })).toBe(true)
    expect(passes(post(headers, '/hooks/pay'), { strict: true, exempt: ['/hooks/pay'] })).toBe(true)
    expect(passes({ method: 'GET' }, { strict: true })).toBe(true)
  })

  test.each([
    'https://example.com.attacker.example',
    'https://attackerexample.com',
    'https://example.comx',
    'https://example.com:8443',
    'https://example.com@attacker.example',
    'https://attacker.example/https://example.com',
    'https://example.com/',
    'https://example.com https://attacker.example',
    'example.com',
    '//example.com',
    'ftp://example.com',
    'https://',
    'data:',
    'https://xn--example-.com',
    'HTTPS://example.com\\@attacker.example',
  ])('CS-07: the origin %j is not ours', (origin) => {
    expect(passes(post({ origin }))).toBe(false)
    expect(passes(post({ origin }), { origin: SITE })).toBe(false)
    expect(passes(post({ origin }), { trusted: ['https://shop.example'] })).toBe(false)
  })

  test.each<[string, string, boolean, boolean]>([
    ['https://example.com', 'example.com', true, true],
    ['https://example.com', 'example.com:443', true, true],
    ['https://example.com', 'EXAMPLE.com', true, true],
    ['https://example.com:8443', 'example.com:8443', true, true],
    ['https://example.com:8443', 'example.com', true, false],
    ['http://example.com', 'example.com', true, false],
    ['http://example.com', 'example.com:80', false, true],
    ['https://example.com', 'example.com', false, true],
    ['https://example.com', 'example.com:80', false, false],
    ['ftp://example.com', 'example.com', false, false],
    ['http://localhost:3000', 'localhost:3000', false, true],
    ['http://localhost:4000', 'localhost:3000', false, false],
    ['http://[::1]:3000', '[::1]:3000', false, true],
    ['https://example.com', '', true, false],
    ['https://example.com', 'example.com/path', true, false],
    ['https://example.com', 'user@example.com', true, false],
  ])('CS-03: Origin %s sent to Host %j (TLS %j): %j', (origin, host, secure, allowed) => {
    expect(passes({ method: 'POST', secure, headers: { origin, host } })).toBe(allowed)
  })

  test('CS-07: a configured origin is what counts, not Host and not what a proxy or client forwards', () => {
    const behind = { host: 'app:3000', 'x-forwarded-host': 'attacker.example' }
    expect(passes({ ...post({ ...behind, origin: SITE }), secure: false }, { origin: SITE })).toBe(true)
    expect(passes(post({ ...behind, origin: 'https://attacker.example' }), { origin: SITE })).toBe(false)
    expect(passes(post({ ...behind, origin: 'https://app:3000' }), { origin: SITE })).toBe(false)
    expect(passes(post({ host: 'example.com', origin: 'http://example.com' }), { origin: SITE })).toBe(false)
  })

  test.each<[string, string]>([
    ['https://example.com', 'https://example.com'],
    ['https://example.com:8080', 'https://example.com:8080'],
    ['http://example.com', 'http://example.com'],
    ['https://EXAMPLE.com:443', 'https://example.com'],
    ['https://müller.example', 'https://xn--mller-kva.example'],
    ['capacitor://localhost', 'capacitor://localhost'],
  ])('CS-05: %s is an origin that can be trusted', (trusted, origin) => {
    const elsewhere = { host: 'shop.example', origin }
    expect(passes(post(elsewhere), { trusted: [trusted] })).toBe(true)
    expect(passes(post({ ...elsewhere, 'sec-fetch-site': 'cross-site' }), { trusted: [trusted] })).toBe(true)
    expect(passes(post({ ...elsewhere, origin: `${origin}x` }), { trusted: [trusted] })).toBe(false)
    expect(passes(post(elsewhere), { trusted: ['https://another.example'] })).toBe(false)
  })

  test.each([
    'example.com',
    'https://',
    'https://example.com/',
    'https://example.com/path',
    'https://example.com?query',
    'https://example.com#fragment',
    'https://ex ample.com',
    '',
    'null',
    'https://*.example.com',
    'https://u@example.com',
    'https://example.com:99999',
    '*',
    'https:example.com',
    ' https://example.com',
    'https://example.com\n',
  ])('CS-05: %j is refused at configuration, as `trusted` and as `origin`', (origin) => {
    expect(() => crossOriginGuard({ trusted: [origin] })).toThrow(TypeError)
    expect(() => crossOriginGuard({ trusted: [origin] })).toThrow(/csrf: `trusted` .* is not an origin; write/)
    expect(() => crossOriginGuard({ origin })).toThrow(/csrf: `origin` .* is not an origin; write/)
  })

  test('CS-13: an unsafe request adds to Vary, a safe one does not', () => {
    const varied = (method: string, before?: string) => {
      const x = exchange({ method })
      if (before !== undefined) x.set('vary', before)
      crossOriginGuard()(x)
      crossOriginGuard()(x)
      return x.response.get('vary')
    }
    expect(varied('GET')).toBeUndefined()
    expect(varied('POST')).toBe('Sec-Fetch-Site, Origin')
    expect(varied('POST', 'Accept-Encoding')).toBe('Accept-Encoding, Sec-Fetch-Site, Origin')
    expect(varied('POST', '*')).toBe('*')
  })

  test('no header, however odd, makes it throw', () => {
    const guard = crossOriginGuard({ trusted: ['https://admin.example.com'], exempt: ['/hooks/'] })
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.webUrl(),
      fc.constantFrom('null', '', 'https://', '%', '[::'),
    )
    fc.assert(
      fc.property(text, text, text, (origin, host, url) => {
        const allowed = guard(
          exchange({ method: 'POST', url, headers: { origin, host, 'sec-fetch-site': 'cross-site' } }),
        )
        expect(allowed).toBe(url.startsWith('/hooks/') && allowed)
      }),
    )
  })
})

describe('exempt paths', () => {
  const exempt = ['/hooks/', '/pay', '/grün']
  const free = (url: string) => passes(post(crossSite, url), { exempt })

  test.each([
    '/pay',
    '/pay?x=1',
    '/pay?next=/../admin',
    '/hooks/',
    '/hooks/a',
    '/hooks/a/b?c',
    '/hooks/a%20b',
    '/p%61y',
    '/gr%C3%BCn',
    '/hooks/.well-known',
    '/hooks/a..b',
  ])('%s is exempt', (url) => {
    expect(free(url)).toBe(true)
  })

  test.each([
    '/',
    '/admin',
    '/payments',
    '/pay/',
    '/PAY',
    '/hooks',
    '/hooksadmin',
    '/admin/hooks/',
    '/admin?/hooks/',
    '',
    '*',
    'http://example.com/pay',
    'hooks/',
    '?/pay',
    '#/pay',
    '/admin#/../pay',
  ])('CS-06: %s is not', (url) => {
    expect(free(url)).toBe(false)
  })

  test.each([
    '/hooks/../admin',
    '/hooks/..',
    '/hooks/%2e%2e/admin',
    '/hooks/%2E./admin',
    '/hooks/.%2e',
    '/hooks/./a',
    '/hooks/..%2fadmin',
    '/hooks/%2e%2e%2Fadmin',
    '/hooks/..%5cadmin',
    '/hooks/..\\admin',
    '/hooks//admin',
    '//hooks/a',
    '/hooks/%252e%252e/admin',
    '/hooks/..;/admin',
    '/hooks/..;a=b/admin',
    '/hooks/%00',
    '/hooks/a%0d%0a',
    '/hooks/%',
    '/hooks/%zz',
    '/hooks/%E0%A4%A',
    '/hooks/a\tb',
    '/admin/../pay',
    '/./pay',
    '//evil.example/hooks/',
    '/\\hooks/',
    '/hooks/a/../../admin',
    '/pay/..',
    '/hooks/%c0%ae%c0%ae/admin',
    '/hooks/..%3b/admin',
    '/hooks%2Fa',
    '/hooks/a%2fb',
    '%2Fpay',
  ])('CS-06: %s could be read in two ways, and is not', (url) => {
    expect(free(url)).toBe(false)
  })

  test('CS-06: whatever is let through stays below the exempt folder when a server cleans it', () => {
    const segment = fc.constantFrom(
      '..',
      '.',
      '%2e%2e',
      '%2e',
      'a',
      '',
      '%2f',
      '%5c',
      '\\',
      '..;',
      'hooks',
      '%252e',
      ';',
    )
    let exempted = 0
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 6 }), (segments) => {
        const url = `/hooks/${segments.join('/')}`
        if (!free(url)) return
        exempted++
        expect(new URL(url, SITE).pathname.startsWith('/hooks/')).toBe(true)
        expect(new URL(decodeURIComponent(url), SITE).pathname.startsWith('/hooks/')).toBe(true)
      }),
      { numRuns: 2000 },
    )
    expect(exempted).toBeGreaterThan(50)
  })

  test.each(['pay', '', '/', '/pay?x', '/pay#x', '/a/../b', '/a//b', '/a/%62', '/a\\b', '/hooks/*', '/./a', '//'])(
    'CS-06: the exemption %j is refused at configuration',
    (path) => {
      expect(() => crossOriginGuard({ exempt: [path] })).toThrow(TypeError)
      expect(() => crossOriginGuard({ exempt: [path] })).toThrow(/^csrf: `exempt` "/)
    },
  )
})

describe('the form token', () => {
  const key = createSecretKey(randomBytes(32))
  const random = () => randomBytes(16).toString('base64url')
  const token = issueToken(key, 'session-a', random())

  test('CS-08: is accepted for the session that it was issued for', () => {
    expect(verifyToken(key, 'session-a', token)).toBe(true)
    expect(token).toMatch(/^[\w-]{22}\.[\w-]{43}$/)
  })

  test('CS-09, A-141, A-142: is refused for another session, and under another key', () => {
    expect(verifyToken(key, 'session-b', token)).toBe(false)
    expect(verifyToken(createSecretKey(randomBytes(32)), 'session-a', token)).toBe(false)
    expect(() => issueToken(key, '', random())).toThrow(TypeError)
    expect(verifyToken(key, '', token)).toBe(false)
  })

  test('CS-09: is the MAC of id and random, each with its length before it', () => {
    const r = random()
    const expected = createHmac('sha256', key).update(`9!session-a!22!${r}`).digest('base64url')
    expect(issueToken(key, 'session-a', r)).toBe(`${r}.${expected}`)
  })

  test('CS-09: id and random cannot be cut elsewhere', () => {
    const r = 'r'.repeat(24)
    const mac = (id: string, part: string) => issueToken(key, id, part).split('.')[1]
    expect(mac('s1', r)).not.toBe(mac('s', `1${r}`))
    expect(mac(`s!24!${r}`, r)).not.toBe(mac('s', r))
  })

  test('A-143: two tokens of one session share nothing that could be guessed letter by letter', () => {
    const [a, b] = [issueToken(key, 'session-a', random()), issueToken(key, 'session-a', random())]
    expect(a.split('.')[0]).not.toBe(b.split('.')[0])
    expect(a.split('.')[1]).not.toBe(b.split('.')[1])
    expect([verifyToken(key, 'session-a', a), verifyToken(key, 'session-a', b)]).toEqual([true, true])
  })

  test('A-141: cut, extended, altered or respelled anywhere, it is refused', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    for (let i = 0; i < token.length; i++) {
      expect(verifyToken(key, 'session-a', token.slice(0, i))).toBe(false)
      for (const letter of `${alphabet}.=+/ `) {
        if (letter === token[i]) continue
        expect(verifyToken(key, 'session-a', token.slice(0, i) + letter + token.slice(i + 1))).toBe(false)
      }
    }
    for (const more of ['A', '=', '.', ' ', '\n', '\0']) {
      expect(verifyToken(key, 'session-a', token + more)).toBe(false)
      expect(verifyToken(key, 'session-a', more + token)).toBe(false)
    }
  })

  test('A-141: whatever else a form field holds is refused, and never throws', () => {
    const odd = [
      undefined,
      null,
      '',
      '.',
      0,
      true,
      [token],
      { toString: () => token },
      'x'.repeat(1e6),
      `${token}${token}`,
    ]
    for (const value of odd) expect(verifyToken(key, 'session-a', value)).toBe(false)
    fc.assert(fc.property(fc.anything(), (value) => verifyToken(key, 'session-a', value) === false))
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (value) => verifyToken(key, value, token) === (value === 'session-a')),
    )
  })

  test.each(['', 'short', 'a.b'.repeat(10), 'x'.repeat(65), `${'x'.repeat(24)}=`])(
    'a poor random %j is misuse',
    (poor) => {
      expect(() => issueToken(key, 'session-a', poor)).toThrow(/`random` must be base64url of at least 16 random bytes/)
    },
  )
})
