import { createServer } from 'node:http'
import { createSessions, opaque } from 'sojourn'
import { node } from 'sojourn/adapter/node'
import { memory } from 'sojourn/store/memory'
import { handle } from './handle.mjs'
import { listen, secret } from './host.mjs'

const sessions = createSessions({ keys: secret, strategy: opaque({ store: memory() }) })
const attach = node(sessions)
listen(createServer((req, res) => attach(req, res, () => handle(sessions, req, res))))
