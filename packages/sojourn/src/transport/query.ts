/**
 * The session's credential in the URL, for clients that can carry it nowhere else. URLs end up in histories, logs,
 * bookmarks and messages to friends (ASVS 14.2.1 forbids this): tickets are the better way in almost every case.
 */
import { keepPrivate } from '../cookies.js'
import { travelsSafely } from '../plain-http.js'
import type { Exchange, Transport } from '../types.js'

/** Say this to have credentials in URLs, where whoever sees the URL has the session. */
export const acceptCredentialsInUrls: unique symbol = Symbol('whoever sees a URL of this app may have its session')

/** Options of `query`. */
export interface QueryOptions {
  /** The symbol `acceptCredentialsInUrls`, which says what this costs. */
  readonly risk: typeof acceptCredentialsInUrls
  /** The parameter's name: letters, digits, `-` and `_`. Default `session`. */
  readonly name?: string
}

const NAME = /^[A-Za-z][\w-]{0,31}$/
const CREDENTIAL = /^[\w.~-]{1,256}$/

/**
 * The query transport: `session.url(path)` writes links, forms and redirects. For `opaque` alone, whose credential ends
 * with its session; `createSessions` refuses other strategies. A response to such a URL says `Referrer-Policy:
 * no-referrer` and `no-store`. Over plain HTTP nothing is read or written, but for localhost, and a warning says why.
 *
 * Twice in one URL is `malformed`. Nothing is decoded: a credential is made of letters that need no encoding.
 */
export function query(options: QueryOptions): Transport {
  const { name = 'session' } = options
  if (options.risk !== acceptCredentialsInUrls)
    throw new TypeError(
      'query: credentials in URLs leak into logs, histories and messages; use tickets(), or pass `risk: acceptCredentialsInUrls`',
    )
  if (!NAME.test(name)) throw new TypeError('query: `name` is letters, digits, "-" and "_", 32 at most; choose another')
  const assigned = `${name}=`

  const read = (x: Exchange): string | [] => {
    const { url } = x
    if (!url.includes(assigned)) return ''
    const [credential, another] = parameters(url)
      .filter((parameter) => parameter.startsWith(assigned))
      .map((parameter) => parameter.slice(assigned.length))
    if (credential === undefined || credential === '') return ''
    return another === undefined && CREDENTIAL.test(credential) && travelsSafely(x, 'query') ? credential : []
  }

  return {
    // A link of anybody's can carry one, as a cookie can come along on anybody's request.
    ambient: true,
    exposed: true,
    binding: `query ${name}`,
    capacity: { whole: 256, chunked: 256 },
    read,

    // Whether or not somebody asks for the session: the page at such a URL tells the next one where it was.
    begin(x) {
      if (read(x) !== '') protect(x)
    },

    write: protect,
    clear: protect,

    link(x, path, credential) {
      if (!travelsSafely(x, 'query')) return path
      protect(x)
      const hash = path.indexOf('#')
      const [before, fragment] = hash < 0 ? [path, ''] : [path.slice(0, hash), path.slice(hash)]
      const others = parameters(before).filter((parameter) => parameter !== '' && !parameter.startsWith(assigned))
      return `${before.split('?', 1)[0]}?${[...others, assigned + credential].join('&')}${fragment}`
    },
  }
}

/** The parameters as they were sent. */
function parameters(url: string): string[] {
  const mark = url.indexOf('?')
  return mark < 0 ? [] : url.slice(mark + 1).split('&')
}

function protect(x: Exchange): void {
  x.set('referrer-policy', 'no-referrer')
  keepPrivate(x)
}

/** What apps call parameters that open something. */
const SECRET = ['session', 'sid', 'ticket', 'token', 'access_token', 'refresh_token', 'id_token', 'code']

/**
 * The URL as a log may show it: values of the parameters in `names` are gone, in whatever spelling, in the query, the
 * fragment, behind `;` in the path, and in a URL within the URL. Default: `session`, `ticket`, `token` and their like.
 */
export function redactUrl(url: string, names: readonly string[] = SECRET): string {
  if (!names.every((name) => NAME.test(name))) throw new TypeError('redactUrl: a name is letters, digits, "-" and "_"')
  const secret = new RegExp(`(?:^|[?&;#])(?:${names.join('|')})=`, 'i')
  return url.replace(/[^?&;#]+/g, (part) => {
    if (!secret.test(decoded(part))) return part
    const equals = part.indexOf('=')
    return equals < 0 ? '[redacted]' : `${part.slice(0, equals)}=[redacted]`
  })
}

/** Decoded until nothing changes, as far as somebody might have encoded a URL within a URL. */
function decoded(text: string): string {
  let plain = text
  for (let round = 0; round < 4 && plain.includes('%'); round++)
    plain = plain.replace(/%[0-9a-f]{2}/gi, (code) => String.fromCharCode(Number.parseInt(code.slice(1), 16)))
  return plain
}
