/**
 * Text encrypted and authenticated: AES-256-GCM under a key that only this process uses, derived from the ring's key and
 * a random salt. Its nonce can then simply count, and none is ever used twice under one key (ASVS 11.3.4), however many
 * processes seal at once.
 */
import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto'
import type { DerivedKey } from '../types.js'

const CIPHER = 'aes-256-gcm'
const SALT = 16
const COUNTER = 6
const TAG = 16
/** Salts of other processes, or of this one before its restart: enough for any fleet. */
const REMEMBERED_SALTS = 1000

/** What came out of a sealed text. */
export interface Unsealed {
  readonly text: string
  /** Whether the ring's current key sealed it. */
  readonly current: boolean
}

/** Seals for one purpose: what was sealed under another `binding` does not open. */
export class Sealer {
  readonly #keys: readonly [DerivedKey, ...DerivedKey[]]
  readonly #binding: Buffer
  #own: { readonly salt: Buffer; readonly key: KeyObject } | undefined
  readonly #subkeys = new Map<string, KeyObject>()
  #count = 0

  constructor(keys: readonly [DerivedKey, ...DerivedKey[]], binding: string) {
    this.#keys = keys
    this.#binding = Buffer.from(binding)
  }

  /** `<key id>.<salt, count, ciphertext and tag>` as base64url. Opens with the same `about` only: what it belongs to. */
  seal(text: string, about = ''): string {
    const { salt, key } = this.#mine()
    const nonce = Buffer.alloc(12)
    nonce.writeUIntBE(++this.#count, 12 - COUNTER, COUNTER)
    const cipher = createCipheriv(CIPHER, key, nonce)
    cipher.setAAD(this.#bound(about))
    const body = Buffer.concat([
      salt,
      nonce.subarray(12 - COUNTER),
      cipher.update(text, 'utf8'),
      cipher.final(),
      cipher.getAuthTag(),
    ])
    return `${this.#keys[0].id}.${body.toString('base64url')}`
  }

  /** The text, or why it does not open. Every failure of the cipher is the same one (ASVS 11.2.5). */
  open(sealed: string, about = ''): Unsealed | 'malformed' | 'forged' {
    const dot = sealed.indexOf('.')
    if (dot < 1 || dot > 16) return 'malformed'
    const keyId = sealed.slice(0, dot)
    const key = this.#keys.find((key) => key.id === keyId)
    if (!key) return 'forged'
    const encoded = sealed.slice(dot + 1)
    const body = Buffer.from(encoded, 'base64url')
    // One spelling and no other: a decoder skips what it does not know and ignores bits left over.
    if (body.length < SALT + COUNTER + TAG || body.toString('base64url') !== encoded) return 'malformed'
    const salt = body.subarray(0, SALT)
    const name = `${keyId}.${salt.toString('latin1')}`
    const known = this.#subkeys.get(name) ?? subkey(key.key, salt)
    const nonce = Buffer.alloc(12)
    body.copy(nonce, 12 - COUNTER, SALT, SALT + COUNTER)
    try {
      const decipher = createDecipheriv(CIPHER, known, nonce)
      decipher.setAAD(this.#bound(about))
      decipher.setAuthTag(body.subarray(-TAG))
      const text = decipher.update(body.subarray(SALT + COUNTER, -TAG), undefined, 'utf8') + decipher.final('utf8')
      // Kept only once it has opened something, so that a stranger's salts push out nobody's.
      this.#remember(name, known)
      return { text, current: key === this.#keys[0] }
    } catch {
      return 'forged'
    }
  }

  /** Made when something is sealed: many only open. */
  #mine(): { readonly salt: Buffer; readonly key: KeyObject } {
    if (this.#own === undefined) {
      const salt = randomBytes(SALT)
      this.#own = { salt, key: subkey(this.#keys[0].key, salt) }
    }
    return this.#own
  }

  /** A binding has no line break in it. */
  #bound(about: string): Buffer {
    return about === '' ? this.#binding : Buffer.concat([this.#binding, Buffer.from(`\n${about}`)])
  }

  #remember(name: string, key: KeyObject): void {
    if (this.#subkeys.has(name)) return
    if (this.#subkeys.size >= REMEMBERED_SALTS) this.#subkeys.clear()
    this.#subkeys.set(name, key)
  }
}

function subkey(key: KeyObject, salt: Uint8Array): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', key, salt, 'sojourn seal', 32)))
}
