/** Sessions under Express 4 and 5. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { NodeExchange } from '../http/exchange.js'
import type { Sessions } from '../sessions.js'
import { enter } from './node.js'

/** The part of an Express request that is used here, by structure: Express is not imported. */
interface ExpressRequest extends IncomingMessage {
  readonly originalUrl?: string
  readonly secure?: boolean
  readonly ip?: string | undefined
  /** Its response, and that has `req`. */
  res?: unknown
}

/** An Express middleware. */
export type ExpressMiddleware = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void

/**
 * The middleware: `app.use(express(sessions))`, then `await sessions.of(req)` in any handler. Who the client is and
 * whether the connection is secure is what Express says (its `trust proxy` setting).
 */
export function express<Data extends object>(sessions: Sessions<Data>): ExpressMiddleware {
  return (req, res, next) => {
    if (FORGETFUL) remember(req, res)
    if (enter(sessions, new ExpressExchange(req, res, NOBODY), req, res)) next()
  }
}

/** Whether V8 is older than what Node 24 has, which looks properties up anew on each object whose prototype was changed. */
const FORGETFUL = Number.parseInt(process.versions.node, 10) < 24

/**
 * Express changes the prototype of each request and response. An older V8 gives such an object a layout that no other one
 * shares as soon as it gets a property, so that nothing it has learned of one holds for the next, and every look costs
 * a microsecond, ours and Express's own. An object that lost a property is a table, and all tables share one layout:
 * the two that Express has linked are parted and linked again, and an app with sessions is faster than one without.
 */
function remember(req: ExpressRequest, res: { req?: unknown }): void {
  if (req.res !== res || res.req !== req) return
  delete req.res
  req.res = res
  delete res.req
  res.req = req
}

/** Proxies are Express's affair. */
const NOBODY = { hops: 0 }

class ExpressExchange extends NodeExchange {
  override get url(): string {
    return (this.req as ExpressRequest).originalUrl ?? super.url
  }

  override get ip(): string | undefined {
    return (this.req as ExpressRequest).ip ?? super.ip
  }

  protected override detectSecure(): boolean {
    // Express asks nothing but the socket where no proxy has spoken, and takes its time to find that out.
    if (this.header('x-forwarded-proto') === undefined) return super.detectSecure()
    return (this.req as ExpressRequest).secure ?? super.detectSecure()
  }
}
