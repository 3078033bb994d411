/**
 * Keys out of a file or a vault: checked once, when they are imported, and each for one algorithm (RFC 8725, 3.1). What
 * is wrong with one is said, and its content never.
 */
import { createPrivateKey, createPublicKey, createSecretKey, type JsonWebKey, KeyObject } from 'node:crypto'
import { sha256 } from '../crypto/digest.js'
import { looksGuessable } from '../keys.js'
import type { Algorithm, SigningKey } from './jws.js'

/** A key as it comes out of a file or a vault. */
export interface SigningKeyInput {
  readonly algorithm: Algorithm
  /** PEM text, a JWK, a KeyObject, or for HS256, HS384 and HS512 the secret bytes (at least as many as the digest has). */
  readonly key: KeyObject | JsonWebKey | string | Uint8Array
  /** What tokens name it by. Default: derived from the public key (RFC 7638), or from the secret. */
  readonly id?: string
  /** Accepted until then, epoch milliseconds; for keys that have been rotated away. Default: for ever. */
  readonly until?: number
}

const SECRET_BYTES: Partial<Record<Algorithm, number>> = { HS256: 32, HS384: 48, HS512: 64 }
const ALGORITHMS: ReadonlySet<string> = new Set<Algorithm>([
  'HS256',
  'HS384',
  'HS512',
  'ES256',
  'Ed25519',
  'RS256',
  'PS256',
])

/** Checks one key, private, public or secret. Throws a `TypeError` that names the key's fault and never its content. */
export function importKey({ algorithm, key, id }: SigningKeyInput): SigningKey {
  if (!ALGORITHMS.has(algorithm))
    throw new TypeError(`signing keys: there is no such algorithm here; use ${[...ALGORITHMS].join(', ')}`)
  if (isJwk(key)) checkPurpose(algorithm, key)
  const found = SECRET_BYTES[algorithm] ? secretHalf(algorithm, key) : halves(algorithm, key)
  const name = id ?? thumbprint(found.public)
  if (!/^[!-~]{1,128}$/.test(name))
    throw new TypeError('signing keys: an `id` is 1 to 128 characters of ASCII that show, without spaces')
  return { id: name, algorithm, ...found }
}

function secretHalf(algorithm: Algorithm, key: SigningKeyInput['key']): Pick<SigningKey, 'private' | 'public'> {
  const least = SECRET_BYTES[algorithm]!
  if (typeof key === 'string') {
    throw new TypeError(
      `signing keys: the secret of ${algorithm} is bytes, not text, so that no phrase passes for one; decode it first`,
    )
  }
  const secret =
    key instanceof KeyObject ? key : key instanceof Uint8Array ? createSecretKey(key) : fromJwk(algorithm, key)
  if (secret.type !== 'secret')
    throw new TypeError(`signing keys: ${algorithm} needs a secret, and this key is a ${secret.type} one`)
  const bytes = secret.symmetricKeySize ?? 0
  if (bytes < least)
    throw new TypeError(`signing keys: the secret of ${algorithm} needs at least ${least} bytes, this one has ${bytes}`)
  if (looksGuessable(secret.export()) || isPublic(secret.export())) {
    throw new TypeError(
      `signing keys: the secret of ${algorithm} is no random bytes: a phrase, a pattern, or a key in another form; use crypto.randomBytes(${least})`,
    )
  }
  return { private: secret, public: secret }
}

/** Whether these bytes are a key that everybody may know, on its way to become a secret. */
function isPublic(bytes: Buffer): boolean {
  // PEM, or a JWK.
  if (/^[\t\n\r -~]*$/.test(bytes.toString('latin1'))) return true
  try {
    createPublicKey({ key: bytes, format: 'der', type: 'spki' })
    return true
  } catch {
    return false
  }
}

function isJwk(key: SigningKeyInput['key']): key is JsonWebKey {
  return typeof key === 'object' && !(key instanceof KeyObject) && !(key instanceof Uint8Array)
}

/** What a JWK says of itself holds: a key that was made for something else is not used for this (RFC 7517, 4.2 to 4.4). */
function checkPurpose(algorithm: Algorithm, { alg, use, key_ops: operations }: JsonWebKey): void {
  const wrong = (what: string): never => {
    throw new TypeError(`signing keys: a JWK with ${what} is not for ${algorithm} signatures; give the key that is`)
  }
  if (alg !== undefined && alg !== algorithm && !(alg === 'EdDSA' && algorithm === 'Ed25519')) wrong('another `alg`')
  if (use !== undefined && use !== 'sig') wrong('another `use`')
  if (operations !== undefined && !(Array.isArray(operations) && /sign|verify/.test(operations.join())))
    wrong('other `key_ops`')
}

function fromJwk(algorithm: Algorithm, jwk: JsonWebKey): KeyObject {
  if (jwk.kty !== 'oct' || typeof jwk.k !== 'string')
    throw new TypeError(`signing keys: ${algorithm} needs a JWK with kty "oct"`)
  return createSecretKey(jwk.k, 'base64url')
}

function halves(algorithm: Algorithm, key: SigningKeyInput['key']): Pick<SigningKey, 'private' | 'public'> {
  const given = asymmetric(algorithm, key)
  const half = {
    private: given.type === 'private' ? given : undefined,
    public: given.type === 'private' ? createPublicKey(given) : given,
  }
  const details = half.public.asymmetricKeyDetails ?? {}
  const kind = half.public.asymmetricKeyType
  const wrong = (what: string): never => {
    throw new TypeError(`signing keys: ${algorithm} ${what}`)
  }
  if (algorithm === 'Ed25519' && kind !== 'ed25519') wrong(`needs an Ed25519 key, this is ${kind}`)
  if (algorithm === 'ES256' && !(kind === 'ec' && details.namedCurve === 'prime256v1'))
    wrong('needs a key on the curve P-256')
  if (algorithm === 'RS256' || algorithm === 'PS256') {
    if (kind !== 'rsa') wrong(`needs an RSA key, this is ${kind}`)
    const { modulusLength = 0, publicExponent = 0n } = details
    if (modulusLength < 2048) wrong(`needs an RSA key of at least 2048 bits, this one has ${modulusLength}`)
    // Verifying takes time that grows with the square of the length.
    if (modulusLength > 8192) wrong(`needs an RSA key of at most 8192 bits, this one has ${modulusLength}`)
    if (publicExponent < 65_537n || publicExponent % 2n === 0n)
      wrong('needs an RSA key with a public exponent of 65537 or an odd larger one')
  }
  return half
}

function asymmetric(algorithm: Algorithm, key: SigningKeyInput['key']): KeyObject {
  if (key instanceof KeyObject) {
    if (key.type === 'secret') throw new TypeError(`signing keys: ${algorithm} needs a key pair, and this is a secret`)
    return key
  }
  if (key instanceof Uint8Array)
    throw new TypeError(`signing keys: ${algorithm} needs PEM text, a JWK or a KeyObject, not bytes`)
  try {
    if (typeof key === 'string') return key.includes('PRIVATE KEY') ? createPrivateKey(key) : createPublicKey(key)
    return key.d === undefined ? createPublicKey({ key, format: 'jwk' }) : createPrivateKey({ key, format: 'jwk' })
  } catch {
    // What the parser says could quote the key.
    throw new TypeError(`signing keys: this is no PEM text or JWK of a key for ${algorithm}`)
  }
}

/** RFC 7638: a name that anybody who has the key computes alike; for a secret, one that tells nothing of it. */
function thumbprint(key: KeyObject): string {
  const { kty, crv, e, n, x, y, k } = key.export({ format: 'jwk' })
  const required = Object.entries({ crv, e, kty, n, x, y, ...(k ? { k: sha256(`sojourn key id ${k}`) } : {}) })
  const members = required.filter(([, value]) => value !== undefined).sort(([a], [b]) => (a < b ? -1 : 1))
  return sha256(JSON.stringify(Object.fromEntries(members)))
}
