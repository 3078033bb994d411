import express from 'express'
import { createSessions, opaque } from 'sojourn'
import { express as attach } from 'sojourn/adapter/express'
import { memory } from 'sojourn/store/memory'
import { secret } from '../servers/secret.mjs'
import { later } from './gate.mjs'

/** The memory store, answering late. */
function slow() {
  const store = memory()
  const late =
    (kind, verb) =>
    (...args) =>
      new Promise((resolve) => later(kind, () => resolve(store[verb](...args))))
  return { get: late('read', 'get'), set: late('write', 'set'), delete: late('write', 'delete') }
}

/** The shop that all contenders run, with Sojourn. */
export async function sojourn(gate, isSlow) {
  const sessions = createSessions({ keys: secret, strategy: opaque({ store: isSlow ? slow() : memory() }) })
  const app = express()
  app.use(attach(sessions))
  app.get('/login', async (req, res) => {
    const session = await sessions.of(req)
    session.data.count = 0
    session.login('ada')
    res.end()
  })
  app.get('/set/:key', async (req, res) => {
    const session = await sessions.of(req)
    await gate.pass()
    session.data[req.params.key] = true
    res.end()
  })
  app.get('/increment', async (req, res) => {
    const session = await sessions.of(req)
    await gate.pass()
    session.update('count', (count) => count + 1)
    res.end()
  })
  app.get('/redirect', async (req, res) => {
    const session = await sessions.of(req)
    session.data.moved = true
    res.redirect('/read')
  })
  app.get('/logout', async (req, res) => {
    const session = await sessions.of(req)
    session.logout()
    res.end()
  })
  app.get('/read', async (req, res) => {
    const session = await sessions.of(req)
    res.json({ user: session.userId, data: session.data })
  })
  return app.listen(0, '127.0.0.1')
}
