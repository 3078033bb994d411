/** Signing in through an OpenID provider and GitHub, in a real browser with their own pages, whatever keeps the sessions. */
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { useBrowser } from './browser.js'
import { type IdentityRun, startIdentityRun } from './identity-run.js'

describe.each(['opaque', 'sealed'] as const)('%s sessions', (strategy) => {
  const open = useBrowser()
  let run: IdentityRun

  beforeAll(async () => {
    run = await startIdentityRun(strategy)
  })
  afterAll(() => run?.close())

  const visitor = async (): Promise<{ page: Page; complaints: string[] }> => {
    const tab = await open(run.origin)
    run.overhear(tab.page)
    return tab
  }
  /** The other complaints are about the provider's pages, and about answers that are meant to be 403 and 409. */
  const policy = (complaints: readonly string[]) => complaints.filter((text) => /polic|refused|violat/i.test(text))
  const text = (page: Page) => page.innerText('body')
  const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click()
  const link = (page: Page, name: string | RegExp) => page.getByRole('link', { name }).click()

  const byGithub = async (page: Page, path = '/login'): Promise<void> => {
    await page.goto(path)
    await link(page, /with GitHub/)
    await page.click('#authorize')
  }
  const consent = async (page: Page, name: string): Promise<void> => {
    await page.fill('[name=login]', name)
    await page.fill('[name=password]', 'anything')
    await page.click('[type=submit]')
    await page.click('[type=submit]')
    await page.waitForURL(`${run.origin}/**`)
  }
  const byProvider = async (page: Page, name: string, path = '/login'): Promise<void> => {
    await page.goto(path)
    await link(page, /with 127\.0\.0\.1/)
    await consent(page, name)
  }
  const user = async (page: Page) =>
    ((await (await page.request.get('/api/session')).json()) as { user: { id: string; username: string } | null }).user

  test('6.8.1: a first sign-in with GitHub makes an account, the next one finds it, and the guest’s cart comes along', async () => {
    const { page, complaints } = await visitor()
    await page.goto('/')
    await page
      .getByRole('button', { name: /Add to cart/ })
      .first()
      .click()
    await byGithub(page, '/login?next=/cart')
    expect(page.url()).toBe(`${run.origin}/cart`)
    expect(await text(page)).toContain('You are signed in with GitHub.')
    expect(await text(page)).not.toContain('Nothing in it yet')
    const first = await user(page)
    expect(first?.username).toBe('octocat')
    await button(page, 'Sign out')
    expect(await user(page)).toBeNull()
    await byGithub(page, '/login?next=/cart')
    expect(await user(page)).toEqual(first)
    // whether there was an account is said to nobody: the way, the answer and the words are the same.
    expect(page.url()).toBe(`${run.origin}/cart`)
    expect(await text(page)).toContain('You are signed in with GitHub.')
    const cart = (await (await page.request.get('/api/cart')).json()) as { items: unknown[] }
    expect(cart.items).toHaveLength(1)
    expect(policy(complaints)).toEqual([])
  })

  test('the repositories come through the vault, as a page and by the API', async () => {
    const { page } = await visitor()
    expect((await page.request.get('/api/github/repos')).status()).toBe(401)
    await byGithub(page)
    const answer = await page.request.get('/api/github/repos')
    expect(answer.status()).toBe(200)
    const { repositories } = (await answer.json()) as { repositories: { name: string }[] }
    expect(repositories.map(({ name }) => name)).toEqual(['octocat/Hello-World'])
    await page.goto('/account')
    await link(page, 'Your repositories')
    expect(await text(page)).toContain('octocat/Hello-World')
  })

  test('a GitHub that is ill is 503 with the time to wait, one whose grant is gone is 409 with the way to connect', async () => {
    const { page } = await visitor()
    await byGithub(page)
    for (const ill of [500, 429]) {
      run.hub.ill = ill
      const answer = await page.request.get('/api/github/repos')
      run.hub.ill = undefined
      expect(answer.status()).toBe(503)
      expect(Number(answer.headers()['retry-after'])).toBeGreaterThanOrEqual(1)
    }
    run.hub.ill = 418
    const odd = await page.request.get('/api/github/repos')
    run.hub.ill = undefined
    expect(odd.status()).toBe(502)
    expect(odd.headers()['retry-after']).toBe('5')

    for (const token of run.hub.live) (run.hub.live as Set<string>).delete(token)
    const gone = await page.request.get('/api/github/repos')
    expect(gone.status()).toBe(409)
    expect(await gone.json()).toMatchObject({ status: 409, connect: '/account' })
    expect(await user(page)).not.toBeNull()
    await page.goto('/account')
    await button(page, 'Connect here GitHub')
    await page.click('#authorize')
    await page.waitForURL(`${run.origin}/account`)
    expect((await page.request.get('/api/github/repos')).status()).toBe(200)
  })

  test('6.8.2: nobody is let in by a name or an address: who has the same one gets an account of their own', async () => {
    const made = await visitor()
    await made.page.goto('/signup')
    await made.page.fill('[name=username]', 'ann')
    await made.page.fill('[name=password]', 'a few words in a row')
    await button(made.page, 'Create account')
    const ann = await user(made.page)
    const { page } = await visitor()
    await byProvider(page, 'ann')
    const other = await user(page)
    expect(other).not.toBeNull()
    expect(other!.id).not.toBe(ann!.id)
    expect(other!.username).not.toBe('ann')
  })

  test('a provider is connected from inside the account alone, and the last way in cannot be taken away', async () => {
    const { page, complaints } = await visitor()
    await byProvider(page, 'flo')
    const flo = await user(page)
    await page.goto('/account')
    await button(page, `Disconnect ${new URL(run.provider.issuer).host}`)
    expect(await text(page)).toContain('the only way to sign in')

    // GitHub's octocat has an account of their own already: it stays theirs.
    await page.goto('/account')
    await button(page, 'Connect GitHub')
    await page.click('#authorize')
    expect(await text(page)).toContain('opens another account')
    expect(await user(page)).toEqual(flo)

    await page.goto('/account')
    await page.fill('[name=new]', 'another few words in a row')
    await button(page, 'Choose password')
    expect(await text(page)).toContain('You have a password now.')
    await button(page, `Disconnect ${new URL(run.provider.issuer).host}`)
    expect(await text(page)).toContain('It is disconnected.')
    expect(await text(page)).not.toContain('did not confirm')
    expect(await user(page)).toEqual(flo)

    const later = await visitor()
    await byProvider(later.page, 'flo')
    expect((await user(later.page))!.id).not.toBe(flo!.id)
    expect(policy(complaints)).toEqual([])
  })

  test('disconnected, GitHub’s token is revoked there, and everybody else who came in by it is signed out', async () => {
    const { page } = await visitor()
    const elsewhere = await visitor()
    await byGithub(page)
    await byGithub(elsewhere.page)
    await page.goto('/account')
    await button(page, `Connect ${new URL(run.provider.issuer).host}`)
    await consent(page, 'octo')
    expect(await text(page)).toContain('is connected.')
    const live = run.hub.live.size
    await button(page, 'Disconnect GitHub')
    expect(await text(page)).toContain('It is disconnected.')
    expect(run.hub.live.size).toBe(live - 1)
    expect(await user(elsewhere.page)).toBeNull()
    expect((await page.request.get('/api/github/repos')).status()).toBe(409)
  })

  test('who is signed in proves once more who they are, and becomes nobody else by it', async () => {
    const { page } = await visitor()
    await byProvider(page, 'gus')
    const gus = await user(page)
    const before = (await (await page.request.get('/api/session')).json()) as { session: { authenticatedAt: number } }
    // The provider counts in whole seconds.
    await page.waitForTimeout(1_000)
    await page.goto('/confirm?next=/account')
    await link(page, /Confirm with/)
    await page.fill('[name=login]', 'gus')
    await page.fill('[name=password]', 'anything')
    await page.click('[type=submit]')
    await page.waitForURL(`${run.origin}/account`)
    const after = (await (await page.request.get('/api/session')).json()) as { session: { authenticatedAt: number } }
    expect(after.session.authenticatedAt).toBeGreaterThan(before.session.authenticatedAt)
    await page.goto('/oauth/github')
    await page.click('#authorize')
    expect(await text(page)).toContain('You are signed in here to an account that this does not belong to.')
    expect(await user(page)).toEqual(gus)
  })

  test('BL-03: signing out here signs out there, and comes back; no content policy is in the way', async () => {
    const { page, complaints } = await visitor()
    await byProvider(page, 'cid')
    await page.goto('/account')
    await button(page, 'Sign out')
    await page.waitForURL(`${run.provider.issuer}/**`)
    await page.click('[value=yes]')
    await page.waitForURL('**/login?from=logout')
    expect(await text(page)).toContain('You are signed out.')
    expect(await user(page)).toBeNull()
    expect(policy(complaints)).toEqual([])
  })

  test('BL-01: signing out there signs out here', async () => {
    const { page } = await visitor()
    await byProvider(page, 'dan')
    expect(await user(page)).not.toBeNull()
    await page.goto(`${run.provider.issuer}/session/end`)
    await page.click('[value=yes]')
    await page.waitForURL('**/session/end/success**')
    await page.goto(run.origin)
    await expect.poll(() => user(page)).toBeNull()
    expect(run.provider.complaints.filter((one) => one.startsWith('backchannel'))).toEqual([])
  })

  test('A-108: cancelled there is said here, and nobody is signed in', async () => {
    const { page } = await visitor()
    await page.goto('/login')
    await link(page, /with GitHub/)
    await page.click('#cancel')
    expect(await text(page)).toContain('cancelled')
    expect(await user(page)).toBeNull()
  })

  test('A-66: another site cannot connect anything', async () => {
    const { page } = await visitor()
    await byProvider(page, 'hal')
    await page.goto(`${run.provider.issuer}/.well-known/openid-configuration`)
    await page.setContent(`<form method="post" action="${run.origin}/oauth/github/link"><button>go</button></form>`)
    const [answer] = await Promise.all([page.waitForResponse('**/oauth/github/link'), page.click('button')])
    expect(answer.status()).toBe(403)
  })

  test('A-154: no token of a provider and no secret is in an answer, a file or the log, after all of this', async () => {
    expect(run.provider.issued.size).toBeGreaterThan(5)
    expect(run.hub.issued.size).toBeGreaterThan(3)
    expect(run.heard.length).toBeGreaterThan(50)
    expect(run.output()).toContain('authn_login_success')
    // The identity token, which opens nothing, is how a logout names its user to the provider (RP-Initiated Logout, 2).
    // There and nowhere else; and so this search would find the others.
    expect([...new Set(await run.leaks())]).toEqual([`${run.origin}/logout`])
  })
})
