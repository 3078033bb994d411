/** The return path after signing in: only ever a path of this server, so that no link can send a visitor elsewhere. */

// Whatever the host really is, a path resolved against this base either stays on it or was not a path.
const BASE = 'http://self.invalid'

/** Long enough for every page here; a longer one is somebody trying something. */
const MAX_LENGTH = 512

/**
 * `value` as a path of this server, or `fallback` when it could lead anywhere else (ASVS 3.7.2).
 * Stricter than it must be: encoded slashes, backslashes and control characters are refused too, because whatever
 * stands between this server and the browser may decode them.
 */
export function ownPath(value: unknown, fallback = '/'): string {
  if (typeof value !== 'string' || value.length > MAX_LENGTH || !value.startsWith('/')) return fallback
  // Browsers read `\` as `/`, and drop tabs and line ends, before they parse.
  if (/[\\\s\p{Cc}]|%(?:[01][\da-f]|7f)/iu.test(value)) return fallback
  if (!URL.canParse(value, BASE)) return fallback
  const url = new URL(value, BASE)
  if (url.origin !== BASE) return fallback
  // `/..//evil.example` parses to a path of ours that the next parser takes for a host.
  if (/^\/\/|%(?:2f|5c)/i.test(url.pathname)) return fallback
  return url.pathname + url.search + url.hash
}

/** `path` with the way back as a query, or `path` alone when the way back is the front page. */
export function withNext(path: string, next: string): string {
  return next === '/' ? path : `${path}?next=${encodeURIComponent(next)}`
}
