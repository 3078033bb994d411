/** Sojourn's node adapter in front of a whole Express app: what it needs is done before Express changes the response. */
import { createServer } from 'node:http'
import express from 'express'
import { createSessions, opaque } from 'sojourn'
import { node } from 'sojourn/adapter/node'
import { memory } from 'sojourn/store/memory'
import { answer, filled, listen, modified, secret } from './host.mjs'

const sessions = createSessions({ keys: secret, strategy: opaque({ store: memory() }) })
const app = express()
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
const attach = node(sessions)
listen(createServer((req, res) => attach(req, res, () => app(req, res))))
