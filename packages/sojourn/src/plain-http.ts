/** Plain HTTP, where anybody on the way could take a credential: on this machine there is no way, elsewhere there is. */
import type { Exchange } from './types.js'

const LOCAL = /^(?:(?:[a-z0-9-]+\.)*localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i

/** The host of the last request, which nearly always is the next one's too. */
let last = { host: '', local: false }

/** Whether the request was made to this machine by one of its own names: `localhost`, `127.0.0.0/8`, `[::1]`. */
export function isLocal(x: Exchange): boolean {
  const host = x.header('host')
  if (host === undefined) return false
  if (host !== last.host) last = { host, local: LOCAL.test(host) }
  return last.local
}

/** A warning, and the code that it is known by. */
export interface Note {
  readonly code: string
  readonly message: string
}

const warned = new Set<string>()

/** Once per process: the second time would tell nobody anything, and a visitor must not be able to fill the log. */
export function warnOnce({ code, message }: Note): void {
  if (warned.has(code)) return
  warned.add(code)
  process.emitWarning(message, { type: 'SojournWarning', code })
}

/** Whether a credential may travel with this exchange; where not, a warning says once why and what to do. */
export function travelsSafely(x: Exchange, transport: string): boolean {
  if (x.secure || isLocal(x)) return true
  warnOnce({
    code: `SOJOURN_${transport.toUpperCase()}_WITHHELD`,
    message:
      `THE ${transport.toUpperCase()} TRANSPORT DID NOTHING: this request came over plain HTTP, where anybody on the way ` +
      "could take the session. Behind a proxy that ends HTTPS, set `origin: 'https://…'` to the public address, or tell " +
      'the adapter to trust the proxy; otherwise serve HTTPS.',
  })
  return false
}
