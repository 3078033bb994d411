/** What is tried against a sign-in through a provider, by strangers and by the provider itself. */
import { createHmac } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { inspect } from 'node:util'
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import { requireRecentLogin } from 'sojourn/guard/access'
import {
  type Arrived,
  github,
  google,
  type OAuth,
  type OAuthOptions,
  oauth,
  oidc,
  type Refused,
} from 'sojourn/identity/oauth'
import { isPlausible } from 'sojourn/identity/oauth-call'
import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { describe, expect, test } from 'vitest'
import { HOSTILE_PATHS } from './fixtures/hostile-paths.js'
import { counted, gated, KEY, MINUTE, shop } from './helpers.js'
import { type Liar, startLiar } from './providers/liar.js'
import { Visitor } from './providers/visitor.js'

const ORIGIN = 'https://shop.example'

interface Scene {
  readonly a: Liar
  readonly b: Liar
  readonly oauth: OAuth
  readonly ann: Visitor
  readonly eve: Visitor
}

/** Two issuers, an app that knows both, and two browsers. */
async function scene(options: Partial<OAuthOptions> = {}): Promise<Scene> {
  const [a, b] = await Promise.all([startLiar(), startLiar()])
  const signIn = oauth({ keys: KEY, origin: ORIGIN, providers: { a: oidc(a), b: oidc(b) }, ...options })
  return { a, b, oauth: signIn, ann: new Visitor(ORIGIN), eve: new Visitor(ORIGIN) }
}

const word = (found: Arrived | Refused) => found.refused ?? 'arrived'

/** One whole sign-in, and what came of it. */
async function whole({ a, oauth, ann }: Scene): Promise<Arrived | Refused> {
  return ann.callback(oauth, a.agree(await ann.begin(oauth, 'a')))
}

test('what is not attacked arrives, once, and costs the browser nothing that stays', async () => {
  const it = await scene()
  const found = await whole(it)
  expect(found).toMatchObject({ identity: { issuer: it.a.issuer, sub: 'ann' }, intent: 'login', returnTo: '/' })
  expect(it.ann.cookies.size).toBe(0)
})

test('what it costs: no store call to begin, one to come back', async () => {
  const { store, calls } = counted(memory())
  const it = await scene({ store })
  const back = it.a.agree(await it.ann.begin(it.oauth, 'a'))
  expect(calls()).toEqual([])
  await it.ann.callback(it.oauth, back)
  expect(calls()).toEqual(['set'])
  expect(it.a.asked()).toEqual(['/.well-known/openid-configuration', '/token', '/jwks'])
})

describe('state', () => {
  test('A-103: missing, unknown, twice, another browser’s, forged: refused before a token is asked for', async () => {
    const it = await scene()
    const back = it.a.agree(await it.ann.begin(it.oauth, 'a'))
    it.a.asked()
    const without = new URL(back)
    without.searchParams.delete('state')
    expect(word(await it.ann.callback(it.oauth, without))).toBe('absent')
    const unknown = new URL(back)
    unknown.searchParams.set('state', 'x'.repeat(43))
    expect(word(await it.ann.callback(it.oauth, unknown))).toBe('absent')
    const twice = new URL(back)
    twice.searchParams.append('state', back.searchParams.get('state')!)
    expect(word(await it.ann.callback(it.oauth, twice))).toBe('malformed')
    expect(word(await it.eve.callback(it.oauth, back))).toBe('absent')
    const [[name = '', value = ''] = []] = [...it.ann.cookies]
    it.eve.cookies.set(name, `${value.slice(0, -2)}AA`)
    expect(word(await it.eve.callback(it.oauth, back))).toBe('absent')
    expect(it.a.asked()).toEqual([])
    expect(word(await it.ann.callback(it.oauth, back))).toBe('arrived')
  })

  test('A-97, 10.1.2: the states of two browsers swapped, and the attacker’s own callback in the victim’s browser', async () => {
    const it = await scene()
    const anns = it.a.agree(await it.ann.begin(it.oauth, 'a'), 'ann')
    const eves = it.a.agree(await it.eve.begin(it.oauth, 'a'), 'eve')
    expect(word(await it.ann.callback(it.oauth, eves))).toBe('absent')
    expect(word(await it.eve.callback(it.oauth, anns))).toBe('absent')
  })

  test('A-103: used twice, also with the cookie copied, and also at the same moment', async () => {
    const it = await scene()
    const back = it.a.agree(await it.ann.begin(it.oauth, 'a'))
    const cookies = [...it.ann.cookies]
    const both = await Promise.all([1, 2, 3].map(() => it.oauth.callback(it.ann.request(back))))
    expect(both.map(word).toSorted()).toEqual(['arrived', 'replayed', 'replayed'])
    for (const [name, value] of cookies) it.eve.cookies.set(name, value)
    expect(word(await it.eve.callback(it.oauth, back))).toBe('replayed')
    expect(it.a.asked().filter((path) => path === '/token')).toHaveLength(1)
  })

  test('A-103: two servers that share a store honour it once', async () => {
    const store = memory()
    const it = await scene({ store })
    const other = oauth({ keys: KEY, origin: ORIGIN, providers: { a: oidc(it.a) }, store })
    const back = it.a.agree(await it.ann.begin(it.oauth, 'a'))
    const request = () => it.ann.request(back)
    const found = await Promise.all([it.oauth.callback(request()), other.callback(request())])
    expect(found.map(word).toSorted()).toEqual(['arrived', 'replayed'])
  })

  test('10.4.3: ten minutes and not a millisecond longer', async () => {
    const clock = manualClock(Date.now())
    const it = await scene({ clock, store: memory({ clock }) })
    const back = it.a.agree(await it.ann.begin(it.oauth, 'a'))
    clock.advance(10 * MINUTE)
    expect(word(await it.ann.callback(it.oauth, back))).toBe('expired')
  })

  test('a store that fails answers with a fault, and no token is asked for', async () => {
    const store = gated(memory(), () => {
      throw new Error('down')
    })
    const it = await scene({ store })
    const back = it.a.agree(await it.ann.begin(it.oauth, 'a'))
    it.a.asked()
    await expect(it.ann.callback(it.oauth, back)).rejects.toMatchObject({ code: 'ERR_STORE' })
    expect(it.a.asked()).toEqual([])
  })
})

describe('codes', () => {
  test('A-104: another’s code in one’s own sign-in fails by PKCE; where the provider ignores that, by the nonce', async () => {
    const it = await scene()
    for (const ignoresPkce of [false, true]) {
      it.a.bent.ignoresPkce = ignoresPkce
      const back = it.a.agree(await it.ann.begin(it.oauth, 'a'), 'ann')
      const stolen = it.a.agree(await it.eve.begin(it.oauth, 'a'), 'eve')
      back.searchParams.set('code', stolen.searchParams.get('code')!)
      expect(word(await it.ann.callback(it.oauth, back))).toBe('forged')
    }
  })

  test('A-105, 10.2.1: S256 always; state, nonce and challenge are new each time and of 256 bits', async () => {
    const it = await scene()
    const seen = new Set<string>()
    for (let i = 0; i < 5; i++) {
      const { searchParams } = await it.ann.begin(it.oauth, 'a')
      expect(searchParams.get('code_challenge_method')).toBe('S256')
      expect(searchParams.get('response_type')).toBe('code')
      for (const name of ['state', 'nonce', 'code_challenge']) {
        expect(searchParams.get(name)).toMatch(/^[\w-]{43}$/)
        seen.add(searchParams.get(name)!)
      }
    }
    expect(seen.size).toBe(15)
  })

  test('A-105: a provider that says it does not know S256 is not asked', async () => {
    const it = await scene()
    it.a.bent.metadata.code_challenge_methods_supported = ['plain']
    expect(await it.oauth.begin(it.ann.request('/'), 'a')).toMatchObject({ refused: 'unusable' })
  })
})

describe('A-106, 10.2.2: mix-up', () => {
  test('`iss` of another, or none where the provider announces it', async () => {
    const it = await scene()
    for (const iss of [it.b.issuer, `${it.a.issuer}/`, '']) {
      const back = it.a.agree(await it.ann.begin(it.oauth, 'a'))
      if (iss) back.searchParams.set('iss', iss)
      else back.searchParams.delete('iss')
      it.a.asked()
      expect(word(await it.ann.callback(it.oauth, back))).toBe('forged')
      expect(it.a.asked()).toEqual([])
    }
  })

  test('the code of one at the redirect URI of the other goes to neither', async () => {
    const it = await scene()
    const back = it.a.agree(await it.ann.begin(it.oauth, 'a'))
    back.pathname = '/oauth/b/callback'
    back.searchParams.set('iss', it.b.issuer)
    it.a.asked()
    expect(word(await it.ann.callback(it.oauth, back))).toBe('forged')
    expect([...it.a.asked(), ...it.b.asked()]).toEqual([])
  })
})

describe('identity tokens', () => {
  const secret = 'a-secret-of-the-shop'
  const hs256 = (claims: object) => {
    const parts = [{ alg: 'HS256' }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    return `${parts.join('.')}.${createHmac('sha256', secret).update(parts.join('.')).digest('base64url')}`
  }
  const byAnother = async (claims: object) => {
    const { privateKey } = await generateKeyPair('ES256')
    return new SignJWT(claims as never).setProtectedHeader({ alg: 'ES256', kid: 'one' }).sign(privateKey)
  }
  const byEmbedded = async (claims: object) => {
    const { privateKey, publicKey } = await generateKeyPair('ES256')
    const jwk = await exportJWK(publicKey)
    return new SignJWT(claims as never).setProtectedHeader({ alg: 'ES256', jwk }).sign(privateKey)
  }

  test.each([
    ['unsigned', (claims: object) => new UnsecuredJWT(claims as never).encode()],
    ['signed with the client’s secret', hs256],
    ['signed by another key of that name', byAnother],
    ['signed by the key that it brings along', byEmbedded],
    ['no token at all', () => 'x'],
  ])('6.8.2, A-107: %s is refused', async (_, idToken) => {
    const it = await scene()
    it.a.bent.idToken = idToken
    expect(['unusable', 'forged']).toContain(word(await whole(it)))
  })

  const soon = Math.floor(Date.now() / 1000)
  test.each<[string, Record<string, unknown>]>([
    ['10.5.1: another nonce', { nonce: 'x'.repeat(43) }],
    ['10.5.1: no nonce', { nonce: undefined }],
    ['10.5.4: for another client', { aud: 'another' }],
    ['10.5.4: for us and another, with another as the party', { aud: ['the-shop', 'another'], azp: 'another' }],
    ['10.5.4: for several, and no party', { aud: ['the-shop', 'another'] }],
    ['A-106: of another issuer', { iss: 'https://accounts.google.com' }],
    ['9.2.1: expired', { exp: soon - 120 }],
    ['no expiry', { exp: undefined }],
    ['no subject', { sub: undefined }],
    ['A-107: of another access token', { at_hash: 'x'.repeat(22) }],
  ])('%s is refused', async (_, claims) => {
    const it = await scene()
    it.a.bent.claims = claims
    expect(['unusable', 'forged']).toContain(word(await whole(it)))
  })

  test('A-107: `at_hash` of its own access token passes', async () => {
    const it = await scene()
    // The left half of SHA-256 of "canary-access".
    const { createHash } = await import('node:crypto')
    it.a.bent.claims = {
      at_hash: createHash('sha256').update('canary-access').digest().subarray(0, 16).toString('base64url'),
    }
    expect(word(await whole(it))).toBe('arrived')
  })
})

const instead = ({ answers }: Liar['bent'], answer: (response: ServerResponse) => void) =>
  Object.assign(answers, { '/token': answer })

describe('what a provider answers', () => {
  test('A-108: an error is a failure, with or without a code; its words are shown to nobody', async () => {
    const it = await scene()
    const cases = { access_denied: 'denied', temporarily_unavailable: 'unavailable', login_required: 'interaction' }
    for (const [error, refused] of Object.entries({
      ...cases,
      '<script>': 'misconfigured',
      toString: 'misconfigured',
    })) {
      const back = it.a.agree(await it.ann.begin(it.oauth, 'a'))
      back.searchParams.set('error', error)
      back.searchParams.set('error_description', '<script>alert(1)</script>')
      it.a.asked()
      const found = await it.ann.callback(it.oauth, back)
      expect(found.refused).toBe(refused)
      expect(inspect(found, { depth: 9 })).not.toContain('script')
      expect(it.a.asked()).toEqual([])
    }
  })

  test.each<[string, (bent: Liar['bent']) => unknown]>([
    ['another type of token', ({ tokens }) => Object.assign(tokens, { token_type: 'mac' })],
    ['a token bound to a key', ({ tokens }) => Object.assign(tokens, { token_type: 'DPoP' })],
    ['no type of token', ({ tokens }) => Object.assign(tokens, { token_type: undefined })],
    ['no identity token', ({ tokens }) => Object.assign(tokens, { id_token: undefined })],
    ['no access token', ({ tokens }) => Object.assign(tokens, { access_token: undefined })],
    ['200 with an error', ({ tokens }) => Object.assign(tokens, { error: 'bad_verification_code' })],
    ['HTML', (bent) => instead(bent, (response) => response.end('<html>'))],
    ['megabytes', (bent) => instead(bent, (response) => response.end(`{"x":"${'x'.repeat(3e6)}"}`))],
    ['a redirect', (bent) => instead(bent, (r) => r.writeHead(307, { location: 'http://127.0.0.1:1/' }).end())],
    ['a failure of its own', (bent) => instead(bent, (response) => response.writeHead(502).end())],
    ['nothing', (bent) => instead(bent, (response) => response.destroy())],
  ])('A-110: %s instead of tokens is refused, in our words', async (_, bend) => {
    const it = await scene()
    bend(it.a.bent)
    const found = await whole(it)
    expect(['unusable', 'unavailable', 'forged', 'misconfigured']).toContain(word(found))
    expect(inspect(found, { depth: 9 })).not.toContain('canary')
  })

  test('A-110: a provider that never answers is waited for five seconds', async () => {
    const it = await scene()
    it.a.bent.answers['/token'] = () => {}
    const began = performance.now()
    expect(word(await whole(it))).toBe('unavailable')
    expect(performance.now() - began).toBeLessThan(8_000)
  })

  test.each<[string, (liar: Liar) => unknown]>([
    ['10.5.3: another issuer', (liar) => Object.assign(liar.bent.metadata, { issuer: 'https://accounts.google.com' })],
    ['10.5.3: the issuer with a slash', (liar) => Object.assign(liar.bent.metadata, { issuer: `${liar.issuer}/` })],
    ['http elsewhere', (liar) => Object.assign(liar.bent.metadata, { token_endpoint: 'http://id.example/token' })],
    ['no URL', (liar) => Object.assign(liar.bent.metadata, { authorization_endpoint: 'javascript:alert(1)' })],
    ['no keys', (liar) => Object.assign(liar.bent.metadata, { jwks_uri: undefined })],
    [
      'a redirect',
      (liar) => {
        const location = `${liar.issuer}/elsewhere`
        liar.bent.answers['/.well-known/openid-configuration'] = (r) => void r.writeHead(302, { location }).end()
      },
    ],
  ])('A-109: metadata with %s is refused', async (_, bend) => {
    const it = await scene()
    bend(it.a)
    expect(await it.oauth.begin(it.ann.request('/'), 'a')).toMatchObject({ refused: 'unusable' })
  })

  test('A-109: metadata does not point into the local network', () => {
    const home = new URL('https://id.example')
    const inside = ['https://127.0.0.1/', 'https://10.0.0.1/t', 'https://[::1]/', 'https://localhost/', 'https://db/']
    for (const url of [
      ...inside,
      'https://169.254.169.254/',
      'https://x.internal/',
      'https://0x7f.1/',
      'https://u:p@id.example/',
      'https://localhost./',
      'https://db./',
      'https://x.local./',
    ])
      expect([url, isPlausible(url, home)]).toEqual([url, false])
    for (const url of ['https://id.example/t', 'https://oauth2.googleapis.com/token'])
      expect([url, isPlausible(url, home)]).toEqual([url, true])
  })

  test('metadata is asked for once, and outlives a provider that is away', async () => {
    const it = await scene()
    await Promise.all([1, 2, 3].map(() => it.ann.begin(it.oauth, 'a')))
    expect(it.a.asked()).toEqual(['/.well-known/openid-configuration'])
    it.a.bent.answers['/.well-known/openid-configuration'] = (response) => response.writeHead(503).end()
    expect(await it.ann.begin(it.oauth, 'a')).toBeInstanceOf(URL)
    expect(await it.oauth.begin(it.ann.request('/'), 'b')).toBeInstanceOf(Response)
  })
})

describe('who it is', () => {
  test('6.8.1, A-111: the same subject at two issuers is two people; an address is nobody', async () => {
    const it = await scene()
    it.a.bent.claims = it.b.bent.claims = { email: 'ann@shop.example', email_verified: 'true' }
    const one = (await whole(it)) as Arrived
    const two = (await it.ann.callback(it.oauth, it.b.agree(await it.ann.begin(it.oauth, 'b')))) as Arrived
    expect(one.identity.sub).toBe(two.identity.sub)
    expect(one.identity).not.toEqual(two.identity)
    // Only `true` is true.
    expect([one.profile, two.profile]).toEqual([1, 2].map(() => ({ email: 'ann@shop.example', emailVerified: false })))
  })

  test('10.2.3: nobody is asked for more than who they are', () => {
    const client = { clientId: 'c', clientSecret: 's' }
    expect(
      [github(client), google(client), oidc({ ...client, issuer: 'https://id.example' })].map(({ scope }) => scope),
    ).toEqual([[], ['openid'], ['openid']])
  })

  test('15.3.2: a token is for the APIs that are configured, or else for the issuer alone', () => {
    const client = { clientId: 'c', clientSecret: 's' }
    const [issuer, api] = ['https://id.example/tenant', ['https://gmail.googleapis.com', 'https://www.googleapis.com']]
    const providers = {
      plain: oidc({ ...client, issuer }),
      staff: oidc({ ...client, issuer, api: ['https://api.staff.example/v1'] }),
      google: google(client),
      gmail: google({ ...client, api, offline: true }),
    }
    const signIn = oauth({ keys: KEY, origin: ORIGIN, providers })
    expect(Object.keys(providers).map((name) => signIn.apiOf(name))).toEqual([
      [issuer],
      ['https://api.staff.example/v1'],
      ['https://www.googleapis.com'],
      api,
    ])
    expect(() => google({ ...client, api: ['http://www.googleapis.com'] })).toThrow(/https/)
  })

  test('A-154: neither JSON nor a log shows a token', async () => {
    const found = (await whole(await scene())) as Arrived
    expect(found.tokens.accessToken).toBe('canary-access')
    expect(JSON.stringify(found) + inspect(found, { depth: 9 })).not.toContain('canary')
  })
})

describe('where it goes', () => {
  /** And what is almost on its list. */
  const NEARLY = ['https://app.example/other', 'https://APP.example/', 'https://app.example/?x', 'http://app.example/']

  test.each([...HOSTILE_PATHS, ...NEARLY])('A-96: %j is not gone to', async (returnTo) => {
    const it = await scene({ returnTo: ['https://app.example/'] })
    const found = await it.ann.callback(it.oauth, it.a.agree(await it.ann.begin(it.oauth, 'a', { returnTo })))
    expect([word(found), found.returnTo]).toEqual(['arrived', '/'])
    const left = await it.oauth.endSession(it.ann.request('/'), 'a', { returnTo })
    expect(left.headers.get('location')).toBe('https://shop.example/')
  })

  test('A-96: a path of our own and a URL of the list are', async () => {
    const it = await scene({ returnTo: ['https://app.example/'] })
    const long = await it.oauth.endSession(it.ann.request('/'), 'a', { returnTo: `/${'x'.repeat(5000)}` })
    expect(long.headers.get('location')).toBe('https://shop.example/')
    for (const returnTo of ['/cart?item=1#top', 'https://app.example/']) {
      const found = await it.ann.callback(it.oauth, it.a.agree(await it.ann.begin(it.oauth, 'a', { returnTo })))
      expect(found.returnTo).toBe(returnTo)
    }
  })

  test('A-100: the Host header makes no redirect URI', async () => {
    const it = await scene()
    const headers = { host: 'evil.example', 'x-forwarded-host': 'evil.example' }
    const begun = await it.oauth.begin(new Request('https://evil.example/begin', { headers }), 'a')
    const to = new URL((begun as Response).headers.get('location')!)
    expect(to.searchParams.get('redirect_uri')).toBe('https://shop.example/oauth/a/callback')
  })

  test('A-113, OA-11: 303 after a POST, nothing cached, nothing referred', async () => {
    const it = await scene()
    const begun = (await it.oauth.begin(it.ann.request('/begin', { method: 'POST' }), 'a')) as Response
    expect(begun.status).toBe(303)
    expect(begun.headers.get('cache-control')).toBe('no-store')
    expect(begun.headers.get('referrer-policy')).toBe('no-referrer')
  })
})

describe('the cookie', () => {
  test('3.3.2: bound to this host, out of scripts’ reach, Lax, and sealed', async () => {
    const it = await scene()
    const begun = (await it.oauth.begin(it.ann.request('/begin'), 'a', { returnTo: '/canary' })) as Response
    const [line = ''] = begun.headers.getSetCookie()
    expect(line).toMatch(
      /^__Host-Http-oauth-[\w-]{16}=[\w.-]+; Max-Age=600; Expires=[^;]+; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
    )
    const state = new URL(begun.headers.get('location')!).searchParams.get('state')!
    expect(line).not.toContain(state)
    expect(Buffer.from(line.split('.')[1]!, 'base64url').toString('latin1')).not.toContain('canary')
  })

  test('A-112: at most twelve, and 8 KB; the oldest makes room', async () => {
    const clock = manualClock(Date.now())
    const it = await scene({ clock, store: memory({ clock }) })
    const all: URL[] = []
    for (let i = 0; i < 30; i++) {
      all.push(it.a.agree(await it.ann.begin(it.oauth, 'a', { returnTo: `/${'x'.repeat(i < 15 ? 1 : 500)}` })))
      clock.advance(1000)
      expect(it.ann.cookies.size).toBeLessThanOrEqual(12)
      expect([...it.ann.cookies].join().length).toBeLessThan(8_500)
    }
    expect(word(await it.ann.callback(it.oauth, all[0]!))).toBe('absent')
    expect(word(await it.ann.callback(it.oauth, all.at(-1)!))).toBe('arrived')
    expect(word(await it.ann.callback(it.oauth, all.at(-5)!))).toBe('arrived')
  })
})

describe('an account that there is already', () => {
  const signedIn = { id: 'handle', userId: 'ann', authenticatedAt: Date.now() }

  test('6.8.1: another way in is begun by a POST, from a session that was signed in a moment ago', async () => {
    const it = await scene()
    const begin = (session: typeof signedIn | undefined, method: string) =>
      it.oauth.begin(it.ann.request('/', { method }), 'a', { intent: 'link', ...(session ? { session } : {}) })
    expect(await begin(signedIn, 'GET')).toMatchObject({ refused: 'malformed' })
    expect(await begin(undefined, 'POST')).toMatchObject({ refused: 'session' })
    const hourOld = { ...signedIn, authenticatedAt: Date.now() - 60 * MINUTE }
    expect(await begin(hourOld, 'POST')).toMatchObject({ refused: 'session' })
    expect(await begin(signedIn, 'POST')).toBeInstanceOf(Response)
  })

  test('6.8.1: and completed in that session alone', async () => {
    const it = await scene()
    const others = [undefined, { ...signedIn, id: 'another' }, { ...signedIn, userId: undefined }]
    for (const session of others) {
      const back = it.a.agree(await it.ann.begin(it.oauth, 'a', { intent: 'link', session: signedIn }, 'POST'))
      expect(word(await it.ann.callback(it.oauth, back, session))).toBe('session')
    }
    const back = it.a.agree(await it.ann.begin(it.oauth, 'a', { intent: 'link', session: signedIn }, 'POST'))
    expect(await it.ann.callback(it.oauth, back, signedIn)).toMatchObject({ intent: 'link', userId: 'ann' })
  })

  test('6.8.4: a step-up asks for a fresh proof, and believes no older one', async () => {
    const it = await scene()
    const now = Math.floor(Date.now() / 1000)
    const cases: [unknown, string][] = [
      [undefined, 'stale'],
      [now - 300, 'stale'],
      ['now', 'unusable'],
      [now, 'arrived'],
    ]
    for (const [at, expected] of cases) {
      const to = await it.ann.begin(it.oauth, 'a', { intent: 'step-up', session: signedIn })
      expect(Object.fromEntries(to.searchParams)).toMatchObject({ prompt: 'login', max_age: '0' })
      it.a.bent.claims = { auth_time: at }
      expect(word(await it.ann.callback(it.oauth, it.a.agree(to), signedIn))).toBe(expected)
    }
  })

  test('6.8.4: a class of proof that was asked for is there, or it is the weakest', async () => {
    const it = await scene()
    for (const [acr, expected] of [
      [undefined, 'weak'],
      ['pwd', 'weak'],
      ['phr', 'arrived'],
    ]) {
      const to = await it.ann.begin(it.oauth, 'a', { acrValues: ['phr', 'phrh'] })
      expect(to.searchParams.get('acr_values')).toBe('phr phrh')
      it.a.bent.claims = { acr }
      expect(word(await it.ann.callback(it.oauth, it.a.agree(to)))).toBe(expected)
    }
  })
})

describe('complete', () => {
  test('A-01, 6.1.3, 6.3.4, 6.8.1: signs in under a new identifier, as whom the app says, by the provider’s word on how', async () => {
    const it = await scene()
    const app = shop()
    it.a.bent.claims = { amr: ['pwd', 'otp'], acr: 'phr' }
    const browser = app.browser()
    await browser.visit((session) => session.data.cart.push('hat'))
    const before = browser.cookie
    const back = it.a.agree(await it.ann.begin(it.oauth, 'a', { returnTo: '/cart' }))
    const { value } = await browser.visit((session) =>
      it.oauth.complete(it.ann.request(back), session, { account: ({ identity }) => `user ${identity.sub}` }),
    )
    expect(value?.status).toBe(303)
    expect(value?.headers.get('location')).toBe('https://shop.example/cart')
    expect(browser.cookie).not.toBe(before)
    const seen = await browser.visit(({ userId, amr, acr, data }) => ({ userId, amr, acr, cart: data.cart }))
    expect(seen.value).toEqual({ userId: 'user ann', amr: ['pwd', 'otp'], acr: 'phr', cart: ['hat'] })
  })

  test('7.6.1: somebody who was signed in at the provider all day has proved nothing now', async () => {
    const it = await scene()
    const app = shop({ clock: manualClock(Date.now()) })
    const recent = requireRecentLogin(app.sessions, { within: MINUTE })
    const now = Math.floor(Date.now() / 1000)
    // Where the provider does not say when, and for one whose clock is ahead, it is now.
    for (const [auth_time, passes] of [
      [now - 86_400, false],
      [0, false],
      [now - 5, true],
      [now + 20, true],
      [undefined, true],
    ] as const) {
      const browser = app.browser()
      it.a.bent.claims = { auth_time }
      const back = it.a.agree(await it.ann.begin(it.oauth, 'a'))
      await browser.visit((mine) => it.oauth.complete(it.ann.request(back), mine, { account: () => 'ann' }))
      const request = { method: 'GET', url: '/', header: () => undefined }
      const { value } = await browser.visit((mine) => [mine.userId, recent.refuse(mine, request) === undefined])
      expect([auth_time, ...value!]).toEqual([auth_time, 'ann', passes])
    }
  })

  test('10.5.2: who it is, is the subject: another e-mail address opens the same account, and the address no other', async () => {
    const it = await scene()
    const app = shop()
    const accounts = new Map<string, string>()
    const arrive = async (claims: object) => {
      it.a.bent.claims = { email_verified: true, ...claims }
      const browser = app.browser()
      const back = it.a.agree(await it.ann.begin(it.oauth, 'a'))
      await browser.visit((session) =>
        it.oauth.complete(it.ann.request(back), session, {
          account({ identity: { issuer, sub } }) {
            const known = accounts.get(`${issuer} ${sub}`) ?? `account ${accounts.size}`
            accounts.set(`${issuer} ${sub}`, known)
            return known
          },
        }),
      )
      return (await browser.visit((session) => session.userId)).value
    }
    expect(await arrive({ email: 'ann@old.example' })).toBe('account 0')
    expect(await arrive({ email: 'ann@new.example' })).toBe('account 0')
    expect(await arrive({ email: 'ann@new.example', sub: 'eve' })).toBe('account 1')
  })

  test('whom the app does not know, or knows as another, is not signed in; a provider’s odd words break nothing', async () => {
    const it = await scene()
    const app = shop()
    const browser = app.browser()
    it.a.bent.claims = { amr: [1, 'a b'], acr: { x: 1 } }
    const stranger = it.a.agree(await it.ann.begin(it.oauth, 'a'))
    const nobody = await browser.visit((session) =>
      it.oauth.complete(it.ann.request(stranger), session, { account: () => undefined }),
    )
    expect(nobody.value?.status).toBe(403)
    expect(await browser.visit((session) => session.userId)).toMatchObject({ value: undefined })
    await browser.visit((session) => session.login('ann'))
    const { value: session } = await browser.visit(({ id, userId, authenticatedAt }) => ({
      id,
      userId,
      authenticatedAt,
    }))
    const clocked = { ...session!, authenticatedAt: Date.now() }
    const back = it.a.agree(await it.ann.begin(it.oauth, 'a', { intent: 'link', session: clocked }, 'POST'))
    const linked = await browser.visit((mine) =>
      it.oauth.complete(it.ann.request(back), mine, { account: () => 'eve' }),
    )
    expect(linked.value?.status).toBe(403)
    expect(await linked.value?.json()).toMatchObject({ detail: expect.stringContaining('belongs to somebody else') })
    expect((await browser.visit((mine) => mine.userId)).value).toBe('ann')
    const fine = it.a.agree(await it.ann.begin(it.oauth, 'a'))
    await browser.visit((mine) => it.oauth.complete(it.ann.request(fine), mine, { account: () => 'ann' }))
    expect((await browser.visit(({ userId, amr }) => [userId, amr])).value).toEqual(['ann', undefined])
  })
})

test('GitHub is found where it is', () => {
  const client = { clientId: 'c', clientSecret: 's' }
  const [hub, enterprise, own] = [undefined, 'https://octo.ghe.com', 'https://git.shop.example'].map((url) =>
    github({ ...client, ...(url === undefined ? {} : { url }) }),
  )
  expect([hub, enterprise, own].map((it) => [it?.issuer, it?.api[0]])).toEqual([
    ['https://github.com', 'https://api.github.com'],
    ['https://octo.ghe.com', 'https://api.octo.ghe.com'],
    ['https://git.shop.example', 'https://git.shop.example/api/v3'],
  ])
})

test('7.2.4: a step-up gives a new identifier, a new time and a new proof, and keeps the rest, “remember me” too', async () => {
  const it = await scene()
  const app = shop({ clock: manualClock(Date.now()) })
  const browser = app.browser()
  await browser.visit((session) => {
    session.login('user ann', { persistent: true, amr: ['pwd'] })
    session.data.cart.push('hat')
  })
  const before = await browser.visit(({ id, authenticatedAt }) => ({ id, authenticatedAt }))
  app.clock.advance(MINUTE)
  const { value: to } = await browser.visit((session) => it.ann.begin(it.oauth, 'a', { intent: 'step-up', session }))
  const proved = Math.floor(app.clock() / 1000) - 1
  it.a.bent.claims = { auth_time: proved, amr: ['hwk'] }
  const back = it.a.agree(to!)
  await browser.visit((session) =>
    it.oauth.complete(it.ann.request(back), session, { account: ({ identity }) => `user ${identity.sub}` }),
  )
  const { value } = await browser.visit(({ id, authenticatedAt, persistent, amr, data }) => ({
    ...{ id, authenticatedAt, persistent, amr, cart: data.cart },
  }))
  expect(value).toMatchObject({ persistent: true, amr: ['hwk'], cart: ['hat'] })
  expect(value?.id).not.toBe(before.value?.id)
  expect(value?.authenticatedAt).toBe(proved * 1000)
})

test('a name that anybody can ask for is refused; one that the app itself gives wrongly is misuse', async () => {
  const it = await scene()
  for (const name of ['c', '__proto__', 'constructor', '../a']) {
    expect(await it.oauth.begin(it.ann.request('/'), name)).toMatchObject({ refused: 'no-provider', status: 404 })
    expect(() => it.oauth.apiOf(name)).toThrow(TypeError)
  }
})

test('a GitHub that fails is unavailable, whatever is asked of it', async () => {
  const hub = await startLiar()
  const { clientId, clientSecret, issuer: url } = hub
  const signIn = oauth({ keys: KEY, origin: ORIGIN, providers: { hub: github({ clientId, clientSecret, url }) } })
  const ann = new Visitor(ORIGIN)
  const answers =
    (status: number, headers = {}) =>
    (response: ServerResponse) =>
      void response.writeHead(status, headers).end('{}')
  const token = (response: ServerResponse) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end('{"access_token":"canary-access","token_type":"bearer","scope":"repo,user"}')
  }
  Object.assign(hub.bent.answers, { '/login/oauth/access_token': token })
  const cases: [status: number, refused: string, headers?: Record<string, string>][] = [
    [502, 'unavailable'],
    [429, 'unavailable'],
    [403, 'unavailable', { 'retry-after': '60' }],
    [403, 'unavailable', { 'x-ratelimit-remaining': '0' }],
    [403, 'unusable', { 'x-ratelimit-remaining': '12' }],
    [401, 'unusable'],
    [200, 'unusable'],
  ]
  for (const [status, refused, headers] of cases) {
    Object.assign(hub.bent.answers, { '/api/v3/user': answers(status, headers) })
    const back = hub.agree(await ann.begin(signIn, 'hub'))
    back.searchParams.delete('iss')
    expect(word(await ann.callback(signIn, back))).toBe(refused)
  }
  Object.assign(hub.bent.answers, { '/api/v3/user': answers(429, { 'retry-after': '60' }) })
  const limited = hub.agree(await ann.begin(signIn, 'hub'))
  limited.searchParams.delete('iss')
  const { value: said } = await shop()
    .browser()
    .visit((session) => signIn.complete(ann.request(limited), session, { account: () => 'ann' }))
  expect([said!.status, said!.headers.get('retry-after')]).toEqual([503, '5'])
  const owner = { provider: 'hub', issuer: url, sub: '1', accessToken: 'canary-access', tokenType: 'bearer' as const }
  const revoked: [number, unknown][] = [
    [503, 'unavailable'],
    [401, 'unusable'],
    [404, true],
    [204, true],
  ]
  for (const [status, expected] of revoked) {
    Object.assign(hub.bent.answers, { [`/api/v3/applications/${clientId}/token`]: answers(status) })
    expect(await signIn.revoke('hub', owner)).toBe(expected)
  }
})

test('RV-01: the refresh token’s revocation decides; an access token that went with it may be unknown by then', async () => {
  const it = await scene()
  it.a.bent.metadata = { revocation_endpoint: `${it.a.issuer}/revoke` }
  const json = { 'content-type': 'application/json' }
  const refused: Record<string, [status: number, error: string]> = {}
  it.a.bent.answers['/revoke'] = async (response: ServerResponse) => {
    let body = ''
    for await (const part of response.req) body += part
    const [status, error] = refused[new URLSearchParams(body).get('token')!] ?? [200, undefined]
    response.writeHead(status, json).end(JSON.stringify({ error }))
  }
  const plain = { provider: 'a', issuer: it.a.issuer, sub: '1', accessToken: 'AT', tokenType: 'bearer' as const }
  const both = { ...plain, refreshToken: 'RT' }
  for (const error of ['unsupported_token_type', 'invalid_token', 'invalid_grant']) {
    Object.assign(refused, { AT: [400, error], RT: undefined })
    expect(await it.oauth.revoke('a', both)).toBe(true)
    // Alone it is what was to be revoked.
    expect(await it.oauth.revoke('a', plain)).not.toBe(true)
    Object.assign(refused, { AT: undefined, RT: [400, error] })
    expect(await it.oauth.revoke('a', both)).not.toBe(true)
  }
  Object.assign(refused, { AT: [400, 'invalid_client'], RT: undefined })
  expect(await it.oauth.revoke('a', both)).toBe('misconfigured')
  Object.assign(refused, { AT: [503, 'server_error'] })
  expect(await it.oauth.revoke('a', both)).toBe('unavailable')
})

test('6.8.4: what was asked for and could not be checked is misuse, and lets nobody in', async () => {
  const it = await scene()
  const hub = oauth({ keys: KEY, origin: ORIGIN, providers: { hub: github({ clientId: 'c', clientSecret: 's' }) } })
  for (const asked of [{ maxAge: 300 }, { acrValues: ['phr'] }])
    await expect(hub.begin(it.ann.request('/'), 'hub', asked)).rejects.toThrow(/cannot say when/)
  for (const maxAge of ['300', Number.NaN, -1, 0.5, Number.POSITIVE_INFINITY, null])
    await expect(it.oauth.begin(it.ann.request('/'), 'a', { maxAge: maxAge as number })).rejects.toThrow(/`maxAge`/)
  for (const acrValues of ['phr', [], [''], ['a b'], [7]])
    await expect(it.oauth.begin(it.ann.request('/'), 'a', { acrValues: acrValues as string[] })).rejects.toThrow(
      /`acrValues`/,
    )
})

test('misuse is told when the server starts', () => {
  const providers = { a: oidc({ issuer: 'https://id.example', clientId: 'c', clientSecret: 's' }) }
  const make = (options: Partial<OAuthOptions>) => () => oauth({ keys: KEY, origin: ORIGIN, providers, ...options })
  for (const origin of ['http://shop.example', 'https://shop.example/', 'shop.example', 'https://SHOP.example'])
    expect(make({ origin })).toThrow(TypeError)
  expect(make({ path: '/oauth/' })).toThrow(/path/)
  expect(make({ providers: { 'A b': providers.a } })).toThrow(/named/)
  expect(make({ returnTo: ['app.example'] })).toThrow(/returnTo/)
  const client = { clientId: 'c', clientSecret: 's' }
  expect(() => oidc({ ...client, issuer: 'http://id.example' })).toThrow(/https/)
  expect(() => oidc({ ...client, issuer: 'https://id.example', scope: ['email'] })).toThrow(/openid/)
  expect(() => github({ clientId: 'c', clientSecret: '' })).toThrow(/clientSecret/)
})
