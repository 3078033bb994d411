/** The return path after signing in: only ever a path of this server, so that no link can send a visitor elsewhere. */

import { wayBack } from 'sojourn/guard/access'

// Whatever the host really is: the path is one of ours already, and is only put in order.
const BASE = 'http://self.invalid'

/** Long enough for every page here; a longer one is somebody trying something. */
const MAX_LENGTH = 512

/**
 * `value` as a path of this server, or `fallback` when it could lead anywhere else (ASVS 3.7.2). Stricter than it must be:
 * encoded control characters are refused in its query too.
 */
export function ownPath(value: unknown, fallback = '/'): string {
  const path = wayBack(value, '')
  if (path === '' || path.length > MAX_LENGTH || /%(?:[01][\da-f]|7f)/i.test(path)) return fallback
  const { pathname, search, hash } = new URL(path, BASE)
  return pathname + search + hash
}

/** `path` with the way back as a query, or `path` alone when the way back is the front page. */
export function withNext(path: string, next: string): string {
  return next === '/' ? path : `${path}?next=${encodeURIComponent(next)}`
}
