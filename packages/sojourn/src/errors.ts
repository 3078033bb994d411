/**
 * Three kinds, three shapes: a refusal is a value, a fault is a throw, misuse is a `TypeError` at construction.
 * No credential, hash, key or user data enters any message.
 */

/**
 * - `ERR_STORE`: the store failed or did not answer in time
 * - `ERR_CONFLICT`: a login or rotation gave the session a new identifier while this request was under way; what the
 *   request wanted of it was not done
 * - `ERR_LIMIT`: the user is at the limit of sessions, and the policy is `reject`
 * - `ERR_LATE`: the session was changed after the response's headers had left
 * - `ERR_BUSY`: more password hashes are waiting than are let to; nothing was computed
 * - `ERR_TOO_LARGE`: the session does not fit into what carries it; the client keeps what it had
 * - `ERR_DATA`: the data cannot be kept (not JSON, too large, refused by the schema) or a kept one cannot be read
 */
export type FaultCode =
  | 'ERR_STORE'
  | 'ERR_CONFLICT'
  | 'ERR_LIMIT'
  | 'ERR_LATE'
  | 'ERR_DATA'
  | 'ERR_TOO_LARGE'
  | 'ERR_BUSY'

const STATUS: Record<FaultCode, number> = {
  ERR_STORE: 503,
  ERR_BUSY: 503,
  ERR_CONFLICT: 409,
  ERR_LIMIT: 409,
  ERR_LATE: 500,
  ERR_DATA: 500,
  ERR_TOO_LARGE: 500,
}

/** Something failed; nobody is logged out by it and no cookie is cleared. Adapters answer with `status`. */
export class Fault extends Error {
  override readonly name: string = 'Fault'
  readonly code: FaultCode
  /** The HTTP status that says it; frameworks that answer errors by `status` and `headers` answer rightly. */
  readonly status: number
  readonly headers: Readonly<Record<string, string>>

  constructor(code: FaultCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.status = STATUS[code]
    this.headers = STATUS[code] === 503 ? { 'retry-after': '1' } : {}
  }

  /** The answer to it; Hono asks errors for one. */
  getResponse(): Response {
    const { status, headers, body } = problemOf(this)
    return new Response(body, { status, headers })
  }
}

/** The session was changed after its commit: the headers have left, and the change could only vanish. */
export class SessionCommittedError extends Fault {
  override readonly name: string = 'SessionCommittedError'

  constructor(what: string) {
    super(
      'ERR_LATE',
      `${what} came after the response's headers had left, so it cannot be kept; change the session before the first byte is written`,
    )
  }
}

/** A response that says what went wrong, as RFC 9457 problem details. */
export interface Problem {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** The answer to a fault or to a refused request. Says nothing of the cause (ASVS 16.5.1). */
export function problem(status: number, title: string, detail?: string, headers: Record<string, string> = {}): Problem {
  return {
    status,
    headers: { 'content-type': 'application/problem+json', 'cache-control': 'no-store', ...headers },
    body: JSON.stringify({ type: 'about:blank', title, status, ...(detail === undefined ? {} : { detail }) }),
  }
}

/** The answer to whatever a commit or an opening threw. */
export function problemOf(error: unknown): Problem {
  if (!(error instanceof Fault)) return problem(500, 'Internal Server Error')
  const { title, detail } = ANSWER[error.code]
  return problem(error.status, title, detail, error.headers)
}

const OURS = { title: 'Internal Server Error', detail: undefined }
const ANSWER: Record<FaultCode, { title: string; detail: string | undefined }> = {
  ERR_STORE: {
    title: 'Service Unavailable',
    detail: 'Sessions cannot be reached just now. Nobody was signed out; try again in a moment.',
  },
  ERR_BUSY: {
    title: 'Service Unavailable',
    detail: 'Too many people are signing in just now. Please try again in a moment.',
  },
  ERR_CONFLICT: {
    title: 'Conflict',
    detail: 'A sign-in, or many requests at once, came between, so this was not kept. Please do it again.',
  },
  ERR_LIMIT: {
    title: 'Conflict',
    detail: 'You are signed in on as many devices as are allowed. End one of them first.',
  },
  ERR_LATE: OURS,
  ERR_DATA: OURS,
  ERR_TOO_LARGE: OURS,
}
