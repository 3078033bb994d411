/** Logins and logouts, told to all tabs; and what others say in the client's name. */
import { describe, expect, test } from 'vitest'
import { useBrowser } from '../../server/test/browser.js'
import { clientServer } from './fixtures/client-server.js'
import {
  BODY,
  COOKIE,
  get,
  heard,
  kept,
  later,
  login,
  logout,
  runOut,
  signedIn,
  tab,
  tabs,
  untilSignedIn,
} from './fixtures/client-tabs.js'

const REFRESH = '/api/token/refresh'
const NOTHING = { local: {}, session: {}, cookies: '', databases: 0, caches: 0 }

describe('with a browser', () => {
  const open = useBrowser()

  test.each([
    ['localStorage', { ...BODY, storage: 'localStorage' }, '/api/token'],
    ['memory, refresh token in its cookie', COOKIE, '/cookie/token'],
    ['sessionStorage, refresh token in its cookie', { ...COOKIE, storage: 'sessionStorage' }, '/cookie/token'],
  ] as const)('14.3.1: logout in one tab logs out all (%s)', async (_, options, at) => {
    const server = await clientServer()
    const all = await tabs(open, server, 3, options)
    await login(all[0]!, at)
    await untilSignedIn(all, true)
    for (const page of all) {
      await expect.poll(() => heard(page)).toEqual(['login'])
      expect(await get(page)).toBe(200)
    }
    expect(await logout(all[1]!), 'the server confirmed it').toBe(true)
    await untilSignedIn(all, false)
    const refreshes = server.to(`${at}/refresh`).length
    for (const page of all) {
      await expect.poll(() => heard(page)).toEqual(['logout'])
      expect(await kept(page)).toEqual(NOTHING)
      expect(await get(page)).toBe(401)
    }
    expect(server.to(`${at}/refresh`), 'a logged out tab asks for nothing').toHaveLength(refreshes)
    expect(server.events.filter(({ type }) => type === 'ended')).toHaveLength(1)
  })

  test('14.3.1 7.4.1: tabs with a login each are logged out together, and each of their logins is ended', async () => {
    const server = await clientServer()
    const all = await tabs(open, server, 3, BODY)
    for (const page of all) await login(page)
    expect(await Promise.all(all.map((page) => get(page)))).toEqual([200, 200, 200])
    expect(await logout(all[0]!)).toBe(true)
    await untilSignedIn(all, false)
    await expect.poll(() => server.events.filter(({ type }) => type === 'ended').length).toBe(3)
  })

  test('a logout counts in a tab whose login is of a time to come, since the clock was put right', async () => {
    const server = await clientServer()
    const all = await tabs(open, server, 2, BODY)
    await later(all, 3_600_000)
    for (const page of all) await login(page)
    await later(all, -3_600_000)
    expect(await logout(all[0]!)).toBe(true)
    await untilSignedIn(all, false)
  })

  test('a logout that the server does not hear of still forgets, and says so', async () => {
    const server = await clientServer()
    const page = await tab(open, server, { ...BODY, storage: 'localStorage' })
    await login(page)
    server.fate = ({ path }) => (path.endsWith('/revoke') ? 'lost' : undefined)
    expect(await logout(page)).toBe(false)
    expect(await kept(page)).toEqual(NOTHING)
  })

  test('what a logout overtook does not come back: a renewal on its way, in another tab', async () => {
    const server = await clientServer()
    const [one, other] = (await tabs(open, server, 2, { ...BODY, storage: 'localStorage' })) as [never, never]
    await login(one)
    await untilSignedIn([one, other], true)
    await runOut(one)
    let release = () => {}
    const gate = new Promise<void>((done) => {
      release = done
    })
    server.fate = ({ path }) => (path === REFRESH ? gate : undefined)
    const asked = get(one)
    await expect.poll(() => server.to(REFRESH).length).toBe(1)
    expect(await logout(other)).toBe(true)
    release()
    expect(await asked).toBe(401)
    expect(server.to('/api/me').map(({ headers }) => headers.authorization)).toEqual([undefined])
    expect([await signedIn(one), await signedIn(other)]).toEqual([false, false])
    expect((await kept(one)).local).toEqual({})
    const { refresh_token } = JSON.parse(server.to(REFRESH)[0]!.answer!) as { refresh_token: string }
    const body = JSON.stringify({ refresh_token })
    const headers = { 'content-type': 'application/json' }
    expect((await fetch(`${server.url}${REFRESH}`, { method: 'POST', headers, body })).status).toBe(400)
  })

  test('a logout while a login is on its way wins over it, and ends it', async () => {
    const server = await clientServer()
    const page = await tab(open, server, { ...BODY, storage: 'localStorage' })
    let release = () => {}
    const gate = new Promise<void>((done) => {
      release = done
    })
    server.fate = ({ path }) => (path === '/api/token' ? gate : undefined)
    const asked = login(page)
    await expect.poll(() => server.to('/api/token').length).toBe(1)
    await logout(page)
    release()
    await asked
    expect(await signedIn(page)).toBe(false)
    await expect.poll(() => server.events.filter(({ type }) => type === 'ended').length).toBe(1)
  })

  test('a second login takes the place of the first, which is ended', async () => {
    const server = await clientServer()
    const all = await tabs(open, server, 2, { ...BODY, storage: 'localStorage' })
    await login(all[0]!)
    await login(all[1]!)
    await expect.poll(() => server.events.filter(({ type }) => type === 'ended').length).toBe(1)
    expect(await Promise.all(all.map((page) => get(page)))).toEqual([200, 200])
  })

  test('A-110: a login that brings something else keeps nothing, and a wrong password is the app’s to show', async () => {
    const server = await clientServer()
    const page = await tab(open, server, { ...BODY, storage: 'localStorage' })
    expect(await login(page, '/api/token', 'wrong')).toBe(401)
    await expect(login(page, '/echo')).rejects.toThrow('client.login: the response brings no credential')
    expect(await kept(page)).toEqual(NOTHING)
    expect(await heard(page)).toEqual([])
    expect(server.to(REFRESH), 'no 401 of a login is a reason to renew').toHaveLength(0)
  })

  test('A-122: what another script of the origin says is checked', async () => {
    const server = await clientServer()
    const all = await tabs(open, server, 2, BODY)
    const [page, evil] = all as [(typeof all)[0], (typeof all)[0]]
    await login(page)
    await expect.poll(() => heard(page)).toEqual(['login'])
    await evil.evaluate(() => {
      const channel = new BroadcastChannel('sojourn:default')
      const credential = { access: 'stolen', since: Date.now(), renewAt: 9e15, expiresAt: 9e15 }
      const at = Date.now()
      const cyclic: { self?: unknown } = {}
      cyclic.self = cyclic
      for (const message of [
        null,
        'logout',
        cyclic,
        { kind: 'logout' },
        { kind: 'logout', at: 9e15 },
        { kind: 'logout', at: Number.NaN },
        { kind: 'logout', at: '0' },
        { kind: 'constructor', at },
        { kind: 'login', at, credential: { ...credential, access: 'x\r\nevil: 1' } },
        { kind: 'renewed', at, credential },
        { kind: 'renewed', at, sealed: new Uint8Array(64) },
        { kind: 'renewed', at, sealed: 'text' },
        { kind: 'logout', at: 1 },
      ])
        channel.postMessage(message)
    })
    await evil.waitForTimeout(200)
    expect(await get(page), 'none of it ended the login or took its place').toBe(200)
    expect(server.to('/api/me').at(-1)!.headers.authorization).not.toContain('stolen')
    // A login that was claimed is heard of, no more: the app looks, and its own is still there.
    expect(await heard(page)).toEqual(['login'])
  })
})
