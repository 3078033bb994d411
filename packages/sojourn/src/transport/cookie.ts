/**
 * The session's credential in a cookie, with the strongest name that the scheme allows: what a browser would drop, or
 * what would weaken the session without a word, is refused when the server starts.
 */
import { join, MOST_CHUNKS, split } from '../cookie-chunks.js'
import {
  type CookieAttributes,
  type CookieLine,
  cookieTemplate,
  keepPrivate,
  MOST_BYTES,
  readCookies,
  replaceCookie,
} from '../cookies.js'
import { isLocal, warnOnce } from '../plain-http.js'
import type { Exchange, Transport } from '../types.js'

/** The promises that a name can make, and that browsers hold the server to (RFC 6265bis, layered cookies). */
export type CookiePrefix = '__Host-Http-' | '__Host-' | '__Secure-' | '__Http-' | ''

/** How the cookie looks. The defaults are the strongest that every browser understands. */
export interface CookieOptions {
  /** The name after the prefix. Default `session`. On localhost, where ports share cookies, tells two apps apart. */
  readonly name?: string
  /** Default `__Host-Http-`: only this host over HTTPS can have set it, and no script. Older browsers see `__Host-`. */
  readonly prefix?: CookiePrefix
  /** Default none: this host alone. A domain hands the session to every host below it; needs another prefix. */
  readonly domain?: string
  /** Default `/`. Another path is no border between two apps: either can read the other's pages. */
  readonly path?: string
  /** Default `true`. `false` lets the cookie travel in the clear, where anybody on the way can take it; needs prefix `''`. */
  readonly secure?: boolean
  /** Default `true`. `false` lets every script on the page take the session; needs a prefix without `Http-`. */
  readonly httpOnly?: boolean
  /** Default `lax`. `strict` also withholds it from links that lead here; `none` sends it with every foreign request. */
  readonly sameSite?: 'strict' | 'lax' | 'none'
  /** Default `false`. A jar of its own for each site that embeds this one (CHIPS); meant for `sameSite: 'none'`. */
  readonly partitioned?: boolean
  /** What Chromium evicts first when its jar is full. Default unsaid, which it takes for `medium`. */
  readonly priority?: 'low' | 'medium' | 'high'
  /** The longest that a "remember me" cookie is kept, milliseconds. Default and most 400 days; never past the session's end. */
  readonly maxAge?: number
  /** A date past which no "remember me" cookie is kept; from then on cookies end with the browser's session. Not with `maxAge`. */
  readonly expires?: Date
}

/** A name and what writes it. */
interface Variant {
  readonly name: string
  readonly line: CookieLine
  readonly cleared: string
  /** The cookies of a value that one cookie cannot hold. */
  readonly further: readonly Variant[]
}

/**
 * The cookie transport. Over HTTPS the cookie has its prefix and `Secure`. Over plain HTTP on localhost it goes by its
 * bare name without them, and a warning says so once. Over plain HTTP elsewhere it is neither written nor read, and a
 * louder one says why; unless `secure: false` wants it so.
 *
 * `read` gives every value under the one name that the scheme calls for, three at most. `write` splits what one cookie
 * cannot hold over up to three, and throws a `RangeError`, setting nothing, for what three cannot. Throws a `TypeError`
 * for options that browsers drop or that weaken the session unsaid.
 */
export function cookie(options: CookieOptions = {}): Transport {
  const { name = 'session', prefix = '__Host-Http-', maxAge = Number.POSITIVE_INFINITY } = options
  const attributes: CookieAttributes = {
    domain: options.domain,
    path: options.path ?? '/',
    secure: options.secure ?? true,
    httpOnly: options.httpOnly ?? true,
    sameSite: options.sameSite ?? 'lax',
    partitioned: options.partitioned ?? false,
    priority: options.priority,
  }
  check(name, prefix, attributes)
  checkLifetime(options)
  const lastDay = options.expires?.getTime() ?? Number.POSITIVE_INFINITY

  const full = variant(prefix + name, attributes)
  // A browser on localhost refuses, over plain HTTP, the prefix and all that rests on `Secure`, and any foreign domain.
  const bare = variant(name, {
    ...attributes,
    domain: undefined,
    secure: false,
    partitioned: false,
    sameSite: attributes.sameSite === 'none' ? 'lax' : attributes.sameSite,
  })

  const variantFor = (x: Exchange): Variant | undefined => {
    if (x.secure || !attributes.secure) return full
    return isLocal(x) ? bare : undefined
  }

  // The prefixed name is the longer one, so what fits under it fits under both.
  const whole = MOST_BYTES - `${full.name}.1`.length

  return {
    ambient: true,
    binding: `cookie ${name}`,
    capacity: { whole, chunked: whole * MOST_CHUNKS - 2 },

    read(x) {
      const ours = variantFor(x)
      if (ours === undefined) return ''
      const header = x.header('cookie')
      const found = readCookies(header, ours.name)
      return typeof found === 'string' && found[1] === '~' ? join(found, header, ours.name) : found
    },

    write(x, carried, now) {
      const ours = variantFor(x)
      if (ours !== full) warnOnce(ours === bare ? ON_LOCALHOST : IN_THE_CLEAR)
      if (ours === undefined) return
      const parts = split(carried.credential, whole)
      if (parts.length > MOST_CHUNKS) {
        throw new RangeError(`cookie: the credential is longer than ${MOST_CHUNKS} cookies hold, and none was set`)
      }
      const until = carried.persistent ? Math.min(carried.endsAt, now + maxAge, lastDay) : 0
      const cookies = [ours, ...ours.further]
      // Every line is made before the first is set: what cannot be written leaves the client with what it had.
      const lines = parts.map((part, i) => (until > now ? cookies[i]!.line(part, until, now) : cookies[i]!.line(part)))
      for (const [i, line] of lines.entries()) setLine(x, cookies[i]!, line)
      clearFurther(x, ours, parts.length - 1)
      keepPrivate(x)
    },

    clear(x) {
      const ours = variantFor(x)
      if (ours === undefined) return
      setLine(x, ours, ours.cleared)
      clearFurther(x, ours, 0)
      keepPrivate(x)
    },
  }
}

function setLine(x: Exchange, cookie: Variant, line: string): void {
  x.setCookies(replaceCookie(x.cookies(), cookie.name, line))
}

/** Parts of a longer value from before are taken back, where the client still has any. */
function clearFurther(x: Exchange, cookie: Variant, kept: number): void {
  const header = x.header('cookie')
  if (!header?.includes(`${cookie.name}.`)) return
  for (const stale of cookie.further.slice(kept)) {
    if (readCookies(header, stale.name) !== '') setLine(x, stale, stale.cleared)
  }
}

function variant(name: string, attributes: CookieAttributes, parts: number = MOST_CHUNKS): Variant {
  const line = cookieTemplate(name, attributes)
  const further = Array.from({ length: parts - 1 }, (_, i) => variant(`${name}.${i + 1}`, attributes, 1))
  // Made by the same template, so that what clears a cookie always names the one that was set.
  return { name, line, cleared: line('', 0), further }
}

const PREFIXES: readonly string[] = ['__Host-Http-', '__Host-', '__Secure-', '__Http-', ''] satisfies CookiePrefix[]

function check(name: string, prefix: string, { domain, path, ...flags }: CookieAttributes): void {
  const misuse = (what: string): never => {
    throw new TypeError(`cookie: ${what}`)
  }
  if (!PREFIXES.includes(prefix)) {
    misuse(`there is no prefix ${JSON.stringify(prefix)}; use ${PREFIXES.map((known) => `"${known}"`).join(', ')}`)
  }
  // Every request carries the name, and every part of a long value its own copy.
  if (name.length > 64) misuse('`name` is over 64 characters; choose a shorter one')
  // Browsers read prefixes without regard to case, and would hold such a name to promises that nobody checked here.
  if (/^__(?:host|secure|http)-/i.test(name)) misuse('`name` begins with a prefix; give that as `prefix`')
  for (const flag of ['secure', 'httpOnly', 'partitioned'] as const) {
    if (typeof flags[flag] !== 'boolean') misuse(`\`${flag}\` must be true or false; the scheme is told by the request`)
  }
  if (prefix.startsWith('__Host-')) {
    if (domain !== undefined) {
      misuse(
        `"${prefix}" allows no \`domain\`, which shares the session with every host below it; ` +
          'drop `domain`, or set prefix "__Secure-" to say that sharing is meant',
      )
    }
    if (path !== '/') misuse(`"${prefix}" needs path "/"; drop \`path\`, or set prefix "__Secure-"`)
  }
  if (prefix.endsWith('Http-') && !flags.httpOnly) {
    misuse(`"${prefix}" needs \`httpOnly\`; drop \`httpOnly: false\`, or set a prefix without "Http-"`)
  }
  if (!flags.secure) {
    if (prefix !== '') misuse(`"${prefix}" needs \`secure\`; drop \`secure: false\`, or set prefix "" to go without`)
    if (flags.sameSite === 'none') misuse('SameSite=None needs `secure`, or browsers drop it; drop `secure: false`')
    if (flags.partitioned) misuse('`partitioned` needs `secure`, or browsers drop it; drop `secure: false`')
  }
}

function checkLifetime({ maxAge, expires }: CookieOptions): void {
  if (maxAge !== undefined && !(Number.isFinite(maxAge) && maxAge >= 1000)) {
    throw new TypeError(
      'cookie: `maxAge` must be a number of milliseconds, 1000 or more; drop it for the 400 days that browsers allow',
    )
  }
  if (expires === undefined) return
  if (maxAge !== undefined) throw new TypeError('cookie: `maxAge` would silence `expires`; give one of them')
  // The wall clock, not the injected one: it is the browser that judges this date.
  if (!(expires instanceof Date && expires.getTime() > Date.now())) {
    throw new TypeError('cookie: `expires` must be a Date in the future, or browsers drop the cookie at once')
  }
}

const ON_LOCALHOST = {
  code: 'SOJOURN_PLAIN_HTTP',
  message:
    'Plain HTTP on localhost: the session cookie goes by its bare name, without prefix and Secure. HTTPS brings both. ' +
    "If browsers do use HTTPS, and a proxy before this server ends it, set `origin: 'https://…'` to the public address.",
}

const IN_THE_CLEAR = {
  code: 'SOJOURN_COOKIE_WITHHELD',
  message:
    'NO SESSION COOKIE WAS SENT: this request came over plain HTTP, where anybody on the way could take the session. ' +
    "Behind a proxy that ends HTTPS, set `origin: 'https://…'` to the public address, or tell the adapter to trust the " +
    'proxy; otherwise serve HTTPS.',
}
