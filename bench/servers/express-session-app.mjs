import express from 'express'
import session from 'express-session'
import { answer, filled, listen, modified, secret } from './host.mjs'

/** express-session as its documentation sets it up, over any store of its kind. */
export function serve(store) {
  const app = express()
  app.use(session({ secret, resave: false, saveUninitialized: false, store }))
  app.get('/login', (req, res) => {
    Object.assign(req.session, filled(), { user: Object.keys(req.query)[0] })
    res.end()
  })
  app.get('/', (req, res) => {
    if (modified && req.session.user) req.session.count++
    res.end(answer(req.session.user, req.session.count))
  })
  listen(app)
}
