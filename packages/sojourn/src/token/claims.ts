/** The registered claims of an access token (RFC 7519, RFC 9068), checked one by one and compared exactly. */
import type { Refusal } from '../types.js'

/** Clocks of issuer and verifier may differ so much, milliseconds. What has expired has expired, to the millisecond. */
const LEEWAY = 5_000
/** The year 5138 in seconds: a time beyond it was written in milliseconds, and would never come. */
const LATEST = 100_000_000_000

/** What a token must say to be for us. */
export interface Expected {
  /** Who issues: a URL, as a rule. Checked on every token. */
  readonly issuer: string
  /** Whom it is for: a URL or name of the API. Checked on every token. */
  readonly audience: string
}

/** What the registered claims say. Times are epoch milliseconds. */
export interface Registered {
  readonly userId: string
  /** The session (`sid`) or else the token (`jti`). */
  readonly id: string | undefined
  readonly issuedAt: number
  readonly expiresAt: number
  readonly authenticatedAt: number | undefined
  /** What the token is good for. Absent: it does not say, and is good for all that its user may do. */
  readonly scope: readonly string[] | undefined
}

/** Throws a `TypeError` where issuer or audience is missing. */
export function checkExpected(where: string, expected: Expected): void {
  for (const name of ['issuer', 'audience'] as const) {
    if (typeof expected[name] !== 'string' || expected[name] === '')
      throw new TypeError(`${where}: \`${name}\` is needed: a token for everybody is accepted by anybody`)
  }
}

/** What the claims say; `malformed` for a token that is not meant for us, or not yet, or makes no sense. */
export function registered(
  claims: Record<string, unknown>,
  { issuer, audience }: Expected,
  now: number,
): Registered | Refusal {
  const { iss, aud, sub, jti, sid: id = jti, exp, iat, nbf = 0, auth_time: authTime = 0 } = claims
  if (iss !== issuer || !isFor(aud, audience)) return 'malformed'
  if (typeof sub !== 'string' || sub === '') return 'malformed'
  if (id !== undefined && (typeof id !== 'string' || id === '')) return 'malformed'
  if (!isTime(exp) || !isTime(iat) || !isTime(nbf) || !isTime(authTime) || iat > exp) return 'malformed'
  if (Math.max(iat, nbf) * 1000 > now + LEEWAY) return 'malformed'
  if (now >= exp * 1000) return 'expired'
  const authenticatedAt = claims.auth_time === undefined ? undefined : authTime * 1000
  const scope = scopeOf(claims.scope)
  return { userId: sub, id, issuedAt: Math.floor(iat * 1000), expiresAt: exp * 1000, authenticatedAt, scope }
}

/** Words with a space between (RFC 9068, 2.2.3). What is there and is no such text is good for nothing. */
function scopeOf(value: unknown): readonly string[] | undefined {
  if (value === undefined) return undefined
  const words = typeof value === 'string' ? value.split(' ').filter((word) => word !== '') : []
  // Frozen: a token that was read is shared by all requests that carry it.
  return Object.freeze(words)
}

/** One audience, or several of which one is ours, to the letter. */
function isFor(audience: unknown, ours: string): boolean {
  if (!Array.isArray(audience)) return audience === ours
  return audience.every((each) => typeof each === 'string') && audience.includes(ours)
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value < LATEST
}
