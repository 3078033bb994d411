/** The table of calls in docs/server.md, over real sockets. */
import { connect } from 'node:net'
import { manualClock } from 'sojourn/testing/clock'
import { describe, expect, test } from 'vitest'
import { type Answer, type Body, type Client, client } from './client.js'
import { PASSWORD, started } from './started.js'

/** Every error is a problem document that says the same status, and nothing of what is inside. */
function expectProblem(answer: Answer, status: number): void {
  expect(answer.status, answer.text).toBe(status)
  expect(answer.headers.get('content-type')).toBe('application/problem+json')
  expect(answer.body).toEqual({
    type: 'about:blank',
    title: expect.any(String),
    status,
    detail: expect.stringMatching(/^[A-Z].*\.$/s),
  })
  expect(answer.headers.get('cache-control')).toContain('no-store')
}

describe('accounts', () => {
  test('sign-up answers 201 and is signed in', async () => {
    const server = await started()
    const ada = server.visitor()
    const answer = await ada.post('/api/signup', { username: 'Ada', password: PASSWORD })
    expect(answer).toMatchObject({ status: 201, body: { user: { id: expect.any(String), username: 'Ada' } } })
    expect(answer.text).not.toContain('argon2')
    expect((await ada.get('/api/session')).body.user).toEqual(answer.body.user)
  })

  test('sign-up answers 409 for a taken name in any spelling, 422 with the reason for a bad one', async () => {
    const server = await started()
    await server.user('ada')
    const post = (body: unknown) => server.visitor().post('/api/signup', body)
    expectProblem(await post({ username: 'ＡＤＡ', password: PASSWORD }), 409)
    const short = await post({ username: 'grace', password: 'too short' })
    expectProblem(short, 422)
    expect(short.body.detail).toContain('at least 15')
    for (const body of [
      {},
      { username: 'a b', password: PASSWORD },
      { username: 7, password: PASSWORD },
      { username: 'grace', password: ['x'] },
    ]) {
      expectProblem(await post(body), 422)
    }
  })

  test('15.3.3: nobody signs up as somebody else by extra fields', async () => {
    const server = await started()
    const ada = server.visitor()
    const { body } = await ada.post('/api/signup', {
      username: 'ada',
      password: PASSWORD,
      id: 'root',
      __proto__: { id: 'root' },
      admin: true,
    })
    expect(body.user).toEqual({ id: expect.stringMatching(/^[0-9a-f-]{36}$/), username: 'ada' })
  })

  test('login answers 200 and renews the identifier (7.2.4)', async () => {
    const server = await started()
    await server.user('ada')
    const ada = server.visitor()
    await ada.post('/api/cart/items', { sku: 'notebook', quantity: 1 })
    const before = (await ada.get('/api/session')).body.session.id
    const answer = await ada.post('/api/login', { username: 'ADA', password: PASSWORD })
    expect(answer).toMatchObject({ status: 200, body: { user: { username: 'ada' } } })
    expect((await ada.get('/api/session')).body.session.id).not.toBe(before)
  })

  test('remember keeps the cookie when the browser is closed; without it there is no lifetime in it (N-09)', async () => {
    const server = await started()
    await server.user('ada')
    const login = async (remember: unknown) => {
      const visitor = server.visitor()
      const { headers } = await visitor.post('/api/login', { username: 'ada', password: PASSWORD, remember })
      return {
        cookie: headers.getSetCookie()[0]!,
        persistent: (await visitor.get('/api/session')).body.session.persistent,
      }
    }
    expect(await login(true)).toEqual({ cookie: expect.stringContaining('Max-Age='), persistent: true })
    for (const no of [false, undefined, 'true', 1]) {
      expect(await login(no)).toEqual({ cookie: expect.not.stringContaining('Max-Age='), persistent: false })
    }
  })

  test('A-101: a copied "remember me" cookie ends with a password change, a logout, and “end all others” from elsewhere', async () => {
    const server = await started()
    await server.user('ada')
    const login = async (visitor: Client, remember: boolean) => {
      const { status } = await visitor.post('/api/login', { username: 'ada', password: PASSWORD, remember })
      expect(status).toBe(200)
      return visitor
    }
    const elsewhere = await login(server.visitor(), false)
    const ends: ((owner: Client) => Promise<Answer>)[] = [
      (owner) => owner.post('/api/account/password', { current: PASSWORD, next: PASSWORD }),
      (owner) => owner.post('/api/logout'),
      () => elsewhere.post('/api/sessions/end-others'),
    ]
    for (const end of ends) {
      const owner = await login(server.visitor(), true)
      const thief = client(server.url, owner.jar.cloneSync()!)
      expect((await thief.get('/api/session')).body.session).toMatchObject({ persistent: true })
      if (end === ends.at(-1)) await login(elsewhere, false)
      expect((await end(owner)).status).toBeLessThan(300)
      expect((await thief.get('/api/session')).body.user).toBeNull()
    }
  })

  test('6.2.10: a password that is years old signs in, and nobody is asked for another', async () => {
    const clock = manualClock()
    const server = await started({}, { clock })
    await server.user('ada')
    clock.advance(10 * 365 * 86_400_000)
    const { status, body } = await server.visitor().post('/api/login', { username: 'ada', password: PASSWORD })
    expect([status, Object.keys(body), Object.keys(body.user)]).toEqual([200, ['user'], ['id', 'username']])
  })

  test('A-91, 6.3.8: every failed login gets the same answer, byte for byte, and no cookie', async () => {
    const server = await started()
    await server.user('ada')
    const answers = []
    for (const body of [
      { username: 'ada', password: 'not the right one' },
      { username: 'nobody', password: 'not the right one' },
      { username: 'no/such name', password: PASSWORD },
      { username: 'ada' },
      { password: PASSWORD },
      { username: ['ada'], password: { $ne: '' } },
      { username: 'ada', password: 'x'.repeat(60_000) },
    ]) {
      const { status, headers, text } = await server.visitor().post('/api/login', body)
      const shown = Object.fromEntries([...headers].filter(([name]) => name !== 'date'))
      answers.push({ status, text, shown })
    }
    expect(answers[0]).toMatchObject({ status: 401 })
    expect(answers[0]!.shown).not.toHaveProperty('set-cookie')
    for (const answer of answers) expect(answer).toEqual(answers[0])
  })

  test('A-92: guessing is answered 429 with Retry-After, for names that exist and names that do not', async () => {
    const clock = manualClock()
    const server = await started({}, { clock })
    await server.user('ada')
    const guess = (username: string, password: string) => server.visitor().post('/api/login', { username, password })
    const seen = []
    for (const username of ['ada', 'nobody']) {
      for (let i = 0; i < 5; i++) expectProblem(await guess(username, 'not the right one'), 401)
      const answer = await guess(username, PASSWORD)
      expectProblem(answer, 429)
      seen.push([answer.text, answer.headers.get('retry-after')])
    }
    expect(seen[1]).toEqual(seen[0])
    expect(seen[0]![1]).toBe('4')
    clock.advance(4000)
    expect((await guess('ada', PASSWORD)).status).toBe(200)
  })

  test('A-93: a flood of logins is turned away, not queued without end, and the server stays up', async () => {
    const server = await started()
    await server.user('ada')
    const flood = await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        server.visitor().post('/api/login', { username: `user${i}`, password: 'x' }),
      ),
    )
    const turnedAway = flood.filter(({ status }) => status === 429 || status === 503)
    expect(turnedAway.length).toBeGreaterThanOrEqual(148)
    for (const answer of turnedAway) {
      expectProblem(answer, answer.status)
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    }
    expect((await server.visitor().get('/readyz')).status).toBe(200)
  })

  test('logout ends the session, is idempotent, and GET does nothing (A-98)', async () => {
    const server = await started()
    const ada = await server.user('ada')
    const cookies = await ada.jar.getCookieString(server.url)
    expectProblem(await ada.get('/api/logout'), 405)
    expect((await ada.get('/api/session')).body.user).not.toBeNull()
    for (let i = 0; i < 2; i++) expect(await ada.post('/api/logout')).toMatchObject({ status: 204, text: '' })
    expect((await server.visitor().post('/api/logout')).status).toBe(204)
    expect((await ada.get('/api/session')).body).toEqual({ session: null, user: null })
    // Whoever has kept the cookie has nothing.
    expect((await server.visitor().get('/api/session', { cookie: cookies })).body).toEqual({
      session: null,
      user: null,
    })
  })

  test('7.4.1: a logout that comes from before a new password says that it did not end what goes on', async () => {
    const server = await started()
    const ada = await server.user('ada')
    const behind = client(server.url, ada.jar.cloneSync())
    const change = { current: PASSWORD, next: 'some other words here' }
    expect((await ada.post('/api/account/password', change)).status).toBe(204)
    const answer = await behind.post('/api/logout')
    expectProblem(answer, 409)
    expect(answer.body.detail).toContain('still signed in')
    expect(answer.headers.getSetCookie()).toEqual([])
    expect((await ada.get('/api/session')).body.user.username).toBe('ada')
    expect((await ada.post('/api/logout')).status).toBe(204)
    expect((await ada.get('/api/session')).body.user).toBeNull()
  })

  test('6.2.2, 6.2.3, 7.4.3: changing the password asks for the old one, renews this session, and ends the others', async () => {
    const server = await started()
    const ada = await server.user('ada')
    const other = server.visitor()
    await other.post('/api/login', { username: 'ada', password: PASSWORD })
    const change = (current: string, next: string) => ada.post('/api/account/password', { current, next })
    const before = (await ada.get('/api/session')).body.session.id

    expectProblem(await change('not the right one', 'some other words here'), 401)
    expectProblem(await change(PASSWORD, 'short'), 422)
    expect((await other.get('/api/session')).body.user).not.toBeNull()
    expect((await change(PASSWORD, 'some other words here')).status).toBe(204)

    const after = (await ada.get('/api/session')).body
    expect(after.user.username).toBe('ada')
    expect(after.session.id).not.toBe(before)
    expect((await other.get('/api/session')).body.user).toBeNull()
    expect((await ada.get('/api/sessions')).body.sessions).toHaveLength(1)
    const login = (password: string) => server.visitor().post('/api/login', { username: 'ada', password })
    expect((await login(PASSWORD)).status).toBe(401)
    expect((await login('some other words here')).status).toBe(200)
  })

  test('A-102: there is no password reset, and so none to attack', async () => {
    const server = await started()
    await server.user('ada')
    for (const path of ['reset', 'forgot', 'reset-password', 'forgot-password', 'account/reset', 'password/reset'])
      for (const at of [`/${path}`, `/api/${path}`]) {
        expect((await server.visitor().get(at)).status, at).toBe(404)
        expect((await server.visitor().post(at, { username: 'ada' })).status, at).toBe(404)
      }
    for (const page of ['/login', '/account'])
      expect((await server.visitor().get(page)).text).not.toMatch(/forgot|reset/i)
  })

  test('a guest changes no password', async () => {
    const server = await started()
    expectProblem(await server.visitor().post('/api/account/password', { current: 'x', next: PASSWORD }), 401)
  })
})

describe('sessions', () => {
  test('GET /api/session tells a guest that they are one, and keeps nothing about them', async () => {
    const server = await started()
    const answer = await server.visitor().get('/api/session')
    expect(answer).toMatchObject({ status: 200, body: { session: null, user: null } })
    expect(answer.headers.getSetCookie()).toEqual([])
    expect(answer.headers.get('cache-control')).toBe('private, no-store')
  })

  test('GET /api/session is no error for a bad cookie either', async () => {
    const server = await started()
    for (const cookie of ['session=x', `session=aaaaaa.${'A'.repeat(43)}.${'A'.repeat(43)}`, 'session=%00']) {
      expect(await server.visitor().get('/api/session', { cookie })).toMatchObject({
        status: 200,
        body: { user: null },
      })
    }
  })

  test('3.3.4: the credential is in Set-Cookie and nowhere else, and the id that is shown opens nothing', async () => {
    const server = await started()
    const ada = await server.user('ada')
    const { session } = (await ada.get('/api/session')).body
    expect(session).toEqual({
      id: expect.any(String),
      createdAt: expect.any(Number),
      seenAt: expect.any(Number),
      expiresAt: expect.any(Number),
      authenticatedAt: expect.any(Number),
      persistent: false,
      device: { ip: '127.0.0.1', userAgent: 'node' },
    })
    const [cookie] = await ada.jar.getCookies(server.url)
    for (const path of ['/api/session', '/api/sessions', '/', '/account', '/devices']) {
      expect((await ada.get(path)).text).not.toContain(cookie!.value.split('.')[1])
    }
    expect((await server.visitor().get('/api/session', { cookie: `session=${session.id}` })).body.session).toBeNull()
  })

  test('SM-13, 7.5.2: a user sees their devices and ends one', async () => {
    const server = await started()
    const phone = await server.user('ada')
    const laptop = server.visitor()
    await laptop.post('/api/login', { username: 'ada', password: PASSWORD }, { 'user-agent': 'Laptop/1.0' })
    const { sessions } = (await phone.get('/api/sessions')).body
    expect(sessions).toHaveLength(2)
    expect(sessions[0]).toMatchObject({ current: true, device: { userAgent: 'node' } })
    expect(sessions[1]).toMatchObject({ current: false, device: { userAgent: 'Laptop/1.0', ip: '127.0.0.1' } })

    expect((await phone.delete(`/api/sessions/${sessions[1].id}`)).status).toBe(204)
    expect((await laptop.get('/api/session')).body.user).toBeNull()
    expectProblem(await phone.delete(`/api/sessions/${sessions[1].id}`), 404)
    // Ending the one in use is signing out.
    expect((await phone.delete(`/api/sessions/${sessions[0].id}`)).headers.getSetCookie()[0]).toContain('Max-Age=0')
    expect((await phone.get('/api/session')).body.user).toBeNull()
  })

  test('another user’s session is as unknown as one that never was, and stays', async () => {
    const server = await started()
    const ada = await server.user('ada')
    const eve = await server.user('eve')
    const { session } = (await ada.get('/api/session')).body
    const theirs = await eve.delete(`/api/sessions/${session.id}`)
    const nobodys = await eve.delete(`/api/sessions/${'A'.repeat(43)}`)
    expectProblem(theirs, 404)
    expect(theirs.text).toBe(nobodys.text)
    expect((await ada.get('/api/session')).body.user.username).toBe('ada')
    for (const id of ['x', '..%2f..', '%00', `${'A'.repeat(5000)}`])
      expectProblem(await eve.delete(`/api/sessions/${id}`), 404)
  })

  test('all others are ended at once', async () => {
    const server = await started()
    const here = await server.user('ada')
    const others = [server.visitor(), server.visitor(), server.visitor()]
    for (const other of others) await other.post('/api/login', { username: 'ada', password: PASSWORD })
    expect(await here.post('/api/sessions/end-others')).toMatchObject({ status: 200, body: { ended: 3 } })
    for (const other of others) expect((await other.get('/api/session')).body.user).toBeNull()
    expect((await here.get('/api/session')).body.user).not.toBeNull()
    expect((await here.post('/api/sessions/end-others')).body).toEqual({ ended: 0 })
  })

  test('a guest has no devices', async () => {
    const guest = (await started()).visitor()
    expectProblem(await guest.get('/api/sessions'), 401)
    expectProblem(await guest.delete('/api/sessions/x'), 401)
    expectProblem(await guest.post('/api/sessions/end-others'), 401)
  })
})

describe('what is not understood', () => {
  test('malformed JSON is 400, another content type 415', async () => {
    const server = await started()
    const post = (body: Body, type: string) =>
      server.visitor().send('POST', '/api/login', { body, headers: { 'content-type': type } })
    for (const body of ['', '{', '[]', 'null', '"x"', '{"username":"ada",}'])
      expectProblem(await post(body, 'application/json'), 400)
    expectProblem(await post(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 'application/json'), 400)
    const fine = JSON.stringify({ username: 'ada', password: 'x' })
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp'])
      expectProblem(await post(fine, type), 415)
    expectProblem(await server.visitor().post('/api/login'), 415)
    expect((await post(fine, 'Application/JSON; charset=utf-8')).status).toBe(401)
  })

  test('a body over 64 KB is 413, whether it says its length or not', async () => {
    const server = await started()
    const headers = { 'content-type': 'application/json' }
    const body = (bytes: number) => JSON.stringify({ username: 'ada', password: 'x'.repeat(bytes - 32) }).padEnd(bytes)
    const streamed = (text: string) => new Blob([text]).stream()
    const send = (body: Body) => server.visitor().send('POST', '/api/login', { body, headers })
    expect((await send(body(65_536))).status).toBe(401)
    expect((await send(streamed(body(65_536)))).status).toBe(401)
    expectProblem(await send(body(65_537)), 413)
    expectProblem(await send(streamed(body(65_537))), 413)
    expectProblem(await send(streamed(body(5_000_000))), 413)
  })

  test('a wrong method is 405 with those that there are, an unknown path 404', async () => {
    const server = await started()
    const visitor = server.visitor()
    for (const [method, path, allow] of [
      ['GET', '/api/login', 'POST'],
      ['PUT', '/api/cart', 'GET, HEAD'],
      ['PATCH', '/api/cart/items/notebook', 'DELETE'],
      ['DELETE', '/healthz', 'GET, HEAD'],
      ['GET', '/api/sessions/end-others', 'POST'],
    ] as const) {
      const answer = await visitor.send(method, path)
      expectProblem(answer, 405)
      expect(answer.headers.get('allow')).toContain(allow)
    }
    for (const path of ['/api', '/api/', '/api/nothing', '/api/login/x', '/api//login'])
      expectProblem(await visitor.get(path), 404)
  })

  test('the rest of the site answers in pages', async () => {
    const visitor = (await started()).visitor()
    const missing = await visitor.get('/nowhere')
    expect(missing.status).toBe(404)
    expect(missing.headers.get('content-type')).toContain('text/html')
    const logout = await visitor.get('/logout')
    expect([logout.status, logout.headers.get('allow')]).toEqual([405, 'POST'])
  })

  test('3.5.3: a method override is not looked at', async () => {
    const server = await started()
    const ada = await server.user('ada')
    const { session } = (await ada.get('/api/session')).body
    const headers = { 'x-http-method-override': 'DELETE' }
    expectProblem(await ada.post(`/api/sessions/${session.id}`, undefined, headers), 405)
  })

  test('bytes that are no HTTP get an answer, and harm nobody', async () => {
    const server = await started()
    const { port } = new URL(server.url)
    const socket = connect(Number(port), '127.0.0.1')
    socket.end('\0\0\0 garbage\r\n\r\n')
    let text = ''
    for await (const chunk of socket) text += chunk
    expect(text).toMatch(/^HTTP\/1.1 400/)
    expect((await server.visitor().get('/healthz')).status).toBe(200)
  })
})

describe('browsers', () => {
  test('A-138, A-97: another site’s request is refused, for login and logout too', async () => {
    const server = await started()
    const ada = await server.user('ada')
    const crossSite = { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }
    expectProblem(await ada.post('/api/logout', undefined, crossSite), 403)
    expectProblem(await server.visitor().post('/api/login', { username: 'ada', password: PASSWORD }, crossSite), 403)
    const sibling = { 'sec-fetch-site': 'same-site', origin: 'http://evil.localhost' }
    expectProblem(await ada.post('/api/sessions/end-others', undefined, sibling), 403)
    expect((await ada.get('/api/session')).body.user).not.toBeNull()
    const text = await started().then((other) =>
      other
        .visitor()
        .send('POST', '/api/login', { body: '{}', headers: { ...crossSite, 'content-type': 'text/plain' } }),
    )
    expectProblem(text, 403)
  })

  test('3.4.3, 3.4.4, 3.4.6: every response carries the security headers, whoever made it', async () => {
    const server = await started()
    const visitor = server.visitor()
    const answers = [
      await visitor.get('/'),
      await visitor.get('/healthz'),
      await visitor.get('/nowhere'),
      await visitor.get('/api/login'),
      await visitor.post('/api/logout', undefined, { 'sec-fetch-site': 'cross-site' }),
      await visitor.send('POST', '/api/login', {
        body: 'x'.repeat(70_000),
        headers: { 'content-type': 'application/json' },
      }),
    ]
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 404, 405, 403, 413])
    for (const { headers } of answers) {
      const policy = headers.get('content-security-policy')!
      for (const part of [
        "default-src 'none'",
        "object-src 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
      ]) {
        expect(policy).toContain(part)
      }
      expect(policy).not.toMatch(/unsafe|script-src/)
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('referrer-policy')).toBe('same-origin')
      expect(headers.get('x-powered-by')).toBeNull()
      expect(headers.get('strict-transport-security')).toBeNull()
    }
  })

  test('3.4.1, 3.3.1: behind HTTPS there is HSTS, and the cookie is Secure with its prefix', async () => {
    const byOrigin = await started({ origin: 'https://shop.example' })
    const byProxy = await started({ trustProxy: 1 })
    for (const [server, headers] of [
      [byOrigin, {}],
      [byProxy, { 'x-forwarded-proto': 'https', 'x-forwarded-for': '203.0.113.7' }],
    ] as const) {
      const answer = await server.visitor().post('/api/cart/items', { sku: 'notebook', quantity: 1 }, headers)
      expect(answer.headers.get('strict-transport-security')).toMatch(/^max-age=31536000/)
      expect(answer.headers.getSetCookie()[0]).toMatch(/^__Host-Http-session=.*; Secure/)
      const [name] = answer.headers.getSetCookie()[0]!.split(';')
      const { device } = (await server.visitor().get('/api/session', { ...headers, cookie: name! })).body.session
      expect(device.ip).toBe(server === byProxy ? '203.0.113.7' : '127.0.0.1')
    }
  })

  test('A-27: without a proxy, what a client says of itself is not believed', async () => {
    const server = await started()
    const forwarded = {
      'x-forwarded-proto': 'https',
      'x-forwarded-for': '203.0.113.7',
      'x-forwarded-host': 'evil.example',
    }
    const answer = await server.visitor().post('/api/cart/items', { sku: 'notebook', quantity: 1 }, forwarded)
    expect(answer.headers.get('strict-transport-security')).toBeNull()
    expect(server.lines.join('')).not.toContain('203.0.113.7')
  })
})
