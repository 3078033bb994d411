/** A token pair beside `createSessions`: its access tokens are sessions there, and its families devices. */
import { createSessions, jwt, opaque, type SessionsOptions, type StrategyFactory } from 'sojourn'
import { fetch } from 'sojourn/adapter/fetch'
import { memory } from 'sojourn/store/memory'
import type { Tokens } from 'sojourn/token/pair'
import { describe, expect, test } from 'vitest'
import { ACCESS, DAY, granted, KEYS, MINUTE, SECOND, type World, type WorldOptions, world } from './fixtures/pair.js'
import { gated } from './helpers.js'

interface View {
  readonly id?: string
  readonly user?: string
  readonly refused?: string
}

function app(one: World, strategy: StrategyFactory | StrategyFactory[], options: SessionsOptions<object> = {}) {
  const sessions = createSessions({ keys: KEYS, clock: one.clock, strategy, ...options })
  const handler = fetch(sessions, async (request) => {
    const session = await sessions.of(request)
    const verb = new URL(request.url).pathname.slice(1)
    if (verb === 'logout') session.logout()
    if (verb === 'rotate') session.rotate()
    if (verb === 'write') (session.data as Record<string, unknown>).x = 1
    if (verb === 'login') session.login('ann')
    return Response.json({ id: session.id, user: session.userId, refused: session.refused })
  })
  const send = (token: string, path = '/') =>
    handler(new Request(`https://shop.example${path}`, { headers: { cookie: `__Host-Http-session=${token}` } }))
  const see = async (token: string, path?: string) => (await (await send(token, path)).json()) as View
  return { sessions, send, see }
}

function shop(options: WorldOptions = {}, more: SessionsOptions<object> = {}) {
  const one = world(options)
  const { encrypt = false, claims } = options.access ?? {}
  const access = { ...ACCESS, encrypt, ...(claims ? { claims } : {}) }
  const byToken = jwt({ ...access, revocations: one.revocations, devices: one.store })
  return { ...one, byToken, ...app(one, byToken, more) }
}

const signIn = async ({ pair }: World): Promise<Tokens> =>
  pair.issue({ userId: 'ann', device: { userAgent: 'curl', ip: '::1' } })

describe('an access token', () => {
  test.each([false, true])('is a session of the jwt strategy, encrypted: %s', async (encrypt) => {
    const one = shop({ access: { ...ACCESS, encrypt } })
    const { accessToken, id } = await signIn(one)
    expect(await one.see(accessToken)).toEqual({ id, user: 'ann' })
    one.clock.advance(5 * MINUTE)
    expect((await one.see(accessToken)).refused).toBe('expired')
  })

  test('carries claims made from the data of the login, also after a refresh, and not the data', async () => {
    const claims = (data: Record<string, unknown>) => ({ role: data.role })
    const one = shop({ access: { ...ACCESS, claims } })
    const first = await one.pair.issue({ userId: 'ann', data: { role: 'clerk', secret: 'canary' } })
    const { accessToken } = granted(await one.pair.refresh(first.refreshToken))
    expect(await one.pair.introspect(accessToken)).toMatchObject({ role: 'clerk' })
    expect(Buffer.from(accessToken.split('.')[1]!, 'base64url').toString()).not.toContain('canary')
  })

  test('is good for as long as the family, whatever timeouts the sessions have', async () => {
    const one = shop({}, { timeouts: { idle: 2 * MINUTE, absolute: 10 * MINUTE } })
    const first = await signIn(one)
    one.clock.advance(DAY)
    const { accessToken } = granted(await one.pair.refresh(first.refreshToken))
    one.clock.advance(4 * MINUTE)
    expect((await one.see(accessToken)).user).toBe('ann')
  })

  test('is never slid into a longer one, nor by a key that was rotated', async () => {
    const one = shop()
    const { accessToken } = await signIn(one)
    one.clock.advance(4 * MINUTE)
    expect((await one.send(accessToken)).headers.getSetCookie()).toEqual([])
    const rotated = app(one, one.byToken, { keys: [KEYS.split('').reverse().join(''), KEYS] })
    const answer = await rotated.send(accessToken)
    expect(await answer.clone().json()).toMatchObject({ user: 'ann' })
    expect(answer.headers.getSetCookie()).toEqual([])
  })

  test('is never converted by another strategy, rotated or written', async () => {
    const one = shop()
    const store = memory({ clock: one.clock })
    const { accessToken } = await signIn(one)
    for (const each of [one, app(one, [opaque({ store }), one.byToken])]) {
      const read = await each.send(accessToken)
      expect(await read.clone().json()).toMatchObject({ user: 'ann' })
      expect(read.headers.getSetCookie()).toEqual([])
      for (const path of ['/rotate', '/write']) {
        const answer = await each.send(accessToken, path)
        expect([answer.status, answer.headers.getSetCookie()], path).toEqual([500, []])
      }
      expect((await each.see(accessToken)).user).toBe('ann')
    }
    expect(store.size).toBe(0)
  })

  test('A-38, 9.2.2: a refresh token is not one', async () => {
    const one = shop()
    const { refreshToken } = await signIn(one)
    const everything = app(one, [opaque({ store: one.store }), one.byToken])
    for (const each of [one, everything]) expect((await each.see(refreshToken)).user).toBeUndefined()
  })
})

describe('a family', () => {
  test('10.4.9: shows as a device, as of its last refresh', async () => {
    const one = shop()
    const tokens = await signIn(one)
    const createdAt = one.clock()
    one.clock.advance(MINUTE)
    await one.pair.refresh(tokens.refreshToken)
    const device = { userAgent: 'curl', ip: '::1' }
    expect(await one.sessions.list('ann')).toMatchObject([
      { id: tokens.id, createdAt, authenticatedAt: createdAt, seenAt: one.clock(), device, persistent: false },
    ])
  })

  test.each(['end', 'endAll', 'logout', 'login'])('A-63, A-67, 7.4.1: %s ends both halves', async (how) => {
    const one = shop()
    const tokens = await signIn(one)
    const elsewhere = await one.pair.issue({ userId: 'bea' })
    if (how === 'end') expect(await one.sessions.end(tokens.id)).toBe(true)
    if (how === 'endAll') expect(await one.sessions.endAll('ann')).toBe(1)
    if (how === 'logout' || how === 'login') expect((await one.send(tokens.accessToken, `/${how}`)).status).toBe(200)
    expect(await one.pair.refresh(tokens.refreshToken)).toBe('ended')
    expect((await one.see(tokens.accessToken)).refused).toBe('ended')
    expect(await one.pair.introspect(tokens.accessToken)).toEqual({ active: false })
    expect((await one.see(elsewhere.accessToken)).user).toBe('bea')
    granted(await one.pair.refresh(elsewhere.refreshToken))
  })

  test('7.4.3: endAll with an exception spares that family, and its later tokens', async () => {
    const one = shop()
    const [kept, ended] = [await signIn(one), await signIn(one)]
    one.clock.advance(SECOND)
    expect(await one.sessions.endAll('ann', { except: kept.id })).toBe(1)
    expect((await one.see(ended.accessToken)).refused).toBe('ended')
    const next = granted(await one.pair.refresh(kept.refreshToken))
    expect((await one.see(next.accessToken)).user).toBe('ann')
  })

  test('A-63: what a refresh was writing while all was ended opens no session, however young it is', async () => {
    let between = async () => {}
    const one = shop()
    const late = gated(one.store, async (verb, go) => {
      const done = go()
      if (verb === 'set') await between()
      return done
    })
    const first = await signIn(one)
    one.clock.advance(MINUTE)
    between = async () => {
      // It began a moment before the refresh did, and is written down only now.
      one.clock.advance(-1)
      await one.sessions.endAll('ann')
      one.clock.advance(1)
    }
    const second = granted(await one.again({ store: late }).refresh(first.refreshToken))
    expect((await one.see(second.accessToken)).refused).toBe('ended')
    expect(await one.pair.refresh(second.refreshToken)).toBe('ended')
  })

  test('A-59: a replay ends the sessions of the access half too', async () => {
    const one = shop()
    const first = await signIn(one)
    const second = granted(await one.pair.refresh(first.refreshToken))
    expect((await one.see(second.accessToken)).user).toBe('ann')
    one.clock.advance(10 * SECOND)
    expect(await one.pair.refresh(first.refreshToken)).toBe('replayed')
    expect((await one.see(second.accessToken)).refused).toBe('ended')
    expect(await one.sessions.list('ann')).toEqual([])
  })

  test('7.1.2: the limit counts families and sessions of the jwt strategy together', async () => {
    const limit = { sessions: 1, policy: 'evict-oldest' } as const
    const one = shop({ limit }, { limit })
    const answer = await one.send('', '/login')
    const token = answer.headers.getSetCookie()[0]!.split(/[=;]/)[1]!
    one.clock.advance(1)
    const tokens = await signIn(one)
    expect((await one.see(token)).refused).toBe('ended')
    one.clock.advance(1)
    await one.send('', '/login')
    expect((await one.see(tokens.accessToken)).refused).toBe('ended')
    expect(await one.pair.refresh(tokens.refreshToken)).toBe('ended')
  })
})
