import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { createSessions, opaque } from 'sojourn'
import { fetch } from 'sojourn/adapter/fetch'
import { memory } from 'sojourn/store/memory'
import { announce, answer, filled, modified, secret } from './host.mjs'

const sessions = createSessions({ keys: secret, strategy: opaque({ store: memory() }) })
const app = new Hono()
app.get('/login', async (c) => {
  const session = await sessions.of(c.req.raw)
  Object.assign(session.data, filled())
  session.login(Object.keys(c.req.query())[0])
  return c.text('')
})
app.get('/', async (c) => {
  const session = await sessions.of(c.req.raw)
  if (modified && session.userId) session.data.count++
  return c.text(answer(session.userId, session.data.count))
})
serve({ fetch: fetch(sessions, app.fetch), port: 0, hostname: '127.0.0.1' }, (info) => announce(info.port))
