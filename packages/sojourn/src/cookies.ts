/**
 * Cookies as RFC 6265bis has them: ours found among a request's, and a line written that every browser keeps.
 * Nothing here decodes, folds case or guesses: a cookie is ours when its name is ours, byte for byte.
 */
import type { Exchange } from './types.js'

const TAB = 0x09
const SPACE = 0x20
const DQUOTE = 0x22
const SEMICOLON = 0x3b
const EQUALS = 0x3d

/** More values of one name than this are not worth looking at: nobody who means well sends them. */
const MOST_CANDIDATES = 3

/**
 * Every value that a `Cookie` header holds under exactly this name, in the order sent: one as a string, several as an
 * array of two or three (what comes after the third is not looked at), none as `''`. An empty value counts as none.
 * Never throws; takes time linear in the header, and about 100 ns for the usual one.
 *
 * Splits on `;` alone, as browsers do: quotes are data, `$Version` is a name like any other, a comma separates nothing.
 * Trims spaces and tabs and nothing else, unwraps a value wholly in double quotes, and decodes nothing.
 */
export function readCookies(header: string | undefined, name: string): string | readonly string[] {
  if (header === undefined) return ''
  let first = ''
  let several: string[] | undefined
  let at = header.indexOf(name)
  while (at !== -1) {
    const equals = at + name.length
    if (header.charCodeAt(equals) !== EQUALS || !beginsPair(header, at)) {
      // A name holds no separator, so that no occurrence of ours can begin inside this one.
      at = header.indexOf(name, equals)
      continue
    }
    const semicolon = header.indexOf(';', equals)
    const end = semicolon === -1 ? header.length : semicolon
    const value = valueWithin(header, equals + 1, end)
    if (value !== '') {
      if (first === '') first = value
      else if (several === undefined) several = [first, value]
      else several.push(value)
      if (several?.length === MOST_CANDIDATES) break
    }
    at = header.indexOf(name, end)
  }
  return several ?? first
}

const isBlank = (code: number): boolean => code === SPACE || code === TAB

function beginsPair(header: string, at: number): boolean {
  let before = at - 1
  while (before >= 0 && isBlank(header.charCodeAt(before))) before--
  return before < 0 || header.charCodeAt(before) === SEMICOLON
}

function valueWithin(header: string, from: number, to: number): string {
  let start = from
  let end = to
  while (start < end && isBlank(header.charCodeAt(start))) start++
  while (end > start && isBlank(header.charCodeAt(end - 1))) end--
  if (end - start > 1 && header.charCodeAt(start) === DQUOTE && header.charCodeAt(end - 1) === DQUOTE) {
    start++
    end--
  }
  return header.slice(start, end)
}

/** What is said of a cookie beside its value. `SameSite` has no default: a browser's own guess is weaker than any. */
export interface CookieAttributes {
  readonly domain: string | undefined
  readonly path: string
  readonly secure: boolean
  readonly httpOnly: boolean
  readonly sameSite: 'strict' | 'lax' | 'none'
  readonly partitioned: boolean
  readonly priority: 'low' | 'medium' | 'high' | undefined
}

/**
 * Makes one `Set-Cookie` line. `until` and `now` are epoch milliseconds: with them the cookie outlives the browser, for
 * 400 days at most, since browsers keep none longer; `until` at or before `now` deletes it; without them it ends with
 * the browser's session.
 *
 * Throws a `TypeError` for a value that is no cookie value, and a `RangeError` for name and value over 4096 bytes, which
 * browsers drop without a word. Neither message contains the value.
 */
export type CookieLine = (value: string, until?: number, now?: number) => string

/** Name and value of one cookie, bytes: browsers drop what is longer without a word (CK-03). */
export const MOST_BYTES = 4096
const MOST_ATTRIBUTE_BYTES = 1024
const MOST_SECONDS = 400 * 24 * 60 * 60

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const VALUE = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*$/
const PATH = /^\/[\x21-\x2b\x2d-\x3a\x3c-\x7e]*$/
const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'
const DOMAIN = new RegExp(`^(?:${LABEL}\\.)+(?!\\d+$)${LABEL}$`, 'i')

const SAME_SITE = { strict: 'Strict', lax: 'Lax', none: 'None' }
const PRIORITY = { low: 'Low', medium: 'Medium', high: 'High' }

/** The attributes are checked and spelled out once; what is left to each response is the value and the times. */
export function cookieTemplate(name: string, attributes: CookieAttributes): CookieLine {
  if (!TOKEN.test(name)) {
    throw new TypeError(`cookie: ${JSON.stringify(name)} is no cookie name; use letters, digits, "-" and "_"`)
  }
  const { domain, path } = attributes
  if (domain !== undefined && (!DOMAIN.test(domain) || domain.length > 253)) {
    throw new TypeError(
      `cookie: ${JSON.stringify(domain)} is no domain for a cookie; write a bare host name such as "example.com", ` +
        'without scheme, port or leading dot, or drop `domain`',
    )
  }
  if (!PATH.test(path) || path.length > MOST_ATTRIBUTE_BYTES) {
    throw new TypeError(
      `cookie: \`path\` must begin with "/", hold only visible ASCII without ";" and ",", ` +
        `and be at most ${MOST_ATTRIBUTE_BYTES} bytes long; percent-encode the rest, as browsers do`,
    )
  }

  let tail = `; Path=${path}`
  if (domain !== undefined) tail += `; Domain=${domain}`
  if (attributes.httpOnly) tail += '; HttpOnly'
  if (attributes.secure) tail += '; Secure'
  tail += `; SameSite=${oneOf(SAME_SITE, attributes.sameSite, 'sameSite')}`
  if (attributes.partitioned) tail += '; Partitioned'
  if (attributes.priority !== undefined) tail += `; Priority=${oneOf(PRIORITY, attributes.priority, 'priority')}`

  return (value, until, now = 0) => {
    if (!VALUE.test(value)) throw new TypeError('cookie: the value holds a character that no cookie value may hold')
    // Both are ASCII by now, so that characters are bytes.
    const bytes = name.length + value.length
    if (bytes > MOST_BYTES) {
      throw new RangeError(
        `cookie: name and value are ${bytes} bytes together; browsers drop what is over ${MOST_BYTES}`,
      )
    }
    return until === undefined ? `${name}=${value}${tail}` : `${name}=${value}${lifetime(until, now)}${tail}`
  }
}

function oneOf<K extends string>(spelling: Record<K, string>, key: K, option: string): string {
  // Callers without types write `Lax`, or `__proto__`: neither may pass for a word of ours.
  if (Object.hasOwn(spelling, key)) return spelling[key]
  const words = Object.keys(spelling).map((word) => `"${word}"`)
  throw new TypeError(`cookie: \`${option}\` must be one of ${words.join(', ')}; it is ${JSON.stringify(key)}`)
}

/** Both attributes, because agents that ignore `Max-Age` are still met; where both are known `Max-Age` wins. */
function lifetime(until: number, now: number): string {
  if (!Number.isFinite(until) || !Number.isFinite(now))
    throw new TypeError('cookie: the end of a cookie must be a time')
  const seconds = Math.min(Math.max(Math.ceil((until - now) / 1000), 0), MOST_SECONDS)
  const end = seconds === 0 ? 0 : now + seconds * 1000
  return `; Max-Age=${seconds}; Expires=${new Date(end).toUTCString()}`
}

/** The lines with every cookie of this name replaced by one: a response sets a cookie once, and the last word holds. */
export function replaceCookie(lines: readonly string[], name: string, line: string): string[] {
  const others = lines.filter((other) => other.slice(0, Math.max(other.indexOf('='), 0)).trim() !== name)
  others.push(line)
  return others
}

/**
 * Keeps the response out of shared caches, which would hand one visitor's session to the next. What was said before
 * stands when it says `no-store`, or `private` and not `public`; anything else is replaced.
 */
export function keepPrivate(x: Exchange): void {
  const said = x.get('cache-control')
  if (said !== undefined) {
    const words = said.toLowerCase().split(/[\s,]+/)
    // `private="set-cookie"` is not this word: it lets a shared cache keep the rest.
    if (words.includes('no-store') || (words.includes('private') && !words.includes('public'))) return
  }
  x.set('cache-control', 'private, no-store')
}
