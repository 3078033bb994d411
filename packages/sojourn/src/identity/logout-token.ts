/** A provider's word that somebody was signed out (OpenID Connect Back-Channel Logout 1.0, 2.4), read strictly. */
import { strictObject } from '../token/json.js'
import { type SigningKey, verifyJws } from '../token/jws.js'

/** Who may say it, and to whom. */
export interface LogoutParties {
  readonly issuer: string
  readonly clientId: string
}

/** Who was signed out. */
export interface LogoutNotice {
  /** Unlike any other of this issuer's. */
  readonly id: string
  readonly sub: string | undefined
  /** The session at the provider. */
  readonly sid: string | undefined
  /** Epoch milliseconds. */
  readonly issuedAt: number
  readonly expiresAt: number
}

const EVENT = 'http://schemas.openid.net/event/backchannel-logout'
/** Clocks may differ so much, milliseconds. */
const LEEWAY = 30_000
/** A token for longer than this is kept in mind for longer than it is worth; providers take two minutes. */
const LONGEST = 3_600_000

/** The issuer that a token names, before anything of it is believed: to look for its keys, and for nothing else. */
export function namedIssuer(token: string): unknown {
  const [, payload = ''] = token.split('.', 3)
  return token.length > 16_384 ? undefined : strictObject(Buffer.from(payload, 'base64url'))?.iss
}

/**
 * What a logout token says, or nothing: signed by one of `keys`, `typ` "logout+jwt", of this issuer for this client, in its
 * time, with the event and without a nonce, so that no identity token passes for one (BL-02, ASVS 10.5.5).
 */
export function readLogoutToken(
  token: string,
  keys: readonly SigningKey[],
  { issuer, clientId }: LogoutParties,
  now: number,
): LogoutNotice | undefined {
  const signed = verifyJws(token, keys)
  if (typeof signed === 'string' || signed.type !== 'logout+jwt') return undefined
  const claims = strictObject(signed.payload)
  if (!claims) return undefined
  const { iss, aud, iat, exp, jti: id, sub, sid, events, nonce } = claims
  if (iss !== issuer || !isFor(aud, clientId) || nonce !== undefined) return undefined
  if (!isText(id) || !isTime(iat) || !isTime(exp)) return undefined
  if ((sub === undefined && sid === undefined) || !isTextOrAbsent(sub) || !isTextOrAbsent(sid)) return undefined
  const event = isObject(events) && Object.hasOwn(events, EVENT) ? events[EVENT] : undefined
  if (!isObject(event)) return undefined
  const [issuedAt, expiresAt] = [iat * 1000, exp * 1000]
  if (issuedAt > now + LEEWAY || now >= expiresAt + LEEWAY || expiresAt - issuedAt > LONGEST) return undefined
  return { id, sub, sid, issuedAt, expiresAt }
}

function isFor(audience: unknown, clientId: string): boolean {
  return Array.isArray(audience) ? audience.includes(clientId) : audience === clientId
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= 1024
}

function isTextOrAbsent(value: unknown): value is string | undefined {
  return value === undefined || isText(value)
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value < 100_000_000_000
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
