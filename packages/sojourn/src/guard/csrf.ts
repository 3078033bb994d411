/**
 * Against requests that another site makes with the visitor's cookies. Two layers: the guard asks the browser where a
 * request comes from and needs nothing of the app; the token proves that a form was ours (NIST SP 800-63B-4, 5.1).
 */
import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto'
import type { Exchange } from '../types.js'

/** What the guard lets through beside the app's own requests. */
export interface CrossOriginOptions {
  /** The app's public origin. Without it the `Host` header says what is ours, which a proxy must then leave alone. */
  readonly origin?: string | undefined
  /** Other origins that may send unsafe requests: `https://admin.example.com`, exactly, no wildcards. */
  readonly trusted?: readonly string[] | undefined
  /** Paths that are not guarded: exactly this one, or all below when it ends in `/`. For webhooks that verify a signature. */
  readonly exempt?: readonly string[] | undefined
  /** Refuses unsafe requests that say neither `Sec-Fetch-Site` nor `Origin`: old browsers, and programs. Default `false`. */
  readonly strict?: boolean | undefined
}

/**
 * Says whether a request may go on, by Fetch Metadata and, where a browser is too old for that, by `Origin`; the
 * decisions are those of Go's `http.CrossOriginProtection`. GET, HEAD and OPTIONS always may: they must change nothing.
 * On all others it adds `Vary: Sec-Fetch-Site, Origin`.
 *
 * Throws a `TypeError` for an origin that is not exactly one, and for an exempt path that could match more than it says.
 */
export function crossOriginGuard(options: CrossOriginOptions = {}): (x: Exchange) => boolean {
  const own = options.origin === undefined ? undefined : checkedOrigin(options.origin, 'origin')
  const trusted = new Set((options.trusted ?? []).map((origin) => checkedOrigin(origin, 'trusted')))
  const exempt = (options.exempt ?? []).map(checkedPath)
  const strict = options.strict ?? false

  return (x) => {
    if (x.method === 'GET' || x.method === 'HEAD' || x.method === 'OPTIONS') return true
    varyByOrigin(x)

    const origin = x.header('origin')
    const site = x.header('sec-fetch-site')
    if (site) {
      if (site === 'same-origin' || site === 'none') return true
    } else if (!origin) {
      // No browser of the last years: a program, which no other site can drive.
      if (!strict) return true
    } else if (isOwn(origin, own, x)) return true

    if (origin && trusted.size > 0 && trusted.has(originOf(origin) ?? '')) return true
    return exempt.length > 0 && isExempt(x.url, exempt)
  }
}

/** The origin in its one spelling, or `undefined` for anything that is not exactly `scheme://host[:port]`. */
function originOf(text: string): string | undefined {
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@\\*]+$/i.test(text) || !URL.canParse(text)) return undefined
  const { origin } = new URL(text)
  // Only web schemes have an origin for `URL`; that of an app or extension is its text (`capacitor://localhost`).
  return origin === 'null' ? text.toLowerCase() : origin
}

function checkedOrigin(text: string, option: string): string {
  const origin = originOf(text)
  if (origin === undefined) {
    throw new TypeError(
      `csrf: \`${option}\` ${JSON.stringify(text)} is not an origin; write "https://host" or "https://host:port", ` +
        'without path, trailing slash or wildcard',
    )
  }
  return origin
}

function isOwn(origin: string, own: string | undefined, x: Exchange): boolean {
  const from = originOf(origin)
  if (from === undefined) return false
  if (own !== undefined) return from === own
  // A page that was read in the clear could be anybody's: it does not count as ours where we are reached over TLS.
  // The other way round tells nothing, as a proxy may have ended TLS before us.
  const scheme = from.slice(0, from.indexOf(':'))
  if (x.secure ? scheme !== 'https' : scheme !== 'https' && scheme !== 'http') return false
  // Read under one scheme, both lose the same default port.
  return from === originOf(`${scheme}://${x.header('host') ?? ''}`)
}

/** Anything in a path that two readers of it may understand differently. */
const AMBIGUOUS = /[\\%\p{Cc}]|\/\/|(?:^|\/)\.{1,2}(?:[;/]|$)/u

function checkedPath(path: string): string {
  if (path === '/') throw new TypeError('csrf: `exempt` "/" would exempt everything; pass `csrf: false` to say so')
  if (!path.startsWith('/') || AMBIGUOUS.test(path) || /[?#*]/.test(path)) {
    throw new TypeError(
      `csrf: \`exempt\` ${JSON.stringify(path)} is not a plain path; write "/hooks/pay" for one or "/hooks/" for all ` +
        'below, decoded, without "..", "//", "%", "?", "#" and "*"',
    )
  }
  return path
}

/** A path that anybody could read differently is exempt from nothing, whatever it comes to once it is cleaned. */
function isExempt(url: string, exempt: readonly string[]): boolean {
  const raw = url.replace(/[?#].*$/s, '')
  // Frameworks differ on whether this one separates; the rest of what is encoded shows once it is decoded.
  if (/%2f/i.test(raw)) return false
  let path: string
  try {
    path = decodeURIComponent(raw)
  } catch {
    return false
  }
  if (AMBIGUOUS.test(path)) return false
  return exempt.some((known) => (known.endsWith('/') ? path.startsWith(known) : path === known))
}

function varyByOrigin(x: Exchange): void {
  const said = x.get('vary')
  if (said === undefined || said === '') x.set('vary', 'Sec-Fetch-Site, Origin')
  else if (said !== '*' && !/sec-fetch-site/i.test(said)) x.set('vary', `${said}, Sec-Fetch-Site, Origin`)
}

const RANDOM = /^[\w-]{22,64}$/
const TOKEN = /^[\w-]{22,64}\.[\w-]{43}$/

/**
 * A token for one session's forms: `random.mac`. Give each response a fresh `random`, base64url of 16 bytes or more:
 * with nothing in it that repeats, compression gives nothing of it away (BREACH). `key` must serve no other purpose.
 */
export function issueToken(key: KeyObject, sessionId: string, random: string): string {
  if (sessionId === '') throw new TypeError('csrf: a token needs a session to be bound to')
  if (!RANDOM.test(random)) throw new TypeError('csrf: `random` must be base64url of at least 16 random bytes')
  return `${random}.${mac(key, sessionId, random)}`
}

/**
 * Whether the token was issued under this key for this session. Takes a form field as it comes: whatever is not such a
 * token is `false`, never a throw, and nothing is hashed for it. Compares in constant time.
 */
export function verifyToken(key: KeyObject, sessionId: string, token: unknown): boolean {
  if (typeof token !== 'string' || !TOKEN.test(token)) return false
  const dot = token.indexOf('.')
  const expected = mac(key, sessionId, token.slice(0, dot))
  // The text is compared, not what it decodes to: base64url spells one value in several ways, and we issue one.
  return timingSafeEqual(Buffer.from(expected, 'latin1'), Buffer.from(token.slice(dot + 1), 'latin1'))
}

/** Length-prefixed, so that no other pair of id and random makes the same message. */
function mac(key: KeyObject, sessionId: string, random: string): string {
  const message = `${sessionId.length}!${sessionId}!${random.length}!${random}`
  return createHmac('sha256', key).update(message).digest('base64url')
}
