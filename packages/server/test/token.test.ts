import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { addKey } from '@sojourn/server/keys-file'
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose'
import { manualClock } from 'sojourn/testing/clock'
import { describe, expect, test } from 'vitest'
import type { Answer, Client } from './client.js'
import { client } from './client.js'
import { folder, PASSWORD, type Started, started } from './started.js'

const MINUTE = 60_000
const SPA = 'https://app.example'

interface Pair {
  access_token: string
  refresh_token: string
}

/** A client with a pair of its own, and no cookies. */
async function paired(server: Started, username = 'ann'): Promise<{ api: Client; pair: Pair }> {
  const api = server.visitor()
  const { status, body } = await api.post('/api/token', { username, password: PASSWORD })
  expect(status).toBe(200)
  return { api, pair: body }
}

const bearer = ({ access_token }: Pair) => ({ authorization: `Bearer ${access_token}` })
const refresh = (api: Client, { refresh_token }: Pair): Promise<Answer> =>
  api.post('/api/token/refresh', { refresh_token })
const introspect = (api: Client, token: string, by: Pair): Promise<Answer> =>
  api.post('/api/token/introspect', { token }, bearer(by))

test('6.1.3, 6.3.4: whichever way a password signs in, what is issued says how, as it does when it is renewed', async () => {
  const server = await started({ strategy: 'jwt' })
  const issuedTo = async (visitor: Client) => {
    const cookies = await visitor.jar.getCookies(server.url)
    return cookies.map(({ value }) => value).find((value) => value.startsWith('eyJ'))!
  }
  const ann = await server.user('ann')
  const again = server.visitor()
  await again.post('/api/login', { username: 'ann', password: PASSWORD })
  const { api, pair } = await paired(server)
  const renewed = (await refresh(api, pair)).body as Pair
  const issued = [await issuedTo(ann), await issuedTo(again), pair.access_token, renewed.access_token]
  expect(issued.map((token) => decodeJwt(token).amr)).toEqual(issued.map(() => ['pwd']))
})

describe('POST /api/token', () => {
  test('answers a pair as RFC 6749 has it, and sets no cookie', async () => {
    const server = await started()
    await server.user('ann')
    const api = server.visitor()
    const answer = await api.post('/api/token', { username: 'ann', password: PASSWORD })
    expect(answer.body).toEqual({
      access_token: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/),
      token_type: 'Bearer',
      expires_in: expect.any(Number),
      refresh_token: expect.any(String),
    })
    expect(answer.body.expires_in).toBeGreaterThan(290)
    expect(answer.body.expires_in).toBeLessThanOrEqual(300)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(answer.headers.getSetCookie()).toEqual([])
  })

  test('A-91: every failure is answered as /api/login answers it', async () => {
    const server = await started()
    await server.user('ann')
    const wrong = { username: 'ann', password: 'not the right words' }
    const nobody = { username: 'nobody', password: 'not the right words' }
    const answers = await Promise.all(
      ['/api/login', '/api/token'].flatMap((path) =>
        [wrong, nobody, {}].map((body) => server.visitor().post(path, body)),
      ),
    )
    for (const { status, text, headers } of answers) {
      expect({ status, text }).toEqual({ status: 401, text: answers[0]!.text })
      expect(headers.get('www-authenticate')).toMatch(/^Bearer /)
    }
    expect((await server.visitor().post('/api/token', undefined, { 'content-type': 'text/plain' })).status).toBe(415)
    expect((await server.visitor().send('GET', '/api/token')).headers.get('allow')).toBe('POST')
  })

  test('A-92: guesses here and at /api/login are counted together', async () => {
    const server = await started()
    await server.user('ann')
    const guess = (path: string) => server.visitor().post(path, { username: 'ann', password: 'not the right words' })
    for (const path of ['/api/login', '/api/token', '/api/login', '/api/token', '/api/token']) await guess(path)
    for (const path of ['/api/login', '/api/token']) {
      const { status, headers } = await guess(path)
      expect(status).toBe(429)
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    }
  })
})

describe.each(['opaque', 'sealed', 'jwt'] as const)('the API by token, SOJOURN_STRATEGY=%s', (strategy) => {
  test('cart and devices', async () => {
    const server = await started({ strategy })
    const browser = await server.user('ann')
    const { api, pair } = await paired(server)
    const by = bearer(pair)
    const added = await api.post('/api/cart/items', { sku: 'notebook', quantity: 2 }, by)
    expect(added).toMatchObject({ status: 200, body: { items: [{ sku: 'notebook', quantity: 2 }] } })
    expect((await browser.get('/api/cart')).body).toEqual(added.body)
    expect((await api.send('DELETE', '/api/cart/items/notebook', { headers: by })).body).toEqual({ items: [] })
    const { session, user } = (await api.get('/api/session', by)).body
    expect(user).toMatchObject({ username: 'ann' })

    const { sessions } = (await api.get('/api/sessions', { ...by, 'user-agent': 'cli' })).body
    expect(sessions).toHaveLength(2)
    expect(sessions[0]).toMatchObject({ id: session.id, current: true, device: { ip: '127.0.0.1' } })
    expect((await api.jar.getCookies(server.url)).length).toBe(0)
  })

  test('50 parallel adds by token are all kept', async () => {
    const server = await started({ strategy })
    await server.user('ann')
    const { api, pair } = await paired(server)
    const add = () => api.post('/api/cart/items', { sku: 'notebook', quantity: 1 }, bearer(pair))
    const answers = await Promise.all(Array.from({ length: 50 }, add))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect((await api.get('/api/cart', bearer(pair))).body.items).toEqual([{ sku: 'notebook', quantity: 50 }])
  })

  test('7.4.5 7.5.2: ended from another device, both halves are dead at once', async () => {
    const server = await started({ strategy })
    const browser = await server.user('ann')
    const { api, pair } = await paired(server)
    const renewed = (await refresh(api, pair)).body as Pair
    const { sessions } = (await browser.get('/api/sessions')).body
    expect(sessions.map(({ current }: { current: boolean }) => current)).toEqual([true, false])
    expect((await browser.delete(`/api/sessions/${sessions[1].id}`)).status).toBe(204)
    for (const { access_token } of [pair, renewed]) {
      const { status, headers } = await api.get('/api/cart', { authorization: `Bearer ${access_token}` })
      expect(status).toBe(401)
      expect(headers.get('www-authenticate')).toContain('error="invalid_token"')
    }
    expect(await refresh(api, renewed)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
    expect((await browser.get('/api/session')).body.user).toMatchObject({ username: 'ann' })
  })

  test('a token ends a browser’s session, the others, and itself', async () => {
    const server = await started({ strategy })
    const [one, two] = [await server.user('ann'), server.visitor()]
    await two.post('/api/login', { username: 'ann', password: PASSWORD })
    const { api, pair } = await paired(server)
    const by = bearer(pair)
    const other = (await two.get('/api/session')).body.session.id
    expect((await api.send('DELETE', `/api/sessions/${other}`, { headers: by })).status).toBe(204)
    expect((await two.get('/api/session')).body.user).toBeNull()
    expect((await api.post('/api/sessions/end-others', undefined, by)).body.ended).toBe(1)
    expect((await one.get('/api/session')).body.user).toBeNull()
    const next = (await refresh(api, pair)).body as Pair
    expect((await api.post('/api/logout', undefined, bearer(next))).status).toBe(204)
    expect((await api.get('/api/session', bearer(next))).status).toBe(401)
    expect((await refresh(api, next)).status).toBe(400)
  })

  test('7.4.3: a change of the password by token ends every session, this pair too', async () => {
    const server = await started({ strategy })
    const browser = await server.user('ann')
    const { api, pair } = await paired(server)
    const next = 'another few words in a row'
    const changed = await api.post('/api/account/password', { current: PASSWORD, next }, bearer(pair))
    expect(changed.status).toBe(204)
    expect((await api.get('/api/session', bearer(pair))).status).toBe(401)
    expect((await refresh(api, pair)).status).toBe(400)
    expect((await browser.get('/api/session')).body.user).toBeNull()
    expect((await api.post('/api/token', { username: 'ann', password: next })).status).toBe(200)
  })

  test('7.4.3: a change of the password in a browser ends the pairs', async () => {
    const server = await started({ strategy })
    const browser = await server.user('ann')
    const { api, pair } = await paired(server)
    await browser.post('/api/account/password', { current: PASSWORD, next: 'another few words in a row' })
    expect((await api.get('/api/session', bearer(pair))).status).toBe(401)
    expect((await refresh(api, pair)).status).toBe(400)
  })
})

describe('refresh, revoke, introspect', () => {
  test('A-59: a refresh token that was used twice ends its family, and the log says so', async () => {
    const clock = manualClock()
    const server = await started({}, { clock })
    await server.user('ann')
    const { api, pair } = await paired(server)
    const second = (await refresh(api, pair)).body as Pair
    // Within the grace: a lost answer, and the same successor.
    expect((await refresh(api, pair)).body.refresh_token).toBe(second.refresh_token)
    clock.advance(10_000)
    expect(await refresh(api, pair)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
    expect((await refresh(api, second)).status).toBe(400)
    expect((await api.get('/api/cart', bearer(second))).status).toBe(401)
    expect(server.lines.some((line) => line.includes('"authn_token_reuse"'))).toBe(true)
    expect(server.lines.join()).not.toContain(pair.refresh_token)
    expect(server.lines.join()).not.toContain(pair.access_token)
  })

  test('an access token lives for five minutes, and its family goes on', async () => {
    const clock = manualClock()
    const server = await started({}, { clock })
    await server.user('ann')
    const { api, pair } = await paired(server)
    clock.advance(5 * MINUTE)
    const late = await api.post('/api/cart/items', { sku: 'notebook', quantity: 1 }, bearer(pair))
    // Not a guest's: what was added to a cart that nobody finds again would be lost.
    expect(late.status).toBe(401)
    expect(late.headers.getSetCookie()).toEqual([])
    // A client that sends the dead one along all the same is not kept from renewing it.
    const renewed = await api.post('/api/token/refresh', { refresh_token: pair.refresh_token }, bearer(pair))
    expect(renewed.status).toBe(200)
    expect((await api.get('/api/cart', bearer(renewed.body))).status).toBe(200)
  })

  test('revoke: either half ends both, and an unknown one is answered alike (RFC 7009)', async () => {
    const server = await started()
    await server.user('ann')
    for (const half of ['access_token', 'refresh_token'] as const) {
      const { api, pair } = await paired(server)
      expect((await api.post('/api/token/revoke', { token: pair[half] })).status).toBe(200)
      expect((await api.get('/api/cart', bearer(pair))).status).toBe(401)
      expect((await refresh(api, pair)).status).toBe(400)
    }
    expect((await server.visitor().post('/api/token/revoke', { token: 'nonsense' })).status).toBe(200)
  })

  test('introspect: for those who are signed in, and at this moment (RFC 7662)', async () => {
    const server = await started()
    const browser = await server.user('ann')
    await server.user('bea')
    const { api, pair } = await paired(server)
    const { pair: caller } = await paired(server, 'bea')
    const said = await introspect(api, pair.access_token, caller)
    expect(said.body).toMatchObject({ active: true, token_type: 'Bearer', sub: decodeJwt(pair.access_token).sub })
    expect((await browser.post('/api/token/introspect', { token: pair.access_token })).body.active).toBe(true)
    const stranger = await server.visitor().post('/api/token/introspect', { token: pair.access_token })
    expect(stranger).toMatchObject({ status: 401, body: { error: 'invalid_client' } })
    expect(stranger.headers.get('www-authenticate')).toBe('Bearer')
    for (const token of [pair.refresh_token, 'nonsense'])
      expect((await introspect(api, token, caller)).body).toEqual({ active: false })
    await api.post('/api/token/revoke', { token: pair.refresh_token })
    expect((await introspect(api, pair.access_token, caller)).body).toEqual({ active: false })
  })
})

describe('tickets', () => {
  const PATH = '/api/ticket/session'
  const redeem = (server: Started, ticket: string, headers = {}) =>
    server.visitor().get(`${PATH}?ticket=${encodeURIComponent(ticket)}`, headers)

  test('A-118: by token or cookie, for one path, once', async () => {
    const server = await started()
    const browser = await server.user('ann')
    const { api, pair } = await paired(server)
    for (const issue of [
      () => api.post('/api/ticket', { path: PATH }, bearer(pair)),
      () => browser.post('/api/ticket', { path: PATH }),
    ]) {
      const { status, body } = await issue()
      expect(status).toBe(200)
      // A prefetch does not burn it.
      expect((await redeem(server, body.ticket, { 'sec-purpose': 'prefetch' })).status).toBe(401)
      const first = await redeem(server, body.ticket)
      expect(first).toMatchObject({ status: 200, body: { session: { userId: decodeJwt(pair.access_token).sub } } })
      expect(first.headers.get('cache-control')).toContain('no-store')
      expect((await redeem(server, body.ticket)).status).toBe(401)
    }
    const other = (await browser.post('/api/ticket', { path: '/api/cart' })).body.ticket
    expect((await redeem(server, other)).status).toBe(401)
    expect(server.lines.join()).not.toContain(other)
  })

  test('of a session that has ended, of a guest, and of a stranger: none', async () => {
    const server = await started()
    const browser = await server.user('ann')
    const { ticket } = (await browser.post('/api/ticket', { path: PATH })).body
    await browser.post('/api/logout')
    expect((await redeem(server, ticket)).status).toBe(401)
    expect((await server.visitor().post('/api/ticket', { path: PATH })).status).toBe(401)
    expect((await browser.post('/api/ticket', { path: 'https://evil.example/' })).status).toBe(400)
  })
})

describe('keys', () => {
  test('jwks.json holds public keys, and others verify our tokens with them', async () => {
    const server = await started()
    await server.user('ann')
    const { pair } = await paired(server)
    const { status, body, headers, text } = await server.visitor().get('/.well-known/jwks.json')
    expect(status).toBe(200)
    expect(headers.get('cache-control')).toBe('public, max-age=600')
    expect(headers.getSetCookie()).toEqual([])
    expect(body.keys).toHaveLength(1)
    expect(text).not.toContain('"d"')
    const keys = createRemoteJWKSet(new URL('/.well-known/jwks.json', server.url))
    const expected = { issuer: 'https://localhost', audience: 'https://localhost', typ: 'at+jwt' }
    const { payload } = await jwtVerify(pair.access_token, keys, expected)
    expect(payload.sub).toEqual(expect.any(String))
  })

  test('13.3: the signing key is for its owner alone, and outlives a restart', async () => {
    const data = folder()
    const first = await started({ data })
    await first.user('ann')
    const { pair } = await paired(first)
    await first.close()
    const path = join(data, 'signing-keys.json')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readdirSync(data)).toContain('keys.json')
    const again = await started({ data })
    expect((await again.visitor().get('/api/cart', bearer(pair))).status).toBe(200)
    expect((await refresh(again.visitor(), pair)).status).toBe(200)
    await again.close()

    writeFileSync(path, '[{"key":{"kty":"OKP"}}]')
    await expect(started({ data })).rejects.toThrow('signing-keys.json is not a list of keys')
  })

  test('`sojourn keys new` signs with another key, and neither half of a pair is lost', async () => {
    const data = folder()
    const first = await started({ data })
    await first.user('ann')
    const { pair } = await paired(first)
    await first.close()
    addKey(data, Date.now())
    const second = await started({ data })
    const api = second.visitor()
    expect((await api.get('/api/cart', bearer(pair))).status).toBe(200)
    const renewed = (await refresh(api, pair)).body as Pair
    const kids = [pair, renewed].map(({ access_token }) => decodeProtectedHeader(access_token).kid)
    expect(new Set(kids).size).toBe(2)
    const { keys } = (await api.get('/.well-known/jwks.json')).body
    expect(keys.map(({ kid }: { kid: string }) => kid).sort()).toEqual([...kids].sort())
  })

  test('nothing at rest is a token', async () => {
    const server = await started()
    await server.user('ann')
    const { api, pair } = await paired(server)
    const renewed = (await refresh(api, pair)).body as Pair
    const secrets = [pair, renewed].flatMap((each) => [each.refresh_token.split('.')[3]!, each.access_token])
    await server.close()
    for (const name of readdirSync(server.data)) {
      const bytes = readFileSync(join(server.data, name)).toString('latin1')
      for (const secret of secrets) expect(bytes.includes(secret), name).toBe(false)
    }
  })
})

describe('other origins', () => {
  const preflight = (api: Client, origin: string, path = '/api/token') =>
    api.send('OPTIONS', path, {
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type',
      },
    })
  const from = (origin: string) => ({ origin, 'sec-fetch-site': 'cross-site' })

  test('A-66: an allowed one signs in, renews and uses its token; no cookie is ever let through', async () => {
    const server = await started({ allowedOrigins: [SPA] })
    await server.user('ann')
    const api = server.visitor()
    const { headers } = await preflight(api, SPA)
    expect(headers.get('access-control-allow-origin')).toBe(SPA)
    expect(headers.get('access-control-allow-headers')?.toLowerCase()).toContain('authorization')
    expect(headers.get('access-control-allow-credentials')).toBeNull()
    const login = await api.post('/api/token', { username: 'ann', password: PASSWORD }, from(SPA))
    expect(login.status).toBe(200)
    expect(login.headers.get('access-control-allow-origin')).toBe(SPA)
    expect(login.headers.get('vary')).toContain('Origin')
    const renewed = await api.post('/api/token/refresh', { refresh_token: login.body.refresh_token }, from(SPA))
    expect(renewed.status).toBe(200)
    const by = { ...bearer(renewed.body), ...from(SPA) }
    expect((await api.post('/api/cart/items', { sku: 'notebook', quantity: 1 }, by)).status).toBe(200)
    const dead = await api.get('/api/cart', { ...from(SPA), authorization: 'Bearer a.b.c' })
    expect(dead.status).toBe(401)
    expect(dead.headers.get('access-control-allow-origin')).toBe(SPA)
  })

  test.each([
    'https://evil.example',
    'https://app.example.evil.example',
    'https://sub.app.example',
    'https://app.example.evil',
    'https://evilapp.example',
    'http://app.example',
    'https://app.example:8443',
    'null',
    '*',
  ])('A-66 A-124: %s is not allowed', async (origin) => {
    const server = await started({ allowedOrigins: [SPA] })
    const ann = await server.user('ann')
    const api = server.visitor()
    const asked = await preflight(api, origin)
    expect(asked.headers.get('access-control-allow-origin')).toBeNull()
    expect(asked.headers.get('access-control-allow-credentials')).toBeNull()
    const login = await api.post('/api/token', { username: 'ann', password: PASSWORD }, from(origin))
    expect(login.status).toBe(403)
    expect(login.headers.get('access-control-allow-origin')).toBeNull()
    const forged = await ann.post('/api/cart/items', { sku: 'notebook', quantity: 1 }, from(origin))
    expect(forged.status).toBe(403)
    expect((await ann.get('/api/cart')).body.items).toEqual([])
  })

  test('without the setting nobody is allowed, and there is no CORS', async () => {
    const server = await started()
    await server.user('ann')
    const api = server.visitor()
    const answer = await preflight(api, SPA)
    expect(answer.status).toBe(405)
    expect(answer.headers.get('access-control-allow-origin')).toBeNull()
    expect((await api.post('/api/token', { username: 'ann', password: PASSWORD }, from(SPA))).status).toBe(403)
  })
})

describe('a cookie and a token in one request', () => {
  test('A-119: of two users it is nobody’s', async () => {
    const server = await started()
    const ann = await server.user('ann')
    await server.user('bea')
    const { pair } = await paired(server, 'bea')
    expect((await ann.get('/api/session', bearer(pair))).status).toBe(401)
    expect((await client(server.url, ann.jar).get('/api/session')).body.user).toMatchObject({ username: 'ann' })
  })

  test('of one user it is that user’s', async () => {
    const server = await started()
    const ann = await server.user('ann')
    const { pair } = await paired(server)
    expect((await ann.get('/api/session', bearer(pair))).body.user).toMatchObject({ username: 'ann' })
  })
})
