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

/**
 * From here on nothing said of the head has an effect. `headersSent` tells the truth of it, so that a stream that broke
 * off is cut; but not of an answer that is complete, as frameworks cut the connection then, and it would be lost.
 */
export function sealHead(res: ServerResponse, complete: () => boolean): () => void {
  const { statusCode } = res
  const ignored = { value: () => res }
  const sealed: PropertyDescriptorMap = {
    headersSent: { get: () => !complete() },
    statusCode: { get: () => statusCode, set() {} },
    setHeader: ignored,
    setHeaders: ignored,
    appendHeader: ignored,
    removeHeader: ignored,
  }
  if (hasReason(res)) {
    const { statusMessage } = res
    sealed.statusMessage = { get: () => statusMessage, set() {} }
  }
  const before = Object.keys(sealed).map((name) => [name, Object.getOwnPropertyDescriptor(res, name)] as const)
  for (const [name, seal] of Object.entries(sealed)) Object.defineProperty(res, name, { ...seal, configurable: true })

  return () => {
    for (const [name, property] of before) {
      if (property) Object.defineProperty(res, name, property)
      else Reflect.deleteProperty(res, name)
    }
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
