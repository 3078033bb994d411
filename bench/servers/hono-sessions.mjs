import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { MemoryStore, sessionMiddleware } from 'hono-sessions'
import { announce, answer, filled, modified, secret } from './host.mjs'

const app = new Hono()
app.use('*', sessionMiddleware({ store: new MemoryStore(), encryptionKey: secret, expireAfterSeconds: 1800 }))
app.get('/login', (c) => {
  const session = c.get('session')
  for (const [key, value] of Object.entries(filled())) session.set(key, value)
  session.set('user', Object.keys(c.req.query())[0])
  return c.text('')
})
app.get('/', (c) => {
  const session = c.get('session')
  if (modified && session.get('user')) session.set('count', session.get('count') + 1)
  return c.text(answer(session.get('user'), session.get('count')))
})
serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, (info) => announce(info.port))
