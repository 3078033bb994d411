/** The lines of `docs/oauth.md` that put a sign-in under Express, on a socket, with a logout that comes from the provider. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import type { Request as ExpressRequest, Response as ExpressResponse, RequestHandler } from 'express'
import express5 from 'express'
import express4 from 'express4'
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

const versions: readonly (readonly [string, typeof express5])[] = [
  ['5', express5],
  ['4', express4 as unknown as typeof express5],
]

test.each(versions)(
  'BL-01, A-113: under Express %s: in, out at the provider, and nothing half-way where a vault fails',
  async (_, createExpress) => {
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

    const answered = (handle: (request: Request, req: ExpressRequest) => Promise<Response>): RequestHandler => {
      const answer = async (req: ExpressRequest, res: ExpressResponse) => {
        const { method, headers } = req
        const body = method === 'POST' ? { body: Readable.toWeb(req), duplex: 'half' } : {}
        const url = new URL(req.originalUrl, origin)
        const response = await handle(new Request(url, { method, headers, ...body } as RequestInit), req)
        res.status(response.status)
        for (const [name, value] of response.headers) {
          if (name === 'set-cookie') res.append(name, value)
          else res.set(name, value)
        }
        res.send(Buffer.from(await response.arrayBuffer()))
      }
      // Express 4 hears of no rejection by itself, and the process would end.
      return (req, res, next) => void answer(req, res).catch(next)
    }

    app.post('/oauth/logout', answered(logout.handler))
    app.use(express(sessions))
    app.get(
      '/oauth/:provider',
      answered(async (request, req) => {
        const begun = await signIn.begin(request, req.params.provider as string)
        return begun instanceof Response ? begun : new Response(begun.says, { status: begun.status })
      }),
    )
    app.get(
      '/oauth/:provider/callback',
      answered(async (request, req) => {
        const keep = () => {
          if (broken) throw new Fault('ERR_STORE', 'the vault is away')
        }
        const how = { account: ({ identity }: { identity: { sub: string } }) => identity.sub, logout, keep }
        return signIn.complete(request, await sessions.of(req), how)
      }),
    )
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
    expect(back.headers.get('cache-control')).toMatch(/^(private, )?no-store$/)
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

    // What no URL parser takes, and a body that breaks off: nobody's rejection is left alone.
    for (const [line, rest, answer] of [
      ['GET http://a:99999/oauth/id/callback', '\r\n', /^HTTP\/1.1 500/],
      [
        'POST /oauth/logout',
        'content-type: application/x-www-form-urlencoded\r\ncontent-length: 99\r\n\r\na=',
        /^HTTP\/1.1 400/,
      ],
    ] as const) {
      const socket = connect(port, 'localhost')
      await once(socket, 'connect')
      socket.end(`${line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${rest}`)
      expect(await text(socket)).toMatch(answer)
    }
  },
)
