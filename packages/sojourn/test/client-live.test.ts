/** Streams and sockets that are opened by tickets, and come back by fresh ones. */
import type { Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { useBrowser } from '../../server/test/browser.js'
import { type ClientServer, clientServer } from './fixtures/client-server.js'
import { BODY, heard, login, logout, signedIn, tab } from './fixtures/client-tabs.js'

/** Tickets that were shown at a path, in order. */
const shown = (server: ClientServer, path: string) =>
  server.to(path).map(({ url }) => new URL(url).searchParams.get('ticket'))

/** Opens it, and writes down what comes. */
const listen = (page: Page, how: 'eventSource' | 'webSocket', path: string) =>
  page.evaluate(
    ([how, path]) => {
      window.heard = []
      const connection = window.client[how](path)
      Object.assign(window, { connection })
      for (const type of ['open', 'message', 'named', 'close'])
        connection.addEventListener(type, (event) => window.heard.push(event.data === undefined ? type : event.data))
    },
    [how, path] as const,
  )

describe('with a browser', () => {
  const open = useBrowser()

  test.each([
    ['eventSource', '/live', ['open', 'marguerite', 'yes']],
    ['webSocket', '/socket', ['open', 'hello marguerite']],
  ] as const)('A-117 A-118: %s opens with a ticket, and comes back with a fresh one', async (how, path, greeting) => {
    const server = await clientServer()
    const page = await tab(open, server, BODY)
    await login(page)
    await listen(page, how, path)
    for (let times = 1; times <= 3; times++) {
      await expect.poll(() => page.evaluate(() => window.heard), { timeout: 10_000 }).toEqual(greeting)
      await heard(page)
      expect(shown(server, path)).toHaveLength(times)
      if (times < 3) server.breakConnections()
    }
    const tickets = shown(server, path)
    expect(new Set(tickets).size, 'each its own').toBe(3)
    expect(tickets.every((ticket) => ticket !== null)).toBe(true)
    expect(server.to('/api/ticket').map(({ body }) => body)).toEqual(Array(3).fill(JSON.stringify({ path })))
    const ids = server.to(path).map(({ url }) => new URL(url).searchParams.get('last-event-id'))
    expect(ids).toEqual(how === 'eventSource' ? [null, '1', '2'] : [null, null, null])
    const urls = server.seen.map(({ url }) => url).join('\n')
    for (const { answer } of server.to('/api/token')) {
      const { access_token, refresh_token } = JSON.parse(answer!) as Record<string, string>
      expect(urls.includes(access_token!) || urls.includes(refresh_token!), 'no token in an address').toBe(false)
    }

    await logout(page)
    await expect.poll(() => page.evaluate(() => window.heard)).toContain('close')
    await page.waitForTimeout(1_200)
    expect(shown(server, path), 'a logout is the end').toHaveLength(3)
  })

  test('A-123: a session that has ended gives no more tickets, and the connection stays closed', async () => {
    const server = await clientServer()
    const page = await tab(open, server, BODY)
    await login(page)
    await listen(page, 'webSocket', '/socket')
    await expect.poll(() => page.evaluate(() => window.heard)).toEqual(['open', 'hello marguerite'])
    await server.endAll('marguerite')
    server.breakConnections()
    await expect.poll(() => page.evaluate(() => window.heard), { timeout: 10_000 }).toContain('close')
    await page.waitForTimeout(1_200)
    expect(shown(server, '/socket')).toHaveLength(1)
  })

  test('a ticket that is refused ends the connection, and not the login', async () => {
    const server = await clientServer()
    const page = await tab(open, server, BODY)
    await login(page)
    server.fate = ({ path }) => (path === '/api/ticket' ? 403 : undefined)
    await listen(page, 'eventSource', '/live')
    await expect.poll(() => page.evaluate(() => window.heard)).toEqual(['close'])
    expect(await signedIn(page)).toBe(true)
    expect(server.to('/api/ticket')).toHaveLength(1)
  })

  test('a ticket endpoint that fails for a while is asked again', async () => {
    const server = await clientServer()
    const page = await tab(open, server, BODY)
    await login(page)
    let failures = 2
    server.fate = ({ path }) => (path === '/api/ticket' && failures-- > 0 ? 503 : undefined)
    await listen(page, 'eventSource', '/live')
    await expect
      .poll(() => page.evaluate(() => window.heard), { timeout: 10_000 })
      .toEqual(['open', 'marguerite', 'yes'])
    expect(server.to('/api/ticket')).toHaveLength(3)
  })

  test('a socket sends, refuses to send while it is not connected, and ends when it is closed', async () => {
    const server = await clientServer()
    const page = await tab(open, server, BODY)
    await login(page)
    await listen(page, 'webSocket', '/socket')
    const send = () =>
      page.evaluate(() => {
        try {
          ;(window as never as { connection: { send(text: string): void } }).connection.send('hi')
          return 'sent'
        } catch (error) {
          return (error as Error).name
        }
      })
    await expect.poll(() => page.evaluate(() => window.heard)).toEqual(['open', 'hello marguerite'])
    expect(await send()).toBe('sent')
    await expect.poll(() => page.evaluate(() => window.heard)).toEqual(['open', 'hello marguerite', 'heard'])
    await page.evaluate(() => (window as never as { connection: { close(): void } }).connection.close())
    expect(await send()).toBe('InvalidStateError')
    expect(await heard(page)).toEqual(['open', 'hello marguerite', 'heard', 'close'])
  })

  test('A-117: a download by a ticket works once', async () => {
    const server = await clientServer()
    const page = await tab(open, server, BODY)
    await login(page)
    const address = await page.evaluate(() => window.client.withTicket('/download?as=pdf#top'))
    expect(address).toMatch(new RegExp(`^${server.url}/download\\?as=pdf&ticket=[^&]+#top$`))
    expect((await fetch(address)).status).toBe(200)
    expect((await fetch(address)).status).toBe(401)
  })

  test('tickets of one origin are sent to no other', async () => {
    const server = await clientServer()
    const page = await tab(open, server, BODY)
    for (const url of ['https://other.example/live', 'wss://other.example/socket', '//127.0.0.1:1/live'])
      await expect(page.evaluate((url) => void window.client.eventSource(url), url)).rejects.toThrow('open nothing at')
  })
})
