// Sessions in Redis, or Valkey: start as many of these as you like, they share them.
//   npm run build && SESSION_KEY=$(openssl rand -base64 32) REDIS_URL=redis://localhost node examples/redis.mjs
//   curl -i -c jar -b jar localhost:3000        (twice)
import { createServer } from 'node:http'
import { Redis } from 'ioredis'
import { createSessions, generateSecret, opaque } from 'sojourn'
import { node } from 'sojourn/adapter/node'
import { redis } from 'sojourn/store/redis'

const client = new Redis(process.env.REDIS_URL ?? 'redis://localhost:6379')
const sessions = createSessions({
  keys: process.env.SESSION_KEY ?? generateSecret(),
  strategy: opaque({ store: redis(client) }),
  initial: () => ({ visits: 0 }),
})
const attach = node(sessions)

createServer((req, res) => {
  attach(req, res, async () => {
    const session = await sessions.of(req)
    res.end(`Visit ${session.update('visits', (n) => n + 1)}\n`)
  })
}).listen(process.env.PORT ?? 3000)
