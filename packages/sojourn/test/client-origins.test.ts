/** Where the credential goes, where it is kept, and what is never kept. */
import { describe, expect, test } from 'vitest'
import { useBrowser } from '../../server/test/browser.js'
import { clientServer } from './fixtures/client-server.js'
import { BODY, COOKIE, get, kept, login, logout, signedIn, tab } from './fixtures/client-tabs.js'

const APP = { header: 'X-Session-Id' } as const

describe('with a browser', () => {
  const open = useBrowser()

  test.each([
    ['Authorization', BODY, '/api/token', 'authorization'],
    ['a header of its own', APP, '/app/login', 'x-session-id'],
  ] as const)(
    'A-121: %s goes to the configured origins, and to no other, redirects neither',
    async (_, options, at, name) => {
      const other = await clientServer()
      const server = await clientServer({ elsewhere: `${other.url}/echo` })
      const page = await tab(open, server, options)
      expect(await login(page, at)).toBe(200)
      expect(await get(page, `${other.url}/echo`)).toBe(200)
      expect(await get(page, `${other.url}/echo`, { method: 'POST', body: 'x' })).toBe(200)
      // The same host by another name is another origin.
      expect(await get(page, `${server.url.replace('127.0.0.1', 'localhost')}/echo`)).toBe(200)
      expect(
        server
          .to('/echo')
          .concat(other.to('/echo'))
          .map(({ headers }) => headers[name]),
      ).toEqual([undefined, undefined, undefined])

      other.seen.length = 0
      expect(await get(page, '/away')).toBe('TypeError')
      expect(await get(page, '/away', { method: 'POST', body: 'x' })).toBe('TypeError')
      expect(await get(page, '/home')).toBe('TypeError')
      expect(await get(page, '/home', { redirect: 'error' })).toBe('TypeError')
      expect(await get(page, '/home', { redirect: 'manual' }), 'as the app asked').toBe(0)
      expect(other.seen).toEqual([])
      expect(server.to('/away').every(({ headers }) => headers[name] !== undefined)).toBe(true)

      await logout(page)
      expect(await get(page, '/away'), 'with nothing to lose, redirects are followed').toBe(200)
      expect(other.seen).toHaveLength(1)
    },
  )

  test('a header that the app has set itself is left alone', async () => {
    const server = await clientServer()
    const page = await tab(open, server, BODY)
    await login(page)
    expect(await get(page, '/api/me', { headers: { authorization: 'Bearer mine' } })).toBe(401)
    expect(server.to('/api/me').map(({ headers }) => headers.authorization)).toEqual(['Bearer mine'])
    expect(server.to('/api/token/refresh')).toHaveLength(0)
  })

  test('nothing that another origin answers becomes the credential', async () => {
    const other = await clientServer()
    const server = await clientServer({ elsewhere: `${other.url}/evil` })
    const page = await tab(open, server, APP)
    expect(await get(page, `${other.url}/evil`)).toBe(200)
    expect(await get(page, '/away')).toBe(200)
    await expect(login(page, '/away')).rejects.toThrow('none of the configured origins')
    await expect(login(page, `${other.url}/evil`)).rejects.toThrow('none of the configured origins')
    expect(await signedIn(page)).toBe(false)
  })

  test('nothing but a renewal takes the place of an access token', async () => {
    const server = await clientServer()
    const page = await tab(open, server, BODY)
    await login(page)
    expect([await get(page, '/evil'), await get(page)]).toEqual([200, 200])
    expect(server.to('/api/me').at(-1)!.headers.authorization).not.toContain('evil')
  })

  test('14.3.3: storage holds the credential and nothing else; memory leaves nothing there', async () => {
    const server = await clientServer()
    for (const [options, at, area, names] of [
      [
        { ...BODY, storage: 'localStorage' },
        '/api/token',
        'local',
        ['access', 'expiresAt', 'refresh', 'renewAt', 'since'],
      ],
      [
        { ...BODY, storage: 'sessionStorage' },
        '/api/token',
        'session',
        ['access', 'expiresAt', 'refresh', 'renewAt', 'since'],
      ],
      [
        { ...COOKIE, storage: 'sessionStorage' },
        '/cookie/token',
        'session',
        ['access', 'expiresAt', 'renewAt', 'since'],
      ],
      [{ ...APP, storage: 'sessionStorage' }, '/app/login', 'session', ['access', 'since']],
      [BODY, '/api/token', 'none', []],
      [COOKIE, '/cookie/token', 'none', []],
    ] as const) {
      const page = await tab(open, server, options)
      const clean = await kept(page)
      await login(page, at)
      await get(page)
      const { local, session, ...rest } = await kept(page)
      const all = { local: local as Record<string, string>, session: session as Record<string, string> }
      const found = Object.entries(all).flatMap(([area, items]) =>
        Object.entries(items).map(([key, value]) => [area, key, Object.keys(JSON.parse(value)).toSorted()]),
      )
      expect(found).toEqual(area === 'none' ? [] : [[area, 'sojourn:default', names]])
      expect(rest, 'no cookie that scripts see, no database').toEqual({ cookies: '', databases: 0, caches: 0 })
      await logout(page)
      expect(await kept(page), '14.3.1').toEqual(clean)
    }
  })

  test('N-06: localStorage is warned about, the others are not', async () => {
    const server = await clientServer()
    for (const [storage, count] of [
      ['localStorage', 1],
      ['sessionStorage', 0],
      ['memory', 0],
    ] as const) {
      const { page, complaints } = await open(server.url, { javaScriptEnabled: true })
      await page.goto('/')
      await page.waitForFunction(() => window.createClient !== undefined)
      await page.evaluate(([storage, origin]) => void window.createClient({ origins: [origin], storage }), [
        storage,
        server.url,
      ] as const)
      expect(complaints.filter((text) => text.includes('localStorage'))).toHaveLength(count)
    }
  })

  test('A-121: what was put into storage by somebody else is no credential', async () => {
    const server = await clientServer()
    const page = await tab(open, server, { ...BODY, storage: 'sessionStorage' })
    for (const text of [
      '',
      'null',
      '[]',
      '{"access":"a"}',
      '{"access":"a\\r\\nb: c","since":1}',
      '{"access":"a","since":1,"expiresAt":"soon","renewAt":1}',
      '{"access":"a","since":1,"refresh":{}}',
      '{"access"',
    ]) {
      await page.evaluate((text) => sessionStorage.setItem('sojourn:default', text), text)
      expect(await signedIn(page), text).toBe(false)
      expect(await get(page)).toBe(401)
    }
    expect(server.to('/api/me').some(({ headers }) => headers.authorization)).toBe(false)
  })

  test('a session in a header: a guest, a login, a logout, each by the response header', async () => {
    const server = await clientServer()
    const page = await tab(open, server, { ...APP, storage: 'sessionStorage' })
    const visit = (path = '/app/visit') =>
      page.evaluate(async (path) => (await window.client.fetch(path)).json(), path) as Promise<Record<string, unknown>>
    expect([await visit(), await visit()]).toEqual([
      { userId: null, visits: 1 },
      { userId: null, visits: 2 },
    ])
    const guest = server.seen.at(-1)!.headers['x-session-id']
    await login(page, '/app/login')
    expect(await visit()).toEqual({ userId: 'marguerite', visits: 3 })
    const user = server.seen.at(-1)!.headers['x-session-id']
    expect([typeof guest, typeof user, guest === user]).toEqual(['string', 'string', false])
    await page.evaluate(() => window.client.fetch('/app/logout', { method: 'POST' }))
    expect(await signedIn(page)).toBe(false)
    expect(await visit()).toEqual({ userId: null, visits: 1 })
  })

  test('a late answer to an older request does not take the place of a login', async () => {
    const server = await clientServer()
    const page = await tab(open, server, APP)
    let release = () => {}
    const gate = new Promise<void>((done) => {
      release = done
    })
    server.fate = ({ path }) => (path === '/app/visit' ? gate : undefined)
    const late = get(page, '/app/visit')
    await expect.poll(() => server.to('/app/visit').length).toBe(1)
    await login(page, '/app/login')
    release()
    expect(await late).toBe(200)
    expect(await page.evaluate(async () => (await window.client.fetch('/app/visit')).json())).toMatchObject({
      userId: 'marguerite',
    })
  })
})
