/** What reaches the session through a browser: tossed, evicted and cleared cookies, caches, and tokens of forms. */
import { type CookieOptions, cookie, createSessions, header } from 'sojourn'
import { fetch } from 'sojourn/adapter/fetch'
import { describe, expect, test } from 'vitest'
import { KEY, ORIGIN, shop } from './helpers.js'

describe('cookies', () => {
  const shared = () => shop({ transport: cookie({ prefix: '__Secure-', domain: 'shop.example' }) })

  test('A-14: a cookie tossed from a subdomain: a forged one changes nothing, a second valid one is refused, never chosen', async () => {
    const app = shared()
    const [victim, attacker] = [app.browser(), app.browser()]
    await victim.visit((session) => session.login('victim'))
    await attacker.visit((session) => session.login('attacker'))
    const forged = `${victim.cookie.split('=')[0]}=k.${'A'.repeat(43)}.${'A'.repeat(43)}`
    for (const both of [`${forged}; ${victim.cookie}`, `${victim.cookie}; ${forged}`]) {
      expect(await app.userOf(both)).toBe('victim')
    }
    for (const both of [`${attacker.cookie}; ${victim.cookie}`, `${victim.cookie}; ${attacker.cookie}`]) {
      expect((await app.request(both, (session) => [session.userId, session.refused])).value).toEqual([
        undefined,
        'malformed',
      ])
    }
    // Under the default name no subdomain can set one at all: browsers keep `__Host-` to one host, without Domain.
    const { headers } = await shop()
      .browser()
      .visit((session) => session.login('ann'))
    expect(headers.getSetCookie()[0]).toMatch(/^__Host-Http-session=/)
    expect(headers.getSetCookie()[0]).not.toMatch(/domain/i)
  })

  test('A-25: a cookie that outlives its clearing opens nothing', async () => {
    const app = shared()
    const browser = app.browser()
    const set = (await browser.visit((session) => session.login('ann'))).headers.getSetCookie()[0]!
    const kept = browser.cookie
    const cleared = (await browser.visit((session) => session.logout())).headers.getSetCookie()[0]!
    const attributes = (line: string) =>
      line
        .split('; ')
        .slice(1)
        .filter((part) => !/^(?:Max-Age|Expires)=/.test(part))
    expect(attributes(cleared)).toEqual(attributes(set))
    expect((await app.request(kept, (session) => session.refused)).value).toBe('ended')
  })

  test.each<[string, CookieOptions]>([
    ['SameSite=None without Secure', { prefix: '', secure: false, sameSite: 'none' }],
    ['Partitioned without Secure', { prefix: '', secure: false, partitioned: true }],
    ['__Host- with a domain', { domain: 'shop.example' }],
    ['__Host- with a path', { path: '/app' }],
    ['a negative Max-Age', { maxAge: -1 }],
    ['Max-Age NaN', { maxAge: Number.NaN }],
    ['Max-Age Infinity', { maxAge: Number.POSITIVE_INFINITY }],
  ])('A-26: %s does not start', (_, options) => {
    expect(() => cookie(options)).toThrow(TypeError)
  })

  test('A-26: ten years come to 400 days', async () => {
    const decade = 10 * 365 * 86_400_000
    const app = shop({
      remember: { idle: 399 * 86_400_000, absolute: 400 * 86_400_000 },
      transport: cookie({ maxAge: decade }),
    })
    const { headers } = await app.browser().visit((session) => session.login('ann', { persistent: true }))
    expect(Number(/Max-Age=(\d+)/.exec(headers.getSetCookie()[0]!)![1])).toBeLessThanOrEqual(34_560_000)
  })

  test('A-29: web cache deception: a page that read the session is private, whatever its address looks like', async () => {
    const app = shop()
    const browser = app.browser()
    await browser.visit((session) => session.login('ann'))
    for (const url of ['/account/x.css', '/account;.js', '/account%2Fx.png', '/account/..%2fstatic/logo.svg']) {
      const { headers } = await browser.visit((session) => session.userId, { url })
      expect(headers.get('cache-control')).toBe('private, no-store')
    }
  })

  test('A-32: a browser that lost the cookie is a new visitor, and nothing is said or set', async () => {
    const app = shop()
    const browser = app.browser()
    await browser.visit((session) => session.login('ann'))
    browser.cookie = ''
    const { status, given, cleared, value } = await browser.visit((session) => session.refused)
    expect([status, given, cleared, value]).toEqual([200, undefined, false, 'absent'])
  })

  test.each<[string, CookieOptions]>([
    ['by default', {}],
    ['strict', { sameSite: 'strict' }],
    ['none', { sameSite: 'none', partitioned: true }],
    ['in the clear', { prefix: '', secure: false }],
  ])(
    'A-145, CS-14: SameSite is said, %s: the two minutes of grace for a cookie that does not say it never come',
    async (_, options) => {
      const app = shop({ transport: cookie(options) })
      const browser = app.browser()
      const { headers } = await browser.visit((session) => session.login('ann'))
      expect(headers.getSetCookie()[0]).toMatch(/; SameSite=(?:Strict|Lax|None)(?:;|$)/)
      const { headers: after } = await browser.visit((session) => session.logout())
      expect(after.getSetCookie()[0]).toMatch(/; SameSite=(?:Strict|Lax|None)(?:;|$)/)
    },
  )
})

describe('forms', () => {
  test('CS-10: a token that is in a cookie alone proves nothing, and none is ever put there', async () => {
    const app = shop()
    const browser = app.browser()
    await browser.visit((session) => session.login('ann'))
    const { value: token, headers } = await browser.visit((session) => session.csrfToken())
    expect(headers.getSetCookie()).toEqual([])
    const tossed = `${browser.cookie}; csrf=${token}; csrf-token=${token}`
    const { value } = await app.request(
      tossed,
      (session, request) => session.verifyCsrf(new URL(request.url).searchParams.get('csrf')),
      {
        method: 'POST',
        headers: { 'sec-fetch-site': 'same-origin' },
      },
    )
    expect(value).toBe(false)
  })

  test('CS-11: the token of the sign-in form is of a session of its own, and ends with the login', async () => {
    const app = shop()
    const browser = app.browser()
    const token = (await browser.visit((session) => session.csrfToken())).value!
    expect((await browser.visit((session) => session.verifyCsrf(token))).value).toBe(true)
    await browser.visit((session) => session.login('ann'))
    expect((await browser.visit((session) => session.verifyCsrf(token))).value).toBe(false)
    expect((await browser.visit((session) => session.verifyCsrf(session.csrfToken()))).value).toBe(true)
  })

  test('CS-12: a content type that needs no preflight buys nothing', async () => {
    const app = shop()
    const browser = app.browser()
    await browser.visit((session) => session.login('ann'))
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', '']) {
      const headers = {
        ...(type ? { 'content-type': type } : {}),
        'sec-fetch-site': 'cross-site',
        origin: 'https://evil.example',
      }
      const { status } = await browser.visit((session) => session.userId, { method: 'POST', headers })
      expect(status).toBe(403)
    }
  })

  test('CS-15: a credential that no browser attaches on its own needs no guard; a cookie does', async () => {
    const sessions = createSessions({ keys: KEY, transport: [cookie(), header()] })
    const handle = fetch(sessions, async (request) => {
      const session = await sessions.of(request)
      if (new URL(request.url).pathname === '/login') session.login('ann')
      return Response.json({ user: session.userId ?? null })
    })
    const send = (path: string, headers: Record<string, string>) =>
      handle(new Request(ORIGIN + path, { method: 'POST', headers }))
    const given = (await send('/login', { 'sec-fetch-site': 'same-origin' })).headers.getSetCookie()[0]!.split(';')[0]!
    const foreign = { 'sec-fetch-site': 'cross-site', origin: 'https://app.example' }
    expect((await send('/', { ...foreign, cookie: given })).status).toBe(403)
    const bearer = await send('/', { ...foreign, authorization: `Bearer ${given.split('=')[1]}` })
    expect([bearer.status, await bearer.json()]).toEqual([200, { user: 'ann' }])
  })
})

test('A-157: what a listener is told opens nothing', async () => {
  const app = shop()
  const browser = app.browser()
  await browser.visit((session) => session.update('count', (n) => n + 1))
  await browser.visit((session) => session.login('ann'))
  await browser.visit((session) => session.rotate())
  const [name, credential] = browser.cookie.split('=') as [string, string]
  const told = app.events.flatMap((event) => Object.values(event)).filter((value) => typeof value === 'string')
  expect(told.length).toBeGreaterThan(5)
  expect(JSON.stringify(app.events)).not.toContain(credential.split('.')[1])
  for (const value of told) expect(await app.userOf(`${name}=${value}`)).toBeUndefined()
})
