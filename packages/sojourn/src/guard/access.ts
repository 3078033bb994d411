/**
 * Who may go on: whoever is signed in, has proven who they are a moment ago, or holds a token that is good for it. A
 * program is told so by a challenge (RFC 9110, 11.6.1; RFC 6750; RFC 9470), a page leads to the sign-in form, with the way
 * back. What a user may do once they are known is the app's to say.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { then } from '../awaitable.js'
import { challenge } from '../challenge.js'
import { type Problem, problem } from '../errors.js'
import { isOwnPath } from '../own-path.js'
import { isWord } from '../proof.js'
import type { Session } from '../session.js'
import { Sessions } from '../sessions.js'
import type { Awaitable } from '../types.js'

/** Options of `requireUser` and `requireScope`. */
export interface AccessOptions {
  /** The path of the sign-in form: a page is sent there, with the way back as `next`. Default: everybody is answered 401. */
  signIn?: string
  /** What a challenge names. Default `session`. */
  realm?: string
}

/** Options of `requireRecentLogin`. */
export interface RecentLoginOptions extends AccessOptions {
  /** How long ago the login may be, milliseconds, at least 1,000. */
  within: number
  /** Methods (`amr`) of which the login must have used all. */
  method?: string | readonly string[]
  /** Levels (`acr`) of which the login must have come to one. A challenge names them, in this order. */
  acr?: string | readonly string[]
}

/** What is asked of a request: the adapters' exchanges have it, and so has what any framework can make of its own. */
export interface AccessRequest {
  readonly method: string
  /** The path with its query, as sent. */
  readonly url: string
  /** A request header; names are lower case. */
  header(name: string): string | undefined
}

/** A rule, in the shapes of the frameworks. Each opens the session, at the price of one store call at most. */
export interface Access {
  /** The answer to a request that may not go on; `undefined` for one that may. */
  refuse(
    session: Pick<Session, 'userId' | 'refused' | 'authenticatedAt' | 'amr' | 'acr' | 'scope'>,
    request: AccessRequest,
  ): Problem | undefined
  /** For fetch handlers, Hono's `c.req.raw` among them: the answer, or `undefined` to go on. */
  fetch(request: Request): Promise<Response | undefined>
  /** For node:http and what is built on it: `false` where the request was refused, and is answered. */
  node(req: IncomingMessage, res: ServerResponse): Awaitable<boolean>
  /** A middleware for Express, to stand in front of a handler or a router. */
  readonly express: (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void
}

/** Lets nobody pass who is not signed in. Throws a `TypeError` for a `signIn` that is no path of this origin. */
export function requireUser<Data extends object>(sessions: Sessions<Data>, options: AccessOptions = {}): Access {
  return access(sessions, options, () => undefined)
}

/**
 * Lets nobody pass whose login is older than `within`, or was made in another way: for changes of a password, an address
 * or a factor, and for payments. Signing in again in the same session is what opens it. Throws a `TypeError` for what
 * cannot be right.
 */
export function requireRecentLogin<Data extends object>(sessions: Sessions<Data>, options: RecentLoginOptions): Access {
  const { within, realm } = options
  const methods = words('requireRecentLogin', 'method', options.method)
  const levels = words('requireRecentLogin', 'acr', options.acr)
  if (!(Number.isFinite(within) && within >= 1000))
    throw new TypeError('requireRecentLogin: `within` is milliseconds, at least 1,000; five minutes are 300_000')
  const { clock } = Sessions.core(sessions as Sessions<object>).context
  const lacking = [
    challenge({ refused: undefined }, realm),
    'error="insufficient_user_authentication"',
    'error_description="Sign in again to go on"',
    `max_age="${Math.floor(within / 1000)}"`,
    ...(levels.length > 0 ? [`acr_values="${levels.join(' ')}"`] : []),
  ].join(', ')
  const insufficient = unauthorized('Sign in again to go on.', lacking)

  return access(sessions, options, ({ authenticatedAt, amr = [], acr }) => {
    // A time from beyond what clocks may differ by proves nothing: it would stay recent for years.
    const age = authenticatedAt === undefined ? Number.NaN : clock() - authenticatedAt
    const recent = age <= within && age >= -SKEW
    const able = methods.every((method) => amr.includes(method))
    const high = levels.length === 0 || (acr !== undefined && levels.includes(acr))
    return recent && able && high ? undefined : insufficient
  })
}

/**
 * Lets nobody pass who is not signed in, and no token that is not good for all of `scope`: that is 403 (RFC 6750, 3.1), for
 * pages too, as signing in again widens nothing. A session that is not limited to a scope passes. Throws a `TypeError` for
 * what is no scope.
 *
 * ```ts
 * app.use('/orders', requireScope(sessions, 'orders').express)
 * ```
 */
export function requireScope<Data extends object>(
  sessions: Sessions<Data>,
  scope: string | readonly string[],
  options: AccessOptions = {},
): Access {
  const needed = words('requireScope', 'scope', scope ?? [])
  const realm = challenge({ refused: undefined }, options.realm)
  const lacking = `${realm}, error="insufficient_scope", scope="${needed.join(' ')}"`
  const insufficient = problem(403, 'Forbidden', 'This token is not good for that.', { 'www-authenticate': lacking })

  return access(sessions, options, ({ scope }) =>
    scope === undefined || needed.every((word) => scope.includes(word)) ? undefined : insufficient,
  )
}

/**
 * The way back after signing in, as a form or a query has it: a path of this origin, or `fallback` for all else, so that
 * no link sends a visitor elsewhere.
 */
export function wayBack(next: unknown, fallback = '/'): string {
  return isOwnPath(next) ? next : fallback
}

const SKEW = 300_000

type Facts = Parameters<Access['refuse']>[0]

/** `judge` answers where something is lacking of a user's session: 401 where signing in would mend it. */
function access<Data extends object>(
  sessions: Sessions<Data>,
  { signIn, realm }: AccessOptions,
  judge: (session: Facts) => Problem | undefined,
): Access {
  if (signIn !== undefined && (!isOwnPath(signIn) || signIn.includes('#')))
    throw new TypeError('access: `signIn` is a path of this origin, such as "/sign-in"; a page is sent there')
  challenge({ refused: undefined }, realm)

  const refuse: Access['refuse'] = (session, request) => {
    const known = session.userId !== undefined
    const refused = known ? judge(session) : unauthorized('Sign in to go on.', challenge(session, realm))
    const mendable = refused?.status === 401 && signIn !== undefined && isPage(request)
    return mendable ? redirect(signIn, origin(request)) : refused
  }

  const node: Access['node'] = (req, res) =>
    then(sessions.of(req), (session) => {
      const refused = refuse(session as Facts, nodeRequest(req))
      if (refused) answer(res, refused)
      return refused === undefined
    })

  return {
    refuse,
    node,
    express(req, res, next) {
      // Whatever fails is Express's to answer, also where the store is synchronous.
      Promise.resolve()
        .then(() => node(req, res))
        .then((passed) => {
          if (passed) next()
        }, next)
    },
    async fetch(request) {
      const refused = refuse((await sessions.of(request)) as Facts, fetchRequest(request))
      return refused && new Response(refused.body === '' ? null : refused.body, refused)
    },
  }
}

function unauthorized(detail: string, lacking: string): Problem {
  return problem(401, 'Unauthorized', detail, { 'www-authenticate': lacking })
}

/** Who asks for a page says so; a script that fetches takes anything, and wants to be told. */
function isPage(request: AccessRequest): boolean {
  const types = (request.header('accept') ?? '').toLowerCase().split(',')
  return types.some(
    (type) =>
      /^\s*(?:text\/html|application\/xhtml\+xml)\s*(?:;|$)/.test(type) && !/;\s*q=0(?:\.0*)?\s*(?:;|$)/.test(type),
  )
}

/** Where the visitor was: what they asked for, or the page whose form they sent, as a form cannot be sent again. */
function origin(request: AccessRequest): string | undefined {
  if (request.method === 'GET' || request.method === 'HEAD') return request.url
  const referer = request.header('referer') ?? ''
  if (!URL.canParse(referer)) return undefined
  const { host, pathname, search } = new URL(referer)
  return host === request.header('host') ? pathname + search : undefined
}

/** 303 (RFC 9110, 15.4.4): whatever was sent, the form is fetched. */
function redirect(signIn: string, from: string | undefined): Problem {
  const [form] = signIn.split('?')
  const back = isOwnPath(from) && from.split('?')[0] !== form ? from : undefined
  const query = back === undefined ? '' : `${signIn.includes('?') ? '&' : '?'}next=${encodeURIComponent(back)}`
  return { status: 303, headers: { location: signIn + query, 'cache-control': 'no-store' }, body: '' }
}

function words(rule: string, option: string, value: string | readonly string[] | undefined): readonly string[] {
  if (value === undefined) return []
  const all = typeof value === 'string' ? [value] : [...value]
  // Read from a configuration that lacks it, an empty list would ask for nothing.
  if (all.length === 0)
    throw new TypeError(`${rule}: \`${option}\` is empty, and would ask for nothing; name what is needed`)
  if (!all.every(isWord)) throw new TypeError(`${rule}: \`${option}\` is a word of visible ASCII, or a list of such`)
  return all
}

function nodeRequest(req: IncomingMessage & { originalUrl?: string }): AccessRequest {
  const header = (name: string) => {
    // HTTP/2 says in a field of its own what HTTP/1.1 says in Host.
    const value = req.headers[name] ?? (name === 'host' ? req.headers[':authority'] : undefined)
    return Array.isArray(value) ? value.join(', ') : value
  }
  // Express takes the mount point off `url`, and keeps what was sent here.
  return { method: req.method ?? '', url: req.originalUrl ?? req.url ?? '', header }
}

function fetchRequest(request: Request): AccessRequest {
  const { pathname, search, host } = new URL(request.url)
  const header = (name: string) => request.headers.get(name) ?? (name === 'host' ? host : undefined)
  return { method: request.method, url: pathname + search, header }
}

/** Headers that others have set stay: a cookie of theirs is none of ours. */
function answer(res: ServerResponse, { status, headers, body }: Problem): void {
  res.statusCode = status
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
  res.end(body)
}
