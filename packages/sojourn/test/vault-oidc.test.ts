/** From the sign-in at a provider that we did not write to its API and back out: real rotation, real revocation. */
import { createServer } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { acceptNoRevocation, createSessions, opaque, type StrategyFactory, sealed } from 'sojourn'
import { fetch as adapter } from 'sojourn/adapter/fetch'
import { oauth, oidc } from 'sojourn/identity/oauth'
import { type Vault, vault } from 'sojourn/identity/vault'
import { memory } from 'sojourn/store/memory'
import { expect, onTestFinished, test } from 'vitest'
import { listening } from './fixtures/servers.js'
import { VAULT_KEY, type Way } from './fixtures/vault.js'
import { KEY } from './helpers.js'
import { startOidcProvider } from './providers/oidc.js'

/** A browser without a page: cookies by host and port, redirects, and the first form of a page, filled in. */
class Visitor {
  readonly jars = new Map<string, Map<string, string>>()

  async go(to: string, init: RequestInit = {}): Promise<{ url: string; text: string }> {
    for (let url = to, hop: RequestInit = init, hops = 0; hops < 20; hops++) {
      const jar = this.jar(url)
      const cookie = [...jar].map((pair) => pair.join('=')).join('; ')
      const response = await fetch(url, { ...hop, redirect: 'manual', headers: { cookie, ...(hop.headers as object) } })
      for (const line of response.headers.getSetCookie()) {
        const [name = '', value = ''] = line.split(';', 1)[0]!.split(/=(.*)/s)
        if (value === '' || /max-age=0/i.test(line)) jar.delete(name)
        else jar.set(name, value)
      }
      const location = response.headers.get('location')
      if (location === null) return { url, text: await response.text() }
      url = new URL(location, url).href
      hop = {}
    }
    throw new Error('redirected for ever')
  }

  async submit({ url, text }: { url: string; text: string }, fields: Record<string, string>) {
    const action = /<form[^>]* action="([^"]+)"/.exec(text)?.[1]
    if (action === undefined) throw new Error(`no form on ${url}`)
    const hidden = [...text.matchAll(/<input type="hidden" name="(\w+)" value="(\w+)"/g)].map(([, name, value]) => [
      name,
      value,
    ])
    const body = new URLSearchParams({ ...Object.fromEntries(hidden), ...fields })
    return this.go(new URL(action, url).href, { method: 'POST', body })
  }

  jar(url: string): Map<string, string> {
    const { host } = new URL(url)
    if (!this.jars.has(host)) this.jars.set(host, new Map())
    return this.jars.get(host)!
  }
}

const strategies: Record<string, () => StrategyFactory> = {
  opaque: () => opaque({ store: memory() }),
  sealed: () => sealed({ revocations: acceptNoRevocation }),
}

const cases: [string, Way][] = [
  ['opaque', 'session'],
  ['opaque', 'user'],
  ['opaque', 'carried'],
  ['sealed', 'carried'],
]

test.each(cases)('A-116: %s sessions, %s: signed in, renewed once for twenty, disconnected', async (strategy, way) => {
  let ahead = 0
  const clock = () => Date.now() + ahead
  const sessions = createSessions({ keys: KEY, clock, strategy: strategies[strategy]!() })
  let handle: (request: Request) => Promise<Response> = async () => new Response()
  const { port, close } = await listening(createServer(getRequestListener((request) => handle(request))))
  const origin = `http://localhost:${port}`
  const provider = await startOidcProvider({ origin })
  onTestFinished(async () => {
    await close()
    await provider.close()
  })
  const { issuer, clientId, clientSecret } = provider
  const settings = oidc({ issuer, clientId, clientSecret, offline: true, api: [issuer] })
  const signIn = oauth({ keys: KEY, origin, clock, providers: { oidc: settings } })
  const kept: Vault<Record<string, unknown>> = vault({
    sessions,
    keys: VAULT_KEY,
    providers: signIn,
    ...(way === 'carried' ? {} : { store: memory({ clock }), owner: way }),
  })
  const seen: string[] = []
  handle = adapter(sessions, async (request) => {
    const { pathname } = new URL(request.url)
    const session = await sessions.of(request)
    if (pathname === '/begin') {
      const begun = await signIn.begin(request, 'oidc')
      return begun instanceof Response ? begun : new Response(begun.says, begun.status ? { status: begun.status } : {})
    }
    if (pathname === '/oauth/oidc/callback') {
      const arrived = await signIn.callback(request, session)
      if (arrived.refused) return new Response(arrived.says, { status: arrived.status })
      session.login(`user ${arrived.identity.sub}`)
      await kept.keep(session, arrived.tokens)
      seen.push(arrived.tokens.accessToken, arrived.tokens.refreshToken!)
      return new Response('signed in', { headers: arrived.headers })
    }
    if (pathname === '/disconnect') return new Response(await kept.disconnect(session, 'oidc'))
    const answer = await kept.fetch(session, 'oidc', '/me')
    return Response.json(answer.kind === 'answer' ? await answer.response.json() : answer)
  })

  const visitor = new Visitor()
  const login = await visitor.go(`${origin}/begin`)
  const consent = await visitor.submit(login, { login: 'ann', password: 'anything' })
  expect((await visitor.submit(consent, {})).text).toBe('signed in')
  const me = async () => JSON.parse((await visitor.go(`${origin}/me`)).text)
  expect(await me()).toEqual({ sub: 'ann' })
  const before = provider.tokenRequests()

  // The access token has run out; its refresh token works once.
  ahead = 301_000
  const all = await Promise.all(Array.from({ length: 20 }, me))
  expect(all).toEqual(Array(20).fill({ sub: 'ann' }))
  expect(provider.tokenRequests() - before).toBe(1)
  expect(await me()).toEqual({ sub: 'ann' })
  expect(provider.tokenRequests() - before).toBe(1)

  const cookies = [...visitor.jar(origin).values()].join('\n')
  expect(cookies.length).toBeGreaterThan(40)
  for (const token of seen) {
    expect(token.length).toBeGreaterThan(20)
    expect(cookies).not.toContain(token)
    expect(Buffer.from(cookies.replace(/[^\w-]/g, ''), 'base64url').includes(token)).toBe(false)
  }

  expect((await visitor.go(`${origin}/disconnect`)).text).toBe('revoked')
  expect(await me()).toEqual({ kind: 'reconnect', provider: 'oidc', why: 'absent' })
  // It did rotate: the first one is good for nothing.
  expect(await signIn.refresh('oidc', seen[1]!)).toBe('denied')
})
