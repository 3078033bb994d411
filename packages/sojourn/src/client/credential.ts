/** What the client holds: the credential and when to renew it. Never claims, never data (ASVS 14.3.3). */

/** Everything that is ever kept. Times are epoch milliseconds on this machine's clock. */
export interface Credential {
  /** What is attached to requests: an access token, or a session's own credential. */
  readonly access: string
  /** The refresh token, where it is not in a cookie. */
  readonly refresh?: string
  /** When a new access token should be had, and when the old one is of no use; absent where the server renews it itself. */
  readonly renewAt?: number
  readonly expiresAt?: number
  /** When its login began: a logout ends what is older, and a late one does not end a newer login. */
  readonly since: number
}

/** What a header can hold, and nothing that could end it. */
const TOKEN = /^[A-Za-z0-9\-._~+/]{1,16384}=*$/
/** Time for the request that is sent with it, and for the renewal itself. */
const MARGIN = 30_000

/** Whether this is text that can be a credential. */
export function isToken(value: unknown): value is string {
  return typeof value === 'string' && TOKEN.test(value)
}

/** What storage or another tab holds out, if it is a credential and nothing else. Anybody in the origin may have put it there. */
export function credentialOf(value: unknown): Credential | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { access, refresh, renewAt, expiresAt, since } = value as Record<string, unknown>
  if (!isToken(access) || !Number.isFinite(since)) return undefined
  if (refresh !== undefined && !isToken(refresh)) return undefined
  const paired = expiresAt !== undefined
  if (paired && !(Number.isFinite(renewAt) && Number.isFinite(expiresAt))) return undefined
  return {
    access,
    since: since as number,
    ...(refresh === undefined ? {} : { refresh }),
    ...(paired ? { renewAt: renewAt as number, expiresAt: expiresAt as number } : {}),
  }
}

/**
 * The credential of a token response (RFC 6749, 5.1), asked for at `asked`; `undefined` for any other JSON. Whatever else
 * is in it is dropped.
 */
export function granted(body: unknown, asked: number, since: number): Credential | undefined {
  if (typeof body !== 'object' || body === null) return undefined
  const { access_token, token_type, expires_in, refresh_token } = body as Record<string, unknown>
  if (typeof token_type !== 'string' || token_type.toLowerCase() !== 'bearer') return undefined
  if (typeof expires_in !== 'number' || !(expires_in >= 0)) return undefined
  // Counted from before it was asked for, so that the server's clock is never behind ours.
  const lifetime = expires_in * 1000
  const expiresAt = asked + lifetime
  const renewAt = expiresAt - Math.min(MARGIN, lifetime / 4)
  return credentialOf({ access: access_token, refresh: refresh_token, renewAt, expiresAt, since })
}

/** Whether it is the same credential, as a refusal or a renewal of one says nothing about another. */
export function same(a: Credential | undefined, b: Credential | undefined): boolean {
  return a?.access === b?.access && a?.refresh === b?.refresh
}
