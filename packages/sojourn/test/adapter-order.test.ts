/** `res.end(view(session))`: what is called is looked up before its argument, in which the session is changed. */
import { createServer, type RequestListener, type ServerResponse } from 'node:http'
import createExpress from 'express'
import { createSessions, header, opaque, type UserStore } from 'sojourn'
import { express } from 'sojourn/adapter/express'
import { node } from 'sojourn/adapter/node'
import { memory } from 'sojourn/store/memory'
import { describe, expect, onTestFinished, test } from 'vitest'
import { listening } from './fixtures/servers.js'
import { type Around, gated, KEY } from './helpers.js'

type Change = () => Promise<string>
type Answer = (res: ServerResponse, change: Change) => Promise<unknown>

const answers: Record<string, Answer> = {
  end: async (res, change) => res.end(await change()),
  write: async (res, change) => {
    res.write(await change())
    res.end()
  },
  writeHead: async (res, change) => {
    res.writeHead(200, { 'x-view': await change() })
    res.end('visit 1')
  },
}

const kinds: Record<string, Around> = {
  synchronous: (_, go) => go(),
  asynchronous: async (_, go) => {
    await new Promise((resolve) => setTimeout(resolve, 2))
    return go()
  },
}

const down = () => {
  throw new Error('down')
}

async function served(adapter: 'node' | 'express', answer: Answer, store: UserStore): Promise<string> {
  const sessions = createSessions({
    keys: KEY,
    strategy: opaque({ store }),
    transport: header(),
    initial: () => ({ visits: 0 }),
  })
  const attach = node(sessions)
  const work = (req: object, res: ServerResponse) =>
    answer(res, async () => `visit ${(await sessions.of(req)).update('visits', (n) => n + 1)}`)
  const app = createExpress()
  app.use(express(sessions))
  app.use((req, res) => work(req, res))
  const plain: RequestListener = (req, res) => void attach(req, res, () => work(req, res))
  const { port, close } = await listening(createServer(adapter === 'node' ? plain : app))
  onTestFinished(close)
  return `http://127.0.0.1:${port}/`
}

describe.each(['node', 'express'] as const)('%s', (adapter) => {
  describe.each(Object.keys(kinds))('%s store', (kind) => {
    test.each(Object.keys(answers))('%s(change(session)) waits for the commit', async (verb) => {
      const url = await served(adapter, answers[verb]!, gated(memory(), kinds[kind]!))
      // Twice on one connection: nothing of the first answer is left over.
      for (let i = 0; i < 2; i++) {
        const response = await fetch(url)
        expect(response.status).toBe(200)
        expect(await response.text()).toBe('visit 1')
        const authorization = `Bearer ${response.headers.get('session-token')}`
        expect(await (await fetch(url, { headers: { authorization } })).text()).toBe(
          verb === 'writeHead' ? 'visit 1' : 'visit 2',
        )
      }
    })

    test.each(Object.keys(answers))('%s(change(session)) over a store that is down is a 503', async (verb) => {
      const failing: Around = (called, go, args) => kinds[kind]!(called, called === 'set' ? down : go, args)
      const url = await served(adapter, answers[verb]!, gated(memory(), failing))
      for (let i = 0; i < 2; i++) {
        const response = await fetch(url)
        expect(response.status).toBe(503)
        expect(await response.json()).toMatchObject({ status: 503 })
        expect(response.headers.has('session-token')).toBe(false)
      }
    })
  })
})
