/**
 * Access tokens: a session's claims, signed, as RFC 9068 has them. What others need is in registered claims; what we need
 * to go on with the session is in one of our own.
 */
import type { Opened } from '../ledger/stateless.js'
import type { Refusal, SessionRecord } from '../types.js'
import { type EncryptionKey, openJwe, sealJwe } from './jwe.js'
import { openJws, type SigningKey, signJws } from './jws.js'
import type { SigningRing } from './signing-keys.js'

/** What an access token says beside who and how long. */
export interface AccessTokenOptions {
  /** Who issues: a URL, as a rule. Checked on every token. */
  readonly issuer: string
  /** Whom it is for: a URL or name of the API. Checked on every token. */
  readonly audience: string
  /** The client that it was issued to (`client_id`), where there are several. */
  readonly clientId?: string
  /** Claims of the app's own, made from the session's data at login. Readable by whoever holds the token. */
  readonly claims?: (data: Record<string, unknown>) => Record<string, unknown>
}

/** The keys of access tokens. */
export interface AccessTokenKeys {
  readonly signing: SigningRing
  /** Where tokens are encrypted around the signature: the current key first. */
  readonly encryption: readonly EncryptionKey[] | undefined
}

const TYPE = 'at+jwt'
/** Registered claims and ours: none of them is for the app's own claims to set. */
const RESERVED = new Set([
  'iss',
  'sub',
  'aud',
  'exp',
  'nbf',
  'iat',
  'jti',
  'auth_time',
  'client_id',
  'sid',
  'ses',
  'scope',
  'pair',
])
/** Clocks of issuer and verifier may differ so much, milliseconds. */
const LEEWAY = 5_000

/** The content of a session that holds none. */
const NOTHING = '{"data":{}}'

/** What our own claim holds: what the registered ones, which count seconds, do not say. */
type Own = [createdAt: number, seenAt: number, version: number, persistent: 0 | 1, data: string]

/** Writes and reads access tokens. */
export class AccessTokens {
  readonly #options: AccessTokenOptions
  readonly #keys: AccessTokenKeys

  /** Throws a `TypeError` for an issuer or audience that is missing. */
  constructor(options: AccessTokenOptions, keys: AccessTokenKeys) {
    for (const name of ['issuer', 'audience'] as const) {
      if (typeof options[name] !== 'string' || options[name] === '')
        throw new TypeError(`jwt: \`${name}\` is needed: a token for everybody is accepted by anybody`)
    }
    this.#options = options
    this.#keys = keys
  }

  /** The token of a user's session. `expiresAt`: earlier than the session's own end, where it should be. */
  write(
    { id, issuedAt, record }: Opened,
    expiresAt: number = record.expiresAt,
    more: Record<string, unknown> = {},
  ): string {
    const { issuer: iss, audience: aud, clientId, claims } = this.#options
    const data = this.#keys.encryption ? record.data : NOTHING
    const own: Own = [record.createdAt, record.seenAt, record.version, record.persistent ? 1 : 0, data]
    const token = signJws(this.#keys.signing.current, TYPE, {
      ...(claims ? allowed(claims(JSON.parse(record.data).data)) : {}),
      ...more,
      iss,
      aud,
      sub: record.userId,
      // A whole second is what every reader understands; ours reads `ses`.
      exp: Math.floor(expiresAt / 1000),
      iat: issuedAt / 1000,
      jti: `${id}.${record.version}`,
      sid: id,
      ...(clientId === undefined ? {} : { client_id: clientId }),
      ...(record.authenticatedAt === undefined ? {} : { auth_time: Math.floor(record.authenticatedAt / 1000) }),
      ses: own,
    })
    const [key] = this.#keys.encryption ?? []
    return key ? sealJwe(key, token) : token
  }

  /** The session of a token, or why it has none. Never throws for what a stranger sent. */
  read(
    text: string,
    now: number,
  ): (Opened & { readonly current: boolean; readonly claims: Record<string, unknown> }) | Refusal {
    const unwrapped = this.#unwrap(text)
    if (typeof unwrapped === 'string') return unwrapped
    const jws = openJws(unwrapped.token, this.#keys.signing.accepted(now), TYPE)
    if (typeof jws === 'string') return jws
    const { claims, key } = jws
    if (claims.iss !== this.#options.issuer || !isFor(claims.aud, this.#options.audience)) return 'forged'
    const times = [claims.exp, claims.iat, claims.nbf ?? 0, claims.auth_time ?? 0]
    if (!times.every((time): time is number => typeof time === 'number' && Number.isFinite(time))) return 'malformed'
    const [exp, iat, nbf] = times.map((seconds) => seconds * 1000) as [number, number, number]
    if (now >= exp) return 'expired'
    if (iat > now + LEEWAY || nbf > now + LEEWAY) return 'malformed'
    const record = recordOf(claims, iat, exp)
    const id = claims.sid ?? claims.jti
    if (!record || typeof id !== 'string' || id === '') return 'malformed'
    const current = this.#isCurrent(key, unwrapped.key)
    return { id, issuedAt: Math.round(iat), record, claims, current, fixed: claims.pair === 1 }
  }

  #unwrap(text: string): { token: string; key?: EncryptionKey } | Refusal {
    const keys = this.#keys.encryption
    if (!keys) return { token: text }
    return text.length > 32_768 ? 'malformed' : openJwe(text, keys)
  }

  #isCurrent(signing: SigningKey, encryption: EncryptionKey | undefined): boolean {
    return signing === this.#keys.signing.current && encryption === this.#keys.encryption?.[0]
  }
}

function isFor(audience: unknown, ours: string): boolean {
  return audience === ours || (Array.isArray(audience) && audience.includes(ours))
}

/** Our own tokens say all of a record; one that another issuer made for us says who, and since when. */
function recordOf(claims: Record<string, unknown>, issuedAt: number, expiresAt: number): SessionRecord | undefined {
  const { sub, auth_time: authTime, ses = [issuedAt, issuedAt, 1, 0, NOTHING] } = claims
  if (typeof sub !== 'string' || sub === '' || !isOwn(ses)) return undefined
  const [createdAt, seenAt, version, persistent, data] = ses
  const authenticatedAt = typeof authTime === 'number' ? authTime * 1000 : undefined
  const times = { createdAt, seenAt, authenticatedAt, expiresAt }
  return { userId: sub, data, version, persistent: persistent === 1 || undefined, ...times }
}

function isOwn(value: unknown): value is Own {
  return (
    Array.isArray(value) &&
    value.length === 5 &&
    value.slice(0, 4).every(Number.isFinite) &&
    typeof value[4] === 'string'
  )
}

function allowed(claims: Record<string, unknown>): Record<string, unknown> {
  const taken = Object.keys(claims).find((name) => RESERVED.has(name))
  if (taken !== undefined)
    throw new TypeError(`jwt: \`claims\` may not set "${taken}", which means something already; give it another name`)
  return claims
}
