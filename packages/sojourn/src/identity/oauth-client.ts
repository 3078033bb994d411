/**
 * One provider and this app as its client. The protocol is `oauth4webapi`'s, a certified client; what it asks and what it
 * says is turned into our words here, and nothing that a provider sent gets into any of them.
 */
import { createHash } from 'node:crypto'
import type * as oauth4webapi from 'oauth4webapi'
import { type Call, calls, isAway, isPlausible } from './oauth-call.js'
import { type Profile, type ProviderSettings, profileOf } from './oauth-providers.js'
import { type OAuthRefusal, refusalOf } from './oauth-refusal.js'
import { LONGEST_RENEWAL, type ProviderTokens, providerTokens, type TokenAnswer } from './oauth-tokens.js'

type Library = typeof oauth4webapi
type Server = oauth4webapi.AuthorizationServer

/** What an authorization request says, beside what every one says. */
export interface Wanted {
  readonly redirectUri: string
  readonly state: string
  readonly nonce: string
  readonly verifier: string
  readonly prompt?: string | undefined
  /** Seconds. */
  readonly maxAge?: number | undefined
  readonly acrValues?: readonly string[] | undefined
  readonly loginHint?: string | undefined
}

/** What was begun, as far as the answer must fit it. */
export type Begun = Pick<Wanted, 'redirectUri' | 'state' | 'nonce' | 'verifier' | 'maxAge' | 'acrValues'> & {
  /** When, epoch milliseconds. */
  readonly at: number
}

/** Who came, by the provider's word. */
export interface Found {
  readonly sub: string
  readonly profile: Profile
  /** Of the identity token; empty where there is none. */
  readonly claims: Readonly<Record<string, unknown>>
  readonly tokens: ProviderTokens
}

type CallOptions = Pick<
  oauth4webapi.HttpRequestOptions<'GET' | 'POST', URLSearchParams>,
  typeof oauth4webapi.allowInsecureRequests | 'signal'
>

/** How long metadata is used without asking again, milliseconds. */
const FRESH = 3_600_000
/** How long it is used while the provider cannot be asked, and how often that is tried. */
const STALE = 86_400_000
const RETRY = 60_000
/** Clocks may differ so much, seconds. */
const LEEWAY = 30
/** What a provider may say of an access token whose grant has ended. */
const GONE = ['unsupported_token_type', 'invalid_token', 'invalid_grant']
/** The endpoints that metadata may name. */
const PLACES = [
  ...['authorization_endpoint', 'token_endpoint', 'jwks_uri', 'userinfo_endpoint'],
  ...['revocation_endpoint', 'end_session_endpoint'],
] as const

/** A client of one provider. */
export class Client {
  readonly settings: ProviderSettings
  readonly #name: string
  readonly #clock: () => number
  readonly #call: Call
  readonly #local: boolean
  #server: Server | undefined
  #fetchedAt = Number.NEGATIVE_INFINITY
  #triedAt = Number.NEGATIVE_INFINITY
  #fetching: Promise<Server> | undefined

  constructor(name: string, settings: ProviderSettings, clock: () => number) {
    this.settings = settings
    this.#name = name
    this.#clock = clock
    this.#call = calls(new URL(settings.issuer))
    this.#local = settings.issuer.startsWith('http:')
  }

  /** Where to send the browser. */
  authorizationUrl(wanted: Wanted): Promise<URL | OAuthRefusal> {
    return this.#guarded(async (library) => {
      const server = await this.#metadata(library)
      const { clientId, scope, parameters } = this.settings
      const url = new URL(server.authorization_endpoint!)
      const prompts = [parameters.prompt, wanted.prompt].filter((prompt) => prompt !== undefined)
      const { state, nonce, redirectUri, acrValues, loginHint } = wanted
      const all = {
        ...parameters,
        response_type: 'code',
        client_id: clientId,
        redirect_uri: redirectUri,
        scope: scope.join(' '),
        state,
        code_challenge: await library.calculatePKCECodeChallenge(wanted.verifier),
        code_challenge_method: 'S256',
        nonce: this.#isOpenId ? nonce : undefined,
        // `none` allows no other beside it.
        prompt: wanted.prompt === 'none' ? 'none' : [...new Set(prompts)].join(' ') || undefined,
        max_age: wanted.maxAge?.toString(),
        acr_values: acrValues?.join(' '),
        login_hint: loginHint,
      }
      for (const [key, value] of Object.entries(all)) if (value) url.searchParams.set(key, value)
      return url
    })
  }

  /** Changes the code of a callback into tokens, and says whose they are. Up to three calls to the provider. */
  exchange(callback: URLSearchParams, begun: Begun): Promise<Found | OAuthRefusal> {
    return this.#guarded(async (library) => {
      const server = await this.#metadata(library)
      const client = this.#client(library)
      let parameters: URLSearchParams
      try {
        // `iss` (RFC 9207) and `state` are compared, and a response with two of anything is none.
        parameters = library.validateAuthResponse(server, client, callback, begun.state)
      } catch (error) {
        if (error instanceof library.AuthorizationResponseError) return refusalOf(error.error)
        return 'forged'
      }
      if (!parameters.get('code')) return 'malformed'
      const answer = await library.authorizationCodeGrantRequest(
        server,
        client,
        this.#authentication(library, server),
        parameters,
        begun.redirectUri,
        begun.verifier,
        this.#options(library),
      )
      const refused = await errorIn(answer)
      if (refused) return refused
      const openId = this.#isOpenId
      const result = await library.processAuthorizationCodeResponse(
        server,
        client,
        answer,
        openId ? { expectedNonce: begun.nonce, requireIdToken: true } : {},
      )
      // Nothing here could keep a promise to prove possession of a key.
      if (result.token_type !== 'bearer') return 'unusable'
      if (!openId) return await this.#ask(result)
      await library.validateApplicationLevelSignature(server, answer, this.#options(library))
      const claims = library.getValidatedIdTokenClaims(result)!
      if (!isBound(result.id_token!, claims.at_hash, result.access_token)) return 'unusable'
      const strength = judged(claims, begun)
      if (strength) return strength
      return this.#found(result, claims.sub, await this.#profile(library, server, claims, result.access_token), claims)
    })
  }

  /** New tokens for a refresh token; `denied` where the grant is over. One call, and `LONGEST_RENEWAL` for all there is. */
  refresh(refreshToken: string, owner: { sub: string } | undefined): Promise<ProviderTokens | OAuthRefusal> {
    const signal = AbortSignal.timeout(LONGEST_RENEWAL)
    return this.#guarded<ProviderTokens | OAuthRefusal>(async (library) => {
      const server = await this.#metadata(library)
      const client = this.#client(library)
      const authentication = this.#authentication(library, server)
      const options = this.#options(library, signal)
      const answer = await library.refreshTokenGrantRequest(server, client, authentication, refreshToken, options)
      const refused = await errorIn(answer)
      if (refused) return refused === 'forged' ? 'denied' : refused
      const result = await library.processRefreshTokenResponse(server, client, answer)
      if (result.token_type !== 'bearer') return 'unusable'
      const claims = library.getValidatedIdTokenClaims(result)
      const signed = claims && (await this.#isSigned(library, server, answer, options))
      // OpenID Connect Core, 12.2: it is the same user, or it is nobody.
      if (claims && owner && claims.sub !== owner.sub) return 'unusable'
      const sub = claims?.sub ?? owner?.sub ?? ''
      // Where the provider does not rotate it, the old one stays the one.
      const { refresh_token: next = refreshToken, id_token: idToken, ...rest } = result
      const kept = { ...rest, refresh_token: next, id_token: signed ? idToken : undefined }
      return this.#tokens(kept, sub)
    })
  }

  /** Tells the provider to forget tokens: the refresh token first, where there is one, as the access token goes with it. */
  revoke({ accessToken, refreshToken }: ProviderTokens): Promise<boolean | OAuthRefusal> {
    return this.#guarded(async (library) => {
      if (this.settings.revoke) return await this.settings.revoke(this.#call, accessToken)
      const server = await this.#metadata(library)
      if (server.revocation_endpoint === undefined) return false
      const tokens = refreshToken === undefined ? [accessToken] : [refreshToken, accessToken]
      for (const token of tokens) {
        const answer = await library.revocationRequest(
          server,
          this.#client(library),
          this.#authentication(library, server),
          token,
          this.#options(library),
        )
        if (isAway(answer)) return 'unavailable'
        try {
          await library.processRevocationResponse(answer)
        } catch (error) {
          // Some do not know the access token any more by then, and others never revoke one (RFC 7009, 2.1, 2.2.1).
          const gone = error instanceof library.ResponseBodyError && GONE.includes(error.error)
          if (token === refreshToken || refreshToken === undefined || !gone) throw error
        }
      }
      return true
    })
  }

  /** What the provider's metadata says under a name; a refusal word where it cannot be asked. */
  endpoint(name: 'end_session_endpoint' | 'jwks_uri'): Promise<{ url: string | undefined } | OAuthRefusal> {
    return this.#guarded(async (library) => ({ url: (await this.#metadata(library))[name] }))
  }

  get #isOpenId(): boolean {
    return this.settings.who === undefined
  }

  /**
   * Whether an identity token that a renewal brought has its signature. Where the keys cannot be asked for just now it is
   * left out, and the rest is taken: it came from the token endpoint itself (OpenID Connect Core, 3.1.3.7), and what was
   * exchanged for it may be void.
   */
  async #isSigned(library: Library, server: Server, answer: Response, options: CallOptions): Promise<boolean> {
    try {
      await library.validateApplicationLevelSignature(server, answer, options)
      return true
    } catch (error) {
      if (wordFor(error, library) === 'unavailable') return false
      throw error
    }
  }

  async #ask(result: oauth4webapi.TokenEndpointResponse): Promise<Found | OAuthRefusal> {
    const asked = await this.settings.who!(this.#call, result.access_token)
    return asked ? this.#found(result, asked.sub, asked.profile, {}) : 'unusable'
  }

  #found(
    result: oauth4webapi.TokenEndpointResponse,
    sub: string,
    profile: Profile,
    claims: Readonly<Record<string, unknown>>,
  ): Found {
    return { sub, profile, claims, tokens: this.#tokens(result, sub) }
  }

  #tokens(result: TokenAnswer, sub: string): ProviderTokens {
    const owner = { provider: this.#name, issuer: this.settings.issuer, sub }
    return providerTokens(owner, result, this.#clock())
  }

  /** The identity token's word, and `userinfo`'s for what was asked for and is not in it. */
  async #profile(
    library: Library,
    server: Server,
    claims: oauth4webapi.IDToken,
    accessToken: string,
  ): Promise<Profile> {
    const { scope } = this.settings
    const missing =
      (scope.includes('email') && claims.email === undefined) ||
      (scope.includes('profile') && claims.name === undefined)
    if (!missing || server.userinfo_endpoint === undefined) return profileOf(claims)
    const client = this.#client(library)
    const answer = await library.userInfoRequest(server, client, accessToken, this.#options(library))
    return profileOf({ ...claims, ...(await library.processUserInfoResponse(server, client, claims.sub, answer)) })
  }

  #client(library: Library): oauth4webapi.Client {
    const ahead = Math.round((this.#clock() - Date.now()) / 1000)
    return {
      client_id: this.settings.clientId,
      [library.clockSkew]: ahead,
      [library.clockTolerance]: LEEWAY,
    }
  }

  #authentication(library: Library, server: Server): oauth4webapi.ClientAuth {
    const methods = server.token_endpoint_auth_methods_supported
    const post = methods !== undefined && !methods.includes('client_secret_basic')
    return (post ? library.ClientSecretPost : library.ClientSecretBasic)(this.settings.clientSecret)
  }

  #options(library: Library, signal?: AbortSignal): CallOptions {
    const options = { [library.allowInsecureRequests]: this.#local, ...(signal && { signal }) }
    // The library reads no more of a response than a `Response` has.
    return { ...options, [library.customFetch]: this.#call } as CallOptions
  }

  async #metadata(library: Library): Promise<Server> {
    if (this.settings.metadata) return this.settings.metadata as Server
    const now = this.#clock()
    const age = now - this.#fetchedAt
    if (this.#server && age >= 0 && age <= FRESH) return this.#server
    // A provider that hangs makes one visitor a minute wait for it.
    if (this.#server && age <= STALE && Math.abs(now - this.#triedAt) < RETRY) return this.#server
    this.#triedAt = now
    this.#fetching ??= this.#discover(library).finally(() => {
      this.#fetching = undefined
    })
    try {
      this.#server = await this.#fetching
      this.#fetchedAt = now
    } catch (error) {
      // A provider that is away for a moment is what it was an hour ago.
      if (!this.#server || age > STALE) throw error
    }
    return this.#server
  }

  async #discover(library: Library): Promise<Server> {
    const issuer = new URL(this.settings.issuer)
    const answer = await library.discoveryRequest(issuer, this.#options(library))
    if (isAway(answer)) throw new Unavailable()
    const server = await library.processDiscoveryResponse(issuer, answer)
    // To the letter (ASVS 10.5.3): a slash more is another issuer.
    if (server.issuer !== this.settings.issuer) throw new Error('the metadata is of another issuer')
    for (const place of PLACES) {
      if (server[place] !== undefined && !isPlausible(server[place], issuer))
        throw new Error(`the metadata's ${place} is no place to go`)
    }
    if (!server.authorization_endpoint || !server.token_endpoint || !server.jwks_uri)
      throw new Error('the metadata lacks an endpoint')
    // Where it is announced, a provider that lacks S256 would let codes be stolen.
    if (server.code_challenge_methods_supported?.includes('S256') === false)
      throw new Error('the provider does not know S256')
    return server
  }

  /** Carries out work that talks to the provider; whatever goes wrong becomes a word. Its errors hold tokens: dropped. */
  async #guarded<T>(work: (library: Library) => Promise<T>): Promise<T | OAuthRefusal> {
    const library = await load()
    try {
      return await work(library)
    } catch (error) {
      return wordFor(error, library)
    }
  }
}

class Unavailable extends Error {}

function wordFor(error: unknown, library: Library): OAuthRefusal {
  if (error instanceof library.ResponseBodyError) return refusalOf(error.error)
  if (error instanceof Unavailable) return 'unavailable'
  // Of another issuer, for another client, or with another nonce than this sign-in's.
  if ((error as { code?: unknown }).code === library.JWT_CLAIM_COMPARISON) return 'forged'
  const { name, cause } = error as Error
  if (cause instanceof Response && isAway(cause)) return 'unavailable'
  // fetch's own: no connection, and no answer in time.
  const unreachable =
    (error instanceof TypeError && 'cause' in error && cause instanceof Error) || name === 'TimeoutError'
  return unreachable ? 'unavailable' : 'unusable'
}

/** An error, also where the standard has none: GitHub's come with 200. Tokens beside it are not looked at. */
async function errorIn(answer: Response): Promise<OAuthRefusal | undefined> {
  if (isAway(answer)) return 'unavailable'
  const body: unknown = await answer
    .clone()
    .json()
    .catch(() => undefined)
  if (typeof body !== 'object' || body === null || !('error' in body)) return undefined
  return refusalOf(body.error)
}

/** OpenID Connect Core, 3.1.3.6: the identity token says which access token came with it, if it says anything. */
function isBound(idToken: string, expected: unknown, accessToken: string): boolean {
  if (expected === undefined) return true
  const header = JSON.parse(Buffer.from(idToken.slice(0, idToken.indexOf('.')), 'base64url').toString())
  const bits = /(256|384|512)$/.exec(String(header.alg))?.[1] ?? '512'
  const digest = createHash(`sha${bits}`).update(accessToken).digest()
  return digest.subarray(0, digest.length / 2).toString('base64url') === expected
}

/** What was asked for is there, or the weakest is believed (ASVS 6.8.4). */
function judged(claims: oauth4webapi.IDToken, { maxAge, acrValues, at }: Begun): OAuthRefusal | undefined {
  if (maxAge !== undefined) {
    const proved = claims.auth_time
    if (typeof proved !== 'number' || proved + maxAge + LEEWAY < at / 1000) return 'stale'
  }
  if (acrValues && !acrValues.includes(String(claims.acr))) return 'weak'
  return undefined
}

let loaded: Promise<Library> | undefined

function load(): Promise<Library> {
  loaded ??= import('oauth4webapi').catch((cause) => {
    loaded = undefined
    throw new TypeError('oauth: the package "oauth4webapi" is needed; install it: npm install oauth4webapi', { cause })
  })
  return loaded
}
