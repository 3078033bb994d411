// A counter for each visitor, on node:http and with nothing else: sessions are in the process's memory.
//   npm run build && node examples/node-http.mjs
//   curl -i -c jar -b jar localhost:3000        (twice)
import { createServer } from 'node:http'
import { createSessions, generateSecret } from 'sojourn'
import { node } from 'sojourn/adapter/node'

const sessions = createSessions({ keys: process.env.SESSION_KEY ?? generateSecret(), initial: () => ({ visits: 0 }) })
const attach = node(sessions)

createServer((req, res) => {
  attach(req, res, async () => {
    const session = await sessions.of(req)
    res.end(`Visit ${session.update('visits', (n) => n + 1)}\n`)
  })
}).listen(process.env.PORT ?? 3000)
