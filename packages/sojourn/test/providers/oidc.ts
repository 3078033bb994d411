/**
 * `oidc-provider`, a certified OpenID provider that we did not write, on a port of its own: discovery, PKCE, rotating
 * refresh tokens, revocation, logout begun here and logout announced by it. Its own pages ask for a name and for consent.
 */
import { createServer } from 'node:http'
// @ts-expect-error It brings no types.
import { Provider } from 'oidc-provider'
import { listening } from '../fixtures/servers.js'

/** What the app has registered. */
export interface Registration {
  /** The app's public origin. */
  origin: string
  /** The name that the app calls it by. Default `oidc`. */
  name?: string
  /** Where logout tokens go. Default `<origin>/oauth/logout`. */
  logoutUri?: string
}

/** A provider that runs. Any name signs in, with any password. */
export interface OidcProvider {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  /** Requests to its token endpoint so far. */
  readonly tokenRequests: () => number
  /** All tokens that it has given out, of every kind. */
  readonly issued: ReadonlySet<string>
  /** What the provider says went wrong at its side. */
  readonly complaints: string[]
  close(): Promise<void>
}

const clientId = 'the-shop'
const clientSecret = 'a-secret-that-only-the-two-of-them-know'

/** Starts one. Its address is not the app's site, so that its redirects are those of another site. */
export async function startOidcProvider({ origin, name = 'oidc', logoutUri }: Registration): Promise<OidcProvider> {
  let requests = 0
  const issued = new Set<string>()
  let handle: ReturnType<Provider['callback']> | undefined
  const server = createServer((request, response) => {
    if (request.url === '/token') {
      requests++
      const end = response.end.bind(response)
      response.end = ((body: unknown, ...rest: never[]) => {
        const given = JSON.parse(String(body ?? '{}')) as Record<string, unknown>
        for (const kind of ['access_token', 'refresh_token', 'id_token'])
          if (typeof given[kind] === 'string') issued.add(given[kind])
        return end(body, ...rest)
      }) as typeof response.end
    }
    handle!(request, response)
  })
  const { port, close } = await listening(server)
  const issuer = `http://127.0.0.1:${port}`
  const redirect = `${origin}/oauth/${name}`
  const complaints: string[] = []

  const provider = quietly(
    () =>
      new Provider(issuer, {
        clients: [
          {
            client_id: clientId,
            client_secret: clientSecret,
            redirect_uris: [`${redirect}/callback`],
            post_logout_redirect_uris: [`${redirect}/signed-out`],
            grant_types: ['authorization_code', 'refresh_token'],
            backchannel_logout_uri: logoutUri ?? `${origin}/oauth/logout`,
            backchannel_logout_session_required: true,
          },
        ],
        features: { backchannelLogout: { enabled: true }, revocation: { enabled: true } },
        rotateRefreshToken: true,
        ttl: { Interaction: 600, Session: 3600, Grant: 3600, AccessToken: 300, RefreshToken: 3600, IdToken: 300 },
        pkce: { required: () => true },
        claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
        cookies: { keys: ['signs the cookies of this provider, which is gone in a moment'] },
        findAccount: (_: unknown, id: string) => ({
          accountId: id,
          claims: () => ({ sub: id, name: `${id} of the provider`, email: 'ann@shop.example', email_verified: false }),
        }),
        // Its own guards against requests to this very machine, which is where the app is.
        fetch: (url: string, options: RequestInit) => fetch(url, { ...options, dispatcher: undefined } as RequestInit),
      }),
  )
  for (const event of ['server_error', 'authorization.error', 'grant.error', 'backchannel.error', 'end_session.error'])
    provider.on(event, (...args: unknown[]) => {
      const error = args.find((argument) => argument instanceof Error)
      complaints.push(
        `${event}: ${error?.message} ${(error as { error_description?: string })?.error_description ?? ''}`,
      )
    })
  handle = provider.callback()
  return {
    issuer,
    clientId,
    clientSecret,
    tokenRequests: () => requests,
    issued,
    complaints,
    close: async () => close(),
  }
}

/** It warns that its pages are for development: they are. */
function quietly<T>(make: () => T): T {
  const { info, warn } = console
  console.info = console.warn = () => {}
  try {
    return make()
  } finally {
    Object.assign(console, { info, warn })
  }
}
