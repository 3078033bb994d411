/** Sessions under plain `node:http` (and `node:http2`'s compatible API). */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { isPromise } from '../awaitable.js'
import { Fault, problemOf } from '../errors.js'
import { NodeExchange } from '../http/exchange.js'
import { answer } from '../http/held.js'
import type { Sessions } from '../sessions.js'
import type { Awaitable } from '../types.js'

/** Options of `node`. */
export interface NodeOptions {
  /**
   * How many proxies of yours stand in front, each adding to `X-Forwarded-For`: that many entries are believed, counted
   * from the right, and `X-Forwarded-Proto` with them. Default 0: a stranger can write these headers too.
   */
  trustProxy?: number
}

/** Puts a session in reach of the handler: `sessions.of(req)`. Gives what `next` gives; nothing, where it answered. */
export type NodeAttach = <T>(
  req: IncomingMessage,
  res: ServerResponse,
  next: () => Awaitable<T>,
) => Awaitable<T | undefined>

/**
 * Puts sessions in front of `next`, which then finds its own with `sessions.of(req)`. Requests of other sites are answered
 * 403 before it. The session is committed before the first header leaves, however the handler answers. A `Fault` that
 * `next` throws or rejects with before it has answered is answered too; all other errors come out again.
 *
 * ```ts
 * const attach = node(sessions)
 * createServer((req, res) => attach(req, res, async () => {
 *   const session = await sessions.of(req)
 *   res.end(`visit ${session.update('visits', (n) => n + 1)}`)
 * }))
 * ```
 */
export function node<Data extends object>(sessions: Sessions<Data>, options: NodeOptions = {}): NodeAttach {
  const { trustProxy: hops = 0 } = options
  if (!Number.isInteger(hops) || hops < 0)
    throw new TypeError(
      'node: `trustProxy` is the number of proxies in front, such as 1; nothing else is safe to believe',
    )
  const trust = { hops }

  return (req, res, next) => {
    if (!enter(sessions, new NodeExchange(req, res, trust), req, res)) return undefined
    try {
      const result = next()
      return isPromise(result) ? result.catch((error: unknown) => answerFault(res, error)) : result
    } catch (error) {
      return answerFault(res, error)
    }
  }
}

/** For adapters of frameworks on node: begins the visit. `false`: the request was refused, and is answered. */
export function enter<Data extends object>(
  sessions: Sessions<Data>,
  x: NodeExchange,
  req: object,
  res: ServerResponse,
): boolean {
  const visit = sessions.begin(x, req)
  const refusal = visit.guard()
  if (refusal) {
    answer(res, refusal)
    return false
  }
  x.before(() => visit.commit())
  return true
}

/** What comes after the first byte cannot be answered any more, and must not vanish. */
function answerFault(res: ServerResponse, error: unknown): undefined {
  if (!(error instanceof Fault) || res.headersSent) throw error
  answer(res, problemOf(error))
}
