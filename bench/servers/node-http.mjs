import { createServer } from 'node:http'
import { answer, listen } from './host.mjs'

listen(createServer((_req, res) => res.end(answer('guest', 0))))
