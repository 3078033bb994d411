/**
 * A key that only the holder of a credential has: made of the random identifier in it, of which the store knows no more
 * than a hash. When the credential is gone, nothing opens what it sealed.
 */
import { createSecretKey } from 'node:crypto'
import { Sealer } from './seal.js'

/** The key of one identifier, derived when it is first needed: most records are not encrypted with it. */
export class HolderKey {
  readonly #identifier: string
  #sealer: Sealer | undefined

  /** @param identifier 256 random bits, base64url. */
  constructor(identifier: string) {
    this.#identifier = identifier
  }

  /** Seals and opens with keys that HKDF-SHA-256 (RFC 5869) derives from the identifier. */
  get sealer(): Sealer {
    this.#sealer ??= new Sealer(
      [{ id: 'own', key: createSecretKey(Buffer.from(this.#identifier, 'base64url')) }],
      'sojourn record, for its holder',
    )
    return this.#sealer
  }
}
