/** Sign-in through counterparts that we did not write, in a real browser, for sessions in a store and sealed ones. */
import { createSessions, opaque, sealed } from 'sojourn'
import { github, oidc } from 'sojourn/identity/oauth'
import { memory } from 'sojourn/store/memory'
import { revocations } from 'sojourn/token/revocation'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { useBrowser } from '../../server/test/browser.js'
import { KEY } from './helpers.js'
import { type ProviderApp, startApp, type Way } from './providers/app.js'
import { type GithubSimulator, OCTOCAT, startGithub } from './providers/github.js'
import { type OidcProvider, startOidcProvider } from './providers/oidc.js'

const ways: Record<string, Way> = {
  'opaque sessions': {
    sessions: () => createSessions({ keys: KEY, strategy: opaque({ store: memory() }) }),
    tokens: memory(),
  },
  // No database: the tokens are in the session, and the session is in the browser.
  'sealed sessions': {
    sessions: () =>
      createSessions({ keys: KEY, strategy: sealed({ revocations: revocations({ store: memory(), within: 50 }) }) }),
  },
}

describe.each(Object.entries(ways))('%s', (_, way) => {
  const open = useBrowser()
  let app: ProviderApp
  let provider: OidcProvider
  let hub: GithubSimulator

  beforeAll(async () => {
    app = await startApp(way)
    provider = await startOidcProvider({ origin: app.origin })
    hub = await startGithub({ origin: app.origin })
    const { issuer, clientId, clientSecret } = provider
    app.configure({
      oidc: oidc({ issuer, clientId, clientSecret, offline: true, scope: ['openid', 'email'] }),
      github: github({ url: hub.url, clientId: hub.clientId, clientSecret: hub.clientSecret }),
    })
  })
  afterAll(async () => {
    await app.close()
    await provider.close()
    await hub.close()
  })

  type Page = Awaited<ReturnType<typeof open>>['page']
  const says = (page: Page) => page.textContent('#says')

  /** The provider's own pages: a name, any password, and consent. */
  async function signIn(page: Page, name: string, returnTo = '/cart'): Promise<void> {
    await page.goto(`/begin/oidc?returnTo=${encodeURIComponent(returnTo)}`)
    await page.fill('[name=login]', name)
    await page.fill('[name=password]', 'anything')
    await page.click('[type=submit]')
    await page.click('[type=submit]')
  }

  test('10.2.1: with an OpenID provider: its pages, PKCE, and back to where the visitor was headed', async () => {
    const { page } = await open(app.origin)
    await signIn(page, 'ann', '/cart?item=1')
    expect(page.url()).toBe(`${app.origin}/cart?item=1`)
    const userId = app.accounts.get(`${provider.issuer} ann`)
    expect(await says(page)).toContain(`/cart: ${userId}`)
    const arrived = app.arrived.at(-1)!
    expect(arrived.identity).toEqual({ issuer: provider.issuer, sub: 'ann' })
    expect(arrived.profile).toMatchObject({ email: 'ann@shop.example', emailVerified: false })
    expect(arrived.tokens).toMatchObject({ provider: 'oidc', tokenType: 'bearer', sub: 'ann' })
    expect(arrived.tokens.refreshToken).toBeTypeOf('string')
    expect(JSON.stringify(arrived)).not.toContain(arrived.tokens.accessToken)
    const cookies = await page.context().cookies(app.origin)
    expect(cookies.map(({ name }) => name).filter((name) => name.includes('oauth'))).toEqual([])
    for (const { value } of cookies) expect(value).not.toContain(arrived.tokens.accessToken)
  })

  const failedLogouts = () => provider.complaints.filter((complaint) => !complaint.startsWith('grant.error'))

  test('10.4.5: its refresh token is renewed and rotates; the old one, used again, ends all', async () => {
    const { page } = await open(app.origin)
    await signIn(page, 'bob')
    const { tokens } = app.arrived.at(-1)!
    const next = await app.oauth().refresh('oidc', tokens.refreshToken!, 'bob')
    if (typeof next === 'string') throw new Error(next)
    expect(next).toMatchObject({ provider: 'oidc', sub: 'bob', issuer: provider.issuer })
    expect(next.refreshToken).not.toBe(tokens.refreshToken)
    expect(await app.oauth().refresh('oidc', tokens.refreshToken!, 'bob')).toBe('denied')
    expect(await app.oauth().refresh('oidc', next.refreshToken!, 'bob')).toBe('denied')
  })

  test('RV-01: revoked at the provider, a refresh token is good for nothing', async () => {
    const { page } = await open(app.origin)
    await signIn(page, 'eve')
    const { tokens } = app.arrived.at(-1)!
    expect(await app.oauth().revoke('oidc', tokens)).toBe(true)
    expect(await app.oauth().refresh('oidc', tokens.refreshToken!)).toBe('denied')
  })

  test('BL-03: a logout begun here ends the session at the provider and comes back; another browser goes on', async () => {
    const here = await open(app.origin)
    const there = await open(app.origin)
    await signIn(here.page, 'cid')
    await signIn(there.page, 'cid')
    await here.page.goto('/signout/oidc')
    expect(here.page.url()).toContain(provider.issuer)
    await here.page.click('[value=yes]')
    await here.page.waitForURL('**/bye')
    expect(failedLogouts()).toEqual([])
    expect(await says(here.page)).toContain('/bye: nobody')
    // Another browser has a session of its own at the provider: it goes on.
    await there.page.goto('/cart')
    expect(await says(there.page)).not.toContain('nobody')
  })

  test('BL-05: a logout at the provider ends the session here, also under an identifier that was changed since', async () => {
    const { page } = await open(app.origin)
    await signIn(page, 'dan')
    await page.goto('/rotate')
    await page.goto('/rotate')
    await app.receiver().settled()
    await page.goto('/cart')
    expect(await says(page)).not.toContain('nobody')
    await page.goto(`${provider.issuer}/session/end`)
    await page.click('[value=yes]')
    await page.waitForURL('**/session/end/success**')
    await expect.poll(async () => (await page.goto(`${app.origin}/cart`)) && says(page)).toContain('/cart: nobody')
    expect(failedLogouts()).toEqual([])
  })

  test('A-108: somebody who says no at the provider is told so, and is nobody', async () => {
    const { page } = await open(app.origin)
    await page.goto('/begin/oidc')
    await page.click('a[href*=abort]')
    expect(await says(page)).toContain('cancelled')
    await page.goto('/cart')
    expect(await says(page)).toContain('nobody')
  })

  test('with GitHub: who it is, is the numeric id; its token works and is revoked', async () => {
    const { page } = await open(app.origin)
    await page.goto('/begin/github?returnTo=/repos')
    await page.click('#authorize')
    expect(page.url()).toBe(`${app.origin}/repos`)
    const { identity, profile, tokens } = app.arrived.at(-1)!
    expect(identity).toEqual({ issuer: hub.url, sub: String(OCTOCAT.id) })
    expect(profile).toMatchObject({ login: 'octocat', emailVerified: false })
    expect(hub.live.has(tokens.accessToken)).toBe(true)
    const [api] = app.oauth().apiOf('github')
    const answer = await fetch(`${api}/user`, { headers: { authorization: `Bearer ${tokens.accessToken}` } })
    expect(await answer.json()).toMatchObject({ login: 'octocat' })
    expect(await app.oauth().revoke('github', tokens)).toBe(true)
    expect(hub.live.has(tokens.accessToken)).toBe(false)
  })

  test('6.8.1: GitHub linked to the account that is signed in; then either of them is the way in, and both APIs answer', async () => {
    const { page } = await open(app.origin)
    await signIn(page, 'flo')
    const userId = app.accounts.get(`${provider.issuer} flo`)
    app.accounts.delete(`${hub.url} ${OCTOCAT.id}`)
    await page.click('button')
    await page.click('#authorize')
    expect(app.arrived.at(-1)).toMatchObject({ intent: 'link', userId })
    expect(app.accounts.get(`${hub.url} ${OCTOCAT.id}`)).toBe(userId)
    await page.goto('/me/github')
    expect(await says(page)).toContain('"octocat"')
    await page.goto('/me/oidc')
    expect(await says(page)).toContain('"flo"')
    const cookies = JSON.stringify(await page.context().cookies())
    for (const { tokens } of app.arrived.slice(-2)) expect(cookies).not.toContain(tokens.accessToken)

    const another = await open(app.origin)
    await another.page.goto('/begin/github')
    await another.page.click('#authorize')
    expect(await says(another.page)).toContain(`: ${userId}`)
    app.accounts.delete(`${hub.url} ${OCTOCAT.id}`)
  })

  test('A-66: another site cannot make a browser link an account', async () => {
    const { page } = await open(app.origin)
    await signIn(page, 'gus')
    const form = `<form method="post" action="${app.origin}/begin/github/link"><button>go</button></form>`
    await page.goto(`${provider.issuer}/.well-known/openid-configuration`)
    await page.setContent(form)
    const [answer] = await Promise.all([page.waitForResponse('**/begin/github/link'), page.click('button')])
    expect(answer.status()).toBe(403)
    const got = await page.goto(`${app.origin}/begin/github/link`)
    expect(got?.status()).toBe(400)
  })

  test('A-108: cancelled at GitHub', async () => {
    const { page } = await open(app.origin)
    await page.goto('/begin/github')
    await page.click('#cancel')
    expect(await says(page)).toContain('cancelled')
  })

  test('A-112: ten sign-ins in ten tabs do not disturb each other', async () => {
    const { page } = await open(app.origin)
    const tabs = await Promise.all(Array.from({ length: 10 }, () => page.context().newPage()))
    await Promise.all(tabs.map((tab, i) => tab.goto(`/begin/github?returnTo=/tab-${i}`)))
    for (const [i, tab] of tabs.entries()) {
      await tab.click('#authorize')
      expect(tab.url()).toBe(`${app.origin}/tab-${i}`)
    }
    const names = (await page.context().cookies(app.origin)).map(({ name }) => name)
    expect(names.filter((name) => name.includes('oauth'))).toEqual([])
  })
})
