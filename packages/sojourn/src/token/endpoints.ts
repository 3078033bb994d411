/**
 * The endpoints of a token pair, as fetch handlers that mount anywhere: refresh (RFC 6749, 6), revoke (RFC 7009) and
 * introspect (RFC 7662). POST only, never cached, and what is refused says no more than the standards ask.
 */
import { Fault, type Problem, problem, problemOf } from '../errors.js'
import { crossOriginGuard } from '../guard/csrf.js'
import { cookie } from '../transport/cookie.js'
import type { Awaitable, Transport } from '../types.js'
import type { TokenPair, Tokens } from './pair.js'
import { EndpointExchange, parameters } from './request.js'

/** Where the refresh half travels when it is in a cookie. */
export interface RefreshCookieOptions {
  /** The path that the endpoints `token` and `revoke` are below, such as `/api/token`; sent nowhere else. */
  path: string
  /** The name after the prefix `__Secure-`. Default `refresh`. */
  name?: string
}

/** Options of `tokenEndpoints`. */
export interface TokenEndpointOptions {
  /** Keep the refresh half in a cookie of its own that no script reads. Default: in the body, and cookies are not read. */
  cookie?: RefreshCookieOptions
  /** The public origin, where a proxy stands in front. Default: what the request itself shows. */
  origin?: string
  /** Other origins whose pages may refresh and revoke with the cookie, each exactly `https://host[:port]`. Default none. */
  trusted?: readonly string[]
  /** Whether the caller may ask about tokens, by its headers. The body is not for it to read. Default: nobody may. */
  mayIntrospect?: (request: Request) => Awaitable<boolean>
}

/** The handlers. */
export interface TokenEndpoints {
  /**
   * Answers a login with the tokens of `pair.issue`, as `token` answers a refresh. Where the refresh half is a cookie, a
   * page of another site is answered 403: it would sign its visitors in as somebody of its own.
   */
  granted(request: Request, tokens: Tokens): Response
  /** `grant_type=refresh_token`: the next pair. As a form or as JSON. */
  token(request: Request): Promise<Response>
  /** Ends the family of `token`; 200 also where there is nothing to end. */
  revoke(request: Request): Promise<Response>
  /** Says whether an access token is honoured at this moment, to those who may ask; 401 to others. */
  introspect(request: Request): Promise<Response>
}

type Parameters = ReadonlyMap<string, string>
type Work = (x: EndpointExchange, sent: Parameters) => Response | Promise<Response>

/** The endpoints of a pair. Throws a `TypeError` for a path, a name or an origin that cannot be right. */
export function tokenEndpoints(pair: TokenPair, options: TokenEndpointOptions = {}): TokenEndpoints {
  const { origin, trusted, mayIntrospect = () => false } = options
  const guard = crossOriginGuard({ origin, trusted })
  const transport = options.cookie && refreshCookie(options.cookie)

  const foreign = (x: EndpointExchange): boolean => transport !== undefined && !guard(x)
  const forbidden = (): Response => {
    pair.tell({ type: 'refused', reason: 'cross-origin' })
    return respond(problem(403, 'Forbidden', 'This request came from another site.'))
  }

  /** Programs name their token; browsers attach the cookie on their own, and other sites must not make them. */
  const post =
    (work: Work, may?: (request: Request) => Awaitable<boolean>) =>
    async (request: Request): Promise<Response> => {
      const x = new EndpointExchange(request, origin)
      if (request.method !== 'POST') {
        x.set('allow', 'POST')
        return refuse(x, 'invalid_request', 405)
      }
      if (foreign(x)) return forbidden()
      try {
        if (may && !(await may(request))) {
          x.set('www-authenticate', 'Bearer')
          return refuse(x, 'invalid_client', 401)
        }
        const sent = await parameters(request)
        return typeof sent === 'number' ? refuse(x, 'invalid_request', sent) : await work(x, sent)
      } catch (error) {
        if (error instanceof Fault) return respond(problemOf(error))
        throw error
      }
    }

  const grant = (x: EndpointExchange, tokens: Tokens): Response => {
    const { accessToken, expiresAt, expiresIn, refreshToken, endsAt, persistent, scope } = tokens
    transport?.write(x, { credential: refreshToken, endsAt, persistent }, expiresAt - expiresIn)
    return x.answer(200, {
      access_token: accessToken,
      token_type: 'Bearer',
      expires_in: Math.floor(expiresIn / 1000),
      // In the cookie or here, never both: a script that could read it here would undo `HttpOnly` (ASVS 3.3.4).
      ...(transport ? {} : { refresh_token: refreshToken }),
      ...(scope === undefined ? {} : { scope }),
    })
  }

  const refresh: Work = async (x, sent) => {
    const is = (name: string, value: string | undefined) => !sent.has(name) || sent.get(name) === value
    if (!is('grant_type', 'refresh_token')) return refuse(x, 'unsupported_grant_type')
    if (!is('resource', pair.audience) || !is('audience', pair.audience)) return refuse(x, 'invalid_target')
    if (pair.clientId !== undefined && !is('client_id', pair.clientId)) return refuse(x, 'invalid_grant')
    if (transport && sent.has('refresh_token')) return refuse(x, 'invalid_request')
    const token = transport ? fromCookie(transport, x, pair) : sent.get('refresh_token')
    if (token === undefined) return refuse(x, 'invalid_request')
    const tokens = await pair.refresh(token, { scope: sent.get('scope') })
    if (tokens === 'scope') return refuse(x, 'invalid_scope')
    // One answer for all that is refused, and no cookie is cleared by it: it may be late, and the browser further.
    return typeof tokens === 'string' ? refuse(x, 'invalid_grant') : grant(x, tokens)
  }

  const revoke: Work = async (x, sent) => {
    const carried = transport && !sent.has('token') ? fromCookie(transport, x, pair) : undefined
    const token = sent.get('token') ?? carried
    if (token === undefined && !transport) return refuse(x, 'invalid_request')
    if (token !== undefined) await pair.revoke(token)
    if (carried !== undefined) transport?.clear(x)
    return x.answer(200)
  }

  const introspect: Work = async (x, sent) => {
    const token = sent.get('token')
    return token === undefined ? refuse(x, 'invalid_request') : x.answer(200, await pair.introspect(token))
  }

  return {
    granted(request, tokens) {
      const x = new EndpointExchange(request, origin)
      return foreign(x) ? forbidden() : grant(x, tokens)
    },
    token: post(refresh),
    revoke: post(revoke),
    introspect: post(introspect, mayIntrospect),
  }
}

function refreshCookie({ path, name = 'refresh' }: RefreshCookieOptions): Transport {
  if (path === '/')
    throw new TypeError(
      'pair: `cookie.path` "/" would send the refresh token with every request; put the endpoints below a path of their own',
    )
  return cookie({ name, path, prefix: '__Secure-', sameSite: 'strict' })
}

/** A sibling host can set a cookie of this name beside ours: only one that we signed counts, and two are none. */
function fromCookie(transport: Transport, x: EndpointExchange, pair: TokenPair): string | undefined {
  const carried = transport.read(x)
  const all = (typeof carried === 'string' ? [carried] : carried).filter((value) => value !== '')
  const ours = all.filter((value) => pair.owns(value))
  if (ours.length > 1) return ''
  return ours[0] ?? all[0]
}

function refuse(x: EndpointExchange, error: string, status = 400): Response {
  return x.answer(status, { error })
}

function respond({ status, headers, body }: Problem): Response {
  return new Response(body, { status, headers })
}
