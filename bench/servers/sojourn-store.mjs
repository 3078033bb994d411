/** Sojourn over a store on bare `node:http`. Arguments: which store, and `cached` where it is read from copies. */
import { createServer } from 'node:http'
import { createSessions, opaque } from 'sojourn'
import { node } from 'sojourn/adapter/node'
import { cached } from 'sojourn/store/cached'
import { handle } from './handle.mjs'
import { listen, secret } from './host.mjs'
import { open } from './stores.mjs'

const [kind, copies] = process.argv.slice(3)
const store = await open(kind)
const strategy = opaque({ store: copies === 'cached' ? cached(store) : store })
const sessions = createSessions({ keys: secret, strategy })
const attach = node(sessions)
listen(createServer((req, res) => attach(req, res, () => handle(sessions, req, res))))
