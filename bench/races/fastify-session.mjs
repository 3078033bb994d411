import cookie from '@fastify/cookie'
import session from '@fastify/session'
import fastify from 'fastify'
import { secret } from '../servers/secret.mjs'
import { later } from './gate.mjs'

/** A store that answers late, and keeps text as every store outside the process does. */
class SlowStore {
  #kept = new Map()
  get(id, done) {
    later('read', () => done(null, this.#kept.has(id) ? JSON.parse(this.#kept.get(id)) : null))
  }
  set(id, value, done) {
    const text = JSON.stringify(value)
    later('write', () => done(this.#kept.set(id, text) && null))
  }
  destroy(id, done) {
    later('write', () => done(this.#kept.delete(id) && null))
  }
}

/** The shop that all contenders run, with @fastify/session. */
export async function fastifySession(gate, isSlow) {
  const app = fastify()
  app.register(cookie)
  app.register(session, {
    secret,
    saveUninitialized: false,
    cookie: { secure: false },
    ...(isSlow ? { store: new SlowStore() } : {}),
  })
  app.get('/login', async (req) => {
    await req.session.regenerate()
    req.session.set('user', 'ada')
    req.session.set('count', 0)
    return ''
  })
  app.get('/set/:key', async (req) => {
    await gate.pass()
    req.session.set(req.params.key, true)
    return ''
  })
  app.get('/increment', async (req) => {
    await gate.pass()
    req.session.set('count', req.session.get('count') + 1)
    return ''
  })
  app.get('/redirect', async (req, reply) => {
    req.session.set('moved', true)
    return reply.redirect('/read')
  })
  app.get('/logout', async (req) => {
    await req.session.destroy()
    return ''
  })
  app.get('/read', async (req) => {
    const keys = ['count', 'a', 'b', 'late', 'moved']
    return { user: req.session.get('user'), data: Object.fromEntries(keys.map((key) => [key, req.session.get(key)])) }
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return app.server
}
