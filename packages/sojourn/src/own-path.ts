/** Paths of this origin, and nothing that a browser would read as another one. */

/** What a URL parser drops, turns into a slash, or trips over. */
const UNSAFE = /[\p{Cc}\s\\]/u
const LONGEST = 2048

/** Whether the text is a path of this origin, with or without a query. */
export function isOwnPath(text: unknown): text is string {
  if (typeof text !== 'string' || text.length > LONGEST || !text.startsWith('/')) return false
  // Two slashes begin a host, and so may a path that comes to them once its dots are resolved.
  if (UNSAFE.test(text) || !URL.canParse(text, 'https://own.invalid')) return false
  const { host, pathname } = new URL(text, 'https://own.invalid')
  return host === 'own.invalid' && !pathname.startsWith('//')
}
