/**
 * Signing in through another provider: the authorization code with PKCE, begun and completed in one browser. It says who
 * came, as `(issuer, sub)`; which account that is, is the app's to say, and the session is signed in by `login` as always.
 */
import { sha256 } from '../crypto/digest.js'
import { randomText } from '../crypto/random.js'
import { createKeyring, type Keys } from '../keys.js'
import { isOwnPath } from '../own-path.js'
import { type Ask, patience } from '../patience.js'
import { isWord } from '../proof.js'
import { memory } from '../store/memory.js'
import type { Awaitable, Store } from '../types.js'
import { isLocal } from './oauth-call.js'
import { Client, type Found } from './oauth-client.js'
import { type CompletionOptions, type CompletionSession, complete } from './oauth-complete.js'
import type { Profile, ProviderSettings } from './oauth-providers.js'
import { OAUTH_ANSWERS, type OAuthRefusal } from './oauth-refusal.js'
import type { ProviderTokens } from './oauth-tokens.js'
import { LONGEST, type Transaction, Transactions } from './oauth-transaction.js'

export type { CompletionOptions, CompletionSession } from './oauth-complete.js'
export {
  type ClientOptions,
  type GithubOptions,
  github,
  google,
  type OidcOptions,
  type OpenIdOptions,
  oidc,
  type Profile,
  type ProviderSettings,
} from './oauth-providers.js'
export type { OAuthRefusal } from './oauth-refusal.js'
export type { ProviderTokens } from './oauth-tokens.js'

/** Options of `oauth`. */
export interface OAuthOptions {
  /** The secrets, current first: those of `createSessions` will do. They seal what is under way. */
  keys: Keys
  /** The public origin, such as `https://shop.example`. Redirect URIs are made of it and of nothing else. */
  origin: string
  /** The providers, each under the name that redirect URIs and tokens call it by: small letters, digits and "-". */
  providers: Readonly<Record<string, ProviderSettings>>
  /** The path that the routes are below. Default `/oauth`: a redirect URI is `<origin>/oauth/<provider>/callback`. */
  path?: string
  /** Where it is marked which sign-ins came back: one that all servers share. Default `memory()`, which fits one process. */
  store?: Store
  /** URLs elsewhere that `returnTo` may be, each to the letter. Default none: paths of this origin alone. */
  returnTo?: readonly string[]
  /** Epoch milliseconds. Default `Date.now`. */
  clock?: () => number
}

/** What a sign-in is for: a session, another way into the account that is signed in, or a fresh proof of who it is. */
export type Intent = 'login' | 'link' | 'step-up'

/** The part of a session that is looked at. */
export interface OAuthSession {
  readonly id: string | undefined
  readonly userId: string | undefined
  readonly authenticatedAt: number | undefined
}

/** Options of `begin`. */
export interface BeginOptions {
  /** Where to go afterwards: a path of this origin, or a URL of the list. Default, and in place of anything else: `/`. */
  returnTo?: string | null | undefined
  /** Default `login`. `link` needs a POST and a session signed in within ten minutes; `step-up` a session signed in. */
  intent?: Intent
  /** The session of this request; for `link` and `step-up`, which then complete in this session alone. */
  session?: OAuthSession
  /** What the provider should show (OpenID Connect Core, 3.1.2.1). Default for `step-up`: `login`. */
  prompt?: 'none' | 'login' | 'consent' | 'select_account'
  /** How long ago the user may have proved who they are, seconds. Checked when they come back. Default for `step-up`: 0. */
  maxAge?: number
  /** The classes of proof that will do. Checked when they come back. */
  acrValues?: readonly string[]
  /** Whom the provider should expect. */
  loginHint?: string
}

/** Somebody came back, and the provider says who it is. */
export interface Arrived {
  readonly refused?: undefined
  readonly provider: string
  /** Who: the pair, and never an e-mail address (ASVS 6.8.1, 10.5.2). */
  readonly identity: { readonly issuer: string; readonly sub: string }
  readonly intent: Intent
  /** Whose session began it; for `link` and `step-up`. */
  readonly userId: string | undefined
  /** For showing. Untrusted text. */
  readonly profile: Profile
  /** Of the identity token: `sid`, `acr`, `amr`, `auth_time`. Empty where there is none. */
  readonly claims: Readonly<Record<string, unknown>>
  /** They come out here once: hand them to a vault, or drop them. Neither `JSON.stringify` nor a log sees them. */
  readonly tokens: ProviderTokens
  /** Safe to redirect to: a path of this origin, or a URL of the list. */
  readonly returnTo: string
  /** For the response: the sign-in is forgotten by the browser, and nothing is cached. */
  readonly headers: Headers
}

/** Somebody came back, and is not signed in. */
export interface Refused {
  readonly refused: OAuthRefusal
  /** What to tell the user, in plain words. Nothing of it is the provider's. */
  readonly says: string
  readonly status: number
  /** Where it was begun for, as far as that is known. */
  readonly returnTo: string
  readonly headers: Headers
}

/** How long ago a sign-in may be to link another identity to the account, milliseconds. */
const RECENT = 600_000
const NAME = /^[a-z0-9][a-z0-9-]{0,31}$/
/** A longer one would crowd out other headers; bytes of the cookie are what it costs. */
const LONGEST_RETURN = 512

/** Sign-in through providers. */
export class OAuth {
  readonly #clients: ReadonlyMap<string, Client>
  readonly #origin: string
  readonly #path: string
  readonly #elsewhere: ReadonlySet<string>
  readonly #store: Store
  readonly #clock: () => number
  readonly #ask: Ask = patience()
  readonly #transactions: Transactions

  constructor({ keys, origin, providers, path = '/oauth', returnTo = [], clock = Date.now, store }: OAuthOptions) {
    this.#origin = checkOrigin(origin)
    if (!/^(?:\/[\w-]+)+$/.test(path))
      throw new TypeError('oauth: `path` is like "/oauth", of letters, digits, "-", "_"')
    for (const name of Object.keys(providers)) {
      if (!NAME.test(name))
        throw new TypeError('oauth: a provider is named by small letters, digits and "-"; rename it')
    }
    for (const url of returnTo) {
      if (!URL.canParse(url) || new URL(url).href !== url || !/^https?:/.test(url))
        throw new TypeError(
          'oauth: `returnTo` lists whole URLs as a browser writes them, such as "https://app.example/"',
        )
    }
    this.#path = path
    this.#elsewhere = new Set(returnTo)
    this.#clock = clock
    this.#store = store ?? memory({ clock })
    this.#transactions = new Transactions(createKeyring(keys), origin.startsWith('https:'), clock)
    this.#clients = new Map(Object.entries(providers).map(([name, it]) => [name, new Client(name, it, clock)]))
  }

  /**
   * Sends the browser to the provider, by a 303: also after a POST. No store call; one call to the provider in an
   * hour. Refuses what may not begin, and a provider that cannot be reached. Throws a `TypeError` for a step-up at a
   * provider that cannot say when somebody signed in, and for what cannot be checked when they come back.
   */
  async begin(request: Request, provider: string, options: BeginOptions = {}): Promise<Response | Refused> {
    const client = this.#clients.get(provider)
    const { intent = 'login', session, acrValues, loginHint } = options
    const returnTo = this.#safe(options.returnTo)
    // The name may come from a path that anybody can ask for.
    if (client === undefined) return this.#refuse('no-provider', returnTo)
    checkAsked(options)
    if (client.settings.who !== undefined && (intent === 'step-up' || asksForProof(options)))
      throw new TypeError(
        'oauth.begin: this provider cannot say when or how its user signed in; ask another, without `maxAge` and `acrValues` here',
      )
    if (intent === 'link' && request.method !== 'POST') return this.#refuse('malformed', returnTo)
    if (intent !== 'login' && !this.#mayBegin(intent, session)) return this.#refuse('session', returnTo)
    const { prompt = intent === 'step-up' ? 'login' : undefined, maxAge = intent === 'step-up' ? 0 : undefined } =
      options
    const transaction: Transaction = {
      ...this.#transaction(intent, provider, returnTo),
      ...(intent === 'login' ? {} : { session: session!.id }),
      maxAge,
      acrValues,
    }
    const redirectUri = this.redirectUri(provider)
    const url = await client.authorizationUrl({ ...transaction, redirectUri, prompt, loginHint })
    return typeof url === 'string' ? this.#refuse(url, returnTo) : this.#leave(url, transaction, request)
  }

  /**
   * Who came back, or why nobody did. `session` is that of this request, for `link` and `step-up`. One store call, and up
   * to four to the provider, of which the keys and the metadata are cached. Throws a `Fault` when the store fails.
   */
  async callback(request: Request, session?: OAuthSession): Promise<Arrived | Refused> {
    const url = new URL(request.url)
    const states = url.searchParams.getAll('state')
    const [state] = states
    if (request.method !== 'GET' || states.length > 1 || (state?.length ?? 0) > 256) return this.#refuse('malformed')
    if (!state) return this.#refuse('absent')
    const begun = this.#transactions.find(state, request)
    if (typeof begun === 'string') return this.#refuse(begun)
    const refuse = (word: OAuthRefusal) =>
      this.#refuse(word, begun.returnTo, this.#headers([this.#transactions.drop(state)]))
    const client = this.#clients.get(begun.provider)
    if (begun.kind === 'logout' || client === undefined) return refuse('malformed')
    // Each provider has a redirect URI of its own: one that answers at another's is mixed up (A-106, OA-06).
    if (url.pathname !== new URL(this.redirectUri(begun.provider)).pathname) return refuse('forged')
    if (!(await this.#first(state))) return refuse('replayed')
    if (begun.kind !== 'login' && (session?.userId === undefined || session.id !== begun.session))
      return refuse('session')
    const redirectUri = this.redirectUri(begun.provider)
    const found = await client.exchange(url.searchParams, { ...begun, redirectUri })
    if (typeof found === 'string') return refuse(found)
    return this.#arrived(begun, found, client, session)
  }

  /**
   * `callback`, and what follows from it: the session is signed in, under a new identifier, as the user that `account`
   * names, and the browser goes where it was headed. Refusals are answered by `refused`, or as problem details. The store
   * calls of `callback` and of a login.
   */
  complete(request: Request, session: CompletionSession, how: CompletionOptions): Promise<Response> {
    return complete(this.#origin, session, how, () => this.callback(request, session))
  }

  /**
   * Signs out at the provider as well (OpenID Connect RP-Initiated Logout 1.0), by a 303; where the provider has no such
   * thing, or cannot be reached, goes to `returnTo` at once. Sign out here before: the browser may not come back.
   */
  async endSession(
    request: Request,
    provider: string,
    { idToken, returnTo }: { idToken?: string | undefined; returnTo?: string | null | undefined } = {},
  ): Promise<Response> {
    const client = this.#clients.get(provider)
    const target = this.#safe(returnTo)
    const found = await client?.endpoint('end_session_endpoint')
    const there = typeof found === 'object' ? found.url : undefined
    if (client === undefined || there === undefined) return this.#redirect(target)
    const transaction = this.#transaction('logout', provider, target)
    const url = new URL(there)
    url.searchParams.set('client_id', client.settings.clientId)
    url.searchParams.set('post_logout_redirect_uri', this.redirectUri(provider, 'signed-out'))
    url.searchParams.set('state', transaction.state)
    if (idToken !== undefined) url.searchParams.set('id_token_hint', idToken)
    return this.#leave(url, transaction, request)
  }

  /** Where the browser comes back to from `endSession`: goes on to where it was headed, or to `/`. */
  sessionEnded(request: Request): Response {
    const state = new URL(request.url).searchParams.get('state') ?? ''
    const begun = this.#transactions.find(state, request)
    if (typeof begun === 'string' || begun.kind !== 'logout') return this.#redirect('/')
    return this.#redirect(begun.returnTo, [this.#transactions.drop(state)])
  }

  /**
   * New tokens for a refresh token. Where the provider rotates it, the old one is void from now on: keep the new one
   * before it is used. `sub` is the owner's, for providers whose answer does not say it; unsaid, it is empty there.
   * `denied`: the grant is over, and the user has to connect again. One call.
   */
  refresh(provider: string, refreshToken: string, sub?: string): Promise<ProviderTokens | OAuthRefusal> {
    return this.#client(provider).refresh(refreshToken, sub === undefined ? undefined : { sub })
  }

  /** Revokes tokens at the provider. `false`: it has no way to; a refusal: they may still be good. Two calls at most. */
  revoke(provider: string, tokens: ProviderTokens): Promise<boolean | OAuthRefusal> {
    return this.#client(provider).revoke(tokens)
  }

  /** The base URLs that this provider's access tokens may be sent to: those configured, or the issuer's own. */
  apiOf(provider: string): readonly string[] {
    const { api, issuer } = this.#client(provider).settings
    return api.length > 0 ? api : [issuer]
  }

  /** What to register with the provider: where it sends the browser back to; to the letter (OA-01). */
  redirectUri(provider: string, end: 'callback' | 'signed-out' = 'callback'): string {
    return `${this.#origin}${this.#path}/${provider}/${end}`
  }

  /** Who may say that somebody was signed out: for a `logoutReceiver`. */
  issuers(): { issuer: string; clientId: string; keysUrl: () => Promise<string | undefined> }[] {
    const signing = [...this.#clients.values()].filter(({ settings }) => settings.who === undefined)
    return signing.map((client) => ({
      issuer: client.settings.issuer,
      clientId: client.settings.clientId,
      keysUrl: async () => {
        const found = await client.endpoint('jwks_uri')
        return typeof found === 'string' ? undefined : found.url
      },
    }))
  }

  #client(provider: string): Client {
    const client = this.#clients.get(provider)
    if (client) return client
    throw new TypeError(`oauth: no provider of that name; there are ${[...this.#clients.keys()].join(', ') || 'none'}`)
  }

  #mayBegin(intent: Intent, session: OAuthSession | undefined): boolean {
    if (session?.userId === undefined || session.id === undefined) return false
    const age = this.#clock() - (session.authenticatedAt ?? Number.NEGATIVE_INFINITY)
    return intent === 'step-up' || age <= RECENT
  }

  #transaction(kind: Transaction['kind'], provider: string, returnTo: string): Transaction {
    const [state, nonce, verifier] = [randomText(32), randomText(32), randomText(32)]
    return { kind, provider, state, nonce, verifier, returnTo, at: this.#clock() }
  }

  /** A path of this origin or a URL of the list, after a browser's own parsing; anything else is `/`. */
  #safe(text: unknown): string {
    if (typeof text !== 'string' || text.length > LONGEST_RETURN) return '/'
    return isOwnPath(text) || this.#elsewhere.has(text) ? text : '/'
  }

  /** Whether this is the first time that the state comes back: a cookie that was copied does not bring it twice. */
  #first(state: string): Awaitable<boolean> {
    const now = this.#clock()
    // Twice as long as a sign-in takes: clocks of several servers differ.
    const record = { data: 'used', createdAt: now, seenAt: now, expiresAt: now + 2 * LONGEST, version: 1 }
    return this.#ask(() => this.#store.set(`oauth state ${sha256(state)}`, record, 0))
  }

  #arrived(begun: Transaction, found: Found, client: Client, session: OAuthSession | undefined): Arrived {
    const { sub, profile, claims, tokens } = found
    const { provider, returnTo } = begun
    const intent = begun.kind as Intent
    const arrived = {
      provider,
      identity: { issuer: client.settings.issuer, sub },
      intent,
      userId: intent === 'login' ? undefined : session?.userId,
      profile,
      claims,
      returnTo,
      headers: this.#headers([this.#transactions.drop(begun.state)]),
    }
    // Not to be seen by whoever writes the whole into a log.
    return Object.defineProperty(arrived, 'tokens', { value: tokens, enumerable: false }) as typeof arrived & {
      tokens: ProviderTokens
    }
  }

  #refuse(refused: OAuthRefusal, returnTo = '/', headers: Headers = this.#headers()): Refused {
    return { refused, ...OAUTH_ANSWERS[refused], returnTo, headers }
  }

  #leave(url: URL, transaction: Transaction, request: Request): Response {
    return this.#redirect(url.href, this.#transactions.keep(transaction, request))
  }

  #redirect(to: string, cookies: readonly string[] = []): Response {
    const headers = this.#headers(cookies)
    headers.set('location', new URL(to, this.#origin).href)
    return new Response(null, { status: 303, headers })
  }

  /** Codes and states are in these URLs: no cache keeps them, no other site is told them (OA-11). */
  #headers(cookies: readonly string[] = []): Headers {
    const headers = new Headers({ 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' })
    for (const line of cookies) headers.append('set-cookie', line)
    return headers
  }
}

/** Configures sign-in through providers. Throws a `TypeError` for what cannot be right, saying what to do. */
export function oauth(options: OAuthOptions): OAuth {
  return new OAuth(options)
}

function asksForProof({ maxAge, acrValues }: BeginOptions): boolean {
  return maxAge !== undefined || acrValues !== undefined
}

/** What is compared when they come back: with a text in place of the number, every proof would be fresh. */
function checkAsked({ maxAge, acrValues }: BeginOptions): void {
  if (maxAge !== undefined && !(Number.isSafeInteger(maxAge) && maxAge >= 0))
    throw new TypeError('oauth.begin: `maxAge` is whole seconds, from 0 on')
  if (acrValues !== undefined && !(Array.isArray(acrValues) && acrValues.length > 0 && acrValues.every(isWord)))
    throw new TypeError('oauth.begin: `acrValues` is a list of words of visible ASCII, such as ["phr"]')
}

function checkOrigin(origin: string): string {
  const url = URL.canParse(origin) ? new URL(origin) : undefined
  if (url?.origin === origin && (url.protocol === 'https:' || (url.protocol === 'http:' && isLocal(url)))) return origin
  throw new TypeError('oauth: `origin` is "https://host", or "http://localhost" with its port, and nothing after that')
}
