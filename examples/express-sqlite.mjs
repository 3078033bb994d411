// Sign in, the list of one's devices, sign out here or everywhere: Express, and SQLite in data/sessions.db.
//   npm run build && SESSION_KEY=$(openssl rand -base64 32) node examples/express-sqlite.mjs
//   open http://localhost:3000 in two browsers. Started again with the same key, it has signed nobody out.
import express from 'express'
import { createSessions, generateSecret, opaque } from 'sojourn'
import { express as withSessions } from 'sojourn/adapter/express'
import { sqlite } from 'sojourn/store/sqlite'

const sessions = createSessions({
  keys: process.env.SESSION_KEY ?? generateSecret(),
  strategy: opaque({ store: sqlite('data/sessions.db') }),
  initial: () => ({ visits: 0 }),
})
const app = express()
app.use(withSessions(sessions))

app.get('/', async (req, res) => {
  const session = await sessions.of(req)
  const visits = session.update('visits', (n) => n + 1)
  const devices = session.userId ? await sessions.list(session.userId) : []
  const form = (/** @type {string} */ path) => `<form method="post" action="/${path}"><button>${path}</button></form>`
  const forms = session.userId ? form('sign-out') + form('sign-out-everywhere') : form('sign-in')
  res.send(`<p>${session.userId ?? 'guest'}, visit ${visits}, devices: ${devices.length}</p>${forms}`)
})
app.post('/sign-in', async (req, res) => {
  const session = await sessions.of(req)
  session.login('ada') // once you have checked that it is Ada
  res.redirect(303, '/')
})
app.post('/sign-out', async (req, res) => {
  const session = await sessions.of(req)
  session.logout()
  res.redirect(303, '/')
})
app.post('/sign-out-everywhere', async (req, res) => {
  const { userId } = await sessions.of(req)
  if (userId) await sessions.endAll(userId)
  res.redirect(303, '/')
})
app.listen(process.env.PORT ?? 3000)
