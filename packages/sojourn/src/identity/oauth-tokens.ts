/** What a provider gave for its user: the form in which tokens come out of `oauth` and go into a vault. */

/**
 * A provider's tokens for one user. Whoever holds them acts as that user at the provider: keep them in a vault, and out of
 * pages, logs and cookies that can be read.
 */
export interface ProviderTokens {
  /** The name under which the provider is configured. */
  provider: string
  accessToken: string
  tokenType: 'bearer'
  /** When the access token runs out, epoch milliseconds. Absent: the provider did not say, or it does not. */
  expiresAt?: number
  refreshToken?: string
  /** What was granted, which may be less than what was asked for. Absent: the provider did not say. */
  scope?: string[]
  /** The identity token, where there is one; a logout at the provider asks for it. */
  idToken?: string
  /** Who: the provider's own identifier, unique below `issuer` and nowhere else. */
  sub: string
  /** Who says so. */
  issuer: string
}

/**
 * How long the renewal of tokens may take at the provider, milliseconds: everything that is asked for it together. Whoever
 * asks gives up then and no sooner, as a refresh token that has been used may be void by the time that its answer comes;
 * whoever keeps the tokens lets nobody else ask until then.
 */
export const LONGEST_RENEWAL = 15_000

/** A token endpoint's answer, as far as it matters here (RFC 6749, 5.1). */
export interface TokenAnswer {
  readonly access_token: string
  readonly expires_in?: number | undefined
  readonly refresh_token?: string | undefined
  readonly scope?: string | undefined
  readonly id_token?: string | undefined
}

/** Whose tokens these are. */
export interface TokenOwner {
  readonly provider: string
  readonly issuer: string
  readonly sub: string
}

/** A token endpoint's answer as `ProviderTokens`. `now`: when it came, epoch milliseconds. */
export function providerTokens(owner: TokenOwner, answer: TokenAnswer, now: number): ProviderTokens {
  const { provider, issuer, sub } = owner
  const tokens: ProviderTokens = { provider, issuer, sub, accessToken: answer.access_token, tokenType: 'bearer' }
  if (answer.expires_in !== undefined) tokens.expiresAt = now + answer.expires_in * 1000
  if (answer.refresh_token !== undefined) tokens.refreshToken = answer.refresh_token
  // GitHub separates scopes with commas, the standard with spaces.
  if (answer.scope !== undefined) tokens.scope = answer.scope.split(/[\s,]+/).filter((scope) => scope !== '')
  if (answer.id_token !== undefined) tokens.idToken = answer.id_token
  return tokens
}
