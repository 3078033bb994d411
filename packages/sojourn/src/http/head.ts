/**
 * The head of a response whose first bytes wait: what it says is settled, as if it had left. An error handler that comes
 * too late would otherwise put its status and length on the answer that is already waiting.
 */
import type { ServerResponse } from 'node:http'
import type { Problem } from '../errors.js'

/** Headers that belong to the answer that a problem takes the place of. The others speak of the server: HSTS, CSP. */
const OF_THE_ANSWER = /^(?:content-(?!security)|transfer-encoding|set-cookie|etag|last-modified|location|accept-ranges)/

/** Whether a header stays when a problem takes the place of the answer. */
export function outlivesAnswer(name: string): boolean {
  return !OF_THE_ANSWER.test(name)
}

/** What changes headers. */
const SETTERS = ['setHeader', 'setHeaders', 'appendHeader', 'removeHeader'] as const

type Setter = (...args: unknown[]) => unknown
type Target = Record<(typeof SETTERS)[number], Setter>

/** Responses whose head is sealed, with what tells whether the answer that waits is complete. */
const seals = new WeakMap<ServerResponse, () => boolean>()

// One for all responses, and never taken away from one again: either would give each a layout of its own, and node's own
// code, which had seen a few of such, would look up every property of every response the slow way from then on.
const HEADERS_SENT: PropertyDescriptor = {
  configurable: true,
  get(this: ServerResponse): unknown {
    const complete = seals.get(this)
    return complete ? !complete() : Reflect.get(Object.getPrototypeOf(this), 'headersSent', this)
  },
}

function ignored(this: ServerResponse): ServerResponse {
  return this
}

/**
 * From here on nothing said of the head has an effect. `headersSent` tells the truth of it, so that a stream that broke
 * off is cut; but not of an answer that is complete, as frameworks cut the connection then, and it would be lost.
 */
export function sealHead(res: ServerResponse, complete: () => boolean): () => void {
  const target = res as unknown as Target
  const before = SETTERS.map((name) => [name, target[name]] as const)
  const { statusCode } = res
  const statusMessage = hasReason(res) ? res.statusMessage : ''
  for (const name of SETTERS) target[name] = ignored as Setter
  Object.defineProperty(res, 'headersSent', HEADERS_SENT)
  seals.set(res, complete)

  return () => {
    seals.delete(res)
    for (const [name, setter] of before) target[name] = setter
    if (res.statusCode !== statusCode) res.statusCode = statusCode
    if (hasReason(res) && res.statusMessage !== statusMessage) res.statusMessage = statusMessage
  }
}

/** Makes the head that of a problem. */
export function problemHead(res: ServerResponse, problem: Problem): void {
  for (const name of res.getHeaderNames()) if (!outlivesAnswer(name)) res.removeHeader(name)
  res.statusCode = problem.status
  if (hasReason(res)) res.statusMessage = ''
  for (const [name, value] of Object.entries(problem.headers)) res.setHeader(name, value)
}

/** HTTP/2 has no reason phrases, and node warns whoever looks for one. */
function hasReason(res: ServerResponse): boolean {
  return !('stream' in res)
}
