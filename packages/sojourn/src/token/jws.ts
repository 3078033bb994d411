/**
 * Compact JWS (RFC 7515), as strict as it can be read: one spelling of each token, no header member that could change
 * how it is verified, and one algorithm per key. Signatures are node:crypto's; a library costs ten times the time here,
 * and those in use accept five more spellings of one token.
 */
import { createHmac, type KeyObject, sign, timingSafeEqual, verify } from 'node:crypto'
import { canonical, strictObject } from './json.js'

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

/** What was signed, and by which key. */
export interface Signed {
  /** The header's `typ`, in small letters and without `application/`. */
  readonly type: string | undefined
  readonly payload: Buffer
  readonly key: SigningKey
}

/** What a verified token says. */
export interface Jws {
  readonly claims: Record<string, unknown>
  readonly key: SigningKey
}

/** What a header may say. */
interface Header {
  readonly alg: string
  readonly typ: string | undefined
  readonly kid: string | undefined
}

/** A longer token is not ours: characters that anything at all is done about. */
const LONGEST = 16_384
const HMAC: Partial<Record<Algorithm, string>> = { HS256: 'sha256', HS384: 'sha384', HS512: 'sha512' }
const HEADER_MEMBERS = new Set(['alg', 'typ', 'kid'])

/** An issuer writes the same few headers all the time: what the last ones that were signed for came to. */
const headers = new Map<string, Header>()
const MOST_HEADERS = 64

/** Signs claims. `type` is the header's `typ`, which says what the token is for (RFC 8725, 3.11). */
export function signJws(key: SigningKey, type: string, claims: object): string {
  if (!key.private) throw new TypeError(`jws: the key "${key.id}" has no private half and cannot sign`)
  const signed = `${encode({ alg: key.algorithm, typ: type, kid: key.id })}.${encode(claims)}`
  return `${signed}.${signature(key, key.private, signed)}`
}

/** The claims of a token that one of `keys` signed as `type`, or why not. Never throws for what a stranger sent. */
export function openJws(token: string, keys: readonly SigningKey[], type: string): Jws | JwsRefusal {
  const signed = verifyJws(token, keys)
  if (typeof signed === 'string') return signed
  const claims = signed.type === type ? strictObject(signed.payload) : undefined
  return claims ? { claims, key: signed.key } : 'malformed'
}

/**
 * What one of `keys` signed, whatever it is, or why not. Nothing of a token but its header is looked at before the
 * signature is verified (ASVS 9.1.1). Never throws for what a stranger sent.
 */
export function verifyJws(token: string, keys: readonly SigningKey[]): Signed | JwsRefusal {
  if (token.length > LONGEST) return 'malformed'
  const dot = token.indexOf('.')
  const end = token.indexOf('.', dot + 1)
  if (dot < 0 || end < 0 || token.indexOf('.', end + 1) >= 0) return 'malformed'
  const spelled = token.slice(0, dot)
  const header = headers.get(spelled) ?? readHeader(spelled)
  if (!header) return 'malformed'
  const key = choose(header, keys)
  if (!key || !isSigned(key, token.slice(0, end), token.slice(end + 1))) return 'forged'
  remember(spelled, header)
  const payload = canonical(token.slice(dot + 1, end))
  return payload ? { type: header.typ, payload, key } : 'malformed'
}

/** The key id that a token names, before anything of it is believed: to look for the key, and for nothing else. */
export function namedKey(token: string): string | undefined {
  return token.length > LONGEST ? undefined : readHeader(token.slice(0, Math.max(0, token.indexOf('.'))))?.kid
}

function readHeader(spelled: string): Header | undefined {
  const bytes = canonical(spelled)
  const found = bytes && strictObject(bytes)
  if (!found) return undefined
  for (const [name, value] of Object.entries(found))
    if (!HEADER_MEMBERS.has(name) || typeof value !== 'string') return undefined
  const { alg, typ, kid } = found as Record<string, string>
  return alg === undefined ? undefined : { alg, kid, typ: typ?.toLowerCase().replace(/^application\//, '') }
}

/** Only what came with a good signature: a stranger's headers push out nobody's. */
function remember(spelled: string, header: Header): void {
  if (headers.has(spelled)) return
  if (headers.size >= MOST_HEADERS) headers.clear()
  headers.set(spelled, header)
}

/** `kid` chooses among our keys and nothing more; the key says which algorithm holds, never the token. */
function choose({ alg, kid }: Header, keys: readonly SigningKey[]): SigningKey | undefined {
  const fits = (key: SigningKey) => alg === key.algorithm || (alg === 'EdDSA' && key.algorithm === 'Ed25519')
  if (kid !== undefined) return keys.find((key) => key.id === kid && fits(key))
  const able = keys.filter(fits)
  return able.length === 1 ? able[0] : undefined
}

function signature({ algorithm }: SigningKey, key: KeyObject, signed: string): string {
  const digest = HMAC[algorithm]
  if (digest) return createHmac(digest, key).update(signed).digest('base64url')
  return sign(hash(algorithm), Buffer.from(signed), parameters(algorithm, key)).toString('base64url')
}

function isSigned(by: SigningKey, signed: string, given: string): boolean {
  const { algorithm, public: key } = by
  if (HMAC[algorithm]) {
    // Compared as text, of which there is one spelling. Its length is no secret; in bytes, as letters can be several.
    const expected = Buffer.from(signature(by, key, signed))
    const found = Buffer.from(given)
    return expected.length === found.length && timingSafeEqual(expected, found)
  }
  const bytes = canonical(given)
  try {
    return bytes !== undefined && verify(hash(algorithm), Buffer.from(signed), parameters(algorithm, key), bytes)
  } catch {
    return false
  }
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

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
