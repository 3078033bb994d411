/** Express with a middleware that really compresses: it takes the response's verbs, and those who wait for `drain`. */
import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import compression from 'compression'
import express5, { type RequestHandler } from 'express'
import { createSessions, generateSecret, opaque } from 'sojourn'
import { express } from 'sojourn/adapter/express'
import { memory } from 'sojourn/store/memory'
import { describe, expect, onTestFinished, test } from 'vitest'
import { listening } from './fixtures/servers.js'
import { gated } from './helpers.js'

const TEXT = 'a line of text, and another\n'.repeat(20_000)

/** Where it stands: before the session's middleware, after it, or after one that has changed the session already. */
type Place = 'before' | 'after' | 'after a change'

/** What a client gets of a piped text, over a store that takes its time. */
async function get(place: Place, path: string, broken = false): Promise<Response> {
  const store = gated(memory(), async (_, go) => {
    await pause(10)
    if (broken) throw new Error('down')
    return go()
  })
  const sessions = createSessions({
    keys: generateSecret(),
    strategy: opaque({ store }),
    initial: () => ({ visits: 0 }),
  })
  const change: RequestHandler = async (req, _res, next) => {
    const session = await sessions.of(req)
    session.data.visits++
    next()
  }
  const order = {
    before: [compression(), express(sessions), change],
    after: [express(sessions), compression(), change],
    'after a change': [express(sessions), change, compression()],
  }
  const app = express5()
  for (const each of order[place]) app.use(each as RequestHandler)
  app.get('/text', (_req, res) => void res.type('text').send(TEXT))
  app.get('/pipe', (_req, res) => {
    res.type('text')
    Readable.from(TEXT.match(/.{1,200}/gs)!, { objectMode: false }).pipe(res)
  })
  const server = await listening(createServer(app))
  onTestFinished(async () => server.close())
  return fetch(`http://127.0.0.1:${server.port}${path}`, { signal: AbortSignal.timeout(5_000) })
}

describe.each<Place>(['before', 'after', 'after a change'])('compression %s', (place) => {
  test.each(['/text', '/pipe'])('%s arrives compressed and whole, with its session', async (path) => {
    const response = await get(place, path)
    expect(response.headers.get('content-encoding')).toMatch(/gzip|br/)
    expect(await response.text()).toBe(TEXT)
    expect(response.headers.getSetCookie()).toHaveLength(1)
  })

  test.each(['/text', '/pipe'])(
    'A-80: a store that fails at the commit is a problem that can be read: %s',
    async (path) => {
      const response = await get(place, path, true)
      expect(response.status).toBe(503)
      expect(await response.json()).toMatchObject({ status: 503, title: 'Service Unavailable' })
      expect(response.headers.getSetCookie()).toEqual([])
    },
  )
})
