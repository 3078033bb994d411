import express from 'express'
import session from 'express-session'
import { secret } from '../servers/secret.mjs'
import { later } from './gate.mjs'

/** Its own memory store, answering late. */
class SlowStore extends session.MemoryStore {
  get(...args) {
    later('read', () => super.get(...args))
  }
  set(...args) {
    later('write', () => super.set(...args))
  }
  destroy(...args) {
    later('write', () => super.destroy(...args))
  }
  touch(...args) {
    later('write', () => super.touch(...args))
  }
}

/** The shop that all contenders run, with express-session. */
export async function expressSession(gate, isSlow) {
  const store = isSlow ? new SlowStore() : new session.MemoryStore()
  const app = express()
  app.use(session({ secret, resave: false, saveUninitialized: false, store }))
  app.get('/login', (req, res, next) => {
    req.session.regenerate((error) => {
      if (error) return next(error)
      Object.assign(req.session, { user: 'ada', count: 0 })
      res.end()
    })
  })
  app.get('/set/:key', async (req, res) => {
    await gate.pass()
    req.session[req.params.key] = true
    res.end()
  })
  app.get('/increment', async (req, res) => {
    await gate.pass()
    req.session.count++
    res.end()
  })
  app.get('/redirect', (req, res) => {
    req.session.moved = true
    res.redirect('/read')
  })
  app.get('/logout', (req, res, next) => {
    req.session.destroy((error) => (error ? next(error) : res.end()))
  })
  app.get('/read', (req, res) => {
    const { user, cookie, ...data } = req.session
    res.json({ user, data })
  })
  return app.listen(0, '127.0.0.1')
}
