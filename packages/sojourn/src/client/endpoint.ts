/** How the client speaks with the token endpoints: what a renewal and a revocation are on the wire. */
import { type Credential, granted } from './credential.js'

/** The server could not renew the credential for now. Nobody is logged out by it; try again later. */
export class RenewalError extends Error {
  override readonly name = 'RenewalError'
  /** The status of the refresh endpoint's answer; `undefined` where there was none. */
  readonly status: number | undefined

  /** Made by the client alone. */
  constructor(status: number | undefined, cause?: unknown) {
    super(`client: the credential could not be renewed (${status ?? 'no answer'}); try again later`, { cause })
    this.status = status
  }
}

/** Where the refresh half is. */
export interface Endpoint {
  readonly url: string
  /** The refresh token is in a cookie that scripts do not see, and is not named in the body. */
  readonly cookie: boolean
}

/**
 * Milliseconds that an answer may take. The server gives the same successor again for 10 seconds: a lost answer must be
 * asked for again before that, and the last of three attempts leaves after some 8.6.
 */
const PATIENCE = 4_000
const PAUSES = [200, 400]

/**
 * The next credential; `undefined` when the server refuses, so that the login is over. Asks up to three times while
 * answers are lost or the server fails. Throws a `RenewalError` when none came.
 */
export async function renewed(endpoint: Endpoint, held: Credential | undefined): Promise<Credential | undefined> {
  for (let attempt = 0; ; attempt++) {
    const asked = Date.now()
    const answer = await ask(endpoint, endpoint.cookie ? {} : { refresh_token: held?.refresh })
    const { status, body } = answer
    const next = status === 200 ? granted(body, asked, held?.since ?? asked) : undefined
    if (next) return next
    if (isRefusal(endpoint, answer)) return undefined
    const pause = PAUSES[attempt]
    // What is neither lost nor a failure of the server will not be otherwise a moment later.
    if (pause === undefined || (status !== undefined && status !== 200 && status < 500))
      throw new RenewalError(status, answer.cause)
    await new Promise((done) => setTimeout(done, pause))
  }
}

/** Ends the login on the server; whether it said that it did. */
export async function revoked(endpoint: Endpoint, held: Credential | undefined): Promise<boolean> {
  const token = held?.refresh ?? held?.access
  if (!endpoint.cookie && token === undefined) return true
  const { status } = await ask(endpoint, endpoint.cookie ? {} : { token })
  return status === 200
}

interface Answer {
  readonly status?: number
  readonly body?: unknown
  readonly cause?: unknown
}

async function ask({ url, cookie }: Endpoint, body: object): Promise<Answer> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify(body),
      // A cookie that has no part in this would only bring the question whose request it is.
      credentials: cookie ? 'include' : 'omit',
      redirect: 'error',
      cache: 'no-store',
      // A page that is left takes its requests with it, and a logout should arrive.
      keepalive: true,
      signal: AbortSignal.timeout(PATIENCE),
    })
    const text = await response.text()
    return { status: response.status, body: json(text) }
  } catch (cause) {
    return { cause }
  }
}

function isRefusal({ cookie }: Endpoint, { status, body }: Answer): boolean {
  if (status !== 400 && status !== 401) return false
  const { error } = (body ?? {}) as { error?: unknown }
  // Without a cookie, the request that names no token is incomplete.
  return error === 'invalid_grant' || (cookie && error === 'invalid_request')
}

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
