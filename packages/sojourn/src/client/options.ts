/** What a client is told at construction, checked once. */
import type { Storing } from './keep.js'

/** Options of `createClient`. Addresses may be relative to the page. */
export interface ClientOptions {
  /** The origins that the credential may be sent to, each exactly `https://host[:port]`. No wildcards. */
  readonly origins: readonly string[]
  /** The refresh endpoint of a token pair. Without it nothing is renewed but by what responses bring. */
  readonly refresh?: string
  /** The refresh half is in a cookie of the server's, as is best; default `false`: it is in the body, and kept with the rest. */
  readonly cookie?: boolean
  /** The revocation endpoint (RFC 7009). Without it a logout is not told to the server. */
  readonly revoke?: string
  /** Where tickets are had for `eventSource`, `webSocket` and `withTicket`. */
  readonly ticket?: string
  /** Default `'memory'`. What the others risk: docs/client.md. */
  readonly storage?: Storing
  /** The request header with the credential. Default `authorization`, as `Bearer`; any other holds it bare. */
  readonly header?: string
  /** The response header with a new credential, which is empty when there is none any more. Default `session-token`. */
  readonly responseHeader?: string
  /** Tells apart several clients of one origin: their storage, locks and channels. Default `'default'`. */
  readonly name?: string
}

/** The options, each with its default, and addresses whole. */
export interface Settings {
  readonly origins: ReadonlySet<string>
  readonly refresh: string | undefined
  readonly cookie: boolean
  readonly revoke: string | undefined
  readonly ticket: URL | undefined
  readonly storage: Storing
  readonly header: string
  readonly responseHeader: string
  readonly name: string
}

/** Throws a `TypeError` for what cannot be right. */
export function settle(options: ClientOptions): Settings {
  const origins = new Set((options.origins ?? []).map(checkedOrigin))
  if (origins.size === 0)
    misuse('`origins` is empty, so nothing would get the credential; list your API: ["https://api.example"]')
  const { cookie = false, storage = 'memory', name = 'default' } = options
  if (cookie && options.refresh === undefined) misuse('`cookie` is about the refresh token; pass `refresh`, or drop it')
  if (!['memory', 'sessionStorage', 'localStorage'].includes(storage))
    misuse("`storage` is 'memory', 'sessionStorage' or 'localStorage'")

  const endpoint = (option: 'refresh' | 'revoke' | 'ticket'): URL | undefined => {
    const text = options[option]
    if (text === undefined) return undefined
    const url = absolute(text)
    if (!origins.has(url.origin))
      misuse(`\`${option}\` is at ${url.origin}, which gets credentials; list it in \`origins\``)
    return url
  }
  return {
    origins,
    refresh: endpoint('refresh')?.href,
    cookie,
    revoke: endpoint('revoke')?.href,
    ticket: endpoint('ticket'),
    storage,
    header: (options.header ?? 'authorization').toLowerCase(),
    responseHeader: (options.responseHeader ?? 'session-token').toLowerCase(),
    name,
  }
}

/** An address of the page's, whole. */
export function absolute(url: string | URL): URL {
  return new URL(url, globalThis.location?.href)
}

function checkedOrigin(text: string): string {
  if (/^https?:[^*]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text) return text
  return misuse(`\`origins\` has ${JSON.stringify(text)}; write "https://host[:port]", without path, slash or wildcard`)
}

function misuse(what: string): never {
  throw new TypeError(`client: ${what}`)
}
