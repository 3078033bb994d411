// Sessions in a table of PostgreSQL, which is made when it is missing; start as many of these as you like.
//   npm run build && SESSION_KEY=$(openssl rand -base64 32) DATABASE_URL=postgres://localhost node examples/postgres.mjs
//   curl -i -c jar -b jar localhost:3000        (twice)
import { createServer } from 'node:http'
import pg from 'pg'
import { createSessions, generateSecret, opaque } from 'sojourn'
import { node } from 'sojourn/adapter/node'
import { postgres } from 'sojourn/store/postgres'

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, connectionTimeoutMillis: 2000 })
const sessions = createSessions({
  keys: process.env.SESSION_KEY ?? generateSecret(),
  strategy: opaque({ store: postgres(pool, { migrate: true }) }),
  initial: () => ({ visits: 0 }),
})
const attach = node(sessions)

createServer((req, res) => {
  attach(req, res, async () => {
    const session = await sessions.of(req)
    res.end(`Visit ${session.update('visits', (n) => n + 1)}\n`)
  })
}).listen(process.env.PORT ?? 3000)
