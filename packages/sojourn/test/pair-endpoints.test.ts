import fc from 'fast-check'
import { acceptNoRevocation } from 'sojourn'
import { type TokenEndpointOptions, tokenEndpoints } from 'sojourn/token/endpoints'
import { describe, expect, test } from 'vitest'
import { ACCESS, granted, MINUTE, SECOND, type WorldOptions, world } from './fixtures/pair.js'
import { gated } from './helpers.js'

const URL_ = 'https://shop.example/api/token'
const FORM = 'application/x-www-form-urlencoded'

type Answer = Record<string, unknown>

function post(body: BodyInit | Record<string, string> | undefined, headers: Record<string, string> = {}): Request {
  const form = body?.constructor === Object
  const type = form && !headers['content-type'] ? { 'content-type': FORM } : {}
  const text = form ? new URLSearchParams(body as Record<string, string>).toString() : (body as BodyInit)
  return new Request(URL_, {
    method: 'POST',
    headers: { ...type, ...headers },
    ...(body === undefined ? {} : { body: text }),
  })
}

function place(options: TokenEndpointOptions = {}, pairOptions: WorldOptions = {}) {
  const one = world(pairOptions)
  const endpoints = tokenEndpoints(one.pair, options)
  const refresh = (token: string, more: Record<string, string> = {}) =>
    endpoints.token(post({ grant_type: 'refresh_token', refresh_token: token, ...more }))
  return { ...one, endpoints, refresh }
}

const json = async (response: Response): Promise<Answer> => (await response.json()) as Answer
const status = async (response: Response) => [response.status, ((await json(response)) as Answer).error]

describe('refresh, in the body', () => {
  test('answers as RFC 6749 has it, as a form and as JSON', async () => {
    const { pair, endpoints, refresh } = place()
    const first = await pair.issue({ userId: 'ann', scope: 'cart orders' })
    const answer = await refresh(first.refreshToken, { scope: 'cart' })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(answer.headers.get('pragma')).toBe('no-cache')
    expect(answer.headers.get('content-type')).toBe('application/json')
    expect(answer.headers.getSetCookie()).toEqual([])
    const body = await json(answer)
    expect(Object.keys(body).sort()).toEqual(['access_token', 'expires_in', 'refresh_token', 'scope', 'token_type'])
    expect(body).toMatchObject({ token_type: 'Bearer', expires_in: 300, scope: 'cart' })
    const again = JSON.stringify({ refresh_token: body.refresh_token })
    const next = await json(await endpoints.token(post(again, { 'content-type': 'application/json; charset=utf-8' })))
    expect(await pair.introspect(next.access_token as string)).toMatchObject({ active: true, scope: 'cart orders' })
  })

  test('A-91: whatever is wrong with a token, the answer is the same to the byte', async () => {
    const { pair, refresh, clock } = place()
    const rotated = await pair.issue({ userId: 'ann' })
    granted(await pair.refresh(rotated.refreshToken))
    const ended = await pair.issue({ userId: 'ann' })
    await pair.revoke(ended.refreshToken)
    clock.advance(MINUTE)
    const late = await pair.issue({ userId: 'bea' })
    granted(await pair.refresh(granted(await pair.refresh(late.refreshToken)).refreshToken))
    const forged = ended.refreshToken.replace(/.$/, (last) => (last === 'A' ? 'E' : 'A'))
    const texts = new Set<string>()
    const { refreshToken: former } = late
    for (const token of [rotated.refreshToken, ended.refreshToken, former, forged, 'nonsense', rotated.accessToken]) {
      const answer = await refresh(token)
      expect(answer.headers.getSetCookie()).toEqual([])
      texts.add(`${answer.status} ${JSON.stringify([...answer.headers])} ${await answer.text()}`)
    }
    expect([...texts]).toHaveLength(1)
    expect([...texts][0]).toMatch(/^400 .*"error":"invalid_grant"\}$/)
  })

  test('the errors of RFC 6749, 5.2; none of them rotates', async () => {
    const { pair, endpoints, refresh, store } = place({}, { access: { ...ACCESS, clientId: 'tv' } })
    const { refreshToken: token, id } = await pair.issue({ userId: 'ann', scope: 'cart' })
    const before = await store.get(id)
    expect(await status(await refresh(token, { grant_type: 'password' }))).toEqual([400, 'unsupported_grant_type'])
    expect(await status(await refresh(token, { scope: 'admin' }))).toEqual([400, 'invalid_scope'])
    expect(await status(await refresh(token, { audience: 'admin api' }))).toEqual([400, 'invalid_target'])
    expect(await status(await refresh(token, { resource: 'https://x.example' }))).toEqual([400, 'invalid_target'])
    expect(await status(await refresh(token, { client_id: 'web' }))).toEqual([400, 'invalid_grant'])
    expect(await status(await refresh(''))).toEqual([400, 'invalid_request'])
    expect(await status(await endpoints.token(post(undefined)))).toEqual([400, 'invalid_request'])
    const cookie = post(undefined, { cookie: `__Secure-refresh=${token}` })
    expect(await status(await endpoints.token(cookie))).toEqual([400, 'invalid_request'])
    expect(await store.get(id)).toEqual(before)
    expect((await refresh(token, { client_id: 'tv', audience: ACCESS.audience, scope: '' })).status).toBe(200)
  })

  test('3.5.3: POST alone; no method is taken from a header', async () => {
    const { endpoints } = place({ mayIntrospect: () => true })
    for (const handler of [endpoints.token, endpoints.revoke, endpoints.introspect]) {
      for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']) {
        const headers = { 'x-http-method-override': 'POST' }
        const answer = await handler(new Request(`${URL_}?refresh_token=x&token=x`, { method, headers }))
        expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'POST'])
      }
    }
  })

  test('bodies of another kind, too long, or read in two ways are refused before anything is done', async () => {
    const { pair, endpoints, store } = place()
    const { refreshToken: token, id } = await pair.issue({ userId: 'ann' })
    const before = await store.get(id)
    const as = (type: string) => ({ 'content-type': type })
    const cases: [number, BodyInit, Record<string, string>][] = [
      [415, `refresh_token=${token}`, as('text/plain')],
      [415, `refresh_token=${token}`, as('multipart/form-data; boundary=x')],
      [415, JSON.stringify({ refresh_token: token }), as('application/jsonx')],
      [413, `refresh_token=${token}&x=${'x'.repeat(65_536)}`, as(FORM)],
      [400, `refresh_token=${token}&refresh_token=${token}`, as(FORM)],
      [400, new Uint8Array([0xff, 0xfe]), as(FORM)],
      ...['null', '[]', '"x"', '{', `{"refresh_token":["${token}"]}`, `{"refresh_token":{"a":1}}`].map(
        (text): [number, BodyInit, Record<string, string>] => [400, text, as('application/json')],
      ),
    ]
    for (const [expected, body, headers] of cases)
      expect(await status(await endpoints.token(post(body, headers)))).toEqual([expected, 'invalid_request'])
    expect(await store.get(id)).toEqual(before)
  })

  test('a body that never ends is not read to its end', async () => {
    const { endpoints } = place()
    let sent = 0
    const body = new ReadableStream({
      pull(controller) {
        sent += 16_384
        controller.enqueue(new Uint8Array(16_384))
      },
    })
    const init = { method: 'POST', body, duplex: 'half', headers: { 'content-type': FORM } } as RequestInit
    expect((await endpoints.token(new Request(URL_, init))).status).toBe(413)
    expect(sent).toBeLessThan(200_000)
  })

  test('whatever a stranger sends, the answer is a refusal and never a throw', async () => {
    const { endpoints } = place({ mayIntrospect: () => true })
    const type = fc.constantFrom(FORM, 'application/json', '', ';', 'application/json;;')
    const body = fc.oneof(fc.string(), fc.json(), fc.uint8Array(), fc.webQueryParameters())
    await fc.assert(
      fc.asyncProperty(type, body, async (type, body) => {
        const bytes = typeof body === 'string' ? body : Buffer.from(body)
        const asked = await endpoints.token(post(bytes, { 'content-type': type }))
        expect([400, 415]).toContain(asked.status)
        expect([200, 400, 415]).toContain((await endpoints.revoke(post(bytes, { 'content-type': type }))).status)
        expect([200, 400, 415]).toContain((await endpoints.introspect(post(bytes, { 'content-type': type }))).status)
      }),
      { numRuns: 200 },
    )
  })

  test('A-151: a store that fails is 503, and says when to come back', async () => {
    const one = place()
    const { refreshToken } = await one.pair.issue({ userId: 'ann' })
    const broken = gated(one.store, () => {
      throw new Error('cut off')
    })
    const answer = await tokenEndpoints(one.again({ store: broken })).token(post({ refresh_token: refreshToken }))
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1'])
    expect((await one.refresh(refreshToken)).status).toBe(200)
  })
})

describe('refresh, in a cookie of its own', () => {
  const cookie = { path: '/api/token' }
  const carried = (response: Response) => response.headers.getSetCookie()[0]!.split(';')[0]!

  async function signedIn(options: TokenEndpointOptions = {}, persistent = false) {
    const one = place({ cookie, ...options })
    const tokens = await one.pair.issue({ userId: 'ann', persistent })
    const answer = one.endpoints.granted(post(undefined), tokens)
    return { ...one, tokens, answer, held: carried(answer) }
  }

  test('A-66: has its prefix and path, HttpOnly and SameSite=Strict, and is never in the body too (3.3.4)', async () => {
    const { answer, tokens, endpoints, held } = await signedIn()
    expect(answer.headers.getSetCookie()).toEqual([
      `__Secure-refresh=${tokens.refreshToken}; Path=/api/token; HttpOnly; Secure; SameSite=Strict`,
    ])
    expect(await answer.text()).not.toContain(tokens.refreshToken)
    const next = await endpoints.token(post(undefined, { cookie: held }))
    expect(next.status).toBe(200)
    expect(carried(next)).not.toBe(held)
    expect(next.headers.get('cache-control')).toBe('no-store')
    expect(Object.keys(await json(next)).sort()).toEqual(['access_token', 'expires_in', 'token_type'])
  })

  test('outlives the browser only where the login said so, and never the family', async () => {
    const { answer } = await signedIn({}, true)
    expect(answer.headers.getSetCookie()[0]).toContain(`; Max-Age=${30 * 24 * 3600};`)
  })

  test('A-66: another site cannot make a browser refresh or revoke', async () => {
    const { endpoints, held, told, pair, tokens } = await signedIn({ origin: 'https://shop.example' })
    told()
    const foreign = [
      { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' },
      { 'sec-fetch-site': 'same-site', origin: 'https://blog.shop.example' },
      { origin: 'https://evil.example' },
      { origin: 'null' },
    ]
    for (const headers of foreign) {
      for (const handler of [endpoints.token, endpoints.revoke]) {
        const answer = await handler(post(undefined, { cookie: held, ...headers }))
        expect([answer.status, answer.headers.getSetCookie()]).toEqual([403, []])
        expect(told()).toEqual(['refused cross-origin'])
      }
    }
    const own = { cookie: held, 'sec-fetch-site': 'same-origin', origin: 'https://shop.example' }
    expect((await endpoints.token(post(undefined, own))).status).toBe(200)
    expect(granted(await pair.refresh(tokens.refreshToken)).userId).toBe('ann')
  })

  test('A-66: another site cannot sign its visitors in as somebody of its own', async () => {
    const { endpoints, told, pair } = await signedIn({ origin: 'https://shop.example' })
    const theirs = await pair.issue({ userId: 'eve' })
    told()
    const foreign = post({ name: 'eve' }, { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' })
    const answer = endpoints.granted(foreign, theirs)
    expect([answer.status, answer.headers.getSetCookie()]).toEqual([403, []])
    expect(told()).toEqual(['refused cross-origin'])
    expect(endpoints.granted(post({ name: 'eve' }), theirs).headers.getSetCookie()).toHaveLength(1)
  })

  test('A-66: an origin that is trusted by name may', async () => {
    const { endpoints, held } = await signedIn({ trusted: ['https://app.example'] })
    const headers = { cookie: held, 'sec-fetch-site': 'cross-site', origin: 'https://app.example' }
    expect((await endpoints.token(post(undefined, headers))).status).toBe(200)
  })

  test('a token in the body is not taken, and what is refused clears no cookie', async () => {
    const { endpoints, held, tokens, clock, pair } = await signedIn()
    const body = post({ refresh_token: tokens.refreshToken })
    expect(await status(await endpoints.token(body))).toEqual([400, 'invalid_request'])
    granted(await pair.refresh(tokens.refreshToken))
    clock.advance(MINUTE)
    const answer = await endpoints.token(post(undefined, { cookie: held }))
    expect(answer.headers.getSetCookie()).toEqual([])
    expect(await status(answer)).toEqual([400, 'invalid_grant'])
  })

  test("a sibling's cookie beside ours: one that we did not sign is passed over, two that we did are refused", async () => {
    const { endpoints, held, pair } = await signedIn()
    const tossed = (value: string) => post(undefined, { cookie: `__Secure-refresh=${value}; ${held}` })
    const other = await pair.issue({ userId: 'mallory' })
    expect(await status(await endpoints.token(tossed(other.refreshToken)))).toEqual([400, 'invalid_grant'])
    expect((await endpoints.token(tossed('nonsense'))).status).toBe(200)
  })

  test('a revoke ends the family and takes the cookie back', async () => {
    const { endpoints, held, pair, tokens } = await signedIn()
    const answer = await endpoints.revoke(post(undefined, { cookie: held }))
    expect(answer.status).toBe(200)
    expect(answer.headers.getSetCookie()[0]).toMatch(/^__Secure-refresh=; Max-Age=0;.*Path=\/api\/token/)
    expect(await pair.refresh(tokens.refreshToken)).toBe('ended')
  })

  test.each([{ path: '/' }, { path: 'api' }, { path: '/api', name: 'a b' }])('%j does not start', (cookie) => {
    expect(() => place({ cookie })).toThrow(TypeError)
  })
})

describe('revoke', () => {
  test('RV-01: 200 and nothing more, for what is ours, ended, foreign or nonsense, whatever the hint', async () => {
    const { pair, endpoints } = place()
    const tokens = await pair.issue({ userId: 'ann' })
    for (const token of ['nonsense', tokens.refreshToken, tokens.refreshToken, tokens.accessToken, 'eyJ.eyJ.x']) {
      const answer = await endpoints.revoke(post({ token, token_type_hint: 'pigeon' }))
      expect([answer.status, await answer.text()]).toEqual([200, ''])
      expect(answer.headers.get('cache-control')).toBe('no-store')
    }
    expect(await pair.refresh(tokens.refreshToken)).toBe('ended')
    expect(await pair.introspect(tokens.accessToken)).toEqual({ active: false })
    expect(await status(await endpoints.revoke(post({})))).toEqual([400, 'invalid_request'])
  })
})

describe('introspect', () => {
  const mayIntrospect = (request: Request) => request.headers.get('authorization') === 'Bearer resource-server'
  const authorization = 'Bearer resource-server'

  test('IN-01: says what an access token says, and of everything else only that it is not active', async () => {
    const { pair, endpoints, clock } = place({ mayIntrospect })
    const tokens = await pair.issue({ userId: 'ann', scope: 'cart' })
    const ask = async (token: string) => json(await endpoints.introspect(post({ token }, { authorization })))
    const said = await ask(tokens.accessToken)
    const exp = Math.floor(clock() / 1000) + 300
    const { issuer: iss, audience: aud } = ACCESS
    expect(said).toMatchObject({ active: true, token_type: 'Bearer', sub: 'ann', scope: 'cart', iss, aud, exp })
    expect(said).not.toHaveProperty('ses')
    expect(said).not.toHaveProperty('pair')
    const foreign = await world({ access: { ...ACCESS, audience: 'other' } }).pair.issue({ userId: 'ann' })
    for (const token of [tokens.refreshToken, tokens.id, 'x', foreign.accessToken])
      expect(await ask(token)).toEqual({ active: false })
    clock.advance(300 * SECOND)
    expect(await ask(tokens.accessToken)).toEqual({ active: false })
  })

  test('IN-01: only for callers who may ask; by default nobody', async () => {
    for (const options of [{ mayIntrospect }, {}]) {
      const { pair, endpoints } = place(options)
      const { accessToken } = await pair.issue({ userId: 'ann' })
      const answer = await endpoints.introspect(post({ token: accessToken }))
      expect(answer.headers.get('www-authenticate')).toBe('Bearer')
      expect(await status(answer)).toEqual([401, 'invalid_client'])
    }
  })

  test('A-58: is the word of the store, also where nothing is revoked elsewhere', async () => {
    const { pair, endpoints, store } = place({ mayIntrospect }, { revocations: acceptNoRevocation })
    const tokens = await pair.issue({ userId: 'ann' })
    await store.delete(tokens.id)
    const answer = await endpoints.introspect(post({ token: tokens.accessToken }, { authorization }))
    expect(await json(answer)).toEqual({ active: false })
  })
})
