/** Errors of the API, as RFC 9457 problem details. They say what the caller can do about them, and nothing of the cause. */
import { STATUS_CODES } from 'node:http'
import { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { challenge, problem as details } from 'sojourn'
import type { Reason, Refused } from './services.js'

/** A response that says what went wrong. */
export function problem(status: number, detail: string, headers: Record<string, string> = {}): Response {
  const { body, headers: all } = details(status, STATUS_CODES[status] ?? 'Error', detail, headers)
  return new Response(body, { status, headers: all })
}

/** The same, thrown: ends the handler, and reaches the client as it is. */
export function thrown(status: ContentfulStatusCode, detail: string): HTTPException {
  return new HTTPException(status, { message: detail })
}

/** The status that says why an operation was refused. */
export const statusOf: Readonly<Record<Reason, ContentfulStatusCode>> = {
  guest: 401,
  credentials: 401,
  username: 422,
  password: 422,
  product: 422,
  quantity: 422,
  taken: 409,
  unknown: 404,
  throttled: 429,
  busy: 503,
  replaced: 409,
  disconnected: 409,
  last: 409,
  unavailable: 503,
  unusable: 502,
}

/** The answer to a refused operation. */
export function refusal(refused: Refused): Response {
  const headers: Record<string, string> = {}
  if (statusOf[refused.reason] === 401) headers['www-authenticate'] = challenge({ refused: undefined })
  if (refused.retryAfter !== undefined) headers['retry-after'] = String(refused.retryAfter)
  return problem(statusOf[refused.reason], refused.message, headers)
}
