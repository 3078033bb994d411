/**
 * The key ring: several secrets, the first signs and all are accepted, each named by an id inside the credential, so
 * that rotating a key logs nobody out. From each secret one key is derived per purpose (HKDF-SHA-256, RFC 5869).
 */
import { createSecretKey, hkdfSync } from 'node:crypto'
import { randomText } from './crypto/random.js'
import type { DerivedKey, Keyring } from './types.js'

/** One secret of the ring. */
export interface Key {
  /** What credentials name the key by: 1 to 16 letters and digits. Default: six characters derived from the secret. */
  id?: string
  /** At least 32 random bytes: hex, base64 or base64url text, or the bytes. `generateSecret()` makes one. */
  secret: string | Uint8Array
}

/** The current secret, or several of which the first is current and the others are still accepted. */
export type Keys = string | Uint8Array | Key | readonly (string | Uint8Array | Key)[]

const MIN_BYTES = 32
const ADVICE = 'make one with generateSecret() or `openssl rand -base64 32`, and keep it out of the repository'

/** A new secret: 32 random bytes as base64url text. Keep it where only the server reads it. */
export function generateSecret(): string {
  return randomText(MIN_BYTES)
}

/** Builds the ring. Throws a `TypeError` for a secret that is short or looks guessable (ASVS 11.4.4, 13.3). */
export function createKeyring(keys: Keys): Keyring {
  const list = (Array.isArray(keys) ? keys : [keys]) as readonly (string | Uint8Array | Key)[]
  const ring = list.map((entry) => {
    const { id, secret } = typeof entry === 'object' && entry !== null && 'secret' in entry ? entry : { secret: entry }
    const bytes = secretBytes(secret)
    const name =
      id ??
      Buffer.from(expand(bytes, 'sojourn key id', 6))
        .toString('hex')
        .slice(0, 6)
    if (!/^[A-Za-z0-9]{1,16}$/.test(name))
      throw new TypeError('keys: an id is 1 to 16 letters and digits; choose a shorter, plainer one')
    return { id: name, bytes }
  })
  if (ring.length === 0) throw new TypeError(`keys: the list is empty; give at least one secret, ${ADVICE}`)
  if (new Set(ring.map((key) => key.id)).size < ring.length) {
    throw new TypeError('keys: two entries have the same id or the same secret; drop one of them')
  }
  return {
    derive(purpose) {
      const derived = ring.map(
        ({ id, bytes }): DerivedKey => ({
          id,
          key: createSecretKey(expand(bytes, `sojourn ${purpose}`, 32)),
        }),
      )
      return derived as [DerivedKey, ...DerivedKey[]]
    },
  }
}

function expand(secret: Uint8Array, info: string, bytes: number): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, '', info, bytes))
}

function secretBytes(secret: unknown): Uint8Array {
  const bytes = typeof secret === 'string' ? decode(secret) : secret
  if (!(bytes instanceof Uint8Array)) throw new TypeError(`keys: a secret is text or bytes; ${ADVICE}`)
  if (bytes.length < MIN_BYTES)
    throw new TypeError(
      `keys: a secret needs at least ${MIN_BYTES} random bytes, this one has ${bytes.length}; ${ADVICE}`,
    )
  if (looksGuessable(bytes)) throw new TypeError(`keys: this secret has a pattern and can be guessed; ${ADVICE}`)
  return bytes
}

/** Words are not keys: only text that is an encoding of bytes is taken, and no encoding of random bytes lacks a case. */
function decode(text: string): Uint8Array {
  if (/^(?:[0-9a-f]{2})+$/i.test(text)) return Buffer.from(text, 'hex')
  const base64 = /^[A-Za-z0-9_+/-]+={0,2}$/.test(text) && text.replace(/=+$/, '').length % 4 !== 1
  // Fewer than three capitals (or small letters) among 43 random base64 characters: once in ten million secrets.
  const typed = text.length >= 43 && (count(text, /[A-Z]/g) < 3 || count(text, /[a-z]/g) < 3 || new Set(text).size < 16)
  if (!base64 || typed)
    throw new TypeError(`keys: a secret is hex or base64 text of random bytes, not a phrase; ${ADVICE}`)
  return Buffer.from(text, 'base64')
}

function count(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0
}

/**
 * 32 random bytes have about 30 distinct values, practically never fewer than 20, and no two thirds of them move in
 * equal steps; `password`, `aaaa…`, `0123…` and repeated words do not pass as such even when they happen to decode.
 */
export function looksGuessable(bytes: Uint8Array): boolean {
  if (new Set(bytes).size < 20) return true
  const steps = new Map<number, number>()
  for (let i = 1; i < bytes.length; i++) {
    const step = (bytes[i]! - bytes[i - 1]!) & 255
    steps.set(step, (steps.get(step) ?? 0) + 1)
  }
  if (Math.max(...steps.values()) > bytes.length / 3) return true
  // Random bytes are printable ASCII with probability 3/8 each: thirty-two of them in a row are text that somebody typed.
  return bytes.every((byte) => byte >= 32 && byte < 127)
}
