/** The keys of access tokens: one way to them for the `jwt` strategy and the token pair, so that each opens the other's. */
import type { Keyring } from '../types.js'
import type { AccessTokenKeys } from './access.js'
import { type SigningKeys, type SigningRing, signingRing } from './signing-keys.js'

/** Which keys sign access tokens, and whether they are encrypted. */
export interface AccessKeyOptions {
  /** The keys that sign. Default: HS256, with keys derived from `keys` of the app; others cannot verify then. */
  keys?: SigningKeys | SigningRing
  /** Encrypt the signed token, so that not even the user's id shows, and keep the session's data in it. Default `false`. */
  encrypt?: boolean
}

/** The keys, from those that are given or from the app's own ring. Throws a `TypeError` for weak ones. */
export function accessKeys({ keys, encrypt }: AccessKeyOptions, ring: Keyring): AccessTokenKeys {
  return {
    signing: keys ? signingRing(keys) : derived(ring),
    encryption: encrypt ? ring.derive('jwt encryption') : undefined,
  }
}

function derived(ring: Keyring): SigningRing {
  const [first, ...older] = ring.derive('jwt signature').map(({ id, key }) => ({
    algorithm: 'HS256' as const,
    id,
    key,
  }))
  return signingRing([first!, ...older])
}
