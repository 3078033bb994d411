import express from 'express'
import { answer, listen } from './host.mjs'

const app = express()
app.get('/', (_req, res) => res.end(answer('guest', 0)))
listen(app)
