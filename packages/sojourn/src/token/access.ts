/**
 * Access tokens: a session's claims, signed, as RFC 9068 has them. What others need is in registered claims; what we need
 * to go on with the session is in one of our own.
 */
import type { KeyStanding, Opened } from '../ledger/stateless.js'
import { proofOf } from '../proof.js'
import type { Refusal, SessionRecord } from '../types.js'
import { checkExpected, type Expected, type Registered, registered } from './claims.js'
import { isObject } from './json.js'
import { type EncryptionKey, openJwe, sealJwe } from './jwe.js'
import { openJws, type SigningKey, signJws } from './jws.js'
import type { SigningRing } from './signing-keys.js'

/** What an access token says beside who and how long. */
export interface AccessTokenOptions extends Expected {
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

/** A token that was read. */
export interface AccessToken extends Opened {
  readonly claims: Record<string, unknown>
  readonly key: SigningKey
}

/** The `typ` of access tokens (RFC 9068, 2.1). */
const ACCESS_TOKEN = 'at+jwt'
/** Registered claims and ours: none of them is for the app's own claims to set. */
const REGISTERED = [
  'iss',
  'sub',
  'aud',
  'exp',
  'nbf',
  'iat',
  'jti',
  'auth_time',
  'amr',
  'acr',
  'client_id',
  'scope',
  'cnf',
]
const RESERVED = new Set([...REGISTERED, 'sid', 'ses', 'pair'])

/** What the registered claims, which count seconds, do not say. The data is there only where it is encrypted. */
type Own = [issuedAt: number, createdAt: number, seenAt: number, version: number, persistent: 0 | 1, data?: unknown]

/** Writes and reads access tokens. */
export class AccessTokens {
  readonly #options: AccessTokenOptions
  readonly #keys: AccessTokenKeys

  /** Throws a `TypeError` for an issuer or audience that is missing. */
  constructor(options: AccessTokenOptions, keys: AccessTokenKeys) {
    checkExpected('jwt', options)
    this.#options = options
    this.#keys = keys
  }

  /** The token of a user's session. `expiresAt`: earlier than the session's own end, where it should be. */
  write(
    { id, issuedAt, record }: Opened,
    expiresAt: number = record.expiresAt,
    more: Record<string, unknown> = {},
  ): string {
    const { issuer: iss, audience: aud, clientId, claims: make } = this.#options
    const { createdAt, seenAt, version, persistent, authenticatedAt } = record
    const [encryption] = this.#keys.encryption ?? []
    // Claims that came with a token stay what they were at the login.
    const { data, auth, claims = allowed(make?.(data) ?? {}) } = JSON.parse(record.data)
    const own: Own = [issuedAt, createdAt, seenAt, version, persistent ? 1 : 0]
    if (encryption) own.push(data)
    const token = signJws(this.#keys.signing.current, ACCESS_TOKEN, {
      ...claims,
      ...more,
      iss,
      aud,
      sub: record.userId,
      // Whole seconds are what every reader understands; and never later than the session.
      exp: Math.floor(expiresAt / 1000),
      iat: Math.floor(seenAt / 1000),
      jti: `${id}.${version}`,
      sid: id,
      ...(clientId === undefined ? {} : { client_id: clientId }),
      ...(authenticatedAt === undefined ? {} : { auth_time: Math.floor(authenticatedAt / 1000) }),
      // How they proved who they are, for APIs that ask for more than a password (RFC 9470).
      ...proofOf(auth),
      ses: own,
    })
    return encryption ? sealJwe(encryption, token) : token
  }

  /** The session of a token, or why it has none. Never throws for what a stranger sent. */
  read(text: string, now: number): (AccessToken & { keyIs(now: number): KeyStanding }) | Refusal {
    const unwrapped = this.#unwrap(text)
    if (typeof unwrapped === 'string') return unwrapped
    const found = readAccessToken(unwrapped.token, this.#keys.signing.accepted(now), this.#options, now)
    if (typeof found === 'string') return found
    const { id, issuedAt, record, claims, key, scope, fixed = false } = found
    return { id, issuedAt, record, claims, key, scope, fixed, keyIs: (now) => this.#standing(key, unwrapped.key, now) }
  }

  #unwrap(text: string): { token: string; key?: EncryptionKey } | Refusal {
    const keys = this.#keys.encryption
    return keys ? openJwe(text, keys) : { token: text }
  }

  #standing(key: SigningKey, encryption: EncryptionKey | undefined, now: number): KeyStanding {
    const { signing, encryption: keys } = this.#keys
    if (key === signing.current) return encryption === keys?.[0] ? 'current' : 'older'
    return signing.accepted(now).includes(key) ? 'older' : 'gone'
  }
}

/** What a token says that one of `keys` signed, or why it is not honoured. Never throws for what a stranger sent. */
export function readAccessToken(
  text: string,
  keys: readonly SigningKey[],
  expected: Expected,
  now: number,
): AccessToken | Refusal {
  const jws = openJws(text, keys, ACCESS_TOKEN)
  if (typeof jws === 'string') return jws
  const { claims, key } = jws
  const found = registered(claims, expected, now)
  if (typeof found === 'string') return found
  const { ses = [found.issuedAt, found.issuedAt, found.issuedAt, 1, 0] } = claims
  if (found.id === undefined || !isOwn(ses)) return 'malformed'
  const { id, scope } = found
  // What another issuer made for us, and what belongs to a pair, is not for us to prolong; nor what is good for less than
  // a session of ours, which would not say so.
  const fixed = claims.pair === 1 || claims.ses === undefined || scope !== undefined
  return { id, issuedAt: ses[0], record: recordOf(found, ses, claims), claims, key, scope, fixed }
}

function recordOf(found: Registered, own: Own, claims: Record<string, unknown>): SessionRecord {
  const { userId, expiresAt, authenticatedAt } = found
  const [, createdAt, seenAt, version, persistent, data] = own
  return {
    userId,
    data: contentOf(data, claims),
    createdAt,
    seenAt,
    authenticatedAt,
    expiresAt,
    version,
    persistent: persistent === 1 || undefined,
  }
}

/** The app's own claims ride along beside the data, for the next writing. */
function contentOf(data: unknown, claims: Record<string, unknown>): string {
  const names = Object.keys(claims).filter((name) => !RESERVED.has(name))
  const own = names.length === 0 ? undefined : Object.fromEntries(names.map((name) => [name, claims[name]]))
  return JSON.stringify({ data: data ?? {}, auth: proofOf(claims), claims: own })
}

function isOwn(value: unknown): value is Own {
  if (!Array.isArray(value) || value.length < 5 || value.length > 6) return false
  return value.slice(0, 5).every(Number.isFinite) && (value.length === 5 || isObject(value[5]))
}

function allowed(claims: Record<string, unknown>): Record<string, unknown> {
  const taken = Object.keys(claims).find((name) => RESERVED.has(name))
  if (taken !== undefined)
    throw new TypeError(`jwt: \`claims\` may not set "${taken}", which means something already; give it another name`)
  return claims
}
