/** Logout tokens: what they end, what is no such token, and the races between a logout and what else happens. */
import type { ServerResponse } from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { UnsecuredJWT } from 'jose'
import { createSessions, jwt, opaque, type Session, type Store, sealed, type UserStore } from 'sojourn'
import { type LogoutReceiver, logoutReceiver } from 'sojourn/identity/logout'
import { LogoutIndex } from 'sojourn/identity/logout-index'
import { oauth, oidc } from 'sojourn/identity/oauth'
import { memory } from 'sojourn/store/memory'
import { revocations } from 'sojourn/token/revocation'
import { describe, expect, test } from 'vitest'
import { type App, counted, gated, KEY, type Shop, shop } from './helpers.js'
import { type Liar, startLiar } from './providers/liar.js'

/** A flow of the library, one step at a time: `wait` marks where it awaits. */
type Flow<T> = Generator<unknown, T, unknown>

function* wait<T>(value: Promise<T>): Flow<T> {
  return (yield value) as T
}

async function run<T>(flow: Flow<T>): Promise<T> {
  let step = flow.next()
  while (!step.done) step = flow.next(await step.value)
  return step.value
}

const EVENT = 'http://schemas.openid.net/event/backchannel-logout'

/** As a clock: the tokens' times are those of this machine. */
const clock = Object.assign(() => Date.now(), { advance() {}, set() {} }) as never

const ended = () => revocations({ store: memory(), within: 50 })

const ways: Record<string, () => App<Shop>> = {
  opaque: () => shop({ clock }),
  jwt: () => {
    const strategy = jwt({ issuer: 'https://shop.example', audience: 'https://shop.example', revocations: ended() })
    // Guests are kept by the next one.
    return shop({ clock, strategy: [strategy, opaque({ store: memory() })] })
  },
  sealed: () => shop({ clock, strategy: sealed({ revocations: revocations({ store: memory(), within: 50 }) }) }),
}

interface Scene {
  readonly a: Liar
  readonly b: Liar
  readonly app: App<Shop>
  readonly receiver: LogoutReceiver
  readonly store: UserStore
}

async function scene(make: () => App<Shop> = ways.opaque!, store: UserStore = memory()): Promise<Scene> {
  const [a, b] = await Promise.all([startLiar(), startLiar()])
  const app = make()
  const signIn = oauth({ keys: KEY, origin: 'https://shop.example', providers: { a: oidc(a), b: oidc(b) } })
  return { a, b, app, store, receiver: logoutReceiver({ sessions: app.sessions, store, oauth: signIn }) }
}

const oauthOf = (liar: Liar) => oauth({ keys: KEY, origin: 'https://shop.example', providers: { a: oidc(liar) } })

/** A browser signed in as `userId`, by the provider's session `sid`. */
async function signedIn({ app, receiver, a }: Scene, userId: string, sid: string, of: Liar = a, sub = userId) {
  const browser = app.browser()
  const iat = Math.floor(Date.now() / 1000) + 5
  const { value } = await browser.visit(async (session) => {
    session.login(userId)
    await session.commit()
    return receiver.enrol(session, { identity: { issuer: of.issuer, sub }, claims: { sid, iat } })
  })
  return Object.assign(browser, { enrolled: value })
}

const userOf = async (browser: Awaited<ReturnType<typeof signedIn>>) => {
  // What is sealed is refused within the bound; here that is asked of the store.
  const { value } = await browser.visit(async (session: Session<Shop>) =>
    (await session.fresh()) ? session.userId : undefined,
  )
  return value
}

let count = 0
function claimsOf(of: Liar, more: Record<string, unknown> = {}): Record<string, unknown> {
  const iat = Math.floor(Date.now() / 1000)
  return {
    iss: of.issuer,
    aud: of.clientId,
    iat,
    exp: iat + 120,
    jti: `notice ${++count}`,
    events: { [EVENT]: {} },
    ...more,
  }
}

const post = (body: string, type = 'application/x-www-form-urlencoded') =>
  new Request('https://shop.example/oauth/logout', { method: 'POST', body, headers: { 'content-type': type } })
const form = (token: string) => post(String(new URLSearchParams({ logout_token: token })))

describe.each(Object.entries(ways))('%s sessions', (_, make) => {
  test('BL-03, BL-04: by `sid` that session ends and no other; 200, never cached', async () => {
    const it = await scene(make)
    const one = await signedIn(it, 'ann', 'sid 1')
    const two = await signedIn(it, 'ann', 'sid 2')
    const answer = await it.receiver.handler(
      form(await it.a.sign('logout+jwt', claimsOf(it.a, { sub: 'ann', sid: 'sid 1' }))),
    )
    expect([answer.status, answer.headers.get('cache-control')]).toEqual([200, 'no-store'])
    expect([await userOf(one), await userOf(two)]).toEqual([undefined, 'ann'])
  })

  test('BL-03: by `sub` alone all of that user’s sessions end', async () => {
    const it = await scene(make)
    const all = [
      await signedIn(it, 'ann', 'sid 1'),
      await signedIn(it, 'ann', 'sid 2'),
      await signedIn(it, 'bob', 'sid 3'),
    ]
    const answer = await it.receiver.handler(form(await it.a.sign('logout+jwt', claimsOf(it.a, { sub: 'ann' }))))
    expect(answer.status).toBe(200)
    expect(await Promise.all(all.map(userOf))).toEqual([undefined, undefined, 'bob'])
  })

  test('BL-03: a session that got another identifier since, twice, ends as well', async () => {
    const it = await scene(make)
    const browser = await signedIn(it, 'ann', 'sid 1')
    await browser.visit((session) => session.rotate())
    await browser.visit((session) => session.rotate())
    await it.receiver.settled()
    expect(await userOf(browser)).toBe('ann')
    await it.receiver.handler(form(await it.a.sign('logout+jwt', claimsOf(it.a, { sid: 'sid 1' }))))
    expect(await userOf(browser)).toBeUndefined()
  })

  test('a logout that came before the sign-in was done ends it', async () => {
    const it = await scene(make)
    await it.receiver.handler(form(await it.a.sign('logout+jwt', claimsOf(it.a, { sid: 'sid 1' }))))
    const late = await signedIn(it, 'ann', 'sid 1')
    expect([late.enrolled, await userOf(late)]).toEqual([false, undefined])
    const next = await signedIn(it, 'ann', 'sid 2')
    expect([next.enrolled, await userOf(next)]).toEqual([true, 'ann'])
  })
})

test('one issuer, at which the app is registered twice: the token of either is heard', async () => {
  const it = await scene()
  const twice = oauth({
    keys: KEY,
    origin: 'https://shop.example',
    providers: { one: oidc({ ...it.a, clientId: 'the-other-shop' }), two: oidc(it.a) },
  })
  const receiver = logoutReceiver({ sessions: it.app.sessions, store: it.store, oauth: twice })
  for (const aud of ['the-other-shop', 'the-shop']) {
    const browser = await signedIn({ ...it, receiver }, 'ann', aud)
    const token = await it.a.sign('logout+jwt', claimsOf(it.a, { aud, sid: aud }))
    expect((await receiver.handler(form(token))).status).toBe(200)
    expect(await userOf(browser)).toBeUndefined()
  }
})

test('BL-05: a session that another strategy keeps since is ended as well', async () => {
  const store = memory()
  const index = memory()
  const stateless = sealed({ revocations: revocations({ store: memory(), within: 50 }) })
  const it = await scene(() => shop({ clock, strategy: opaque({ store }) }), index)
  const browser = await signedIn(it, 'ann', 'sid 1')
  const moved = await scene(() => shop({ clock, strategy: [stateless, opaque({ store })] }), index)
  const receiver = logoutReceiver({ sessions: moved.app.sessions, store: index, oauth: oauthOf(it.a) })
  const later = moved.app.browser(browser.cookie)
  await later.visit((session) => session.data.cart.push('hat'))
  await receiver.settled()
  expect(later.cookie).not.toBe(browser.cookie)
  expect(await userOf(later as typeof browser)).toBe('ann')
  await receiver.handler(form(await it.a.sign('logout+jwt', claimsOf(it.a, { sid: 'sid 1' }))))
  expect(await userOf(later as typeof browser)).toBeUndefined()
})

test('6.8.1: the same user and session at another issuer are others', async () => {
  const it = await scene()
  const ours = await signedIn(it, 'ann', 'sid 1')
  for (const claims of [{ sub: 'ann', sid: 'sid 1' }, { sub: 'ann' }])
    expect((await it.receiver.handler(form(await it.b.sign('logout+jwt', claimsOf(it.b, claims))))).status).toBe(200)
  expect(await userOf(ours)).toBe('ann')
})

const now = Math.floor(Date.now() / 1000)
describe('A-114, 10.5.5: what is no logout token ends nothing', () => {
  test.each<[string, Record<string, unknown>, string?]>([
    ['another audience', { aud: 'another' }],
    ['no audience', { aud: undefined }],
    ['an issuer that is not ours', { iss: 'https://id.example' }],
    ['a nonce', { nonce: 'x' }],
    ['an empty nonce', { nonce: '' }],
    ['neither user nor session', { sub: undefined, sid: undefined }],
    ['a user that is no text', { sub: 7 }],
    ['a session that is no text', { sid: ['sid 1'] }],
    ['no event', { events: undefined }],
    ['another event', { events: { 'https://example/other': {} } }],
    ['an event that is no object', { events: { [EVENT]: true } }],
    ['events as a list', { events: [EVENT] }],
    ['an event by inheritance', { events: { toString: {} } }],
    ['no identifier', { jti: undefined }],
    ['no time of issue', { iat: undefined }],
    ['no end', { exp: undefined }],
    ['its end past', { iat: now - 300, exp: now - 120 }],
    ['a time to come', { iat: now + 600, exp: now + 700 }],
    ['an end far away', { exp: now + 86_400 }],
    ['times that are no numbers', { iat: '1', exp: '9e9' }],
    ['the type of an identity token', {}, 'JWT'],
    ['the type of an access token', {}, 'at+jwt'],
    ['no type', {}, ''],
  ])('%s', async (_, claims, type = 'logout+jwt') => {
    const it = await scene()
    const browser = await signedIn(it, 'ann', 'sid 1')
    const token = await it.a.sign(
      type === '' ? undefined : type,
      claimsOf(it.a, { sub: 'ann', sid: 'sid 1', ...claims }),
    )
    const answer = await it.receiver.handler(form(token))
    expect([answer.status, answer.headers.get('cache-control')]).toEqual([400, 'no-store'])
    expect(await answer.json()).toEqual({ error: 'invalid_request' })
    expect(await userOf(browser)).toBe('ann')
  })

  test('unsigned, signed by another issuer, changed, or sent another way', async () => {
    const it = await scene()
    const browser = await signedIn(it, 'ann', 'sid 1')
    const claims = claimsOf(it.a, { sub: 'ann', sid: 'sid 1' })
    const good = await it.a.sign('logout+jwt', claims)
    const [header, payload, signature] = good.split('.') as [string, string, string]
    const none = Buffer.from('{"alg":"none","typ":"logout+jwt"}').toString('base64url')
    const hostile = [
      form(new UnsecuredJWT(claims as never).encode()),
      form(`${none}.${payload}.`),
      form(`${none}.${payload}.${signature}`),
      form(await it.b.sign('logout+jwt', claims)),
      form(`${header}.${Buffer.from(JSON.stringify({ ...claims, sub: 'bob' })).toString('base64url')}.${signature}`),
      form(''),
      form('a.b.c'),
      form('x'.repeat(20_000)),
      post(''),
      post(JSON.stringify({ logout_token: good }), 'application/json'),
      post(good, 'application/jwt'),
      post(`logout_token=${good}&logout_token=${good}`),
      new Request(`https://shop.example/oauth/logout?logout_token=${good}`),
      new Request(`https://shop.example/oauth/logout?logout_token=${good}`, { method: 'POST' }),
    ]
    for (const request of hostile) expect((await it.receiver.handler(request)).status).toBe(400)
    expect(await userOf(browser)).toBe('ann')
    expect((await it.receiver.handler(form(good))).status).toBe(200)
    expect(await userOf(browser)).toBeUndefined()
  })

  test('replayed: 400, and who has signed in since stays so', async () => {
    const it = await scene()
    await signedIn(it, 'ann', 'sid 1')
    const token = await it.a.sign('logout+jwt', claimsOf(it.a, { sub: 'ann' }))
    expect((await it.receiver.handler(form(token))).status).toBe(200)
    const since = await signedIn(it, 'ann', 'sid 2')
    expect((await it.receiver.handler(form(token))).status).toBe(400)
    expect(await userOf(since)).toBe('ann')
  })
})

test('BL-01: unknown parameters are ignored; BL-03: where there is nothing to end, all is well', async () => {
  const it = await scene()
  const token = await it.a.sign('logout+jwt', claimsOf(it.a, { sid: 'unheard of' }))
  expect((await it.receiver.handler(post(`x=1&logout_token=${token}`))).status).toBe(200)
})

test('BL-04: what failed half-way is 503, and can be sent again', async () => {
  let down = false
  const store = gated(memory(), (_, go) => {
    if (down) throw new Error('down')
    return go()
  })
  const it = await scene(ways.opaque, store)
  const browser = await signedIn(it, 'ann', 'sid 1')
  const token = await it.a.sign('logout+jwt', claimsOf(it.a, { sid: 'sid 1' }))
  down = true
  expect((await it.receiver.handler(form(token))).status).toBe(503)
  down = false
  expect((await it.receiver.handler(form(token))).status).toBe(200)
  expect(await userOf(browser)).toBeUndefined()
})

test('A-93: what rotations leave behind does not grow with their number', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const it = await scene()
  const listeners: Parameters<App<Shop>['sessions']['on']>[0][] = []
  it.app.sessions.on = (listener) => {
    listeners.push(listener)
    return () => {}
  }
  const store: Store = { get: () => undefined, set: () => true, delete: () => true }
  const receiver = logoutReceiver({ sessions: it.app.sessions, store, oauth: oauthOf(it.a) })
  const rotations = async (count: number) => {
    for (let n = 0; n < count; n++) {
      for (const told of listeners)
        told({ type: 'rotated', id: `b${n}`, from: `a${n}`, reason: 'rotate', userId: 'u', at: 0 })
      if (n % 100 === 0) await receiver.settled()
    }
    await receiver.settled()
    collect()
    return process.memoryUsage().heapUsed
  }
  const before = await rotations(2000)
  const after = await rotations(40_000)
  expect((after - before) / 40_000).toBeLessThan(16)
})

test('a provider whose keys cannot be had: 503, and nothing ends', async () => {
  const it = await scene()
  const browser = await signedIn(it, 'ann', 'sid 1')
  Object.assign(it.a.bent.answers, { '/jwks': (response: { destroy(): void }) => response.destroy() })
  const token = await it.a.sign('logout+jwt', claimsOf(it.a, { sid: 'sid 1' }))
  expect((await it.receiver.handler(form(token))).status).toBe(503)
  expect(await userOf(browser)).toBe('ann')
})

test('BL-01: keys that a provider has moved are looked for where its metadata says, without a restart', async () => {
  const it = await scene()
  let ahead = 0
  const providers = { a: oidc(it.a) }
  const known = oauth({ keys: KEY, origin: 'https://shop.example', providers, clock: () => Date.now() + ahead })
  const receiver = logoutReceiver({ sessions: it.app.sessions, store: it.store, oauth: known })
  const browser = await signedIn({ ...it, receiver }, 'ann', 'sid 1')
  const token = await it.a.sign('logout+jwt', claimsOf(it.a, { sid: 'sid 1' }))
  const moved = (response: ServerResponse) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ keys: [it.a.jwk] }))
  }
  Object.assign(it.a.bent.answers, { '/jwks': (response: ServerResponse) => response.destroy(), '/moved': moved })
  expect((await receiver.handler(form(token))).status).toBe(503)
  it.a.bent.metadata = { jwks_uri: `${it.a.issuer}/moved` }
  ahead = 3_700_000
  expect((await receiver.handler(form(token))).status).toBe(200)
  expect(await userOf(browser)).toBeUndefined()
})

test('what cannot be noted is not signed in', async () => {
  let down = false
  const store = gated(memory(), (_, go) => {
    if (down) throw new Error('down')
    return go()
  })
  const it = await scene(ways.opaque, store)
  down = true
  const browser = it.app.browser()
  const answer = await browser.visit(async (session) => {
    session.login('ann')
    await session.commit()
    await it.receiver.enrol(session, { identity: { issuer: it.a.issuer, sub: 'ann' }, claims: { sid: 'sid 1' } })
  })
  expect(answer.status).toBe(503)
  expect(await it.app.sessions.list('ann')).toEqual([])
})

test('a rotation and a logout at the same moment: every order of their store calls ends the session', async () => {
  // Two flows over one store: the calls of each stay in order, and are dealt out in every way.
  const issuer = 'https://id.example'
  const orders = new Set<string>()
  for (let mask = 0; mask < 2 ** 9; mask++) {
    const index = new LogoutIndex(
      gated(memory(), async (_, go) => go()),
      60_000,
      Date.now,
    )
    const live = new Set(['old'])
    const logout = (function* (): Flow<void> {
      const [first] = yield* index.endSession(issuer, 'sid')
      for (let id = first; id !== undefined; ) {
        yield* wait(Promise.resolve(live.delete(id)))
        id = yield* index.successor(id)
      }
    })()
    const rotation = (function* (): Flow<void> {
      if (!live.delete('old')) return
      yield* wait(Promise.resolve(live.add('new')))
      if (!(yield* index.moved('old', 'new'))) yield* wait(Promise.resolve(live.delete('new')))
    })()
    await run(index.atSession(issuer, 'sid', 'old'))
    let order = ''
    const flows = [
      { name: 'L', flow: logout, done: false, answer: undefined as unknown },
      { name: 'R', flow: rotation, done: false, answer: undefined as unknown },
    ]
    for (let step = 0; flows.some(({ done }) => !done); step++) {
      const chosen = flows[(mask >> (step % 9)) & 1]!
      const turn = chosen.done ? flows.find(({ done }) => !done)! : chosen
      const { done, value } = turn.flow.next(turn.answer)
      turn.done = done === true
      turn.answer = await value
      order += turn.name
    }
    orders.add(order)
    expect([order, [...live]]).toEqual([order, []])
  }
  expect(orders.size).toBeGreaterThan(50)
})

test('what it costs: four calls to note a sign-in, one to follow, four and one for each identifier to end', async () => {
  const { store, calls } = counted(memory())
  const it = await scene(ways.opaque, store)
  const browser = await signedIn(it, 'ann', 'sid 1')
  expect(calls()).toEqual(['get', 'set', 'get', 'set'])
  await browser.visit((session) => session.rotate())
  await it.receiver.settled()
  expect(calls()).toEqual(['set'])
  await browser.visit((session) => session.data.cart.push('hat'))
  expect(calls()).toEqual([])
  await it.receiver.handler(form(await it.a.sign('logout+jwt', claimsOf(it.a, { sid: 'sid 1' }))))
  // Came before? · the provider's session · its successor, found · the successor's, none · came.
  expect(calls()).toEqual(['get', 'get', 'set', 'set', 'get', 'set', 'set'])
})

test('nothing at rest names anybody at the provider', async () => {
  const seen: string[] = []
  const store = gated(memory(), (verb, go, args) => {
    if (verb === 'set') seen.push(JSON.stringify(args))
    return go()
  })
  const it = await scene(ways.opaque, store)
  await signedIn(it, 'user 7', 'canary-sid', it.a, 'canary-sub')
  await it.receiver.handler(
    form(await it.a.sign('logout+jwt', claimsOf(it.a, { sid: 'canary-sid', jti: 'canary-jti' }))),
  )
  expect(seen.length).toBeGreaterThan(3)
  expect(seen.join()).not.toMatch(/canary|127\.0\.0\.1/)
})

test('sessions that cannot be ended from elsewhere are refused when the server starts', () => {
  const { get, set, delete: forget } = memory()
  const store: Store = { get, set, delete: forget }
  const sessions = createSessions({ keys: KEY, strategy: opaque({ store }) })
  const make = () => logoutReceiver({ sessions, store, oauth: { issuers: () => [] } })
  expect(make).toThrow(/cannot be ended from elsewhere/)
})
