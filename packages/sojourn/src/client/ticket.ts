/** Tickets: what goes into a URL in the credential's place, for what can send no header. */
import { absolute } from './options.js'

/** The server gave no ticket, and will not: there is no login, or it opens nothing there. */
export class Refused extends Error {
  override readonly name = 'Refused'
}

/** Gives the address with a fresh ticket. Throws a `Refused` for good, anything else for now. */
export type Opener = () => Promise<URL>

/** Where tickets are had. */
export class Tickets {
  readonly #endpoint: URL | undefined
  readonly #fetch: (url: URL, init: RequestInit) => Promise<Response>

  constructor(endpoint: URL | undefined, fetch: (url: URL, init: RequestInit) => Promise<Response>) {
    this.#endpoint = endpoint
    this.#fetch = fetch
  }

  /** For an address on the server that gives the tickets. Throws a `TypeError` for any other. */
  opener(to: string | URL): Opener {
    const endpoint = this.#endpoint
    if (!endpoint)
      throw new TypeError('client: there is nowhere to have tickets; pass `ticket`, the address of that endpoint')
    const url = absolute(to)
    if (url.origin.replace(/^ws/, 'http') !== endpoint.origin)
      throw new TypeError(`client: tickets of ${endpoint.origin} open nothing at ${url.origin}`)
    return async () => {
      const response = await this.#fetch(endpoint, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json' },
        body: JSON.stringify({ path: url.pathname }),
      })
      if (response.status >= 400 && response.status < 500 && response.status !== 429)
        throw new Refused(`client: the server gave no ticket (${response.status})`)
      const { ticket } = (response.ok ? await response.json() : {}) as { ticket?: unknown }
      if (typeof ticket !== 'string') throw new Error(`client: no ticket came (${response.status}); try again later`)
      const found = new URL(url)
      found.searchParams.set('ticket', ticket)
      return found
    }
  }
}
