/** Access tokens as attackers write them, with a key that is good: what the claims must be all the same. */
import { createSecretKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { createServer, request } from 'node:http'
import { acceptNoRevocation, cookie, createSessions, generateSecret, header as headers, jwt, sealed } from 'sojourn'
import { node } from 'sojourn/adapter/node'
import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { AccessTokens } from 'sojourn/token/access'
import { tokenEndpoints } from 'sojourn/token/endpoints'
import { tokenPair } from 'sojourn/token/pair'
import { revocations } from 'sojourn/token/revocation'
import { signingRing } from 'sojourn/token/signing-keys'
import { verifier } from 'sojourn/token/verifier'
import { describe, expect, onTestFinished, test } from 'vitest'
import { listening } from './fixtures/servers.js'
import { Client } from './jar.js'
import { place, type View } from './journey.js'
import { base64url, claimsOf, sign } from './tokens.js'

const issuer = 'https://id.shop.example'
const audience = 'https://shop.example'
const secret = createSecretKey(randomBytes(32))
const signing = signingRing({ algorithm: 'HS256', key: secret, id: 'k1' })
const tokens = new AccessTokens({ issuer, audience }, { signing, encryption: undefined })
const now = 1_700_000_000_000
const seconds = now / 1000

const header = { alg: 'HS256', typ: 'at+jwt', kid: 'k1' }
const claims = { iss: issuer, aud: audience, sub: 'ann', exp: seconds + 60, iat: seconds, jti: 'j1' }
const read = (change: object, at = now) => tokens.read(sign(secret, header, { ...claims, ...change }), at)
const readText = (text: string) => tokens.read(sign(secret, header, text), now)

test('what is fine is opened', () => {
  expect(read({})).toMatchObject({ id: 'j1', record: { userId: 'ann', expiresAt: now + 60_000 } })
})

describe('A-39 9.2.3: for somebody else', () => {
  const others = [
    undefined,
    null,
    '',
    1,
    {},
    [],
    [issuer],
    'https://shop.example/',
    'https://shop.example.evil',
    'shop',
  ]

  test.each([...others, 'HTTPS://shop.example', [audience, 1], [[audience]], { 0: audience }])('aud %j', (aud) => {
    expect(read({ aud })).toBe('malformed')
  })

  test('aud: several, of which one is ours, is for us', () => {
    expect(read({ aud: ['https://other.example', audience] })).toMatchObject({ id: 'j1' })
  })

  test.each([...others, [issuer], `${issuer}/`, `${issuer} `, 'http://id.shop.example'])('iss %j', (iss) => {
    expect(read({ iss })).toBe('malformed')
  })

  test.each([undefined, null, '', 1, ['ann'], {}])('sub %j', (sub) => expect(read({ sub })).toBe('malformed'))
  test.each([null, '', 1, ['s'], {}])('sid %j', (sid) => expect(read({ sid })).toBe('malformed'))
  test('neither sid nor jti', () => expect(read({ jti: undefined })).toBe('malformed'))
})

describe('A-40 9.2.1 JW-15: times', () => {
  const nonsense = [null, '1700000060', -1, [], {}, true]

  test.each(nonsense)('exp, iat, nbf, auth_time: %j', (time) => {
    for (const name of ['exp', 'iat', 'nbf', 'auth_time']) expect(read({ [name]: time })).toBe('malformed')
  })

  test('exp or iat missing', () => {
    for (const name of ['exp', 'iat']) expect(read({ [name]: undefined })).toBe('malformed')
  })

  test('numbers that are none', () => {
    const text = JSON.stringify({ ...claims, exp: 0 })
    for (const number of ['1e400', '-1e400', 'NaN', 'Infinity', '0x7fffffff', '1_700_000_060', '-0.1'])
      expect(readText(text.replace('"exp":0', `"exp":${number}`))).toBe('malformed')
    expect(readText(text.replace('"exp":0', '"exp":1.70000006e9'))).toMatchObject({ id: 'j1' })
  })

  test('milliseconds where seconds belong', () => {
    expect(read({ exp: now + 60_000 })).toBe('malformed')
    expect(read({ iat: now })).toBe('malformed')
  })

  test('expired to the millisecond, with no leeway', () => {
    expect(read({}, now + 59_999)).toMatchObject({ id: 'j1' })
    expect(read({}, now + 60_000)).toBe('expired')
    expect(read({ exp: seconds + 0.5 }, now + 499)).toMatchObject({ id: 'j1' })
    expect(read({ exp: seconds + 0.5 }, now + 500)).toBe('expired')
  })

  test('A-41: not before its time, but for five seconds that clocks may differ', () => {
    for (const name of ['iat', 'nbf']) {
      expect(read({ [name]: seconds + 5 })).toMatchObject({ id: 'j1' })
      expect(read({ [name]: seconds + 5.001 })).toBe('malformed')
    }
  })

  test('issued after it expired', () => {
    expect(read({ iat: seconds + 2, exp: seconds + 1 })).toBe('malformed')
  })
})

describe('our own claim', () => {
  const fine = [now, now, now, 1, 0]

  test.each([
    null,
    1,
    'x',
    {},
    [],
    [now],
    [...fine, {}, 1],
    [now, now, null, 1, 0],
    ['0', now, now, 1, 0],
    [...fine, 'data'],
    [...fine, null],
    [...fine, []],
  ])('%j', (ses) => expect(read({ ses })).toBe('malformed'))

  test('is good as we write it, and what has none is not for us to prolong', () => {
    expect(read({ ses: fine })).toMatchObject({ fixed: false })
    expect(read({ ses: [...fine, { a: 1 }] })).toMatchObject({ fixed: false, record: { data: '{"data":{"a":1}}' } })
    expect(read({})).toMatchObject({ fixed: true })
    expect(read({ ses: fine, pair: 1 })).toMatchObject({ fixed: true })
  })

  test('AT-05: one with a scope is not for us to prolong, and what is no scope is good for nothing', () => {
    expect(read({ ses: fine, scope: 'cart orders' })).toMatchObject({ fixed: true, scope: ['cart', 'orders'] })
    for (const scope of [null, 1, ['cart'], {}, '', '  ', true])
      expect(read({ scope })).toMatchObject({ fixed: true, scope: [] })
    expect(read({})).toMatchObject({ scope: undefined })
  })

  test('A-75: claims that are called as our fields are do not become them', () => {
    const hostile = { userId: 'root', data: '{}', version: 9, expiresAt: 9e15, persistent: true, fixed: false }
    expect(read(hostile)).toMatchObject({ fixed: true, record: { userId: 'ann', version: 1, persistent: undefined } })
    const found = readText(JSON.stringify(claims).replace('{', '{"__proto__":{"userId":"root"},'))
    expect(found).toMatchObject({ record: { userId: 'ann' } })
  })
})

describe('in the place of a cookie', () => {
  const keys = generateSecret()
  const clock = manualClock()
  const app = place({
    keys,
    clock,
    strategy: [
      jwt({
        issuer,
        audience,
        keys: { algorithm: 'HS256', key: secret, id: 'k1' },
        revocations: revocations({ store: memory({ clock }), clock }),
      }),
      sealed({ revocations: acceptNoRevocation }),
    ],
  })
  const name = '__Host-Http-session'
  const visit = (value: string, path = '/') => new Client(app.handler, new Map([[name, value]])).get<View>(path)
  const at = () => Math.floor(clock() / 1000)
  const good = (change: object = {}) => sign(secret, header, { ...claims, iat: at(), exp: at() + 600, ...change })

  test('A-33: no signature, no entry; and a cookie is not cleared', async () => {
    const head = base64url('{"alg":"none","typ":"at+jwt"}')
    const body = good().split('.')[1]
    for (const forged of [`${head}.${body}.`, `${head}.${body}.AAAA`, `${head}.${body}`]) {
      const client = new Client(app.handler, new Map([[name, forged]]))
      const view = await client.get<View>('/')
      expect(view.refused).toMatch(/forged|malformed/)
      expect(view.user).toBeUndefined()
      expect(client.cookies.get(name)).toBe(forged)
    }
  })

  test('A-38: a token of another kind is no session', async () => {
    for (const typ of ['JWT', 'dpop+jwt', 'logout+jwt', 'rt+jwt'])
      expect(await visit(sign(secret, { ...header, typ }, { ...claims, exp: at() + 60, iat: at() }))).toMatchObject({
        refused: 'malformed',
      })
  })

  test("another issuer's token is a session until it expires: it is neither slid nor rotated", async () => {
    const token = good({ jti: 'foreign' })
    expect(await visit(token)).toMatchObject({ user: 'ann', id: 'foreign' })
    clock.advance(9 * 60_000)
    const client = new Client(app.handler, new Map([[name, token]]))
    expect((await client.send('/')).headers.getSetCookie()).toEqual([])
    expect((await client.send('/rotate')).status).toBe(500)
    clock.advance(60_000)
    expect(await visit(token)).toMatchObject({ refused: 'expired' })
  })

  test('A-46: what was ended is ended in every spelling of the signature', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const strategy = jwt({
      issuer,
      audience,
      keys: { algorithm: 'ES256', key: privateKey },
      revocations: revocations({ store: memory({ clock }), clock }),
    })
    const shop = place({ keys, clock, strategy })
    const client = new Client(shop.handler)
    await client.send('/login/ann')
    const [[cookie, token]] = [...client.cookies] as [[string, string]]
    const [head, body, signature] = token.split('.') as [string, string, string]
    const raw = Buffer.from(signature, 'base64url')
    const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
    const s = order - BigInt(`0x${raw.subarray(32).toString('hex')}`)
    const twin = Buffer.concat([raw.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')])
    const copy = new Client(shop.handler, new Map([[cookie, `${head}.${body}.${twin.toString('base64url')}`]]))
    expect(await copy.get<View>('/')).toMatchObject({ user: 'ann' })
    await client.send('/logout')
    expect(await copy.get<View>('/')).toMatchObject({ refused: 'ended' })
  })

  test('A-67: a token that is remembered is refused as soon as its session is ended', async () => {
    const client = new Client(app.handler)
    await client.send('/login/bea')
    const copy = client.at(app.handler)
    for (let i = 0; i < 3; i++) expect(await copy.get<View>('/')).toMatchObject({ user: 'bea' })
    await app.sessions.endAll('bea')
    expect(await copy.get<View>('/')).toMatchObject({ refused: 'ended' })
    await client.send('/login/bea')
    expect(await client.get<View>('/')).toMatchObject({ user: 'bea' })
  })

  test('JW-08: the derived keys of two apps with different secrets open nothing of each other', async () => {
    const strategy = jwt({ issuer, audience, revocations: acceptNoRevocation })
    const [one, two] = [generateSecret(), generateSecret()].map((keys) => place({ keys, clock, strategy }))
    const client = new Client(one!.handler)
    await client.send('/login/ann')
    expect(claimsOf([...client.cookies.values()][0]!).claims.sub).toBe('ann')
    expect(await client.at(two!.handler).get<View>('/')).toMatchObject({ refused: 'forged' })
  })
})

describe('A-45: a signature of letters that are more bytes than one is refused at every entrance', () => {
  const keys = { algorithm: 'HS256', key: secret } as const
  const access = { issuer, audience, keys }
  const pair = tokenPair({ keys: generateSecret(), store: memory(), revocations: acceptNoRevocation, access })
  const endpoints = tokenEndpoints(pair, { mayIntrospect: () => true })
  const foreign = ['é', 'ÿ', '\u2028'].map((letter) => `${base64url('{"alg":"HS256"}')}.e30.${letter.repeat(43)}`)

  test('in a cookie, in Authorization and in a header of the app’s own, over a socket', async () => {
    const strategy = jwt({ ...access, revocations: acceptNoRevocation })
    const transport = [cookie(), headers(), headers({ name: 'x-session-id' })]
    const sessions = createSessions({ keys: generateSecret(), strategy, transport })
    const attach = node(sessions)
    const { port, close } = await listening(
      createServer((req, res) =>
        attach(req, res, async () => {
          const { userId, refused } = await sessions.of(req)
          res.end(JSON.stringify({ userId, refused }))
        }),
      ),
    )
    onTestFinished(close)
    const send = (headers: Record<string, string>) =>
      new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
        const sent = request({ port, host: '127.0.0.1', headers }, async (response) => {
          let text = ''
          for await (const part of response) text += part
          resolve({ status: response.statusCode, text })
        })
        sent.on('error', reject).end()
      })
    for (const token of foreign) {
      // What a header is made of is bytes, and node reads each as one letter.
      const line = /^[\0-\xff]*$/.test(token) ? token : Buffer.from(token).toString('latin1')
      expect(await send({ cookie: `session=${line}` })).toEqual({ status: 200, text: '{"refused":"forged"}' })
      expect((await send({ authorization: `Bearer ${line}` })).text).toBe('{"refused":"malformed"}')
      expect((await send({ 'x-session-id': line })).text).toBe('{"refused":"malformed"}')
    }
  })

  test('by a verifier, and by the pair that is asked about it or told to end it', async () => {
    const verify = verifier(access)
    for (const token of foreign) {
      expect(verify(token)).toBe('forged')
      expect(await pair.introspect(token)).toEqual({ active: false })
      expect(await pair.revoke(token)).toBe(false)
      expect(await pair.refresh(token)).toMatch(/malformed|forged/)
      expect(pair.owns(token)).toBe(false)
    }
  })

  test('by the endpoints, as JSON and as a form', async () => {
    const post = (body: string, type: string) =>
      new Request('https://shop.example/api/token', { method: 'POST', body, headers: { 'content-type': type } })
    for (const token of foreign) {
      const bodies = [
        () => post(JSON.stringify({ token, refresh_token: token }), 'application/json'),
        () => post(`${new URLSearchParams({ token, refresh_token: token })}`, 'application/x-www-form-urlencoded'),
      ]
      for (const body of bodies) {
        expect(await (await endpoints.introspect(body())).json()).toEqual({ active: false })
        expect((await endpoints.revoke(body())).status).toBe(200)
        expect((await endpoints.token(body())).status).toBe(400)
      }
    }
  })
})
