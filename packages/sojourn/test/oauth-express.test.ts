/** The lines of `docs/oauth.md` that put a sign-in under Express, on a socket, with a logout that comes from the provider. */
import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import createExpress, { type Response as Answer, type Request as Asked } from 'express'
import { createSessions, Fault } from 'sojourn'
import { express } from 'sojourn/adapter/express'
import { logoutReceiver } from 'sojourn/identity/logout'
import { oauth, oidc } from 'sojourn/identity/oauth'
import { memory } from 'sojourn/store/memory'
import { expect, onTestFinished, test } from 'vitest'
import { listening } from './fixtures/servers.js'
import { KEY } from './helpers.js'
import { startLiar } from './providers/liar.js'
import { Visitor } from './providers/visitor.js'

test('BL-01, A-113: under Express: in, out at the provider, and nothing half-way where a vault fails', async () => {
  const liar = await startLiar()
  const sessions = createSessions({ keys: KEY })
  const app = createExpress()
  const { port, close } = await listening(createServer(app))
  onTestFinished(() => void close())
  const origin = `http://localhost:${port}`
  const store = memory()
  const signIn = oauth({ keys: KEY, origin, providers: { id: oidc(liar) }, store })
  const logout = logoutReceiver({ sessions, store, oauth: signIn })
  let broken = false

  const toFetch = (req: Asked) => {
    const body = req.method === 'POST' ? { body: Readable.toWeb(req) as ReadableStream, duplex: 'half' } : {}
    return new Request(new URL(req.originalUrl, origin), { method: req.method, headers: req.headers as never, ...body })
  }
  const send = async (res: Answer, response: Response) => {
    res.status(response.status)
    for (const [name, value] of response.headers) res.append(name, value)
    res.send(Buffer.from(await response.arrayBuffer()))
  }

  app.post('/oauth/logout', async (req, res) => send(res, await logout.handler(toFetch(req))))
  app.use(express(sessions))
  app.get('/oauth/:provider', async (req, res) => {
    const begun = await signIn.begin(toFetch(req), req.params.provider)
    if (begun instanceof Response) await send(res, begun)
    else res.status(begun.status).send(begun.says)
  })
  app.get('/oauth/:provider/callback', async (req, res) => {
    const session = await sessions.of(req)
    const keep = () => {
      if (broken) throw new Fault('ERR_STORE', 'the vault is away')
    }
    const how = { account: ({ identity }: { identity: { sub: string } }) => identity.sub, logout, keep }
    await send(res, await signIn.complete(toFetch(req), session, how))
  })
  app.get('/', async (req, res) => void res.send((await sessions.of(req)).userId ?? 'nobody'))

  const visitor = new Visitor(origin)
  const go = async (url: string | URL) => {
    const { headers } = visitor.request(url)
    const response = await fetch(new URL(url, origin), { headers, redirect: 'manual' })
    visitor.take(response.headers)
    return response
  }
  const comeIn = async () => go(liar.agree(new URL((await go('/oauth/id')).headers.get('location')!)))

  liar.bent.claims = { sid: 'sid 1' }
  const back = await comeIn()
  expect([back.status, back.headers.get('location')]).toEqual([303, `${origin}/`])
  expect(await (await go('/')).text()).toBe('ann')

  const iat = Math.floor(Date.now() / 1000)
  const events = { 'http://schemas.openid.net/event/backchannel-logout': {} }
  const claims = { iss: liar.issuer, aud: liar.clientId, iat, exp: iat + 60, jti: 'one', sid: 'sid 1', events }
  const body = new URLSearchParams({ logout_token: await liar.sign('logout+jwt', claims) })
  const heard = await fetch(`${origin}/oauth/logout`, { method: 'POST', body })
  expect(heard.status).toBe(200)
  expect(await (await go('/')).text()).toBe('nobody')

  // A vault that fails: told as a fault; and whatever session there is now, the provider can end.
  broken = true
  liar.bent.claims = { sid: 'sid 2' }
  expect((await comeIn()).status).toBe(503)
  const again = new URLSearchParams({
    logout_token: await liar.sign('logout+jwt', { ...claims, jti: 'two', sid: 'sid 2' }),
  })
  expect((await fetch(`${origin}/oauth/logout`, { method: 'POST', body: again })).status).toBe(200)
  expect(await (await go('/')).text()).toBe('nobody')
  expect(await sessions.list('ann')).toEqual([])
})
