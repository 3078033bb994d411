/**
 * Refresh tokens as text: `<key id>.<family>.<generation>.<secret>.<signature>`. The secret is derived from a key that is
 * here and a seed that is in the store, so that neither alone makes a token (a stolen database opens nothing), and so
 * that the same successor can be given twice without keeping it anywhere.
 */
import { hmac, sameDigest, sha256 } from '../crypto/digest.js'
import type { DerivedKey, Keyring } from '../types.js'

/** A refresh token that we signed. */
export interface RefreshToken {
  readonly family: string
  /** 1 at the login, one more with every rotation. */
  readonly generation: number
  /** A hash of its secret, as a family keeps it. */
  readonly digest: string
}

/** What a token is made of, as a family keeps it. */
export interface RefreshSource {
  readonly family: string
  /** The key that this generation was made with. */
  readonly key: string
  readonly seed: string
  readonly generation: number
}

const FORM = /^([A-Za-z0-9]{1,16})\.([\w-]{43})\.([1-9]\d{0,8})\.([\w-]{43})\.([\w-]{43})$/
/** 16 for the key id, three parts of 43, nine digits, and the dots between. */
const LONGEST = 16 + 3 * 43 + 9 + 4

/** Makes and reads refresh tokens. One made for another `binding` (issuer, audience, client) is forged here. */
export class RefreshTokens {
  readonly #signing: readonly [DerivedKey, ...DerivedKey[]]
  readonly #secrets: readonly [DerivedKey, ...DerivedKey[]]
  readonly #binding: string

  constructor(ring: Keyring, binding: readonly unknown[]) {
    this.#signing = ring.derive('refresh token signature')
    this.#secrets = ring.derive('refresh token secret')
    this.#binding = sha256(JSON.stringify(binding))
  }

  /** The id of the key that new generations are made with. */
  get currentKey(): string {
    return this.#signing[0].id
  }

  /** The token, the same one every time; `undefined` where its key is not in our ring. */
  make({ family, key, seed, generation }: RefreshSource): { text: string; digest: string } | undefined {
    const secrets = this.#secrets.find(({ id }) => id === key)
    const signing = this.#signing.find(({ id }) => id === key)
    if (!secrets || !signing) return undefined
    const secret = hmac(secrets.key, `${seed}.${family}.${generation}`)
    const signed = `${key}.${family}.${generation}.${secret}`
    return { text: `${signed}.${this.#sign(signing, signed)}`, digest: sha256(secret) }
  }

  /** What we signed, or why it is not ours. Nothing is asked of a store for it. */
  open(text: string): RefreshToken | 'malformed' | 'forged' {
    const parts = text.length > LONGEST ? null : FORM.exec(text)
    if (!parts) return 'malformed'
    const [, keyId, family, generation, secret, signature] = parts as unknown as [string, ...string[]]
    const key = this.#signing.find(({ id }) => id === keyId)
    // The text is compared and not what it decodes to: there is one spelling of each token.
    if (!key || !sameDigest(this.#sign(key, text.slice(0, -44)), signature!)) return 'forged'
    return { family: family!, generation: Number(generation), digest: sha256(secret!) }
  }

  #sign({ key }: DerivedKey, signed: string): string {
    return hmac(key, `${this.#binding}.${signed}`)
  }
}
