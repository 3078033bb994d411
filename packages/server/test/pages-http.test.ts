/** The pages as whoever is no browser meets them: what they send, and what they refuse. */

import { distance, price } from '@sojourn/server/pages/format'
import { deviceName } from '@sojourn/server/pages/user-agent'
import { createRoutes } from '@sojourn/server/routes'
import type { Services } from '@sojourn/server/services'
import { pino } from 'pino'
import { Fault } from 'sojourn'
import { describe, expect, test } from 'vitest'
import { HOSTILE_PATHS } from '../../sojourn/test/fixtures/hostile-paths.js'
import { type Client, client } from './client.js'
import { PASSWORD, started } from './started.js'

const form = (visitor: Client, path: string, fields: Record<string, string>) =>
  visitor.send('POST', path, {
    body: new URLSearchParams(fields).toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  })

/** The token in the first form of a page. */
const tokenOf = async (visitor: Client, path = '/account') =>
  /name="csrf" value="([^"]+)"/.exec((await visitor.get(path)).text)?.[1] ?? ''

describe('the way back after signing in', () => {
  test('A-96: no address but a path of ours is gone to', async () => {
    const { user } = await started()
    const visitor = await user('marguerite')
    for (const next of [...HOSTILE_PATHS, '/cart?x=%0d%0aLocation:%20https://evil.example']) {
      const { status, headers } = await visitor.get(`/login?next=${encodeURIComponent(next)}`)
      expect([next, status, headers.get('location')]).toEqual([next, 303, '/'])
    }
    for (const next of ['/', '/cart', '/cart?from=mail&n=%2F', '/devices#last', '/a/../cart']) {
      const { headers } = await visitor.get(`/login?next=${encodeURIComponent(next)}`)
      expect(headers.get('location')).toBe(next === '/a/../cart' ? '/cart' : next)
    }
  })

  test('A-96: nor from the field of the form', async () => {
    const { visitor, user } = await started()
    await user('marguerite')
    const fields = { username: 'marguerite', password: PASSWORD }
    for (const [next, to] of [
      ['//evil.example', '/'],
      ['https://evil.example/', '/'],
      ['/devices', '/devices'],
    ] as const) {
      const { status, headers } = await form(visitor(), '/login', { ...fields, next })
      expect([status, headers.get('location')]).toEqual([303, to])
    }
    const signedUp = await form(visitor(), '/signup', {
      username: 'antoine',
      password: PASSWORD,
      next: '//evil.example',
    })
    expect(signedUp.headers.get('location')).toBe('/')
  })
})

describe('forms', () => {
  test('A-141: a form without the token of this very session does nothing', async () => {
    const { user, visitor } = await started()
    const marguerite = await user('marguerite')
    const antoine = await user('antoine')
    const own = await tokenOf(marguerite)
    expect(own).not.toBe('')
    const fields = { current: PASSWORD, new: 'several other words instead' }
    for (const csrf of [
      '',
      own.slice(0, -1),
      own.slice(1),
      `${own}=`,
      await tokenOf(antoine),
      'x'.repeat(own.length),
    ]) {
      const { status, text } = await form(marguerite, '/account', { ...fields, csrf })
      expect([csrf.length, status]).toEqual([csrf.length, 403])
      expect(text).toContain('That page was out of date')
    }
    expect((await form(marguerite, '/account', fields)).status).toBe(403)
    expect((await form(marguerite, '/cart/add', { sku: 'enamel-mug' })).status).toBe(403)
    expect((await marguerite.get('/api/cart')).body).toEqual({ items: [] })
    const login = { username: 'marguerite', password: PASSWORD }
    expect((await form(visitor(), '/login', login)).status, 'the password is the old one').toBe(303)
    expect((await form(marguerite, '/account', { ...fields, csrf: own })).status, 'the control').toBe(303)
    expect((await form(marguerite, '/account', { ...fields, csrf: own })).status, 'rotated').toBe(403)
  })

  test('A-97, A-138: a form of another site does nothing', async () => {
    const { user } = await started()
    const visitor = await user('marguerite')
    const csrf = await tokenOf(visitor)
    for (const path of ['/login', '/signup', '/logout', '/account', '/cart/add', '/devices/end-others']) {
      const { status } = await visitor.send('POST', path, {
        body: new URLSearchParams({ csrf, sku: 'enamel-mug' }).toString(),
        headers: { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'cross-site' },
      })
      expect([path, status]).toEqual([path, 403])
    }
    expect((await visitor.get('/api/session')).body.user).not.toBeNull()
  })

  test('signing out with a cookie from before another tab’s sign-in says that one is still signed in', async () => {
    const { url, user } = await started()
    const visitor = await user('marguerite')
    const behind = client(url, visitor.jar.cloneSync())
    await form(visitor, '/account', {
      csrf: await tokenOf(visitor),
      current: PASSWORD,
      new: 'some other words here',
    })
    const { status, headers, text } = await form(behind, '/logout', {})
    expect(status).toBe(409)
    expect(text).toContain('You are still signed in')
    expect(headers.getSetCookie()).toEqual([])
    expect((await visitor.get('/account')).status).toBe(200)
    expect((await form(visitor, '/logout', {})).headers.get('location')).toBe('/login?from=logout')
    expect((await visitor.get('/account')).status).toBe(303)
  })

  test('A-98: asking for /logout signs nobody out', async () => {
    const { user } = await started()
    const visitor = await user('marguerite')
    const { status, headers, text } = await visitor.get('/logout')
    expect([status, headers.get('allow')]).toEqual([405, 'POST'])
    expect(text).toContain('<h1>')
    expect((await visitor.get('/api/session')).body.user.username).toBe('marguerite')
  })

  test('7.4.4: signing out works from a page that is out of date', async () => {
    const { user } = await started()
    const visitor = await user('marguerite')
    expect((await form(visitor, '/logout', { csrf: 'of another day' })).headers.get('location')).toBe(
      '/login?from=logout',
    )
    expect((await visitor.get('/api/session')).body.user).toBeNull()
  })

  test('ending the device in hand is signing out', async () => {
    const { user } = await started()
    const visitor = await user('marguerite')
    const { id } = (await visitor.get('/api/session')).body.session
    const { headers } = await form(visitor, '/devices/end', { id, csrf: await tokenOf(visitor) })
    expect(headers.get('location')).toBe('/login?from=logout')
    expect((await visitor.get('/api/session')).body).toEqual({ session: null, user: null })
  })

  test("another user's device stays", async () => {
    const { user } = await started()
    const marguerite = await user('marguerite')
    const antoine = await user('antoine')
    const { id } = (await antoine.get('/api/session')).body.session
    await form(marguerite, '/devices/end', { id, csrf: await tokenOf(marguerite) })
    expect((await antoine.get('/api/session')).body.user.username).toBe('antoine')
  })

  test('what cannot be read as a form is refused, and changes nothing', async () => {
    const { visitor } = await started()
    const guest = visitor()
    const broken = { 'content-type': 'multipart/form-data; boundary=x' }
    expect((await guest.send('POST', '/cart/add', { body: '--x\r\nnonsense', headers: broken })).status).toBe(400)
    expect((await guest.post('/cart/add', { sku: 'enamel-mug' })).status).toBe(422)
    expect((await form(guest, '/cart/add', { sku: '<b>x</b>' })).status).toBe(422)
    expect((await form(guest, '/login', {})).status).toBe(401)
  })

  test('what a visitor types is shown as text', async () => {
    const { visitor } = await started()
    const { text } = await form(visitor(), '/login', { username: '"><script>alert(1)</script>', password: 'x' })
    expect(text).not.toContain('<script')
    expect(text).toContain('&quot;&gt;&lt;script&gt;')
  })
})

describe('what is sent', () => {
  test('looking around begins no session', async () => {
    const { visitor } = await started()
    const guest = visitor()
    for (const path of ['/', '/cart', '/login', '/signup', '/account', '/nowhere', '/favicon.svg']) {
      const { headers } = await guest.get(path)
      expect([path, headers.getSetCookie()]).toEqual([path, []])
    }
  })

  test('the stylesheet is kept for good under a name of its content; pages are kept by nobody', async () => {
    const { visitor } = await started()
    const guest = visitor()
    const page = await guest.get('/')
    expect(page.headers.get('cache-control')).toContain('no-store')
    const [path] = /\/style\.[0-9a-f]{12}\.css/.exec(page.text)!
    const style = await guest.get(path)
    expect(style.headers.get('content-type')).toBe('text/css; charset=utf-8')
    expect(style.headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
    expect(style.text).toContain('prefers-color-scheme: dark')
    expect((await guest.get('/style.000000000000.css')).status).toBe(404)
  })

  test('A-144, 3.4.3: every page, whatever its status, carries the content policy', async () => {
    const { visitor } = await started()
    for (const path of ['/', '/nowhere', '/logout']) {
      const policy = (await visitor().get(path)).headers.get('content-security-policy')
      expect(policy).toContain("default-src 'none'")
      expect(policy).toContain("frame-ancestors 'none'")
      expect(policy).not.toContain('unsafe')
    }
  })

  test('a store that is down is a page that says so, and clears no cookie', async () => {
    const down = new Fault('ERR_STORE', 'the store did not answer')
    const log = pino({ enabled: false })
    const session = { id: undefined, commit: () => Promise.reject(down) }
    const notices = { flashed: () => undefined }
    for (const visit of [() => Promise.reject(down), async () => ({ session, notices, user: undefined, ip: '' })]) {
      const services = { visit, products: [], cart: () => [] } as unknown as Services
      const response = await createRoutes(services, log, {} as never).request('/')
      expect(response.status).toBe(503)
      expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8')
      expect(response.headers.get('retry-after')).toBe('1')
      expect(response.headers.getSetCookie()).toEqual([])
      expect(await response.text()).toContain('You are still signed in')
    }
  })
})

describe('in words', () => {
  test.each([
    [
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0',
      'Firefox on Windows',
      'computer',
    ],
    [
      'Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36 Edg/156.0.0.0',
      'Edge on Windows',
      'computer',
    ],
    [
      'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Safari/605.1.15',
      'Safari on Mac',
      'computer',
    ],
    [
      'Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/156.0 Mobile/15E148 Safari/604.1',
      'Chrome on iPhone',
      'phone',
    ],
    [
      'Mozilla/5.0 (Linux; Android 16; SM-S931B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/29.0 Chrome/136.0.0.0 Mobile Safari/537.36',
      'Samsung Internet on Android',
      'phone',
    ],
    [
      'Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36',
      'Chrome on ChromeOS',
      'computer',
    ],
    [
      'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36 OPR/120.0.0.0',
      'Opera on Linux',
      'computer',
    ],
    ['curl/8.5.0', 'curl', 'program'],
    ['node', 'node', 'program'],
    ['Mozilla/5.0', 'Unknown device', 'unknown'],
    ['<script>alert(1)</script>', 'Unknown device', 'unknown'],
    [undefined, 'Unknown device', 'unknown'],
  ])('%s', (userAgent, name, kind) => {
    expect(deviceName(userAgent)).toEqual({ name, kind })
  })

  test('times and prices', () => {
    const now = Date.UTC(2026, 10, 21, 12)
    const minute = 60_000
    expect(distance(now - 59_000, now)).toBe('just now')
    expect(distance(now - minute, now)).toBe('1 minute ago')
    expect(distance(now - 119 * minute, now)).toBe('1 hour ago')
    expect(distance(now + 12 * 60 * minute, now)).toBe('in 12 hours')
    expect(distance(now - 24 * 60 * minute, now)).toBe('yesterday')
    expect(distance(now - 40 * 24 * 60 * minute, now)).toBe('12 October 2026')
    expect(price({ cents: 1_205, currency: 'EUR' })).toBe('€12.05')
    expect(price({ cents: 1_205, currency: 'JPY' })).toBe('¥1,205')
  })
})
