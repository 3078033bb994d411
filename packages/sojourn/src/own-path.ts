/** Paths of this origin, and nothing that a browser would read as another one. */

/** What a URL parser drops, turns into a slash, or trips over. */
const UNSAFE = /[\p{Cc}\s\\]/u
/** The same, and the slash, as whoever stands between may decode it before a browser reads the path. */
const ENCODED = /%(?:[01][\da-f]|7f|2f|5c)/gi
const LONGEST = 2048

/** Whether the text is a path of this origin, with or without a query, and stays one when it is decoded. */
export function isOwnPath(text: unknown): text is string {
  if (typeof text !== 'string' || text.length > LONGEST || !isOwn(text)) return false
  const [path] = text.split(/[?#]/, 1) as [string]
  const decoded = path.replace(ENCODED, decodeURIComponent)
  // `/projects/group%2Fname` is a path either way; `/%2Fevil` would be a host.
  return decoded === path || isOwn(decoded)
}

function isOwn(text: string): boolean {
  if (!text.startsWith('/') || UNSAFE.test(text) || !URL.canParse(text, 'https://own.invalid')) return false
  // Two slashes begin a host, and so may a path that comes to them once its dots are resolved.
  const { host, pathname } = new URL(text, 'https://own.invalid')
  return host === 'own.invalid' && !pathname.startsWith('//')
}
