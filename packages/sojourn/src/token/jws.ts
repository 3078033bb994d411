/**
 * Compact JWS (RFC 7515), as strict as it can be read: one spelling of each token, no header member that could change
 * how it is verified, and one algorithm per key. Signatures are node:crypto's; a library costs ten times the time here,
 * and those in use accept five more spellings of one token.
 */
import { createHmac, type KeyObject, sign, timingSafeEqual, verify } from 'node:crypto'

/** The algorithms. `Ed25519` is RFC 9864's name of what older software calls `EdDSA`; both are read as it. */
export type Algorithm = 'HS256' | 'HS384' | 'HS512' | 'ES256' | 'Ed25519' | 'RS256' | 'PS256'

/** One key for one algorithm, with the id that tokens name it by. */
export interface SigningKey {
  readonly id: string
  readonly algorithm: Algorithm
  /** Signs; absent where only others' tokens are verified. */
  readonly private?: KeyObject | undefined
  /** Verifies; the secret itself for the HS family. */
  readonly public: KeyObject
}

/** Why a token was not even looked into. */
export type JwsRefusal = 'malformed' | 'forged'

/** What a verified token says. */
export interface Jws {
  readonly claims: Record<string, unknown>
  readonly key: SigningKey
}

/** A longer token is not ours: bytes of text that anything at all is done about. */
const LONGEST = 16_384
const HEADER_MEMBERS = new Set(['alg', 'typ', 'kid'])
const PART = /^[A-Za-z0-9_-]+$/

/** Signs claims. `type` is the header's `typ`, which says what the token is for (RFC 8725, 3.11). */
export function signJws(key: SigningKey, type: string, claims: object): string {
  if (!key.private) throw new TypeError(`jws: the key "${key.id}" has no private half and cannot sign`)
  const header = text({ alg: key.algorithm, typ: type, kid: key.id })
  const signed = `${header}.${text(claims)}`
  return `${signed}.${signature(key, key.private, signed).toString('base64url')}`
}

/** The claims of a token that one of `keys` signed as `type`, or why not. Never throws for what a stranger sent. */
export function openJws(token: string, keys: readonly SigningKey[], type: string): Jws | JwsRefusal {
  if (token.length > LONGEST) return 'malformed'
  const parts = token.split('.', 4)
  if (parts.length !== 3 || !parts.every((part) => PART.test(part))) return 'malformed'
  const [first, second, third] = parts as [string, string, string]
  const header = object(first)
  if (!header || Object.keys(header).some((member) => !HEADER_MEMBERS.has(member))) return 'malformed'
  if (typeof header.typ !== 'string' || header.typ.toLowerCase().replace(/^application\//, '') !== type)
    return 'malformed'
  const key = choose(header, keys)
  const mac = bytes(third)
  if (!key || !mac || !verified(key, `${first}.${second}`, mac)) return 'forged'
  const claims = object(second)
  return claims ? { claims, key } : 'malformed'
}

/** `kid` chooses among our keys and nothing more; the key says which algorithm holds, never the token. */
function choose({ alg, kid }: Record<string, unknown>, keys: readonly SigningKey[]): SigningKey | undefined {
  const fits = (key: SigningKey) => alg === key.algorithm || (alg === 'EdDSA' && key.algorithm === 'Ed25519')
  if (kid !== undefined) return keys.find((key) => key.id === kid && fits(key))
  const able = keys.filter(fits)
  return able.length === 1 ? able[0] : undefined
}

function signature({ algorithm }: SigningKey, key: KeyObject, signed: string): Buffer {
  switch (algorithm) {
    case 'HS256':
    case 'HS384':
    case 'HS512':
      return createHmac(digest(algorithm), key).update(signed).digest()
    default:
      return sign(hash(algorithm), Buffer.from(signed), parameters(algorithm, key))
  }
}

function verified({ algorithm, public: key }: SigningKey, signed: string, given: Buffer): boolean {
  if (algorithm.startsWith('HS')) {
    const expected = createHmac(digest(algorithm), key).update(signed).digest()
    return expected.length === given.length && timingSafeEqual(expected, given)
  }
  return verify(hash(algorithm), Buffer.from(signed), parameters(algorithm, key), given)
}

function digest(algorithm: Algorithm): string {
  return `sha${algorithm.slice(2)}`
}

/** Ed25519 hashes by itself. */
function hash(algorithm: Algorithm): string | null {
  return algorithm === 'Ed25519' ? null : 'sha256'
}

function parameters(algorithm: Algorithm, key: KeyObject): Parameters<typeof sign>[2] & Parameters<typeof verify>[2] {
  // RFC 7518: ECDSA signatures as two numbers side by side (3.4), PSS with a salt as long as the digest (3.5).
  if (algorithm === 'ES256') return { key, dsaEncoding: 'ieee-p1363' }
  if (algorithm === 'PS256') return { key, padding: PSS, saltLength: 32 }
  return key
}

/** `crypto.constants.RSA_PKCS1_PSS_PADDING`. */
const PSS = 6

function text(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

/** The bytes, if this is the one way to spell them. */
function bytes(part: string): Buffer | undefined {
  const decoded = Buffer.from(part, 'base64url')
  return decoded.toString('base64url') === part ? decoded : undefined
}

/** The JSON object, if it is one and valid UTF-8. */
function object(part: string): Record<string, unknown> | undefined {
  const decoded = bytes(part)
  if (!decoded) return undefined
  try {
    const json = utf8.decode(decoded)
    const value: unknown = JSON.parse(json)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
