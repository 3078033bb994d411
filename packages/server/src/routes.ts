/** Everything that answers with the session at hand: the API and the pages, and what they say to what they do not know. */
import { type Context, type Env, type ErrorHandler, Hono, type MiddlewareHandler } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { challenge, Fault } from 'sojourn'
import { accountCalls } from './api/accounts.js'
import { githubCalls } from './api/github.js'
import { sessionCalls } from './api/sessions.js'
import { shopCalls } from './api/shop.js'
import { type TicketDesk, ticketCalls } from './api/tickets.js'
import { tokenCalls } from './api/tokens.js'
import type { Logger } from './log.js'
import { isBearer } from './operations/visits.js'
import { errorPage, pages } from './pages/index.js'
import { problem, refusal, statusOf } from './problem.js'
import type { Refused, Services } from './services.js'
import type { Strategies } from './strategies.js'

/** The routes of the server. */
export function createRoutes(
  services: Services,
  log: Logger,
  { pair, publicKeys, tickets }: Pick<Strategies, 'pair' | 'publicKeys'> & { tickets: TicketDesk },
): Hono {
  const app = new Hono()
  // Before the next line: whoever renews a token may well send the one that has run out along.
  tokenCalls(app, services, pair)
  app.get('/.well-known/jwks.json', (c) => publicKeys(c.req.raw))
  app.use('/api/*', refuseDeadTokens(services))
  ticketCalls(app, tickets)
  for (const calls of [accountCalls, sessionCalls, shopCalls]) calls(app, services)
  if (services.identity?.hasGithub) githubCalls(app, services, services.identity)
  app.route('/', pages(services))
  refuseOtherMethods(app)
  app.notFound((c) => failure(c, 404, 'There is nothing here.'))
  app.onError(thrownError(log))
  return app
}

/** The answer to what was thrown. What nobody foresaw is logged. */
export function thrownError(log: Logger): ErrorHandler {
  return (error, c) => {
    if (error instanceof HTTPException) return failure(c, error.status, error.message)
    if (error instanceof Fault && error.code === 'ERR_CONFLICT') {
      return failure(c, 409, 'You signed in while this was under way, so it was not kept. Please do it again.')
    }
    log.error({ event: 'sys_fault', err: error })
    const unreachable = error instanceof Fault && error.status === 503
    return unreachable
      ? failure(c, 503, 'Our memory cannot be reached just now. You are still signed in; try again in a moment.', {
          'retry-after': '1',
        })
      : failure(c, 500, 'Something went wrong on our side.')
  }
}

/** A token that opens nothing is said to be one, and who sent it is not taken for a guest (RFC 6750, 3.1). */
function refuseDeadTokens(services: Services): MiddlewareHandler {
  return async (c, next) => {
    if (!isBearer(c.req.raw)) return next()
    const { session } = await services.visit(c.req.raw)
    if (session.refused === undefined || session.refused === 'absent') return next()
    return failure(c, 401, 'This token opens nothing; refresh it, or sign in.', {
      'www-authenticate': challenge(session),
    })
  }
}

/** What cannot be answered: problem details under `/api/`, a page elsewhere. */
export function failure(c: Context, status: number, message: string, headers: Record<string, string> = {}): Response {
  return isForPrograms(c.req.path) ? problem(status, message, headers) : page(status, message, headers)
}

/** The answer in place of one that must not leave any more: what any refusal is answered with, to the last header. */
export function refusedLate(request: Request, refused: Refused, given: Response): Response {
  const response = isForPrograms(new URL(request.url).pathname)
    ? refusal(refused)
    : page(statusOf[refused.reason], refused.message)
  const vary = given.headers.get('vary')
  if (vary !== null) response.headers.set('vary', vary)
  return response
}

function isForPrograms(path: string): boolean {
  return /^\/(?:api(?:\/|$)|\.well-known\/|healthz$|readyz$)/.test(path)
}

function page(status: number, message: string, headers: Record<string, string> = {}): Response {
  const html = { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' }
  return new Response(errorPage(status, message), { status, headers: { ...html, ...headers } })
}

/** Adds an answer to every other method of every path: 405, with those that there are. */
export function refuseOtherMethods<E extends Env>(app: Hono<E>): void {
  const allowed = new Map<string, Set<string>>()
  for (const { path, method } of app.routes) {
    if (method === 'ALL') continue
    const methods = allowed.get(path) ?? new Set()
    allowed.set(path, methods.add(method))
    if (method === 'GET') methods.add('HEAD')
  }
  for (const [path, methods] of allowed) {
    const allow = [...methods].sort().join(', ')
    app.all(path, (c) => failure(c, 405, `This address knows ${allow}.`, { allow }))
  }
}
