import { createSecretKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import * as jose from 'jose'
import { Fault } from 'sojourn'
import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { AccessTokens } from 'sojourn/token/access'
import type { SigningKeyInput } from 'sojourn/token/import-key'
import { jwks, jwksEndpoint } from 'sojourn/token/jwks'
import { type RemoteJwksOptions, remoteJwks } from 'sojourn/token/remote-jwks'
import { revocations } from 'sojourn/token/revocation'
import { signingRing } from 'sojourn/token/signing-keys'
import { type VerifierOptions, verifier } from 'sojourn/token/verifier'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { base64url } from './tokens.js'

const issuer = 'https://id.shop.example'
const audience = 'https://shop.example'
const MINUTE = 60_000
const HOUR = 60 * MINUTE

const ec = (id: string): SigningKeyInput => ({
  id,
  algorithm: 'ES256',
  key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
})
const ed = (id: string): SigningKeyInput => ({
  id,
  algorithm: 'Ed25519',
  key: generateKeyPairSync('ed25519').privateKey,
})
const rsa = (id: string, algorithm: 'RS256' | 'PS256'): SigningKeyInput => ({
  id,
  algorithm,
  key: generateKeyPairSync('rsa', { modulusLength: 3072 }).privateKey,
})
const [one, two] = [ec('one'), ec('two')]

/** A token as the issuer writes it. */
function token(key: SigningKeyInput, now: number, id = 's1', userId = 'ann'): string {
  const tokens = new AccessTokens({ issuer, audience }, { signing: signingRing(key), encryption: undefined })
  const times = { createdAt: now, seenAt: now, authenticatedAt: now, expiresAt: now + 12 * HOUR }
  return tokens.write({ id, issuedAt: now, record: { userId, data: '{"data":{}}', version: 1, ...times } })
}

describe('what is published', () => {
  const ring = [
    one,
    ed('two'),
    rsa('three', 'PS256'),
    { id: 'four', algorithm: 'HS256' as const, key: randomBytes(32) },
  ]

  test('is public: no private member of any kind, and no secret', () => {
    const { keys } = jwks(ring)
    expect(keys.map(({ kid, alg, use, kty }) => [kid, alg, use, kty])).toEqual([
      ['one', 'ES256', 'sig', 'EC'],
      ['two', 'Ed25519', 'sig', 'OKP'],
      ['three', 'PS256', 'sig', 'RSA'],
    ])
    const members = new Set(keys.flatMap((key) => Object.keys(key)))
    expect([...members].toSorted()).toEqual(['alg', 'crv', 'e', 'kid', 'kty', 'n', 'use', 'x', 'y'])
  })

  test('is what is accepted at the time', () => {
    const keys = [one, { ...two, until: 1000 }]
    expect(jwks(keys, 999).keys).toHaveLength(2)
    expect(jwks(keys, 1000).keys.map(({ kid }) => kid)).toEqual(['one'])
  })

  test('does not start where there is nothing to publish', () => {
    const secret = { algorithm: 'HS256' as const, key: createSecretKey(randomBytes(32)) }
    expect(() => jwks(secret)).toThrow(TypeError)
    expect(() => jwksEndpoint(secret)).toThrow(TypeError)
  })

  test('is what jose takes it for', async () => {
    for (const key of [one, ed('two'), rsa('three', 'RS256')]) {
      const published = jose.createLocalJWKSet(jwks(key) as unknown as jose.JSONWebKeySet)
      const { payload } = await jose.jwtVerify(token(key, Date.now()), published, { issuer, audience, typ: 'at+jwt' })
      expect(payload.sub).toBe('ann')
    }
  })
})

describe('the endpoint', () => {
  const clock = manualClock()
  const serve = jwksEndpoint([one, { ...two, until: clock() + 1000 }], { clock, maxAge: 5 * MINUTE })
  const ask = (init?: RequestInit) => serve(new Request('https://id.shop.example/.well-known/jwks.json', init))

  test('answers with the set, for caches and every origin', async () => {
    const response = ask()
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'application/jwk-set+json',
      'cache-control': 'public, max-age=300',
      'access-control-allow-origin': '*',
      'x-content-type-options': 'nosniff',
    })
    expect(await response.json()).toEqual(jwks([one, two]))
  })

  test('and with nothing, where nothing changed', async () => {
    const etag = ask().headers.get('etag')!
    for (const tags of [etag, `W/${etag}`, `"x", ${etag}`]) {
      const response = ask({ headers: { 'if-none-match': tags } })
      expect(response.status).toBe(304)
      expect(await response.text()).toBe('')
    }
    clock.advance(1000)
    const changed = ask({ headers: { 'if-none-match': etag } })
    expect(changed.status).toBe(200)
    expect(await changed.json()).toEqual(jwks(one))
  })

  test('to GET and HEAD alone', async () => {
    expect(await ask({ method: 'HEAD' }).text()).toBe('')
    const refused = ask({ method: 'POST' })
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
  })
})

describe('keys from a URL', () => {
  const clock = manualClock()
  let answer: RequestListener
  let asked = 0
  let options: RemoteJwksOptions
  let base = ''
  const server = createServer((req, res) => {
    asked++
    answer(req, res)
  })
  const json =
    (body: unknown, type = 'application/json'): RequestListener =>
    (_, res) =>
      void res.writeHead(200, { 'content-type': type }).end(typeof body === 'string' ? body : JSON.stringify(body))

  beforeEach(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    asked = 0
    options = { clock, timeout: 300 }
    answer = json(jwks(one))
  })
  afterEach(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    vi.restoreAllMocks()
  })

  const made = (more: Partial<VerifierOptions> = {}) =>
    verifier({ issuer, audience, clock, keys: remoteJwks(`${base}/jwks.json`, options), ...more })

  test('verify what their owner signed, and are asked for once', async () => {
    const verify = made()
    for (let i = 0; i < 5; i++)
      expect(await verify(token(one, clock(), `s${i}`))).toMatchObject({ userId: 'ann', id: `s${i}` })
    expect(asked).toBe(1)
  })

  test('single-flight: fifty at once are one request', async () => {
    const verify = made()
    const found = await Promise.all(Array.from({ length: 50 }, (_, i) => verify(token(one, clock(), `s${i}`))))
    expect(found.every((bearer) => typeof bearer === 'object')).toBe(true)
    expect(asked).toBe(1)
  })

  test('once they are there, nothing is a promise any more, and a second sight costs no signature', async () => {
    const verify = made()
    const text = token(one, clock())
    await verify(text)
    expect(verify(text)).toMatchObject({ userId: 'ann' })
  })

  test('A-36: tokens that name unknown keys cause one request per cool-down, however many', async () => {
    const verify = made()
    await verify(token(one, clock()))
    clock.advance(30_000)
    for (let i = 0; i < 100; i++) expect(await verify(token(ec(`k${i}`), clock()))).toBe('forged')
    expect(asked).toBe(2)
    clock.advance(30_000)
    expect(await verify(token(two, clock()))).toBe('forged')
    expect(asked).toBe(3)
  })

  test('a new key is found when a token names it', async () => {
    const verify = made()
    await verify(token(one, clock()))
    answer = json(jwks([two, one]))
    expect(await verify(token(two, clock()))).toBe('forged')
    clock.advance(30_000)
    expect(await verify(token(two, clock()))).toMatchObject({ userId: 'ann' })
  })

  test('A-57: a key that was taken back is honoured until the set is asked for again, remembered tokens too', async () => {
    const verify = made()
    const text = token(one, clock())
    await verify(text)
    answer = json(jwks(two))
    clock.advance(10 * MINUTE)
    expect(await verify(text)).toMatchObject({ userId: 'ann' })
    clock.advance(1)
    expect(await verify(text)).toBe('forged')
  })

  test('A-57: another key under the same name takes its place', async () => {
    const verify = made()
    const text = token(one, clock())
    await verify(text)
    const successor = ec('one')
    answer = json(jwks(successor))
    clock.advance(10 * MINUTE + 1)
    expect(await verify(text)).toBe('forged')
    expect(await verify(token(successor, clock()))).toMatchObject({ userId: 'ann' })
  })

  test('A-57: while the issuer is down, known keys are used for an hour, and then nothing is honoured', async () => {
    const verify = made()
    await verify(token(one, clock()))
    answer = (_, res) => void res.writeHead(500).end()
    clock.advance(10 * MINUTE + 1)
    expect(await verify(token(one, clock()))).toMatchObject({ userId: 'ann' })
    // Whether this key is good cannot be told: that is no refusal.
    await expect((async () => verify(token(two, clock())))()).rejects.toThrow(Fault)
    clock.advance(HOUR - 2)
    expect(await verify(token(one, clock()))).toMatchObject({ userId: 'ann' })
    clock.advance(2)
    const late = token(one, clock())
    await expect((async () => verify(late))()).rejects.toMatchObject({ code: 'ERR_STORE', status: 503 })
    answer = json(jwks(one))
    clock.advance(30_000)
    expect(await verify(late)).toMatchObject({ userId: 'ann' })
  })

  test('A-57: an issuer that is down is not hammered', async () => {
    answer = (_, res) => void res.writeHead(503).end()
    const verify = made()
    for (let i = 0; i < 20; i++) await expect((async () => verify(token(one, clock())))()).rejects.toThrow(Fault)
    expect(asked).toBe(1)
  })

  const nothing = async () => {
    await expect((async () => made()(token(one, clock())))()).rejects.toThrow(Fault)
    expect(asked).toBe(1)
  }

  test('A-57: a slow issuer is waited for so long and no longer', async () => {
    answer = () => {}
    const started = performance.now()
    await nothing()
    expect(performance.now() - started).toBeLessThan(2000)
  })

  test('A-57: one that begins to answer and stops, too', async () => {
    answer = (_, res) => void res.writeHead(200, { 'content-type': 'application/json' }).write('{"keys":[')
    await nothing()
  })

  test('A-57: 10 MB are not read', async () => {
    let written = 0
    answer = (_, res) => {
      res.writeHead(200, { 'content-type': 'application/json' })
      const more = () => {
        while (written < 10_000_000 && res.write(' '.repeat(16_384))) written += 16_384
        if (written < 10_000_000) res.once('drain', more)
        else res.end(JSON.stringify(jwks(one)))
      }
      more()
    }
    await nothing()
    expect(written).toBeLessThan(10_000_000)
  })

  test('A-57: a redirect is not followed', async () => {
    answer = (req, res) => {
      if (req.url === '/jwks.json') res.writeHead(302, { location: '/internal' }).end()
      else json(jwks(one))(req, res)
    }
    await nothing()
  })

  test.each([
    ['HTML', json('<html>', 'text/html')],
    ['a set as text', json(jwks(one), 'text/plain')],
    ['no JSON', json('{')],
    ['no set', json([])],
    ['no list', json({ keys: {} })],
    ['more keys than anybody has', json({ keys: Array(101).fill({}) })],
    [
      'an error with a set',
      (_, res) => void res.writeHead(404, { 'content-type': 'application/json' }).end(JSON.stringify(jwks(one))),
    ],
  ] as [string, RequestListener][])('A-57: %s', async (_, listener) => {
    answer = listener
    await nothing()
  })

  test('what is not for signatures is passed over: other uses and kinds, weak, private and secret keys', async () => {
    const [{ kid: _, ...jwk }] = jwks(one).keys as unknown as [Record<string, string>]
    const privateKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    const secret = randomBytes(32)
    answer = json({
      keys: [
        null,
        1,
        [],
        {},
        { ...jwk, kid: 1 },
        { ...jwk, kid: 'enc', use: 'enc' },
        { ...jwk, kid: 'other', alg: 'ES384' },
        { ...jwk, kid: 'a b' },
        { ...privateKey.export({ format: 'jwk' }), kid: 'private' },
        { kty: 'oct', k: secret.toString('base64url'), kid: 'secret', alg: 'HS256' },
        { ...generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' }), kid: 'weak' },
        { ...jwk, kid: 'one' },
      ],
    })
    const verify = made()
    expect(await verify(token(one, clock()))).toMatchObject({ userId: 'ann', scope: undefined })
    const others: SigningKeyInput[] = [
      ...['enc', 'other', 'a b'].map((id) => ({ ...one, id: id.replace(' ', '') })),
      { id: 'private', algorithm: 'ES256', key: privateKey },
      { id: 'secret', algorithm: 'HS256', key: secret },
    ]
    for (const key of others) expect(await verify(token(key, clock()))).toBe('forged')
  })

  test('RSA is for the algorithm that it names; without one, for RS256', async () => {
    const key = rsa('r', 'PS256')
    const [{ alg: _, ...unnamed }] = jwks(key).keys as unknown as [Record<string, string>]
    answer = json(jwks(key))
    const named = made()
    expect(await named(token(key, clock()))).toMatchObject({ userId: 'ann' })
    expect(await named(token({ ...key, algorithm: 'RS256' }, clock()))).toBe('forged')
    answer = json({ keys: [unnamed] })
    expect(await made()(token({ ...key, algorithm: 'RS256' }, clock()))).toMatchObject({ userId: 'ann' })
  })

  test('2,048-bit keys of others are not ours to warn about', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const key: SigningKeyInput = {
      id: 'r',
      algorithm: 'RS256',
      key: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
    }
    const text = token(key, clock())
    answer = json(jwks(key))
    warned.mockClear()
    expect(await made()(text)).toMatchObject({ userId: 'ann' })
    expect(warned).not.toHaveBeenCalled()
  })

  test('A-35 9.1.3: no header of a token leads to a request', async () => {
    const verify = made()
    await verify(token(one, clock()))
    clock.advance(30_000)
    const payload = token(one, clock()).split('.')[1]
    for (const more of [{ jku: `${base}/evil` }, { x5u: `${base}/evil` }, { jwk: {} }]) {
      const head = base64url(JSON.stringify({ alg: 'ES256', typ: 'at+jwt', kid: 'one', ...more }))
      expect(await verify(`${head}.${payload}.${base64url(randomBytes(64))}`)).toBe('malformed')
    }
    expect(asked).toBe(1)
  })

  test('9.2.1 A-67: a remembered token outlives neither its end nor a revocation', async () => {
    const ended = revocations({ store: memory({ clock }), clock })
    const verify = made({ revocations: ended })
    const [first, second] = [token(one, clock(), 's1'), token(one, clock(), 's2')]
    for (const text of [first, second, first, second]) expect(await verify(text)).toMatchObject({ userId: 'ann' })
    await ended.end('s1', clock() + HOUR)
    expect(await verify(first)).toBe('ended')
    expect(await verify(second)).toMatchObject({ userId: 'ann' })
    clock.advance(12 * HOUR)
    expect(await verify(second)).toBe('expired')
    ended.close()
  })

  test('what is no token costs no request', async () => {
    const verify = made()
    await verify(token(one, clock()))
    for (const text of ['', 'x', '..', 'a.b.c', 'x'.repeat(100_000)])
      expect(await verify(text)).toMatch(/malformed|forged/)
    expect(asked).toBe(1)
  })
})

describe('what does not start', () => {
  test.each([
    'http://id.example/jwks.json',
    'http://localhost.evil.example/jwks.json',
    'https://user:word@id.example/jwks.json',
    'ftp://id.example/jwks.json',
    'file:///etc/passwd',
    'jwks.json',
    '',
  ])('remoteJwks(%j)', (url) => expect(() => remoteJwks(url)).toThrow(TypeError))

  test.each(['https://id.example/jwks.json', 'http://localhost:3000/jwks.json', 'http://[::1]/jwks.json'])(
    'but %j',
    (url) => expect(() => remoteJwks(new URL(url))).not.toThrow(),
  )

  test('a verifier without issuer, audience or keys', () => {
    const keys = one
    expect(() => verifier({ issuer: '', audience, keys })).toThrow(/issuer/)
    expect(() => verifier({ issuer, audience: '', keys })).toThrow(/audience/)
    expect(() => verifier({ issuer, audience, keys: [] })).toThrow(/empty/)
  })
})

test('a verifier with public keys at hand makes no promise, and drops them when their time has come', () => {
  const clock = manualClock()
  const { publicKey } = generateKeyPairSync('ed25519')
  const halves = [
    { ...one },
    { ...two, until: clock() + 1000 },
    { id: 'other', algorithm: 'Ed25519' as const, key: publicKey },
  ]
  const verify = verifier({ issuer, audience, clock, keys: halves })
  const text = token(two, clock())
  expect(verify(text)).toMatchObject({ userId: 'ann', claims: { sub: 'ann' } })
  clock.advance(1000)
  expect(verify(text)).toBe('forged')
  expect(verify(token(one, clock()))).toMatchObject({ userId: 'ann' })
})
