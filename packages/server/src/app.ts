/**
 * What stands before the routes: every response is logged and carries the security headers, whoever made it, and no
 * request reaches a session with an endless body.
 */
import type { HttpBindings } from '@hono/node-server'
import { Hono, type MiddlewareHandler } from 'hono'
import { cors } from 'hono/cors'
import { secureHeaders } from 'hono/secure-headers'
import { bounded, MAX_BODY } from './body.js'
import type { Config } from './config.js'
import { type Health, healthRoutes } from './health.js'
import type { Logger } from './log.js'
import type { Metrics } from './metrics.js'
import { type Peer, peerOf } from './peer.js'
import { failure, refuseOtherMethods, thrownError } from './routes.js'

/** What the app is made of. */
export interface AppParts {
  /** The routes, with sessions. */
  readonly handle: (request: Request, peer: Peer) => Response | Promise<Response>
  readonly health: Health
  readonly config: Pick<Config, 'origin' | 'https' | 'trustProxy' | 'allowedOrigins'>
  readonly log: Logger
  readonly metrics: Pick<Metrics, 'request'>
}

type Env = { Bindings: HttpBindings; Variables: { peer: Peer } }

/** The whole server, but for the socket. */
export function createApp({ handle, health, config, log, metrics }: AppParts): Hono<Env> {
  const app = new Hono<Env>()
  const behind = config.origin?.startsWith('https:') === true
  app.use(async (c, next) => {
    const peer = peerOf(c.env.incoming, config.trustProxy)
    c.set('peer', { ip: peer.ip, secure: behind || peer.secure })
    await next()
    if (health.draining) c.header('connection', 'close')
  })
  app.use(logged(log, metrics), hardened(config.https))
  if (config.allowedOrigins) crossOrigin(app, config.allowedOrigins)
  healthRoutes(app, health)
  refuseOtherMethods(app)
  app.all('*', async (c) => {
    const request = await bounded(c.req.raw)
    if (!request) return failure(c, 413, `A request holds at most ${MAX_BODY / 1024} KB.`, { connection: 'close' })
    return handle(request, c.get('peer'))
  })
  app.onError(thrownError(log))
  return app
}

/** Their pages send a token and no cookie: what a browser attaches on its own stays with the site itself. */
function crossOrigin(app: Hono<Env>, origins: readonly string[]): void {
  const allowed = cors({
    origin: [...origins],
    allowMethods: ['GET', 'POST', 'DELETE'],
    allowHeaders: ['Authorization', 'Content-Type'],
    exposeHeaders: ['Session-Token', 'WWW-Authenticate', 'Retry-After'],
    maxAge: 600,
  })
  app.use('/api/*', allowed)
}

function logged(log: Logger, metrics: AppParts['metrics']): MiddlewareHandler<Env> {
  return async (c, next) => {
    const start = performance.now()
    await next()
    const took = performance.now() - start
    metrics.request(c.req.method, c.res.status, took / 1000)
    const ms = Math.round(took * 10) / 10
    // Of the URL as it came, which is ASCII: the router's own path is decoded, and may hold what commands a terminal.
    const path = new URL(c.req.url).pathname
    log.info({ method: c.req.method, path, status: c.res.status, ms, ip: c.get('peer').ip })
  }
}

/**
 * Nothing is inline, so the policy needs no nonce. A referrer within the site lets old browsers say `Origin`. With a
 * certificate of its own making (`own`) browsers are not told to insist on HTTPS: for a year, whatever else runs on this
 * machine would have to speak it too.
 */
function hardened(own: boolean): MiddlewareHandler<Env> {
  const common: Parameters<typeof secureHeaders>[0] = {
    contentSecurityPolicy: {
      defaultSrc: ["'none'"],
      styleSrc: ["'self'"],
      imgSrc: ["'self'", 'data:'],
      formAction: ["'self'"],
      baseUri: ["'none'"],
      objectSrc: ["'none'"],
      frameAncestors: ["'none'"],
    },
    referrerPolicy: 'same-origin',
    xFrameOptions: 'DENY',
  }
  const plain = secureHeaders({ ...common, strictTransportSecurity: false })
  const encrypted = own
    ? plain
    : secureHeaders({ ...common, strictTransportSecurity: 'max-age=31536000; includeSubDomains' })
  return async (c, next) => {
    let stricter: string | null = null
    await (c.get('peer').secure ? encrypted : plain)(c, async () => {
      await next()
      stricter = c.res.headers.get('referrer-policy')
    })
    // Where an address holds what a provider sent along, nobody is told of it.
    if (stricter !== null) c.header('referrer-policy', stricter)
  }
}
