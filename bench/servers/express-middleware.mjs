/** What Express takes for calling one middleware: the floor of everything that is mounted on it. */
import express from 'express'
import { answer, listen } from './host.mjs'

const app = express()
app.use((_req, _res, next) => next())
app.get('/', (_req, res) => res.end(answer('guest', 0)))
listen(app)
