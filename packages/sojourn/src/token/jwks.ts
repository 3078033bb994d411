/** The public halves of signing keys for those who verify our tokens: a JSON Web Key Set (RFC 7517), and its endpoint. */
import { sha256 } from '../crypto/digest.js'
import type { Algorithm, SigningKey } from './jws.js'
import { type SigningKeys, type SigningRing, signingRing } from './signing-keys.js'

/** A public key as others read it. */
export interface PublicJwk {
  readonly kid: string
  readonly alg: Algorithm
  readonly use: 'sig'
  readonly kty: string
  readonly [member: string]: string
}

/** What is published. */
export interface Jwks {
  readonly keys: readonly PublicJwk[]
}

/** Options of `jwksEndpoint`. */
export interface JwksEndpointOptions {
  /** How long caches may keep the set, milliseconds. Default 10 minutes. */
  maxAge?: number
  /** Epoch milliseconds. Default `Date.now`. */
  clock?: () => number
}

/** Members of public keys. What is not named here is never written, whatever a key may hold. */
const PUBLIC = ['kty', 'crv', 'x', 'y', 'n', 'e'] as const

/**
 * The keys whose tokens are accepted now. Secrets (HS256 and its kin) have no public half and are left out; throws a
 * `TypeError` where nothing is left.
 */
export function jwks(keys: SigningKeys | SigningRing, now: number = Date.now()): Jwks {
  const published = signingRing(keys)
    .accepted(now)
    .filter(({ public: key }) => key.type === 'public')
  if (published.length === 0)
    throw new TypeError('jwks: a secret has no public half to publish; sign with ES256, Ed25519, PS256 or RS256')
  return { keys: published.map(toJwk) }
}

/**
 * The set as a fetch handler, for `/.well-known/jwks.json`: GET and HEAD, cacheable, with an ETag, and readable for
 * every origin, as there is nothing in it that not everybody may know. Throws as `jwks` does, when it is made.
 */
export function jwksEndpoint(
  keys: SigningKeys | SigningRing,
  { maxAge = 600_000, clock = Date.now }: JwksEndpointOptions = {},
): (request: Request) => Response {
  const ring = signingRing(keys)
  jwks(ring, clock())
  return (request) => {
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return new Response(null, { status: 405, headers: { allow: 'GET, HEAD' } })
    const body = JSON.stringify(jwks(ring, clock()))
    const etag = `"${sha256(body)}"`
    const headers = {
      'content-type': 'application/jwk-set+json',
      'cache-control': `public, max-age=${Math.floor(maxAge / 1000)}`,
      etag,
      'access-control-allow-origin': '*',
      'x-content-type-options': 'nosniff',
    }
    const known = request.headers
      .get('if-none-match')
      ?.split(',')
      .some((tag) => tag.trim().replace(/^W\//, '') === etag)
    if (known) return new Response(null, { status: 304, headers })
    return new Response(request.method === 'HEAD' ? null : body, { headers })
  }
}

function toJwk({ id, algorithm, public: key }: SigningKey): PublicJwk {
  const all = key.export({ format: 'jwk' }) as Record<string, string>
  const members = PUBLIC.filter((name) => all[name] !== undefined).map((name) => [name, all[name]])
  return { ...Object.fromEntries(members), kid: id, alg: algorithm, use: 'sig' }
}
