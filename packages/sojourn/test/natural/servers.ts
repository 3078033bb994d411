/** One app under three adapters, each on a socket of its own. */
import { createServer, type RequestListener } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import createExpress from 'express'
import type { Session, Sessions } from 'sojourn'
import { express } from 'sojourn/adapter/express'
import { fetch } from 'sojourn/adapter/fetch'
import { node } from 'sojourn/adapter/node'
import { onTestFinished } from 'vitest'
import { listening } from '../fixtures/servers.js'

/** What the app keeps. */
export interface Data {
  count: number
  marks: Record<string, true>
  [key: `mark ${string}`]: boolean
}

/** What every route answers. */
export interface View {
  readonly id?: string
  readonly user?: string
  readonly refused?: string
  readonly count: number
  readonly marks: readonly string[]
  readonly link: string
}

/** `/add` counts, `/mark/NAME` sets a key of its own, `/login/NAME`, `/logout`, `/rotate`; anything else reads. */
function work(session: Session<Data>, url: string): View {
  const [, verb, argument = ''] = url.split('?')[0]!.split('/')
  if (verb === 'add') session.update('count', (n) => n + 1)
  if (verb === 'mark') session.data[`mark ${argument}`] = true
  if (verb === 'login') session.login(argument)
  if (verb === 'logout') session.logout()
  if (verb === 'rotate') session.rotate()
  const { id, userId, refused, data } = session
  const marks = Object.keys(data).filter((key) => key.startsWith('mark '))
  return {
    ...(id === undefined ? {} : { id }),
    ...(userId === undefined ? {} : { user: userId }),
    ...(refused === undefined ? {} : { refused }),
    count: data.count,
    marks,
    link: session.url('/next'),
  }
}

/** What answers at a path in the app's place: fetch handlers, mounted behind the adapter. */
export type Mounted = (path: string) => ((request: Request) => Promise<Response>) | undefined

/** How a framework listens. */
export interface Adapter {
  readonly name: string
  readonly listener: (sessions: Sessions<Data>, mounted?: Mounted) => RequestListener
}

export const adapters: readonly Adapter[] = [
  {
    name: 'node',
    listener(sessions, mounted) {
      const attach = node(sessions)
      return (req, res) =>
        void attach(req, res, async () => {
          const endpoint = mounted?.(req.url!)
          if (endpoint) return getRequestListener(endpoint)(req, res)
          res.setHeader('content-type', 'application/json')
          res.end(JSON.stringify(work(await sessions.of(req), req.url!)))
        })
    },
  },
  {
    name: 'express',
    listener(sessions, mounted) {
      const app = createExpress()
      app.set('env', 'test')
      app.use(express(sessions))
      app.use(async (req, res) => {
        const endpoint = mounted?.(req.path)
        if (endpoint) return getRequestListener(endpoint)(req, res)
        res.json(work(await sessions.of(req), req.url))
      })
      return app
    },
  },
  {
    name: 'fetch',
    listener(sessions, mounted) {
      const handler = fetch(sessions, async (request) => {
        const { pathname } = new URL(request.url)
        const endpoint = mounted?.(pathname)
        return endpoint ? endpoint(request) : Response.json(work(await sessions.of(request), pathname))
      })
      return getRequestListener(handler)
    },
  },
]

/** A server that runs until the test is over. */
export interface Served {
  readonly port: number
  /** How many connections it has taken. */
  connections(): number
}

/** Serves the app. */
export async function serve(adapter: Adapter, sessions: Sessions<Data>, mounted?: Mounted): Promise<Served> {
  const server = createServer(adapter.listener(sessions, mounted))
  let taken = 0
  server.on('connection', () => taken++)
  const { port, close } = await listening(server)
  onTestFinished(close)
  return { port, connections: () => taken }
}
