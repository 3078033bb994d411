/** The providers: what is known of each, and what has to be asked. */
import { type Call, checkSecure, isAway } from './oauth-call.js'

/** What the provider tells about its user. All of it is untrusted text; none of it is an identity. */
export interface Profile {
  name?: string
  email?: string
  /** Whether the provider vouches that the address is the user's. Even then it says nothing about accounts here. */
  emailVerified: boolean
  /** The name that the user is known by at the provider; it may pass to somebody else. */
  login?: string
  picture?: string
}

/** Who an access token is of, where there is no identity token to say it. */
export interface Asked {
  readonly sub: string
  readonly profile: Profile
}

/** A provider, as `oauth` is given it. Made by `github`, `google` or `oidc`. */
export interface ProviderSettings {
  /** The first half of who somebody is. For OpenID Connect, exactly what discovery must say (ASVS 10.5.3). */
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  readonly scope: readonly string[]
  /** Sent along to the authorization endpoint. */
  readonly parameters: Readonly<Record<string, string>>
  /** Base URLs of the APIs that the access token is for. None: all that is below the issuer's own URL. */
  readonly api: readonly string[]
  /** Where there is no discovery: what it would say. */
  readonly metadata?: Readonly<Record<string, unknown> & { issuer: string }>
  /** Where there is no identity token: who an access token is of. `undefined`: the answer made no sense. */
  readonly who?: (call: Call, accessToken: string) => Promise<Asked | undefined>
  /** Where revocation is not that of RFC 7009. Whether the token is gone. */
  readonly revoke?: (call: Call, accessToken: string) => Promise<boolean>
}

/** What every provider asks of an app that is registered with it. */
export interface ClientOptions {
  /** The id that the provider gave the app. */
  clientId: string
  /** The secret that the provider gave the app. Keep it where only the server reads it. */
  clientSecret: string
  /** What to ask the user for. Default: no more than who they are (ASVS 10.2.3). */
  scope?: readonly string[]
}

/** Options of `github`. */
export interface GithubOptions extends ClientOptions {
  /** A GitHub of one's own: GitHub Enterprise Server, or one below `ghe.com`. Default `https://github.com`. */
  url?: string
}

/**
 * GitHub, which speaks OAuth 2.0 and no OpenID Connect: who somebody is, is asked of its API once, as the numeric id that
 * no change of name touches. Throws a `TypeError` for a URL that is not https.
 */
export function github({ url = 'https://github.com', scope = [], ...client }: GithubOptions): ProviderSettings {
  checkClient('github', client)
  const home = checkSecure('github', url)
  const { origin, hostname } = home
  const ofGithub = hostname === 'github.com' || hostname.endsWith('.ghe.com')
  const api = ofGithub ? `https://api.${hostname}` : `${origin}/api/v3`
  const login = `${origin}/login/oauth`
  const headers = { accept: 'application/vnd.github+json', 'user-agent': 'sojourn' }
  return {
    ...client,
    issuer: origin,
    scope,
    parameters: {},
    api: [api],
    metadata: {
      issuer: login,
      authorization_endpoint: `${login}/authorize`,
      token_endpoint: `${login}/access_token`,
      token_endpoint_auth_methods_supported: ['client_secret_post'],
    },

    async who(call, accessToken) {
      const answer = await call(`${api}/user`, { headers: { ...headers, authorization: `Bearer ${accessToken}` } })
      if (isAway(answer)) throw new Error('GitHub failed', { cause: answer })
      const user = answer.status === 200 ? await object(answer) : undefined
      if (!Number.isSafeInteger(user?.id) || (user!.id as number) < 1) return undefined
      const { id, name, email, login, avatar_url: picture } = user!
      // It does not say whether the address was confirmed.
      return { sub: String(id), profile: profileOf({ name, email, preferred_username: login, picture }) }
    },

    async revoke(call, accessToken) {
      const basic = Buffer.from(`${client.clientId}:${client.clientSecret}`).toString('base64')
      const answer = await call(`${api}/applications/${encodeURIComponent(client.clientId)}/token`, {
        method: 'DELETE',
        headers: { ...headers, authorization: `Basic ${basic}`, 'content-type': 'application/json' },
        body: JSON.stringify({ access_token: accessToken }),
      })
      // 404 and 422: it knows no such token, or not any more.
      if (![204, 404, 422].includes(answer.status)) throw new Error('GitHub kept it', { cause: answer })
      return true
    },
  }
}

/** Options of `google` and `oidc`: what to ask for beyond who somebody is, and what that is good for. */
export interface OpenIdOptions extends ClientOptions {
  /** Ask for a refresh token, to call the provider's API while the user is away. Default `false`. */
  offline?: boolean
  /**
   * Base URLs of the APIs that the access token is for: a vault sends it below these and nowhere else. Default of `oidc`:
   * the issuer's own URL; of `google`: `https://www.googleapis.com`.
   */
  api?: readonly string[]
}

/** Options of `oidc`. */
export interface OidcOptions extends OpenIdOptions {
  /** The issuer's URL, to the letter as it writes it itself. */
  issuer: string
}

/** Any OpenID Connect issuer, found by discovery. Throws a `TypeError` for an issuer that is not https. */
export function oidc({
  issuer,
  scope = ['openid'],
  offline = false,
  api = [],
  ...client
}: OidcOptions): ProviderSettings {
  checkClient('oidc', client)
  checkSecure('oidc: `issuer`', issuer)
  if (!scope.includes('openid')) throw new TypeError('oidc: `scope` needs "openid"; without it nobody says who it is')
  for (const base of api) checkSecure('oidc: `api`', base)
  const wanted = offline && !scope.includes('offline_access') ? [...scope, 'offline_access'] : scope
  // OpenID Connect Core, 11: without the user's consent no refresh token is given.
  return { ...client, issuer, scope: wanted, parameters: offline ? { prompt: 'consent' } : {}, api }
}

/** Google, which is an OpenID Connect issuer with a word of its own for refresh tokens. */
export function google({
  offline = false,
  api = ['https://www.googleapis.com'],
  ...options
}: OpenIdOptions): ProviderSettings {
  return {
    ...oidc({ ...options, issuer: 'https://accounts.google.com', api }),
    parameters: offline ? { access_type: 'offline', prompt: 'consent' } : {},
  }
}

/** What claims tell of their user, by the names of OpenID Connect Core, 5.1; what is of another type is left out. */
export function profileOf(claims: Readonly<Record<string, unknown>>): Profile {
  const { name, email, email_verified: verified, preferred_username: login, picture } = claims
  const profile: Profile = { emailVerified: typeof email === 'string' && verified === true }
  if (typeof name === 'string') profile.name = name
  if (typeof email === 'string') profile.email = email
  if (typeof login === 'string') profile.login = login
  if (typeof picture === 'string') profile.picture = picture
  return profile
}

async function object(answer: Response): Promise<Record<string, unknown> | undefined> {
  const value: unknown = await answer.json()
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
}

function checkClient(name: string, { clientId, clientSecret }: ClientOptions): void {
  for (const [option, value] of Object.entries({ clientId, clientSecret })) {
    if (typeof value !== 'string' || value === '')
      throw new TypeError(`${name}: \`${option}\` is needed; the provider gives it when the app is registered there`)
  }
}
