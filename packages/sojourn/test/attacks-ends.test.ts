/** How sessions are listed, ended and cleared, and that what was ended stays so (ASVS 7.4, 7.5; the session cheat sheet). */
import { describe, expect, test } from 'vitest'
import { type Browser, MINUTE, ORIGIN, shop } from './helpers.js'

describe('7.4.1: replay of everything that was captured', () => {
  test.each<[string, (browser: Browser) => Promise<unknown>]>([
    ['a logout', (browser) => browser.visit((s) => s.logout())],
    ['a logout that goes on as a guest', (browser) => browser.visit((s) => [s.logout(), s.flash('notice', 'Bye')])],
    ['a login after a logout in one request', (browser) => browser.visit((s) => [s.logout(), s.login('eve')])],
  ])('7.4.1: after %s, no credential that the user ever had is honoured', async (_, leave) => {
    const app = shop()
    const browser = app.browser()
    const captured: string[] = []
    let token = ''
    const note = () => void captured.push(browser.cookie)
    await browser.visit((s) => void s.data.cart.push('book')).then(note)
    await browser.visit((s) => s.login('ada')).then(note)
    await browser.visit((s) => s.rotate()).then(note)
    await browser.visit((s) => {
      token = s.csrfToken()
    })
    await browser.visit((s) => s.login('ada', { persistent: true })).then(note)
    expect(new Set(captured).size).toBe(4)
    await leave(browser)

    for (const cookie of captured) {
      const { value } = await app.request(cookie, (s) => [s.userId, s.data.cart, s.verifyCsrf(token)])
      expect(value).toEqual([undefined, [], false])
    }
    expect(await app.sessions.list('ada')).toEqual([])
    // A write with one of them does not bring it back either.
    for (const cookie of captured) await app.request(cookie, (s) => s.update('count', (n) => n + 1))
    for (const cookie of captured) expect(await app.userOf(cookie)).toBeUndefined()
  })

  test('7.4.1: the request that logs out is nobody from then on, and can say goodbye', async () => {
    const app = shop()
    const browser = app.browser()
    await browser.visit((s) => s.login('ada'))
    const { value, given } = await browser.visit((s) => {
      s.logout()
      s.flash('notice', 'Signed out')
      return [s.userId, s.id, { ...s.data }]
    })
    expect(value).toEqual([undefined, undefined, { cart: [], count: 0 }])
    expect(given).toMatch(/./)
    expect((await browser.visit((s) => [s.userId, s.flashed('notice')])).value).toEqual([undefined, 'Signed out'])
  })

  test('7.4.4: a logout clears what it cannot honour, and leaves alone who had nothing', async () => {
    const app = shop()
    const { given } = await app.request('', (s) => s.login('ada'))
    await app.request(given!, (s) => s.logout())
    expect((await app.request(given!, (s) => s.logout())).cleared).toBe(true)
    expect((await app.request('__Host-Http-session=x', (s) => s.logout())).cleared).toBe(true)
    expect((await app.request('', (s) => s.logout())).headers.getSetCookie()).toEqual([])
    // Nothing is kept for a visitor who drew a form's token and then left.
    await app.request('', (s) => [s.csrfToken(), s.logout()])
    expect([...(app.store.list() as Iterable<unknown>)]).toEqual([])
  })
})

describe('7.4.2, 7.4.3, 7.4.5, 7.5.2, SM-13: the sessions of a user', () => {
  async function threeDevices() {
    const app = shop()
    const browsers = ['Firefox', 'Chromium', 'Safari'].map(() => app.browser())
    for (const [i, browser] of browsers.entries()) {
      app.clock.advance(MINUTE)
      await browser.visit((s) => s.login('ada'), { headers: { 'user-agent': `device ${i}` } })
    }
    const eve = app.browser()
    await eve.visit((s) => s.login('eve'))
    app.told()
    return { app, browsers: browsers as [Browser, Browser, Browser], eve }
  }

  test('7.5.2, SM-16: lists them, newest first, with what tells them apart and nothing that opens one', async () => {
    const { app, browsers } = await threeDevices()
    const list = await app.sessions.list('ada')
    const handles = await Promise.all(browsers.map(async (b) => (await b.visit((s) => s.id)).value))
    expect(list.map(({ id }) => id)).toEqual(handles.toReversed())
    expect(list[0]).toEqual({
      id: handles[2],
      createdAt: app.clock(),
      seenAt: app.clock(),
      expiresAt: app.clock() + 30 * MINUTE,
      authenticatedAt: app.clock(),
      persistent: false,
      device: { userAgent: 'device 2' },
    })
    for (const { cookie } of browsers)
      for (const part of cookie.split(/[=.]/).slice(2)) expect(JSON.stringify(list)).not.toContain(part)
    expect(await app.sessions.list('nobody')).toEqual([])
  })

  test('7.5.2: ends one of them, at once, and says whether it did', async () => {
    const { app, browsers, eve } = await threeDevices()
    const [first, ...others] = browsers
    const id = (await first.visit((s) => s.id)).value!
    expect([await app.sessions.end(id), await app.sessions.end(id)]).toEqual([true, false])
    expect(app.events).toEqual([expect.objectContaining({ type: 'ended', id, reason: 'revoked' })])
    expect((await first.visit((s) => [s.userId, s.refused])).value).toEqual([undefined, 'ended'])
    for (const browser of others) expect(await app.userOf(browser.cookie)).toBe('ada')
    expect(await app.userOf(eve.cookie)).toBe('eve')
  })

  test('7.5.2: a handle that a rotation has left behind is not said to be ended', async () => {
    const { app, browsers } = await threeDevices()
    const id = (await browsers[0].visit((s) => s.id)).value!
    await browsers[0].visit((s) => s.rotate())
    app.told()
    const end = async () => app.sessions.end(id)
    await expect(end()).rejects.toMatchObject({ code: 'ERR_CONFLICT', status: 409 })
    app.clock.advance(30_000)
    expect(await end()).toBe(false)
    expect([await app.userOf(browsers[0].cookie), app.told()]).toEqual(['ada', []])
  })

  test('7.4.2, 7.4.5: ends all of them, and nobody else is touched', async () => {
    const { app, browsers, eve } = await threeDevices()
    expect(await app.sessions.endAll('ada')).toBe(3)
    expect(app.events).toEqual([expect.objectContaining({ type: 'ended', userId: 'ada', count: 3 })])
    for (const browser of browsers) expect(await app.userOf(browser.cookie)).toBeUndefined()
    expect([await app.sessions.list('ada'), await app.sessions.endAll('ada')]).toEqual([[], 0])
    expect(await app.userOf(eve.cookie)).toBe('eve')
  })

  test('7.4.3: a change of password ends all the others, and this one goes on under a new identifier', async () => {
    const { app, browsers } = await threeDevices()
    const [here, ...others] = browsers
    const before = here.cookie
    await here.visit(async (s) => {
      expect(await app.sessions.endAll('ada', { except: s.id! })).toBe(2)
      s.rotate()
    })
    for (const cookie of [before, ...others.map((browser) => browser.cookie)])
      expect(await app.userOf(cookie)).toBeUndefined()
    expect(await app.userOf(here.cookie)).toBe('ada')
    expect(await app.sessions.list('ada')).toHaveLength(1)
  })
})

describe('SM: the rest of the session cheat sheet', () => {
  test('SM-06: the name says nothing of the framework, the value nothing of the user', async () => {
    const { given } = await shop().request('', (s) => s.login('ada@example.com'))
    expect(given).not.toMatch(/sojourn|connect|express|node|ada|example/i)
    expect(Buffer.from(given!.split('.')[1]!, 'base64url').toString('latin1')).not.toMatch(/ada|example/)
  })

  test('SM-08: the cookie is cleared under the attributes that it was set with', async () => {
    const app = shop()
    const set = await app.request('', (s) => s.login('ada'))
    const cleared = await app.request(set.given!, (s) => s.logout())
    const attributes = (answer: typeof set) =>
      answer.headers
        .getSetCookie()[0]!
        .split('; ')
        .slice(1)
        .filter((part) => !/^(Max-Age|Expires)=/.test(part))
    expect(attributes(cleared)).toEqual(attributes(set))
    expect(cleared.headers.getSetCookie()[0]).toMatch(/^__Host-Http-session=; Max-Age=0; Expires=Thu, 01 Jan 1970/)
  })

  test('SM-09: whoever reads a session, or is given one, is answered for nobody else', async () => {
    const app = shop()
    const read = await app.request('', (s) => s.userId)
    const login = await app.request('', (s) => s.login('ada'))
    const logout = await app.request(login.given!, (s) => s.logout())
    for (const { headers } of [read, login, logout]) expect(headers.get('cache-control')).toBe('private, no-store')
  })

  test('SM-10: a session of https is not known to http', async () => {
    const app = shop()
    const { given } = await app.request('', (s) => s.login('ada'))
    const url = ORIGIN.replace('https:', 'http:')
    expect((await app.request(given!, (s) => [s.userId, s.refused], { url })).value).toEqual([undefined, 'absent'])
    expect((await app.request('', (s) => s.login('ada'), { url })).given).toBeUndefined()
  })
})
