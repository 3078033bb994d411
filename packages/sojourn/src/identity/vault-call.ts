/**
 * One call of a provider's API, and what its answer means. The token goes to the places that are configured for that
 * provider and to no other, whatever the path says and wherever the answer points (ASVS 15.3.2).
 */
import { isOwnPath } from '../own-path.js'

/** What a request to a provider says. `authorization` and `cookie` are not the caller's to set, and are left out. */
export interface VaultInit {
  method?: string
  headers?: Readonly<Record<string, string>> | Headers
  /** What can be sent twice: after a renewal the request is made again. */
  body?: string | Uint8Array<ArrayBuffer> | URLSearchParams | FormData | Blob
  signal?: AbortSignal
}

/** What the provider's API said. */
export type Called =
  | { readonly kind: 'answer'; readonly response: Response }
  | { readonly kind: 'refused' }
  | { readonly kind: 'scope'; readonly scope: readonly string[] }
  | { readonly kind: 'limited' | 'unavailable'; readonly retryAfter?: number }

/** The longest answer, bytes. What is larger breaks off while it is read. */
const MOST_BYTES = 10_485_760
const LONGEST_WAIT = 86_400_000
const LOCAL = new Set(['localhost', '127.0.0.1', '[::1]'])
const OURS = ['authorization', 'proxy-authorization', 'cookie', 'host']
/** Of the connection to the provider, and not of the body as it is handed on. */
const THEIRS = ['set-cookie', 'content-encoding', 'content-length', 'transfer-encoding', 'connection']

/**
 * Where `path` leads: below the first of the provider's bases; or, as a whole URL, below exactly one of them. Throws a
 * `TypeError` for anything else, and does not repeat it.
 */
export function target(bases: readonly string[], path: string): URL {
  const roots = bases.map(root)
  const [first] = roots
  if (first === undefined) throw new TypeError('vault: this provider has no API that is configured; give its base URL')
  const below = first.pathname.replace(/\/$/, '')
  if (isOwnPath(path)) {
    const url = new URL(`${below}${path}`, first.origin)
    if (isBelow(url, first)) return url
  } else if (typeof path === 'string' && /^https?:\/\/[^\s\\\p{Cc}]+$/u.test(path) && URL.canParse(path)) {
    const url = new URL(path)
    if (url.username === '' && url.password === '' && roots.some((base) => isBelow(url, base))) return url
  }
  throw new TypeError('vault: the token goes to the provider\'s own API alone; give a path of it, such as "/user"')
}

function root(base: string): URL {
  const url = URL.canParse(base) ? new URL(base) : undefined
  const secure = url?.protocol === 'https:' || (url?.protocol === 'http:' && LOCAL.has(url.hostname))
  if (!url || !secure || url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw new TypeError(
      'vault: the base of an API is an https:// URL; anybody on the way could take the token otherwise',
    )
  return url
}

/** Of the same origin, and not above the base: not by dots that a server behind it may decode either. */
function isBelow(url: URL, base: URL): boolean {
  const folder = base.pathname.endsWith('/') ? base.pathname : `${base.pathname}/`
  if (url.origin !== base.origin || !(`${url.pathname}/`.startsWith(folder) || folder === '/')) return false
  return url.pathname.split('/').every((segment) => !/^\.\.?$|(?:^|[/\\])\.\.(?:[/\\]|$)/.test(decoded(segment)))
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

/** Calls the provider. Throws what makes no request, and when the caller's own `signal` is aborted; nothing else. */
export async function call(url: URL, init: VaultInit, token: string, timeout: number): Promise<Called> {
  const { method = 'GET', body, signal } = init
  const headers = new Headers(init.headers)
  for (const name of OURS) headers.delete(name)
  headers.set('authorization', `Bearer ${token}`)
  const late = AbortSignal.timeout(timeout)
  // Made outside of the `try`: what is wrong with it is the caller's to hear.
  const request = new Request(url, {
    method,
    headers,
    ...(body === undefined ? {} : { body }),
    redirect: 'manual',
    signal: signal ? AbortSignal.any([signal, late]) : late,
  })
  try {
    return await meaning(await fetch(request))
  } catch {
    // What went wrong is not told on: it may name what was sent.
    signal?.throwIfAborted()
    return { kind: 'unavailable' }
  }
}

async function meaning(response: Response): Promise<Called> {
  const { status, headers } = response
  const kind = kindOf(status, headers)
  if (kind === 'answer') return { kind, response: bounded(response) }
  await response.body?.cancel()
  if (kind === 'refused') return { kind }
  if (kind === 'scope') return { kind, scope: missing(headers) }
  const wait = retryAfter(headers)
  return wait === undefined ? { kind } : { kind, retryAfter: wait }
}

function kindOf(status: number, headers: Headers): Called['kind'] {
  if (status === 401) return 'refused'
  if (status === 429) return 'limited'
  if (status >= 500) return 'unavailable'
  if (status !== 403) return 'answer'
  // GitHub limits with 403, and says so.
  if (headers.has('retry-after') || headers.get('x-ratelimit-remaining') === '0') return 'limited'
  return missing(headers).length > 0 || /error="?insufficient_scope\b/.test(headers.get('www-authenticate') ?? '')
    ? 'scope'
    : 'answer'
}

/** The scopes that would have done: by RFC 6750, or as GitHub says it, where one of several is enough. */
function missing(headers: Headers): string[] {
  const challenge = headers.get('www-authenticate') ?? ''
  if (/error="?insufficient_scope\b/.test(challenge)) return words(/\bscope="([^"]{1,1000})"/.exec(challenge)?.[1])
  const granted = words(headers.get('x-oauth-scopes'))
  const accepted = words(headers.get('x-accepted-oauth-scopes'))
  return accepted.some((scope) => granted.includes(scope)) ? [] : accepted
}

function words(text: string | null | undefined): string[] {
  return (text ?? '').split(/[\s,]+/).filter((word) => word !== '')
}

/** Milliseconds, of what `Retry-After` says in seconds or as a date, or else GitHub's limit in seconds of the epoch. */
function retryAfter(headers: Headers): number | undefined {
  const said = headers.get('retry-after')
  const reset = headers.get('x-ratelimit-remaining') === '0' ? headers.get('x-ratelimit-reset') : null
  const at = said === null ? (reset === null ? Number.NaN : Number(reset) * 1000) : Date.parse(said)
  const wait = said !== null && /^\d{1,9}$/.test(said) ? Number(said) * 1000 : at - Date.now()
  return Number.isFinite(wait) ? Math.min(Math.max(wait, 0), LONGEST_WAIT) : undefined
}

/** The answer as the app gets it: no cookies of the provider's, and no more than so many bytes. */
function bounded(response: Response): Response {
  const { status, statusText } = response
  const headers = new Headers(response.headers)
  for (const name of THEIRS) headers.delete(name)
  let size = 0
  const limit = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
    transform(part, controller) {
      size += part.length
      if (size > MOST_BYTES) controller.error(new RangeError(`the provider's answer is over ${MOST_BYTES} bytes`))
      else controller.enqueue(part)
    },
  })
  return new Response(response.body?.pipeThrough(limit) ?? null, { status, statusText, headers })
}
