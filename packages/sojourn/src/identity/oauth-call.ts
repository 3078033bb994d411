/**
 * How a provider is called: with a limit of time and of size, without following redirects, and only where a provider of
 * that name may be. What its metadata names is believed no further than this.
 */

/** Makes one request. Rejects for what is no place to call, no answer in time, and an answer that is too large. */
export type Call = (url: string, init?: CallInit) => Promise<Response>

/** What a request says. */
export interface CallInit {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: unknown
  /** When it is given up, in place of the usual limit of time. */
  readonly signal?: AbortSignal | undefined
}

/** Milliseconds that one call may take, its body included, where nothing else is said. */
const DEADLINE = 5_000
const MOST_BYTES = 262_144
const LOCAL = new Set(['localhost', '127.0.0.1', '[::1]'])

/** Whether the URL is of this very machine. */
export function isLocal({ hostname }: URL): boolean {
  return LOCAL.has(hostname)
}

/** The URL, where it is https, or http on this very machine; a `TypeError` that names `what` otherwise. */
export function checkSecure(what: string, text: unknown): URL {
  if (typeof text !== 'string' || !URL.canParse(text)) throw new TypeError(`${what}: this is no URL`)
  const url = new URL(text)
  const secure = url.protocol === 'https:' || (url.protocol === 'http:' && isLocal(url))
  if (!secure || url.username !== '' || url.password !== '' || url.hash !== '' || url.search !== '') {
    throw new TypeError(
      `${what}: it is an https:// URL without user, query and fragment; http:// is for this machine alone`,
    )
  }
  return url
}

/** Whether a provider at `home` may send us, or a browser, to `text`. */
export function isPlausible(text: unknown, home: URL): text is string {
  if (typeof text !== 'string' || !URL.canParse(text)) return false
  const url = new URL(text)
  if (url.username !== '' || url.password !== '') return false
  if (isLocal(home)) return isLocal(url) || url.protocol === 'https:'
  if (url.protocol !== 'https:') return false
  return url.hostname === home.hostname || isPublicName(url.hostname)
}

/** A name of the public network: an address, or a name of the local one, is where an attacker would point us. */
function isPublicName(hostname: string): boolean {
  const name = hostname.replace(/\.$/, '')
  if (name.startsWith('[') || /^[\d.]+$/.test(name) || !name.includes('.')) return false
  return !/\.(?:localhost|local|internal|home\.arpa|intranet|lan)$/.test(name)
}

/** Whether the provider is ill or has had enough requests, so that the same will do later. GitHub says the latter by 403. */
export function isAway({ status, headers }: Response): boolean {
  const limited = headers.has('retry-after') || headers.get('x-ratelimit-remaining') === '0'
  return status >= 500 || status === 429 || (status === 403 && limited)
}

/** Calls to a provider at `home`. */
export function calls(home: URL): Call {
  return async (url, { method = 'GET', headers = {}, body, signal = AbortSignal.timeout(DEADLINE) } = {}) => {
    if (!isPlausible(url, home)) throw new Error('the provider named a place that is not called')
    const response = await fetch(url, {
      method,
      headers,
      ...(body === undefined || body === null ? {} : { body: body as string }),
      redirect: 'manual',
      signal,
    })
    const bytes = await bounded(response)
    // These have no body, by their definition.
    const empty = bytes.length === 0 || [204, 205, 304].includes(response.status)
    return new Response(empty ? null : bytes, { status: response.status, headers: response.headers })
  }
}

async function bounded(response: Response): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of response.body ?? []) {
    size += part.length
    // Leaving the loop cancels the rest.
    if (size > MOST_BYTES) throw new Error(`the provider's answer is over ${MOST_BYTES} bytes`)
    parts.push(part)
  }
  return new Uint8Array(Buffer.concat(parts))
}
