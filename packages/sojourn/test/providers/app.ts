/** An app that signs its visitors in through providers, on a socket, for a real browser: the pages of `docs/oauth.md`. */
import { createServer } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { generateSecret, type Sessions, type Store } from 'sojourn'
import { fetch } from 'sojourn/adapter/fetch'
import { type LogoutReceiver, logoutReceiver } from 'sojourn/identity/logout'
import { type Arrived, type OAuth, oauth, type ProviderSettings } from 'sojourn/identity/oauth'
import { type Vault, vault } from 'sojourn/identity/vault'
import { memory } from 'sojourn/store/memory'
import { listening } from '../fixtures/servers.js'
import { KEY } from '../helpers.js'

/** An app that runs. */
export interface ProviderApp {
  readonly origin: string
  readonly sessions: Sessions<object>
  readonly arrived: Arrived[]
  /** `issuer sub` to user. */
  readonly accounts: Map<string, string>
  readonly oauth: () => OAuth
  readonly receiver: () => LogoutReceiver
  /** Providers are registered once the origin is known. */
  configure(providers: Record<string, ProviderSettings>): void
  close(): Promise<void>
}

/** How an app keeps what it keeps. */
export interface Way {
  sessions(): Sessions<object>
  /** Where providers' tokens are kept. Absent: in the session. */
  readonly tokens?: Store
}

/** Starts one at `localhost`. */
export async function startApp(way: Way): Promise<ProviderApp> {
  const store = memory()
  const sessions = way.sessions()
  let tokens: Vault<object> | undefined
  const arrived: Arrived[] = []
  const accounts = new Map<string, string>()
  let signIn: OAuth | undefined
  let receiver: LogoutReceiver | undefined

  const account = (who: Arrived): string => {
    arrived.push(who)
    const name = `${who.identity.issuer} ${who.identity.sub}`
    const known = accounts.get(name)
    if (known !== undefined) return known
    const userId = who.userId ?? `user ${accounts.size + 1}`
    accounts.set(name, userId)
    return userId
  }

  const handler = fetch(sessions, async (request) => {
    const url = new URL(request.url)
    const [, first, name = '', verb] = url.pathname.split('/')
    const oauth = signIn!
    if (url.pathname === '/oauth/logout') return receiver!.handler(request)
    const session = await sessions.of(request)
    if (first === 'begin') {
      const returnTo = url.searchParams.get('returnTo')
      const intent = (verb ?? 'login') as 'login' | 'link' | 'step-up'
      const begun = await oauth.begin(request, name, { returnTo, intent, session })
      return begun instanceof Response ? begun : page(begun.says, begun.status)
    }
    if (verb === 'callback')
      return oauth.complete(request, session, {
        account,
        keep: (who) => tokens!.keep(session, who.tokens),
        logout: receiver!,
        refused: ({ says, status }) => page(says, status),
      })
    if (verb === 'signed-out') return oauth.sessionEnded(request)
    if (first === 'signout') {
      session.logout()
      const { tokens } = arrived.at(-1)!
      return oauth.endSession(request, name, { idToken: tokens.idToken, returnTo: '/bye' })
    }
    if (first === 'me') {
      const answer = await tokens!.fetch(session, name, name === 'github' ? '/user' : '/me')
      return page(answer.kind === 'answer' ? await answer.response.text() : answer.kind)
    }
    if (first === 'rotate') session.rotate()
    if (first === 'local') session.login(name)
    const links = '<form method="post" action="/begin/github/link"><button>link</button></form>'
    return page(`${url.pathname}: ${session.userId ?? 'nobody'}${links}`)
  })

  const { port, close } = await listening(createServer(getRequestListener((request) => handler(request))))
  const origin = `http://localhost:${port}`
  return {
    origin,
    sessions,
    arrived,
    accounts,
    oauth: () => signIn!,
    receiver: () => receiver!,
    configure(providers) {
      signIn = oauth({ keys: KEY, origin, providers, store })
      const kept = way.tokens === undefined ? {} : { store: way.tokens }
      tokens = vault({ sessions, keys: generateSecret(), providers: signIn, ...kept })
      receiver = logoutReceiver({ sessions, store, oauth: signIn })
    },
    async close() {
      receiver?.close()
      await close()
      await sessions.close()
    },
  }
}

function page(text: string, status = 200): Response {
  const headers = { 'content-type': 'text/html' }
  return new Response(`<!doctype html><title>shop</title><p id="says">${text}</p>`, { status, headers })
}
