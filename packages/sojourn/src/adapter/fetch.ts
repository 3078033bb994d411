/** Sessions under handlers that take a `Request` and give a `Response`: Hono, edge runtimes, and anything like them. */
import { Fault, type Problem, problemOf } from '../errors.js'
import { outlivesAnswer } from '../http/head.js'
import { RequestExchange } from '../http/request-exchange.js'
import type { Sessions } from '../sessions.js'

/** A fetch handler, with whatever else its runtime passes along. */
export type FetchHandler<Rest extends unknown[]> = (request: Request, ...rest: Rest) => Response | Promise<Response>

/** Options of `fetch`. */
export interface FetchOptions<Rest extends unknown[]> {
  /** Who is on the other side: a `Request` does not say. Default: nobody knows, and `https:` in the URL means secure. */
  peer?: (request: Request, ...rest: Rest) => { ip?: string | undefined; secure?: boolean | undefined }
}

/**
 * Puts sessions in front of a handler, which finds its own with `sessions.of(request)`. Requests of other sites are
 * answered 403 before it. The session is committed when the handler has given its response, before the body is sent:
 * a body that is still being streamed can read the session and no longer change it. A `Fault` that the handler lets out
 * is answered; other errors are the runtime's, and then nothing is committed.
 */
export function fetch<Data extends object, Rest extends unknown[] = []>(
  sessions: Sessions<Data>,
  handler: FetchHandler<Rest>,
  options: FetchOptions<Rest> = {},
): (request: Request, ...rest: Rest) => Promise<Response> {
  return async (request, ...rest) => {
    const { ip, secure = request.url.startsWith('https:') } = options.peer?.(request, ...rest) ?? {}
    const x = new FetchExchange(request, secure, ip)
    const visit = sessions.begin(x, request)
    const refusal = visit.guard()
    if (refusal) return x.finish(respond(refusal))
    let response: Response | undefined
    try {
      response = x.finish(await handler(request, ...rest))
      await visit.commit()
      return response
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      return instead(response, problemOf(error))
    } finally {
      x.left = true
    }
  }
}

/** A problem in place of a response whose session could not be kept. Headers that speak of the server stay. */
function instead(given: Response | undefined, problem: Problem): Response {
  const response = respond(problem)
  if (given === undefined) return response
  for (const [name, value] of given.headers)
    if (outlivesAnswer(name) && !response.headers.has(name)) response.headers.append(name, value)
  // Whoever streams it is told that nobody listens. A body that somebody has taken already is theirs.
  if (given.body && !given.body.locked) given.body.cancel().catch(() => {})
  return response
}

function respond({ status, headers, body }: Problem): Response {
  return new Response(body, { status, headers })
}

class FetchExchange extends RequestExchange {
  /** The response was handed over: what the session is asked for now comes too late. */
  left = false

  hold(): boolean {
    return !this.left
  }

  /** Goes on with the headers of the handler's response, which win over what was set before it. */
  finish(given: Response): Response {
    const response = changeable(given)
    const { headers } = response
    for (const [name, value] of this.headers) {
      if (name === 'set-cookie') headers.append(name, value)
      else if (name === 'vary') headers.set(name, vary(headers.get(name), value))
      else if (!headers.has(name)) headers.set(name, value)
    }
    this.headers = headers
    return response
  }
}

/** Both lists, each name once (CS-13). */
function vary(given: string | null, ours: string): string {
  const names = new Map(`${given ?? ''},${ours}`.split(',').map((name) => [name.trim().toLowerCase(), name.trim()]))
  names.delete('')
  return names.has('*') ? '*' : [...names.values()].join(', ')
}

/** Redirects and responses that came from elsewhere have headers that cannot be changed: those are copied. */
function changeable(response: Response): Response {
  try {
    response.headers.delete('x-sojourn-probe')
    return response
  } catch {
    return new Response(response.body, response)
  }
}
