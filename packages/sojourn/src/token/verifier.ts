/** For an API that keeps no sessions: what an access token says, where somebody else issues them. */
import { then } from '../awaitable.js'
import { Recent } from '../crypto/recent.js'
import type { Awaitable, Refusal } from '../types.js'
import { type AccessToken, readAccessToken } from './access.js'
import { checkExpected, type Expected } from './claims.js'
import { namedKey, type SigningKey } from './jws.js'
import type { RemoteJwks } from './remote-jwks.js'
import type { Revocations } from './revocation.js'
import { type SigningKeys, verifyingKeys } from './signing-keys.js'

/** Options of `verifier`. */
export interface VerifierOptions extends Expected {
  /** The issuer's keys: `remoteJwks(url)`, or the public halves themselves. */
  keys: SigningKeys | RemoteJwks
  /** What was ended, where the issuer's revocations can be read. Default: a token is good until it expires. */
  revocations?: Revocations
  /** Epoch milliseconds. Default `Date.now`. */
  clock?: () => number
}

/** Who holds a token that was honoured. Times are epoch milliseconds. */
export interface Bearer {
  readonly userId: string
  /** The session, or else the token. */
  readonly id: string
  readonly expiresAt: number
  readonly authenticatedAt: number | undefined
  /** What the token is good for (RFC 6749, 3.3). Absent: it does not say. */
  readonly scope: readonly string[] | undefined
  /** All that the token says: `client_id`, `amr`, the issuer's own. */
  readonly claims: Readonly<Record<string, unknown>>
}

/** Says whom a token is of, or why it is not honoured. Throws `ERR_STORE` where that cannot be told. */
export type Verify = (token: string) => Awaitable<Bearer | Refusal>

/**
 * Verifies access tokens (RFC 9068) of one issuer for one audience. The second sight of a token costs a look-up, and
 * outlives neither its `exp`, nor its key, nor a revocation. Throws a `TypeError` without issuer or audience.
 *
 * ```ts
 * const verify = verifier({ issuer, audience, keys: remoteJwks('https://id.example/.well-known/jwks.json') })
 * const bearer = await verify(token)
 * if (typeof bearer === 'string') return new Response(null, { status: 401 })
 * ```
 */
export function verifier(options: VerifierOptions): Verify {
  const { keys, revocations, clock = Date.now } = options
  checkExpected('verifier', options)
  const known = new Recent<AccessToken>()
  const source = 'keysFor' in keys ? keys : local(verifyingKeys(keys), clock)

  const open = (token: string, keys: readonly SigningKey[]): AccessToken | Refusal => {
    const now = clock()
    const before = known.get(token)
    if (before && keys.includes(before.key)) return now < before.record.expiresAt ? before : 'expired'
    const found = readAccessToken(token, keys, options, now)
    if (typeof found !== 'string') known.set(token, found)
    return found
  }

  return (token) =>
    then(source.keysFor(known.get(token)?.key.id ?? namedKey(token)), (keys) => {
      const found = open(token, keys)
      if (typeof found === 'string') return found
      const { id, issuedAt, record } = found
      const ended = revocations?.check({ id, userId: record.userId, issuedAt }) ?? false
      return then(ended, (ended) => (ended ? 'ended' : bearer(found)))
    })
}

function bearer({ id, record: { userId, expiresAt, authenticatedAt }, scope, claims }: AccessToken): Bearer {
  return { userId: userId!, id, expiresAt, authenticatedAt, scope, claims }
}

function local(keys: (now: number) => readonly SigningKey[], clock: () => number): RemoteJwks {
  return { keysFor: () => keys(clock()) }
}
