// Sign in with GitHub, and call GitHub's API for who signed in. Sessions and GitHub's tokens are in SQLite.
//   npm run build && GITHUB_ID=… GITHUB_SECRET=… SESSION_KEY=… VAULT_KEY=… node examples/github.mjs
//   open http://localhost:3000. How to get the id and the secret: docs/sign-in-with-github.md
import { createServer } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { createSessions, generateSecret, opaque } from 'sojourn'
import { fetch as withSessions } from 'sojourn/adapter/fetch'
import { github, oauth } from 'sojourn/identity/oauth'
import { vault } from 'sojourn/identity/vault'
import { sqlite } from 'sojourn/store/sqlite'

const { SESSION_KEY = generateSecret(), VAULT_KEY = generateSecret(), PORT = '3000' } = process.env
const { GITHUB_ID = '', GITHUB_SECRET = '', GITHUB_URL } = process.env // GITHUB_URL: a GitHub of your own
const origin = `http://localhost:${PORT}`
const store = sqlite('data/sessions.db')
const sessions = createSessions({ keys: SESSION_KEY, origin, strategy: opaque({ store }) })
const gh = github({ clientId: GITHUB_ID, clientSecret: GITHUB_SECRET, ...(GITHUB_URL && { url: GITHUB_URL }) })
const signIn = oauth({ keys: SESSION_KEY, origin, store, providers: { github: gh } })
const tokens = vault({ sessions, keys: VAULT_KEY, providers: signIn, store })

const handler = withSessions(sessions, async (request) => {
  const { pathname } = new URL(request.url)
  const session = await sessions.of(request)
  if (pathname === '/sign-in') {
    const begun = await signIn.begin(request, 'github', { returnTo: '/' })
    return begun instanceof Response ? begun : new Response(begun.says, { status: begun.status })
  }
  if (pathname === '/oauth/github/callback')
    return signIn.complete(request, session, {
      account: ({ identity }) => `github:${identity.sub}`, // your accounts' table goes here
      keep: (arrived) => tokens.keep(session, arrived.tokens),
    })
  if (pathname === '/sign-out' && request.method === 'POST') session.logout()
  if (!session.userId) return new Response(`Sign in: ${origin}/sign-in\n`)
  const answer = await tokens.fetch(session, 'github', '/user')
  return new Response(answer.kind === 'answer' ? await answer.response.text() : `GitHub: ${answer.kind}\n`)
})
createServer(getRequestListener((request) => handler(request))).listen(PORT)
