// A page that signs in to an API by a token pair: a short access token in memory, a refresh token in a cookie of its own.
//   npm run build && node examples/token-pair.mjs
//   open http://localhost:3000, sign in, reload: the page is signed in still, and no storage holds a token.
import { readFileSync } from 'node:fs'
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { createSessions, generateSecret, header, jwt } from 'sojourn'
import { fetch as withSessions } from 'sojourn/adapter/fetch'
import { memory } from 'sojourn/store/memory'
import { tokenEndpoints } from 'sojourn/token/endpoints'
import { tokenPair } from 'sojourn/token/pair'
import { revocations as revocationsOf } from 'sojourn/token/revocation'

const keys = process.env.SESSION_KEY ?? generateSecret()
const store = memory()
const revocations = revocationsOf({ store: memory() })
const access = { issuer: 'http://localhost', audience: 'the api' }
const pair = tokenPair({ keys, store, revocations, access })
const endpoints = tokenEndpoints(pair, { cookie: { path: '/api/token' } })
const sessions = createSessions({
  keys,
  transport: header(),
  strategy: jwt({ ...access, revocations, devices: store }),
})

const app = new Hono()
app.post('/api/token', async (c) => endpoints.granted(c.req.raw, await pair.issue({ userId: 'ada' }))) // once checked
app.post('/api/token/refresh', (c) => endpoints.token(c.req.raw))
app.post('/api/token/revoke', (c) => endpoints.revoke(c.req.raw))
app.get('/api/me', async (c) => c.json({ userId: (await sessions.of(c.req.raw)).userId ?? null }))

const client = new URL('.', import.meta.resolve('sojourn/client'))
app.get('/client/:file{[a-z-]+\\.js}', (c) =>
  c.body(readFileSync(new URL(c.req.param('file'), client), 'utf8'), 200, { 'content-type': 'text/javascript' }),
)
app.get('/', (c) => c.html(readFileSync(new URL('token-pair.html', import.meta.url), 'utf8')))
serve({ fetch: withSessions(sessions, app.fetch), port: Number(process.env.PORT ?? 3000) })
