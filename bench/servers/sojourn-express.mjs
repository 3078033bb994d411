/** Sojourn under Express. The argument says which store. */
import express from 'express'
import { createSessions, opaque } from 'sojourn'
import { express as attach } from 'sojourn/adapter/express'
import { answer, filled, listen, modified, secret } from './host.mjs'
import { open } from './stores.mjs'

const sessions = createSessions({ keys: secret, strategy: opaque({ store: await open(process.argv[3]) }) })
const app = express()
app.use(attach(sessions))
app.get('/login', async (req, res) => {
  const session = await sessions.of(req)
  Object.assign(session.data, filled())
  session.login(Object.keys(req.query)[0])
  res.end()
})
app.get('/', async (req, res) => {
  const session = await sessions.of(req)
  if (modified && session.userId) session.data.count++
  res.end(answer(session.userId, session.data.count))
})
listen(app)
