import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { acceptNoRevocation, generateSecret, type JwtOptions, jwt, opaque, type StrategyFactory, sealed } from 'sojourn'
import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { revocations } from 'sojourn/token/revocation'
import { describe, expect, test } from 'vitest'
import { Client } from './jar.js'
import { place, type View } from './journey.js'
import { claimsOf } from './tokens.js'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const keys = generateSecret()
const issuer = 'https://id.shop.example'
const audience = 'https://shop.example'

function world(options: Partial<JwtOptions> = {}) {
  const clock = manualClock()
  const shared = { revocations: revocations({ store: memory({ clock }), clock }), devices: memory({ clock }) }
  const byToken = jwt({ ...shared, issuer, audience, ...options })
  const bySeal = sealed(shared)
  const byId = opaque({ store: memory({ clock }) })
  const app = (...strategy: StrategyFactory[]) => place({ keys, clock, strategy })
  return { clock, ...shared, byToken, bySeal, byId, app, client: new Client(app(byToken, bySeal).handler) }
}

const tokenOf = ({ cookies }: Client) => [...cookies.values()].join('').replace(/^\d~/, '')

describe.each([
  ['signed', {}],
  ['signed, and encrypted around it', { encrypt: true }],
  ['signed with Ed25519', { keys: { algorithm: 'Ed25519', key: generateKeyPairSync('ed25519').privateKey } }],
] as [string, Partial<JwtOptions>][])('a token that is %s', (_, options) => {
  const made = () => world(options)

  test('keeps a user, and a logout takes it back', async () => {
    const { client } = made()
    expect(await client.get<View>('/login/ann')).toMatchObject({ user: 'ann' })
    expect(await client.get<View>('/')).toMatchObject({ user: 'ann' })
    await client.send('/logout')
    expect(client.cookies.size).toBe(0)
  })

  test('7.4.1: whatever was captured before the logout or a rotation is refused after it', async () => {
    const { client, app, byToken, bySeal } = made()
    const { handler } = app(byToken, bySeal)
    const ann = client.at(handler)
    await ann.send('/login/ann')
    const captured = [ann.at(handler)]
    await ann.send('/rotate')
    captured.push(ann.at(handler))
    expect(await ann.get<View>('/')).toMatchObject({ user: 'ann' })
    expect(await captured[0]!.get<View>('/')).toMatchObject({ refused: 'ended' })
    await ann.send('/logout')
    for (const copy of captured) {
      const view = await copy.get<View>('/')
      expect(view).toMatchObject({ refused: 'ended' })
      expect(view.user).toBeUndefined()
    }
  })

  test('7.3.1 7.3.2: idle and absolute timeouts hold, and activity writes a new token with the same session', async () => {
    const { client, clock } = made()
    const { id } = await client.get<View>('/login/ann')
    const first = tokenOf(client)
    clock.advance(3 * MINUTE - 1)
    expect((await client.send('/')).headers.getSetCookie()).toEqual([])
    clock.advance(1)
    expect(await client.get<View>('/')).toMatchObject({ user: 'ann', id })
    expect(tokenOf(client)).not.toBe(first)
    for (let passed = 3; passed < 12 * 60 - 23; passed += 20) {
      clock.advance(20 * MINUTE)
      expect(await client.get<View>('/')).toMatchObject({ user: 'ann', id })
    }
    clock.advance(20 * MINUTE)
    expect(await client.get<View>('/')).toMatchObject({ refused: 'expired' })

    await client.send('/login/ann')
    clock.advance(30 * MINUTE)
    expect(await client.get<View>('/')).toMatchObject({ refused: 'expired' })
  })

  test('9.2.1: a token that is remembered expires all the same', async () => {
    const { client, clock } = made()
    await client.send('/login/ann')
    const copies = [1, 2, 3].map(() => new Map(client.cookies))
    const ask = async () => {
      client.cookies = copies.pop()!
      return client.get<View>('/')
    }
    clock.advance(30 * MINUTE - 1000)
    expect(await ask()).toMatchObject({ user: 'ann' })
    expect(await ask()).toMatchObject({ user: 'ann' })
    clock.advance(1000)
    expect(await ask()).toMatchObject({ refused: 'expired' })
  })

  test('devices are listed and ended, one or all but one, and a new login is honoured in the same millisecond', async () => {
    const { app, byToken, bySeal } = made()
    const { handler, sessions } = app(byToken, bySeal)
    const [one, two, three] = [1, 2, 3].map(() => new Client(handler)) as [Client, Client, Client]
    for (const client of [one, two, three]) await client.send('/login/ann')
    const { id } = await one.get<View>('/')
    expect(await sessions.list('ann')).toHaveLength(3)
    expect(await sessions.end((await two.get<View>('/')).id!)).toBe(true)
    expect(await two.get<View>('/')).toMatchObject({ refused: 'ended' })
    expect(await sessions.endAll('ann', { except: id! })).toBe(1)
    expect(await three.get<View>('/')).toMatchObject({ refused: 'ended' })
    expect(await one.get<View>('/')).toMatchObject({ user: 'ann' })
    const four = new Client(handler)
    await four.send('/login/ann')
    expect(await four.get<View>('/')).toMatchObject({ user: 'ann' })
  })
})

describe('what a token says', () => {
  test('AT-01 AT-02: the claims of RFC 9068, in whole seconds', async () => {
    const { client, clock } = world({ clientId: 'web' })
    clock.advance(777)
    const { id } = await client.get<View>('/login/ann')
    const { header, claims } = claimsOf(tokenOf(client))
    expect(header).toEqual({ alg: 'HS256', typ: 'at+jwt', kid: expect.any(String) })
    const now = Math.floor(clock() / 1000)
    expect(claims).toMatchObject({ iss: issuer, aud: audience, sub: 'ann', client_id: 'web', sid: id, iat: now })
    expect(claims).toMatchObject({ auth_time: now, jti: `${id}.1` })
    for (const name of ['exp', 'iat', 'auth_time']) expect(claims[name]).toSatisfy(Number.isInteger)
    expect((claims.exp as number) * 1000).toBeLessThanOrEqual(clock() + 30 * MINUTE)
  })

  test("the app's own claims, made at the login and the same for as long as it lasts", async () => {
    const { client, clock, app, byToken, bySeal } = world({ claims: ({ count }) => ({ plan: `after ${count}` }) })
    await client.send('/add')
    await client.send('/login/ann')
    expect(claimsOf(tokenOf(client)).claims.plan).toBe('after 1')
    clock.advance(10 * MINUTE)
    await client.send('/')
    expect(claimsOf(tokenOf(client)).claims).toMatchObject({ plan: 'after 1', jti: expect.stringMatching(/\.2$/) })
    const rotated = client.at(app(byToken, bySeal).handler)
    await rotated.send('/rotate')
    expect(claimsOf(tokenOf(rotated)).claims.plan).toBe('after 1')
  })

  test('A-75: none of the claims that mean something already', async () => {
    for (const name of ['sub', 'aud', 'exp', 'sid', 'ses', 'scope', 'pair', 'cnf', 'auth_time', 'amr', 'acr']) {
      const { client } = world({ claims: () => ({ [name]: 'root' }) })
      await expect(client.send('/login/ann')).rejects.toThrow(`"${name}"`)
      expect(client.cookies.size).toBe(0)
    }
  })

  test('A-72: a claim of the name __proto__ stays a claim', async () => {
    const { client, clock } = world({ claims: () => JSON.parse('{"__proto__":{"admin":true}}') })
    await client.send('/login/ann')
    clock.advance(10 * MINUTE)
    await client.send('/')
    expect(Object.keys(claimsOf(tokenOf(client)).claims)).toContain('__proto__')
    expect(({} as Record<string, unknown>).admin).toBeUndefined()
  })

  test('not the data, unless it is encrypted; and then nothing shows', async () => {
    const plain = world()
    await plain.client.send('/text/20')
    await plain.client.send('/login/a-telling-name')
    expect(JSON.stringify(claimsOf(tokenOf(plain.client)))).not.toContain('xxxx')
    expect(await plain.client.get<View>('/')).toMatchObject({ text: 0 })

    const hidden = world({ encrypt: true })
    await hidden.client.send('/text/20')
    await hidden.client.send('/login/a-telling-name')
    expect(await hidden.client.get<View>('/')).toMatchObject({ user: 'a-telling-name', text: 20 })
    const shown = tokenOf(hidden.client)
      .split('.')
      .map((part) => Buffer.from(part, 'base64url').toString('latin1'))
      .join()
    expect(shown).not.toMatch(/telling|xxxx|shop/)
  })

  test('is fixed: a change of data says so, and the user stays signed in', async () => {
    const { client, app, byToken, bySeal } = world({ encrypt: true })
    const { handler, events } = app(byToken, bySeal)
    const ann = client.at(handler)
    await ann.send('/login/ann')
    const refused = await ann.send('/add')
    expect(refused.status).toBe(500)
    expect(refused.headers.getSetCookie()).toEqual([])
    expect(events).toContain('fault')
    expect(await ann.get<View>('/')).toMatchObject({ user: 'ann', count: 0 })
  })

  test('without another strategy, guests can be seen and not kept', async () => {
    const { app, byToken } = world()
    const client = new Client(app(byToken).handler)
    expect((await client.send('/')).status).toBe(200)
    expect((await client.send('/add')).status).toBe(500)
    expect(await client.get<View>('/login/ann')).toMatchObject({ user: 'ann' })
  })
})

describe('beside other strategies', () => {
  test('guests are sealed until they sign in, and again after they sign out', async () => {
    const { client } = world()
    await client.send('/add')
    expect(tokenOf(client).split('.')).toHaveLength(2)
    await client.send('/login/ann')
    expect(tokenOf(client).split('.')).toHaveLength(3)
    await client.send('/logout')
    await client.send('/add')
    expect(tokenOf(client).split('.')).toHaveLength(2)
  })

  test.each([false, true])('opaque to jwt and back, encrypted: %s; data is kept where it can be', async (encrypt) => {
    const { byId, byToken, app } = world({ encrypt })
    const before = new Client(app(byId).handler)
    await before.send('/add')
    await before.send('/login/ann')
    const both = before.at(app(byToken, byId).handler)
    expect(await both.get<View>('/')).toMatchObject({ user: 'ann', count: 1 })
    const alone = both.at(app(byToken).handler)
    expect(await alone.get<View>('/')).toMatchObject({ user: 'ann', count: encrypt ? 1 : 0 })
    const back = alone.at(app(byId, byToken).handler)
    expect(await back.get<View>('/add')).toMatchObject({ user: 'ann', count: encrypt ? 2 : 1 })
    expect(await back.at(app(byId).handler).get<View>('/')).toMatchObject({ user: 'ann', count: encrypt ? 2 : 1 })
    expect(await alone.at(app(byToken).handler).get<View>('/')).toMatchObject({ refused: 'ended' })
  })

  test('from readable to encrypted without logging anyone out', async () => {
    const { app, byToken, devices, revocations, clock } = world()
    const hidden = jwt({ devices, revocations, issuer, audience, encrypt: true })
    const client = new Client(app(byToken).handler)
    await client.send('/login/ann')
    const both = client.at(app(hidden, byToken).handler)
    expect(await both.get<View>('/')).toMatchObject({ user: 'ann' })
    expect(tokenOf(both).split('.')).toHaveLength(5)
    clock.advance(MINUTE)
    expect(await both.at(app(hidden).handler).get<View>('/')).toMatchObject({ user: 'ann' })
  })

  test('"remember me" comes along', async () => {
    const { byId, byToken, clock } = world()
    const login = (strategy: StrategyFactory[]) =>
      place({ keys, clock, strategy, remember: { idle: 5 * 24 * HOUR, absolute: 30 * 24 * HOUR } })
    const client = new Client(login([byId]).handler)
    await client.send('/remember/ann')
    const moved = client.at(login([byToken, byId]).handler)
    await moved.send('/')
    clock.advance(4 * 24 * HOUR)
    expect(await moved.get<View>('/')).toMatchObject({ user: 'ann' })
  })
})

describe('keys', () => {
  const key = (id: string) => ({ algorithm: 'HS256' as const, key: randomBytes(32), id })
  const app = (clock: ReturnType<typeof manualClock>, signing: JwtOptions['keys'] & object) =>
    place({
      keys,
      clock,
      strategy: jwt({ revocations: acceptNoRevocation, issuer, audience, keys: signing }),
    }).handler

  test('A-54 11.2.2: rotate without logging anyone out; what the old one signed is signed anew', async () => {
    const clock = manualClock()
    const [older, newer] = [key('older'), key('newer')]
    const client = new Client(app(clock, older))
    await client.send('/login/ann')
    const both = client.at(app(clock, [newer, older]))
    expect(await both.get<View>('/')).toMatchObject({ user: 'ann' })
    expect(claimsOf(tokenOf(both)).header.kid).toBe('newer')
    expect(await both.at(app(clock, newer)).get<View>('/')).toMatchObject({ user: 'ann' })
    expect(await client.at(app(clock, newer)).get<View>('/')).toMatchObject({ refused: 'forged' })
  })

  test('are accepted until their time, by a process that has seen the token before, too', async () => {
    const clock = manualClock()
    const [older, newer] = [key('older'), key('newer')]
    const client = new Client(app(clock, older))
    await client.send('/login/ann')
    const both = app(clock, [newer, { ...older, until: clock() + 5 * MINUTE }])
    expect(await client.at(both).get<View>('/')).toMatchObject({ user: 'ann' })
    clock.advance(5 * MINUTE - 1)
    expect(await client.at(both).get<View>('/')).toMatchObject({ user: 'ann' })
    clock.advance(1)
    expect(await client.at(both).get<View>('/')).toMatchObject({ refused: 'forged' })
  })

  test("derived ones rotate with the app's own", async () => {
    const clock = manualClock()
    const [older, newer] = [generateSecret(), generateSecret()]
    const strategy = jwt({ revocations: acceptNoRevocation, issuer, audience, encrypt: true })
    const client = new Client(place({ keys: older, clock, strategy }).handler)
    await client.send('/login/ann')
    const both = client.at(place({ keys: [newer, older], clock, strategy }).handler)
    expect(await both.get<View>('/')).toMatchObject({ user: 'ann' })
    expect(await both.at(place({ keys: newer, clock, strategy }).handler).get<View>('/')).toMatchObject({ user: 'ann' })
  })
})

describe('what does not start', () => {
  // biome-ignore lint/suspicious/noExplicitAny: what a caller without types could write
  const start = (options: any) => () => place({ keys, strategy: jwt(options) })
  const fine = { issuer, audience, revocations: acceptNoRevocation }

  test('7.4.1: without revocation, unless that is accepted', () => {
    expect(start({ issuer, audience })).toThrow(/revocations/)
    expect(start(fine)).not.toThrow()
  })

  test('9.2.4: without issuer or audience', () => {
    expect(start({ ...fine, issuer: undefined })).toThrow(/issuer/)
    expect(start({ ...fine, audience: '' })).toThrow(/audience/)
    expect(start({ ...fine, audience: ['a', 'b'] })).toThrow(/audience/)
  })

  test('with a key that cannot sign, or none', () => {
    const { publicKey } = generateKeyPairSync('ed25519')
    expect(start({ ...fine, keys: { algorithm: 'Ed25519', key: publicKey } })).toThrow(/private half/)
    expect(start({ ...fine, keys: [] })).toThrow(/empty/)
  })
})
