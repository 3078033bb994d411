/** An answer for one visitor says that it is no cache's, once, however it is sent; unless the app says something else. */
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http'
import { createSessions, opaque } from 'sojourn'
import { node } from 'sojourn/adapter/node'
import { memory } from 'sojourn/store/memory'
import { describe, expect, onTestFinished, test } from 'vitest'
import { listening } from './fixtures/servers.js'
import { gated, KEY } from './helpers.js'

type Answer = (res: ServerResponse) => unknown

/** The values of `Cache-Control` on the wire, line by line. `changed`: whether the session is. */
async function said(answer: Answer, changed: boolean, wrap?: (res: ServerResponse) => void): Promise<string[]> {
  const store = gated(memory(), async (_, go) => {
    await new Promise((resolve) => setTimeout(resolve, 1))
    return go()
  })
  const made = [store, memory()].map((store) => createSessions({ keys: KEY, strategy: opaque({ store }) }))
  const [one, two] = made.map((sessions) => node<Record<string, unknown>>(sessions))
  const handle = async (req: IncomingMessage, res: ServerResponse) => {
    const session = await made[0]!.of(req)
    if (changed) session.data.n = 1
    await answer(res)
  }
  const server = createServer((req, res) =>
    one!(req, res, () =>
      two!(req, res, () => {
        wrap?.(res)
        return handle(req, res)
      }),
    ),
  )
  const { port, close } = await listening(server)
  onTestFinished(close)
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get({ port, host: '127.0.0.1', agent: false }, resolve).on('error', reject)
  })
  response.resume()
  expect(response.statusCode).toBe(200)
  return response.rawHeaders.filter((_, i) => response.rawHeaders[i - 1]?.toLowerCase() === 'cache-control')
}

const ways: Record<string, Answer> = {
  end: (res) => res.end('text'),
  'end without a body': (res) => res.end(),
  write: (res) => res.write('text') && res.end(),
  flushHeaders(res) {
    res.flushHeaders()
    res.end('text')
  },
  writeHead: (res) => res.writeHead(200).end('text'),
  'writeHead with a reason': (res) => res.writeHead(200, 'Fine').end('text'),
  'writeHead with headers': (res) => res.writeHead(200, { 'x-a': '1' }).end('text'),
  'writeHead with a list': (res) => res.writeHead(200, ['x-a', '1', 'x-b', '2']).end('text'),
  'setHeader and end': (res) => res.setHeader('x-a', '1').end('text'),
}

describe.each([
  ['read', false],
  ['changed', true],
] as const)('a session that is %s', (_, changed) => {
  test.each(Object.keys(ways))('%s: private, said once', async (way) => {
    expect(await said(ways[way]!, changed)).toEqual(['private, no-store'])
  })

  test.each(Object.keys(ways))('%s, through a middleware that adds headers to the head', async (way) => {
    const wrap = (res: ServerResponse) => {
      const before = res.writeHead
      res.writeHead = (status: number) => before.call(res, status, { 'x-late': '1' } as never)
    }
    expect(await said(ways[way]!, changed, wrap)).toEqual(['private, no-store'])
  })

  test.each(['setHeader', 'writeHead', 'a middleware around it'])('what the app says by %s stands', async (by) => {
    const own = { 'Cache-Control': 'private, max-age=5' }
    const wrap = (res: ServerResponse) => {
      const before = res.writeHead
      res.writeHead = (status: number) => before.call(res, status, own as never)
    }
    const answer: Record<string, Answer> = {
      setHeader: (res) => res.setHeader('Cache-Control', own['Cache-Control']).end('text'),
      writeHead: (res) => res.writeHead(200, own).end('text'),
    }
    const lines = await said(answer[by] ?? ways.end!, changed, by in answer ? undefined : wrap)
    // What comes only with the head comes after the cookie was set, and is not looked at any more.
    expect(lines).toEqual([own['Cache-Control']])
  })
})
