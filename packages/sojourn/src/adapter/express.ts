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
}

/** An Express middleware. */
export type ExpressMiddleware = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void

/**
 * The middleware: `app.use(express(sessions))`, then `await sessions.of(req)` in any handler. Who the client is and
 * whether the connection is secure is what Express says (its `trust proxy` setting).
 */
export function express<Data extends object>(sessions: Sessions<Data>): ExpressMiddleware {
  return (req, res, next) => {
    if (enter(sessions, new ExpressExchange(req, res, NOBODY), req, res)) next()
  }
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
