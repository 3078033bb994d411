import cookieSession from 'cookie-session'
import express from 'express'
import { answer, filled, listen, modified, secret } from './host.mjs'

const app = express()
app.use(cookieSession({ name: 'session', keys: [secret] }))
app.get('/login', (req, res) => {
  Object.assign(req.session, filled(), { user: Object.keys(req.query)[0] })
  res.end()
})
app.get('/', (req, res) => {
  if (modified && req.session.user) req.session.count++
  res.end(answer(req.session.user, req.session.count))
})
listen(app)
