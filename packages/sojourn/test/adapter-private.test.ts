/** An answer for one visitor says that it is no cache's, once, however it is sent; unless the app says something else. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, get, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import createExpress from 'express'
import { createSessions, opaque } from 'sojourn'
import { express } from 'sojourn/adapter/express'
import { node } from 'sojourn/adapter/node'
import { memory } from 'sojourn/store/memory'
import { describe, expect, onTestFinished, test } from 'vitest'
import { listening } from './fixtures/servers.js'
import { gated, KEY } from './helpers.js'

type Answer = (res: ServerResponse) => unknown

/** A sessions object over a store that takes its time. */
const slow = () => {
  const store = gated(memory(), async (_, go) => {
    await pause(1)
    return go()
  })
  return createSessions({ keys: KEY, strategy: opaque({ store }) })
}

/** What came of a request: the lines of a header, as they were on the wire. */
async function asked(listener: RequestListener): Promise<(name: string) => string[]> {
  const { port, close } = await listening(createServer(listener))
  onTestFinished(close)
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get({ port, host: '127.0.0.1', agent: false }, resolve).on('error', reject)
  })
  response.resume()
  expect(response.statusCode).toBe(200)
  const { rawHeaders } = response
  return (name) => rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name)
}

/** Behind two adapters. `changed`: whether the session is. `wrap` is a middleware after them, or before them. */
function answered(
  answer: Answer,
  changed: boolean,
  wrap: (res: ServerResponse) => void = () => {},
  before = false,
): Promise<(name: string) => string[]> {
  const [one, two] = [slow(), createSessions({ keys: KEY, strategy: opaque({ store: memory() }) })]
  const [first, second] = [node(one), node(two)]
  return asked((req, res) => {
    if (before) wrap(res)
    return first(req, res, () =>
      second(req, res, async () => {
        if (!before) wrap(res)
        const session = await one.of(req)
        await two.of(req)
        if (changed) session.data.n = 1
        await answer(res)
      }),
    )
  })
}

const ways: Record<string, Answer> = {
  end: (res) => res.end('text'),
  'end without a body': (res) => res.end(),
  write(res) {
    res.write('text')
    res.end()
  },
  flushHeaders(res) {
    res.flushHeaders()
    res.end('text')
  },
  writeHead: (res) => res.writeHead(200).end('text'),
  'writeHead with a reason': (res) => res.writeHead(200, 'Fine').end('text'),
  'setHeader and end': (res) => res.setHeader('x-a', '1').end('text'),
}

/** All that node takes. */
const heads: Record<string, unknown[]> = {
  headers: [{ 'x-a': '1', 'x-b': '2' }],
  'a reason and headers': ['Fine', { 'x-a': '1', 'x-b': '2' }],
  'no reason and headers': [undefined, { 'x-a': '1', 'x-b': '2' }],
  'null and headers': [null, { 'x-a': '1', 'x-b': '2' }],
  'headers and nothing': [{ 'x-a': '1', 'x-b': '2' }, undefined],
  'a list': [['x-a', '1', 'x-b', '2']],
  'a list of pairs': [
    [
      ['x-a', '1'],
      ['x-b', '2'],
    ],
  ],
}

const writeHead = (res: ServerResponse, ...args: unknown[]) =>
  (res.writeHead as (...args: unknown[]) => ServerResponse).call(res, 200, ...args)

/** A middleware that puts something into the head. */
const adding =
  (...args: unknown[]) =>
  (res: ServerResponse) => {
    const before = res.writeHead as (...args: unknown[]) => ServerResponse
    res.writeHead = (status: number) => before.call(res, status, ...args)
  }

describe.each([
  ['read', false],
  ['changed', true],
] as const)('a session that is %s', (_, changed) => {
  test.each(Object.keys(ways))('%s: private, said once', async (way) => {
    expect((await answered(ways[way]!, changed))('cache-control')).toEqual(['private, no-store'])
  })

  describe.each([
    ['before', true],
    ['after', false],
  ] as const)('a middleware %s it that adds to the head', (_, before) => {
    test.each(Object.keys(ways))('%s: private, and added', async (way) => {
      const lines = await answered(ways[way]!, changed, adding({ 'x-late': '1' }), before)
      expect([lines('cache-control'), lines('x-late')]).toEqual([['private, no-store'], ['1']])
    })

    test('no reason and headers', async () => {
      const lines = await answered(ways.end!, changed, adding(undefined, { 'x-late': '1' }), before)
      expect([lines('cache-control'), lines('x-late')]).toEqual([['private, no-store'], ['1']])
    })
  })

  test.each(Object.keys(heads))('writeHead with %s keeps them all', async (what) => {
    const lines = await answered((res) => writeHead(res, ...heads[what]!).end('text'), changed)
    expect([lines('cache-control'), lines('x-a'), lines('x-b')]).toEqual([['private, no-store'], ['1'], ['2']])
  })

  test('what the app says itself stands', async () => {
    const own = 'private, max-age=5'
    for (const answer of [
      (res: ServerResponse) => res.setHeader('Cache-Control', own).end('text'),
      (res: ServerResponse) => res.writeHead(200, { 'Cache-Control': own }).end('text'),
    ])
      expect((await answered(answer, changed))('cache-control')).toEqual([own])
  })

  // These say that anybody may keep it, where nobody has said anything.
  test.each(['res.sendFile', 'express.static'])('%s: private all the same', async (by) => {
    const folder = mkdtempSync(join(tmpdir(), 'sojourn-private-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    writeFileSync(join(folder, 'invoice.txt'), 'an invoice')
    const sessions = slow()
    const app = createExpress()
    app.use(express(sessions))
    app.use(async (req, _res, next) => {
      const session = await sessions.of(req)
      if (changed) session.data.n = 1
      req.url = '/invoice.txt'
      next()
    })
    if (by === 'express.static') app.use(createExpress.static(folder, { maxAge: '1d' }))
    else app.use((_req, res) => res.sendFile(join(folder, 'invoice.txt')))
    expect((await asked(app))('cache-control')).toEqual(['private, no-store'])
  })
})
