/**
 * The session's credential in a request header, for clients that keep it themselves: `Authorization: Bearer` (RFC 6750),
 * or a header of the app's own. Browsers attach neither on their own, so no other site can make a request with it.
 */
import { keepPrivate } from '../cookies.js'
import { travelsSafely } from '../plain-http.js'
import type { Exchange, Transport } from '../types.js'

/** Which headers carry the credential. */
export interface HeaderOptions {
  /** The request header. Default `authorization`, which needs `Bearer` before the credential; any other holds it bare. */
  readonly name?: string
  /** The response header with a new credential; empty when there is none any more. Default `Session-Token`. */
  readonly responseHeader?: string
}

/** Servers and proxies read lines of 8 KB; the name and the scheme need some of it. */
const LONGEST = 8_000

const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]{1,64}$/
/** What browsers and proxies write themselves, or what means something else. */
const TAKEN =
  /^(?:cookie2?|set-cookie2?|host|origin|referer|user-agent|connection|upgrade|te|trailer|vary|date|sec-.*|proxy-.*|content-.*|access-control-.*|transfer-encoding|cache-control|www-authenticate|location)$/

const TOKEN68 = /^[A-Za-z0-9\-._~+/]+=*$/
const BEARER = /^bearer +([A-Za-z0-9\-._~+/]+=*)$/i
/** Credentials for us among others, or none after the scheme: ours, and not as they should be. */
const MEANT_FOR_US = /(?:^|,)[ \t]*bearer(?:[ \t,]|$)/i

/**
 * The header transport. Exactly one credential, or it is `malformed`; other schemes (`Basic`, `Digest`, `DPoP`) are not
 * ours, and count as none. Over plain HTTP nothing is read or written, but for localhost, and a warning says why.
 *
 * A new credential goes back in `responseHeader`, which the client keeps in place of the one that it has; pages of
 * other origins may read it where the app's own CORS lets them read the response. Throws a `TypeError` for a header
 * name that is taken.
 */
export function header(options: HeaderOptions = {}): Transport {
  const name = checked('name', options.name ?? 'authorization')
  const responseHeader = checked('responseHeader', options.responseHeader ?? 'Session-Token')
  if (responseHeader === 'authorization')
    throw new TypeError('header: `responseHeader` "authorization" is a request header; choose another, or drop it')
  const value = name === 'authorization' ? bearer : bare

  const answer = (x: Exchange, credential: string): void => {
    if (!travelsSafely(x, 'header')) return
    x.set(responseHeader, credential)
    if (x.header('origin') !== undefined) expose(x, responseHeader)
    keepPrivate(x)
  }

  return {
    ambient: false,
    binding: `header ${name}`,
    capacity: { whole: LONGEST, chunked: LONGEST },

    read(x) {
      const carried = x.header(name)
      if (carried === undefined) return ''
      const found = value(carried)
      return found === '' || travelsSafely(x, 'header') ? found : []
    },

    write: (x, { credential }) => answer(x, credential),
    clear: (x) => answer(x, ''),
  }
}

function bearer(carried: string): string | [] {
  if (carried.length > 2 * LONGEST) return []
  const token = BEARER.exec(carried)?.[1]
  return token ?? (MEANT_FOR_US.test(carried) ? [] : '')
}

function bare(carried: string): string | [] {
  return carried === '' || (carried.length <= 2 * LONGEST && TOKEN68.test(carried)) ? carried : []
}

/** For pages of other origins, which otherwise do not see a header that browsers do not know (Fetch, 4.9). */
function expose(x: Exchange, name: string): void {
  const said = x.get('access-control-expose-headers')
  const names = (said ?? '').split(',').map((other) => other.trim().toLowerCase())
  if (!names.includes(name)) x.set('access-control-expose-headers', said ? `${said}, ${name}` : name)
}

function checked(option: string, name: string): string {
  const lower = name.toLowerCase()
  if (NAME.test(lower) && !TAKEN.test(lower)) return lower
  throw new TypeError(
    `header: \`${option}\` ${JSON.stringify(name)} is no name for a header of your own; use one such as "X-Session-Id"`,
  )
}
