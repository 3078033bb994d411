/**
 * The browser's half: keeps a credential that travels in a header, attaches it where it belongs and nowhere else, and
 * renews it once for all tabs.
 */
/// <reference lib="dom" preserve="true" />
import { type Credential, granted, isToken, same } from './credential.js'
import { TicketedEventSource } from './event-source.js'
import { type ClientEvent, Holder } from './holder.js'
import { type ClientOptions, type Settings, settle } from './options.js'
import type { Reconnecting } from './reconnecting.js'
import { Tickets } from './ticket.js'
import { TicketedWebSocket } from './web-socket.js'

export { RenewalError } from './endpoint.js'
export type { TicketedEventSource } from './event-source.js'
export type { ClientEvent } from './holder.js'
export type { Storing } from './keep.js'
export type { ClientOptions } from './options.js'
export type { TicketedWebSocket } from './web-socket.js'

/** A client. Its functions may be taken off it. */
export interface Client {
  /**
   * `fetch`, with the credential for the configured origins. Renewed before it runs out, and once after a 401. Throws as
   * `fetch` does; a `RenewalError` when the server could not renew it for now, which logs nobody out; and a `TypeError`
   * when the answer is a redirect, as nobody could say where the credential would go.
   */
  readonly fetch: (input: string | URL | Request, init?: RequestInit) => Promise<Response>
  /**
   * Sends the app's own login request, keeps the credential of a response that is `ok`, and tells the other tabs. Throws
   * a `TypeError` when an `ok` response brings none.
   */
  readonly login: (input: string | URL | Request, init?: RequestInit) => Promise<Response>
  /** Forgets the credential in all tabs at once, then ends it on the server. `false`: the server did not confirm that. */
  readonly logout: () => Promise<boolean>
  /** Hears of logins and logouts, in any tab, and of a login that the server says is over. Returns how to stop. */
  readonly on: (listener: (event: ClientEvent) => void) => () => void
  /** Whether a credential is held. Only the server knows whether it is still honoured. */
  readonly signedIn: boolean
  /** Server-sent events, by tickets, with a fresh one for each time that the connection is made anew. */
  readonly eventSource: (url: string | URL) => TicketedEventSource
  /** A WebSocket, by tickets, with a fresh one for each time that the connection is made anew. */
  readonly webSocket: (url: string | URL, protocols?: string | string[]) => TicketedWebSocket
  /** The address with a ticket, for a download: works once, and soon. */
  readonly withTicket: (url: string | URL) => Promise<string>
  /** Ends its connections and leaves the other tabs; the login goes on. */
  readonly close: () => void
}

/**
 * A client for the browser. Throws a `TypeError` for options that cannot be right.
 *
 * ```ts
 * const client = createClient({ origins: ['https://shop.example'], refresh: '/api/token/refresh', revoke: '/api/token/revoke' })
 * await client.login('/api/token', { method: 'POST', headers, body: JSON.stringify({ username, password }) })
 * const cart = await client.fetch('/api/cart')
 * ```
 */
export function createClient(options: ClientOptions): Client {
  const settings = settle(options)
  const { origins, refresh, revoke, cookie, ticket, storage, name } = settings
  const listeners = new Set<(event: ClientEvent) => void>()
  const connections = new Set<Reconnecting>()

  const tell = (event: ClientEvent): void => {
    if (event === 'logout') for (const connection of connections) connection.close()
    // One that throws must not keep the others, or the logout itself, from what is theirs.
    for (const listener of listeners) queueMicrotask(() => listener(event))
  }
  const holder = new Holder({
    name,
    storage,
    refresh: refresh === undefined ? undefined : { url: refresh, cookie },
    revoke: revoke === undefined ? undefined : { url: revoke, cookie },
    tell,
  })

  const send = async (request: Request, held: Credential | undefined): Promise<Response> => {
    const began = holder.begin()
    const response = await attached(request, held, settings)
    take(response, held, began)
    return response
  }

  /** A new credential of a session, in the place of the one that went with the request: not of a newer one. */
  const take = (response: Response, held: Credential | undefined, since: number): void => {
    const given = givenBy(response, settings)
    if (given === null || held?.expiresAt !== undefined) return
    if (isToken(given)) holder.replace(held, { access: given, since: held?.since ?? since })
    else if (given === '' && held) holder.taken(held)
  }

  const fetch = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init)
    if (!origins.has(new URL(request.url).origin) || request.headers.has(settings.header))
      return globalThis.fetch(request)
    const held = await holder.usable()
    if (!holder.canRenew(held)) return send(request, held)
    const again = request.clone()
    const response = await send(request, held)
    if (response.status !== 401) return response
    const next = await holder.renew(held)
    return next && !same(next, held) ? send(again, next) : response
  }

  const login = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init)
    if (!origins.has(new URL(request.url).origin))
      throw new TypeError('client.login: this is none of the configured origins; list it in `origins`')
    const held = holder.held
    const asked = Date.now()
    const since = holder.begin()
    // A guest's own session goes along, and what it holds may be kept; an access token has no part in a login.
    const guest = held?.expiresAt === undefined ? held : undefined
    const response = await attached(request, guest, settings)
    if (!response.ok) {
      take(response, guest, since)
      return response
    }
    if (!isFrom(origins, response))
      throw new TypeError(
        'client.login: the answer came from none of the configured origins, and nothing of it is kept',
      )
    const given = givenBy(response, settings)
    const body: unknown = await response
      .clone()
      .json()
      .catch(() => undefined)
    const next = granted(body, asked, since) ?? (isToken(given) ? { access: given, since } : undefined)
    if (!next)
      throw new TypeError(
        'client.login: the response brings no credential: neither tokens as JSON nor the header ' +
          `"${settings.responseHeader}" (of another origin, that must let it be read: Access-Control-Expose-Headers)`,
      )
    holder.login(next)
    return response
  }

  const tickets = new Tickets(ticket, fetch)
  const kept = <T extends Reconnecting>(connection: T): T => {
    connections.add(connection)
    connection.addEventListener('close', () => connections.delete(connection))
    return connection
  }

  return {
    fetch,
    login,
    logout: () => holder.logout(),
    on(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    get signedIn() {
      return holder.held !== undefined
    },
    eventSource: (url) => kept(new TicketedEventSource(tickets.opener(url))),
    webSocket: (url, protocols) => kept(new TicketedWebSocket(tickets.opener(url), protocols)),
    withTicket: async (url) => (await tickets.opener(url)()).href,
    close() {
      for (const connection of connections) connection.close()
      holder.close()
    },
  }
}

/** Sends the request with the credential, and follows no redirect with it: a browser would take a header of ours along. */
async function attached(request: Request, held: Credential | undefined, { header }: Settings): Promise<Response> {
  if (!held) return globalThis.fetch(request)
  const headers = new Headers(request.headers)
  headers.set(header, header === 'authorization' ? `Bearer ${held.access}` : held.access)
  const response = await globalThis.fetch(new Request(request, { headers, redirect: 'manual' }))
  if (response.type !== 'opaqueredirect' || request.redirect === 'manual') return response
  throw new TypeError(
    `client: ${request.method} ${new URL(request.url).pathname} was answered with a redirect, which is not followed with a credential; ` +
      'ask for where it leads, or pass `redirect: "manual"`',
  )
}

/** What the response brings in place of a credential. A redirect that was followed may have led anywhere. */
function givenBy(response: Response, { origins, responseHeader }: Settings): string | null {
  return isFrom(origins, response) ? response.headers.get(responseHeader) : null
}

function isFrom(origins: ReadonlySet<string>, { url }: Response): boolean {
  return URL.canParse(url) && origins.has(new URL(url).origin)
}
