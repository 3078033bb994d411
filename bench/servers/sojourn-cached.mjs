import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSessions, opaque } from 'sojourn'
import { node } from 'sojourn/adapter/node'
import { cached } from 'sojourn/store/cached'
import { sqlite } from 'sojourn/store/sqlite'
import { handle } from './handle.mjs'
import { listen, secret } from './host.mjs'

const folder = mkdtempSync(join(tmpdir(), 'sojourn-bench-'))
process.on('exit', () => rmSync(folder, { recursive: true }))

const store = cached(sqlite(join(folder, 'sessions.db')))
const sessions = createSessions({ keys: secret, strategy: opaque({ store }) })
const attach = node(sessions)
listen(createServer((req, res) => attach(req, res, () => handle(sessions, req, res))))
