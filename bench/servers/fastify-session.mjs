/** Without `rolling`, which would send a cookie with every answer: the faster of its two ways. */
import cookie from '@fastify/cookie'
import session from '@fastify/session'
import fastify from 'fastify'
import { announce, answer, filled, modified, secret } from './host.mjs'

const app = fastify()
app.register(cookie)
app.register(session, { secret, rolling: false, saveUninitialized: false, cookie: { secure: false } })
app.get('/login', (req, reply) => {
  for (const [key, value] of Object.entries(filled())) req.session.set(key, value)
  req.session.set('user', Object.keys(req.query)[0])
  reply.send('')
})
app.get('/', (req, reply) => {
  if (modified && req.session.user) req.session.set('count', req.session.count + 1)
  reply.send(answer(req.session.user, req.session.count))
})
await app.listen({ port: 0, host: '127.0.0.1' })
announce(app.server.address().port)
