import { createHash, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { fetch } from 'sojourn/adapter/fetch'
import { node } from 'sojourn/adapter/node'
import type { Redeemed } from 'sojourn/token/ticket'
import { describe, expect, test } from 'vitest'
import { type Options, userOf, world } from './fixtures/tickets.js'
import { ORIGIN } from './helpers.js'

describe('POST /ticket', () => {
  const endpoint = async (init: RequestInit, cookie = true, options: Options = {}) => {
    const made = world(options)
    const handle = fetch(made.app.sessions, made.ticket.handler)
    const headers = { ...(cookie ? { cookie: await made.login() } : {}), ...(init.headers as Record<string, string>) }
    const response = await handle(new Request(`${ORIGIN}/api/ticket`, { method: 'POST', ...init, headers }))
    return { ...made, response }
  }
  const json = { 'content-type': 'application/json' }

  test('gives a ticket for the path', async () => {
    const { response, redeem } = await endpoint({ body: '{"path":"/live"}', headers: json })
    expect(response.status).toBe(200)
    expect(response.headers.get('cache-control')).toMatch(/no-store/)
    const { ticket, expires_in } = (await response.json()) as { ticket: string; expires_in: number }
    expect(expires_in).toBe(30)
    expect(userOf(await redeem(ticket))).toBe('ann')
  })

  test('takes a form as well', async () => {
    const { response } = await endpoint({ body: new URLSearchParams({ path: '/live' }) })
    expect(response.status).toBe(200)
  })

  test.each<[string, number, RequestInit, boolean]>([
    ['another method', 405, { method: 'GET' }, true],
    ['no path', 400, { body: '{}', headers: json }, true],
    ['a path elsewhere', 400, { body: '{"path":"//evil.example"}', headers: json }, true],
    ['no object', 400, { body: '[]', headers: json }, true],
    ['a broken body', 400, { body: '{', headers: json }, true],
    ['a body that is too long', 413, { body: 'x'.repeat(70_000), headers: json }, true],
    ['another type', 415, { body: 'path=/live', headers: { 'content-type': 'text/plain' } }, true],
    ['nobody', 401, { body: '{"path":"/live"}', headers: json }, false],
    ['A-138: another site', 403, { body: 'path=/live', headers: { 'sec-fetch-site': 'cross-site' } }, true],
  ])('%s: %i', async (_, status, init, cookie) => {
    const { response } = await endpoint(init, cookie)
    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect(response.headers.get('cache-control')).toMatch(/no-store/)
    if (status === 405) expect(response.headers.get('allow')).toBe('POST')
    if (status === 401) expect(response.headers.get('www-authenticate')).toBe('Bearer realm="session"')
  })
})

/** The example of docs/ticket.md: a WebSocket on node:http, by hand where a library would do it. */
describe('4.4.2: a WebSocket', () => {
  async function serve() {
    const { app, ticket, login, issue } = world()
    const sockets = new Set<{ socket: Duplex; redeemed: Redeemed }>()
    const server = createServer((req, res) => node(app.sessions)(req, res, () => res.end('page')))
    const refuse = (socket: Duplex, status: string) => socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`)
    server.on('upgrade', async (req: IncomingMessage, socket: Duplex) => {
      socket.on('error', () => socket.destroy())
      if (req.headers.origin !== ORIGIN) return refuse(socket, '403 Forbidden')
      const { pathname, searchParams } = new URL(req.url ?? '', ORIGIN)
      const redeemed = await ticket.redeem(searchParams.get('ticket'), pathname, req)
      if (typeof redeemed === 'string') return refuse(socket, '401 Unauthorized')
      const accept = createHash('sha1')
        .update(`${req.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
        .digest('base64')
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      )
      sockets.add({ socket, redeemed })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return { app, login, issue, sockets, server }
  }

  function knock(server: Server, path: string, origin: string): Promise<{ head: string; socket: Socket }> {
    const { port } = server.address() as AddressInfo
    const socket = connect(port, '127.0.0.1')
    const lines = [
      `GET ${path} HTTP/1.1`,
      `Host: 127.0.0.1:${port}`,
      `Origin: ${origin}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    ]
    socket.write(`${lines.join('\r\n')}\r\n\r\n`)
    return new Promise((resolve, reject) => {
      socket.once('error', reject)
      socket.once('data', (data) => resolve({ head: String(data).split('\r\n', 1)[0]!, socket }))
    })
  }

  test('A-123: opens with a ticket and the right origin, once, and is closed when the session ends', async () => {
    const { app, login, issue, sockets, server } = await serve()
    try {
      const cookie = await login()
      const text = await issue(cookie)
      expect((await knock(server, `/live?ticket=${text}`, 'https://evil.example')).head).toMatch(/ 403 /)
      expect((await knock(server, `/live?ticket=${text}`, 'null')).head).toMatch(/ 403 /)
      expect((await knock(server, '/live', ORIGIN)).head).toMatch(/ 401 /)
      expect((await knock(server, `/other?ticket=${text}`, ORIGIN)).head).toMatch(/ 401 /)
      const opened = await knock(server, `/live?ticket=${text}`, ORIGIN)
      expect(opened.head).toMatch(/ 101 /)
      expect((await knock(server, `/live?ticket=${text}`, ORIGIN)).head).toMatch(/ 401 /)

      const closed = new Promise<void>((resolve) => opened.socket.once('close', () => resolve()))
      await app.request(cookie, (session) => session.logout())
      for (const { socket, redeemed } of sockets) if (!(await redeemed.alive())) socket.destroy()
      await closed
    } finally {
      for (const { socket } of sockets) socket.destroy()
      server.close()
    }
  })
})
