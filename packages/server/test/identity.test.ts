/** What is said and asked about providers without going there: the configuration, names, and who may change a way in. */
import { readConfig } from '@sojourn/server'
import { labelOf, proposals } from '@sojourn/server/identity/names'
import { manualClock } from 'sojourn/testing/clock'
import { describe, expect, test } from 'vitest'
import { startLiar } from '../../sojourn/test/providers/liar.js'
import type { Client } from './client.js'
import { PASSWORD, started } from './started.js'

const MINUTE = 60_000
const SECRET = 'the-secret-of-the-app'
const github = { GITHUB_CLIENT_ID: 'Ov23li', GITHUB_CLIENT_SECRET: SECRET }
const oidc = { OIDC_ISSUER: 'https://id.staff.example', OIDC_CLIENT_ID: 'shop', OIDC_CLIENT_SECRET: SECRET }
const origin = { SOJOURN_ORIGIN: 'http://localhost:3000' }

describe('the configuration of providers', () => {
  test('comes from the environment', () => {
    expect(readConfig({}, { ...origin, ...github, ...oidc }).providers).toEqual({
      github: { clientId: 'Ov23li', clientSecret: SECRET, url: 'https://github.com' },
      oidc: { clientId: 'shop', clientSecret: SECRET, url: 'https://id.staff.example' },
    })
    expect(readConfig({}, {})).not.toHaveProperty('providers')
  })

  test.each([
    ['A-100: without an origin', github, 'SOJOURN_ORIGIN: is not set'],
    ['RFC 6750, 5.3: with readable sessions', { ...github, ...origin, SOJOURN_STRATEGY: 'jwt' }, 'SOJOURN_STRATEGY: '],
    ['half of GitHub', { ...origin, GITHUB_CLIENT_SECRET: SECRET }, 'GITHUB_CLIENT_ID: is not set'],
    ['a third of a provider', { ...origin, ...oidc, OIDC_CLIENT_ID: '' }, 'OIDC_CLIENT_ID: is not set'],
    ['a plain issuer', { ...origin, ...oidc, OIDC_ISSUER: 'http://id.staff.example' }, 'OIDC_ISSUER: '],
    ['a GitHub that is no URL', { ...origin, ...github, GITHUB_URL: 'github' }, 'GITHUB_URL: '],
    ['a password in a URL', { ...origin, ...github, GITHUB_URL: `http://me:${SECRET}@hub.example` }, 'GITHUB_URL: '],
    [
      'a password in an issuer',
      { ...origin, ...oidc, OIDC_ISSUER: `https://me:${SECRET}@id.example` },
      'OIDC_ISSUER: ',
    ],
    [
      'an issuer with a query',
      { ...origin, ...oidc, OIDC_ISSUER: `https://id.example/?key=${SECRET}` },
      'OIDC_ISSUER: ',
    ],
  ])('%s is refused, by its name, and no secret is repeated', (_, env, message) => {
    const refused = () => readConfig({}, env)
    expect(refused).toThrow(message)
    expect(refused).not.toThrow(SECRET)
  })
})

describe('the name of a new account', () => {
  const first = (login?: string, name?: string) =>
    proposals({ emailVerified: true, email: 'ann@shop.example', ...(login && { login }), ...(name && { name }) }).next()
      .value

  test.each([
    ['octocat', undefined, 'octocat'],
    ['ann@corp.example', undefined, 'ann'],
    [undefined, 'Ann Lee', 'Ann-Lee'],
    ['ａｎｎ\u202e', undefined, 'ann'],
    ['a'.repeat(500), undefined, 'a'.repeat(40)],
    ['<script>', undefined, 'script'],
  ])('of %j and %j is %j', (login, name, wanted) => {
    expect(first(login, name)).toBe(wanted)
  })

  test('6.8.1: is never made of an e-mail address, and goes on where it is taken', () => {
    expect(first()).toMatch(/^guest-\d{5,6}$/)
    expect(first('@', '..')).toMatch(/^guest-\d{5,6}$/)
    const names = proposals({ emailVerified: false, login: 'ann' })
    const [one, two, three] = [names.next().value, names.next().value, names.next().value]
    expect(one).toBe('ann')
    expect(two).toMatch(/^ann-\d{5,6}$/)
    expect(three).not.toBe(two)
  })

  test('on the account’s page is one short line', () => {
    expect(labelOf({ emailVerified: false, login: 'a\u202e\nb'.padEnd(300, 'c') }, '1')).toMatch(/^abc{98}$/)
    expect(labelOf({ emailVerified: false, email: 'ann@shop.example' }, '583231')).toBe('583231')
  })
})

describe('who may change how they sign in', () => {
  const providers = readConfig({}, { ...origin, ...github }).providers!
  const running = async (strategy: 'opaque' | 'sealed') => {
    const clock = manualClock()
    const server = await started({ providers, origin: origin.SOJOURN_ORIGIN, strategy }, { clock })
    const ada = await server.user('ada')
    return { server, ada, clock }
  }
  const form = async (client: Client, path: string, fields: Record<string, string> = {}, from = '/account') => {
    const csrf = /name="csrf" value="([^"]+)"/.exec((await client.get(from)).text)![1]!
    return client.send('POST', path, {
      body: new URLSearchParams({ csrf, ...fields }).toString(),
      headers: {
        accept: 'text/html',
        'content-type': 'application/x-www-form-urlencoded',
        referer: 'http://localhost:3000/account',
      },
    })
  }

  test.each(['opaque', 'sealed'] as const)(
    '7.5.1: whoever signed in lately, else they prove who they are first (%s)',
    async (strategy) => {
      const { ada, clock } = await running(strategy)
      const begun = await form(ada, '/oauth/github/link')
      expect(begun.status).toBe(200)
      expect(begun.headers.get('refresh')).toMatch(/^0; url=https:\/\/github\.com\/login\/oauth\/authorize\?/)
      expect(begun.headers.get('content-security-policy')).toContain("form-action 'self'")

      clock.advance(11 * MINUTE)
      for (const path of ['/oauth/github/link', '/account/disconnect', '/account/choose-password']) {
        const stopped = await form(ada, path, { provider: 'github', new: 'another few words in a row' })
        expect([path, stopped.status]).toEqual([path, 303])
        expect(stopped.headers.get('location')).toMatch(/^\/confirm/)
      }
      const wrong = await form(ada, '/confirm', { password: 'not the right words', next: '/account' }, '/confirm')
      expect(wrong.status).toBe(401)
      expect((await form(ada, '/oauth/github/link')).status).toBe(303)
      const right = await form(ada, '/confirm', { password: PASSWORD, next: '//evil.example' }, '/confirm')
      expect([right.status, right.headers.get('location')]).toEqual([303, '/account'])
      expect((await form(ada, '/oauth/github/link')).status).toBe(200)
    },
  )

  test('7.6.1: who has been signed in at the provider all day, and was asked nothing, has not signed in lately', async () => {
    const liar = await startLiar()
    const { issuer, clientId, clientSecret } = liar
    const env = { OIDC_ISSUER: issuer, OIDC_CLIENT_ID: clientId, OIDC_CLIENT_SECRET: clientSecret }
    const server = await started(
      { providers: readConfig({}, { ...origin, ...github, ...env }).providers!, origin: origin.SOJOURN_ORIGIN },
      {},
    )
    const visitor = server.visitor()
    const through = async (authTime: number) => {
      liar.bent.claims = { auth_time: Math.floor(authTime / 1000) }
      const begun = await visitor.get('/oauth/oidc')
      const { pathname, search } = liar.agree(new URL(begun.headers.get('location')!))
      expect((await visitor.get(pathname + search)).status).toBe(303)
    }
    await through(Date.now() - 24 * 60 * MINUTE)
    for (const path of ['/oauth/github/link', '/account/disconnect', '/account/choose-password']) {
      const stopped = await form(visitor, path, { provider: 'oidc', new: 'another few words in a row' })
      expect([path, stopped.status]).toEqual([path, 303])
      expect(stopped.headers.get('location')).toMatch(/^\/confirm/)
    }
    // Signed in already, they are asked for a proof of now.
    await through(Date.now())
    expect((await form(visitor, '/oauth/github/link')).status).toBe(200)
  })

  test('a provider that cannot be reached is 503, and when to try again', async () => {
    const away = readConfig({}, { ...origin, ...oidc, OIDC_ISSUER: 'http://127.0.0.1:1' }).providers!
    const server = await started({ providers: away, origin: origin.SOJOURN_ORIGIN }, {})
    const begun = [await server.visitor().get('/oauth/oidc'), await form(await server.user('ada'), '/oauth/oidc/link')]
    for (const { status, headers } of begun) expect([status, headers.get('retry-after')]).toEqual([503, '5'])
  })

  test('3.5.1: without the form’s token nothing begins; a GET links nothing', async () => {
    const { ada } = await running('opaque')
    const sent = await ada.send('POST', '/oauth/github/link', {
      body: 'csrf=x',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    })
    expect(sent.status).toBe(403)
    expect((await ada.get('/oauth/github/link')).status).toBe(405)
  })

  test('a password that is there is not chosen anew, a provider that is not configured is not known', async () => {
    const { ada } = await running('opaque')
    const chosen = await form(ada, '/account/choose-password', { new: 'another few words in a row' })
    expect(chosen.status).toBe(422)
    expect((await form(ada, '/account/disconnect', { provider: 'oidc' })).status).toBe(404)
    expect((await ada.get('/oauth/oidc')).status).toBe(404)
    expect((await ada.get('/oauth/__proto__')).status).toBe(404)
  })

  test('A-103: a callback that this browser did not begin signs nobody in, and its address is told to nobody', async () => {
    const { server } = await running('opaque')
    const guest = server.visitor()
    const back = await guest.get('/oauth/github/callback?code=stolen&state=of-somebody-else')
    expect(back.status).toBe(400)
    expect(back.headers.get('referrer-policy')).toBe('no-referrer')
    expect(back.text).not.toContain('stolen')
    expect((await guest.get('/api/session')).body.user).toBeNull()
    expect(server.lines.join('')).not.toContain('stolen')
  })

  test('API: a guest is asked to sign in, a user without a connection is told where to connect', async () => {
    const { server, ada } = await running('sealed')
    expect((await server.visitor().get('/api/github/repos')).status).toBe(401)
    const answer = await ada.get('/api/github/repos')
    expect(answer.status).toBe(409)
    expect(answer.body).toMatchObject({ connect: '/account' })
  })

  test('a server without providers has none of it', async () => {
    const server = await started()
    const ada = await server.user('ada')
    for (const path of ['/oauth/github', '/repositories', '/confirm', '/api/github/repos'])
      expect((await ada.get(path)).status).toBe(404)
    expect((await ada.get('/account')).text).not.toContain('Ways to sign in')
  })
})
