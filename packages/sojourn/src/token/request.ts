/** A request to a token endpoint: its parameters, read strictly and with a bound, and the headers of its answer. */
import { RequestExchange } from '../http/request-exchange.js'
import { strictObject } from './json.js'

/** Bytes of a body: an encrypted token of the largest size fits. */
const LONGEST = 65_536

/** The parameters of a request; or the status of why they are not read: 400, 413 or 415. */
export async function parameters(request: Request): Promise<ReadonlyMap<string, string> | 400 | 413 | 415> {
  const bytes = await bodyOf(request)
  if (bytes === undefined) return 413
  if (bytes.length === 0) return new Map()
  const type = /^[^;\s]*/.exec(request.headers.get('content-type') ?? '')?.[0].toLowerCase()
  if (type !== 'application/x-www-form-urlencoded' && type !== 'application/json') return 415
  try {
    const pairs = type === 'application/json' ? members(strictObject(bytes)) : fields(bytes)
    // RFC 6749, 3.2: each at most once, in either form, and one without a value was not sent.
    const found = new Map(pairs)
    if (found.size < pairs.length) return 400
    for (const [name, value] of found) if (value === '') found.delete(name)
    return found
  } catch {
    return 400
  }
}

function fields(bytes: Uint8Array): [string, string][] {
  return [...new URLSearchParams(new TextDecoder('utf-8', { fatal: true }).decode(bytes))]
}

function members(value: Record<string, unknown> | undefined): [string, string][] {
  if (value === undefined) throw new SyntaxError('not an object')
  return Object.entries(value).map(([name, value]) => {
    if (typeof value !== 'string') throw new SyntaxError('not a text')
    return [name, value]
  })
}

async function bodyOf(request: Request): Promise<Buffer | undefined> {
  const reader = request.body?.getReader()
  const chunks: Uint8Array[] = []
  let size = 0
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
    size += part.value.length
    if (size > LONGEST) {
      await reader?.cancel()
      return undefined
    }
    chunks.push(part.value)
  }
  return Buffer.concat(chunks)
}

/** The exchange of one request to an endpoint. `origin` says whether it is secure where a proxy stands in front. */
export class EndpointExchange extends RequestExchange {
  constructor(request: Request, origin: string | undefined) {
    const headers = new Headers({ 'cache-control': 'no-store', pragma: 'no-cache' })
    super(request, (origin ?? request.url).startsWith('https:'), undefined, headers)
  }

  /** The answer, with all headers that were set. */
  answer(status: number, body?: object): Response {
    if (body === undefined) return new Response(null, { status, headers: this.headers })
    this.headers.set('content-type', 'application/json')
    return new Response(JSON.stringify(body), { status, headers: this.headers })
  }
}
