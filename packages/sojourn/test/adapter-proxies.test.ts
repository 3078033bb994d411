/** What proxies write is believed only where it was said how many stand in front (15.3.4, A-27, A-128). */
import { createServer, type RequestListener } from 'node:http'
import express5 from 'express'
import express4 from 'express4'
import { cookie, createSessions, generateSecret, type Sessions } from 'sojourn'
import { express } from 'sojourn/adapter/express'
import { fetch } from 'sojourn/adapter/fetch'
import { node } from 'sojourn/adapter/node'
import { describe, expect, onTestFinished, test } from 'vitest'
import { listening } from './fixtures/servers.js'

const build = () => createSessions({ keys: generateSecret(), transport: cookie({ name: 's' }) })
type Built = ReturnType<typeof build>

const withNode =
  (hops?: number) =>
  (sessions: Built): RequestListener => {
    const attach = node(sessions, hops === undefined ? {} : { trustProxy: hops })
    return (req, res) => void attach(req, res, async () => res.end(await begin(sessions, req)))
  }

const withExpress =
  (create: typeof express5, trust?: number) =>
  (sessions: Built): RequestListener => {
    const app = create()
    if (trust !== undefined) app.set('trust proxy', trust)
    app.use(express(sessions))
    app.use(async (req, res) => void res.end(await begin(sessions, req)))
    return app
  }

/** Signs somebody in, so that it is written down where from. */
async function begin(sessions: Built, request: object): Promise<string> {
  const session = await sessions.of(request)
  session.login('ada')
  await session.commit()
  return session.device?.ip ?? ''
}

/** What a server makes of a request from 127.0.0.1 with these headers: who asked, and the cookie's name. */
async function ask(serve: (sessions: Built) => RequestListener, headers: Record<string, string>) {
  const server = await listening(createServer(serve(build())))
  onTestFinished(async () => server.close())
  const response = await globalThis.fetch(`http://127.0.0.1:${server.port}/`, { headers })
  const [cookie] = response.headers.getSetCookie()
  return { ip: await response.text(), cookie: cookie?.split('=')[0], secure: cookie?.includes('; Secure') === true }
}

const spoofed = { 'x-forwarded-for': '203.0.113.9, 198.51.100.7', 'x-forwarded-proto': 'https' }
const PLAIN = { ip: '127.0.0.1', cookie: 's', secure: false }
const SECURE = { cookie: '__Host-Http-s', secure: true }
const four = express4 as unknown as typeof express5

describe('proxies', () => {
  test.each([
    ['node', withNode()],
    ['express 5', withExpress(express5)],
    ['express 4', withExpress(four)],
  ])('A-27, A-128: %s believes none, unless it was told to', async (_, serve) => {
    expect(await ask(serve, spoofed)).toEqual(PLAIN)
  })

  test.each([
    ['node', withNode(1)],
    ['express 5', withExpress(express5, 1)],
    ['express 4', withExpress(four, 1)],
  ])('15.3.4: behind one proxy, %s believes what that one added, counted from the right', async (_, serve) => {
    expect(await ask(serve, spoofed)).toEqual({ ip: '198.51.100.7', ...SECURE })
  })

  test('15.3.4: two proxies, two entries; fewer entries than proxies, and none at all', async () => {
    expect(await ask(withNode(2), spoofed)).toEqual({ ip: '203.0.113.9', ...SECURE })
    expect((await ask(withNode(2), { 'x-forwarded-for': '198.51.100.7' })).ip).toBe('198.51.100.7')
    expect(await ask(withNode(2), {})).toEqual(PLAIN)
    expect((await ask(withNode(1), { 'x-forwarded-for': '' })).ip).toBe('127.0.0.1')
    expect(await ask(withNode(1), { 'x-forwarded-proto': 'https, http' })).toEqual(PLAIN)
  })

  test.each([true, -1, 1.5, 'loopback', Number.NaN])(
    'node: `trustProxy: %s` is refused when the server starts',
    (hops) => {
      expect(() => node(build(), { trustProxy: hops as number })).toThrow(/^node: `trustProxy`/)
    },
  )
})

describe('fetch', () => {
  const request = () => new Request('http://localhost/', { headers: spoofed })
  const serve = (sessions: Sessions) => async (request: Request) =>
    new Response(await begin(sessions as Built, request))

  test('A-128: knows nobody, and believes no header, unless `peer` says who it is', async () => {
    const sessions = build()
    const plain = await fetch(sessions, serve(sessions))(request())
    expect([await plain.text(), plain.headers.getSetCookie()[0]]).toEqual(['', expect.stringMatching(/^s=/)])

    const peer = () => ({ ip: '192.0.2.1', secure: true })
    const told = await fetch(sessions, serve(sessions), { peer })(request())
    expect([await told.text(), told.headers.getSetCookie()[0]]).toEqual([
      '192.0.2.1',
      expect.stringMatching(/^__Host-/),
    ])
  })

  test('takes responses whose headers cannot be changed, and lets go of one that it replaces', async () => {
    const sessions = build()
    const redirect = fetch(sessions, async (request) => {
      await begin(sessions, request)
      return Response.redirect('http://localhost/next', 303)
    })
    const answered = await redirect(request())
    expect([answered.status, answered.headers.get('location')]).toEqual([303, 'http://localhost/next'])
    expect(answered.headers.getSetCookie()).toHaveLength(1)

    let cancelled = false
    const cancel = () => {
      cancelled = true
    }
    const tooLarge = fetch(sessions, async (request) => {
      const session = await sessions.of(request)
      session.data.text = 'x'.repeat(2_000_000)
      return new Response(new ReadableStream({ cancel }), { headers: { 'strict-transport-security': 'max-age=1' } })
    })
    const problem = await tooLarge(request())
    expect(problem.status).toBe(500)
    expect(problem.headers.get('strict-transport-security')).toBe('max-age=1')
    expect(cancelled).toBe(true)
  })
})
