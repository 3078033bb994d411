import { createServer } from 'node:http'
import { createSessions, sealed } from 'sojourn'
import { node } from 'sojourn/adapter/node'
import { ended } from './ended.mjs'
import { handle } from './handle.mjs'
import { listen, secret } from './host.mjs'

const sessions = createSessions({ keys: secret, strategy: sealed({ revocations: ended() }) })
const attach = node(sessions)
listen(createServer((req, res) => attach(req, res, () => handle(sessions, req, res))))
