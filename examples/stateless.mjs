// No record of any session: all of it is in the cookie, encrypted, and signing out ends it all the same.
//   npm run build && node examples/stateless.mjs
//   curl -c jar -b jar localhost:3000; curl -c jar -b jar -X POST localhost:3000/sign-in; … /sign-out
import { createServer } from 'node:http'
import { createSessions, generateSecret, sealed } from 'sojourn'
import { node } from 'sojourn/adapter/node'
import { memory } from 'sojourn/store/memory'
import { revocations } from 'sojourn/token/revocation'

// What was signed out, until it would have expired anyway. Several processes share a store for it: redis(client), say.
const ended = revocations({ store: memory() })
const sessions = createSessions({
  keys: process.env.SESSION_KEY ?? generateSecret(),
  strategy: sealed({ revocations: ended }),
  initial: () => ({ visits: 0 }),
})
const attach = node(sessions)

createServer((req, res) => {
  attach(req, res, async () => {
    const session = await sessions.of(req)
    if (req.method === 'POST' && req.url === '/sign-in')
      session.login('ada') // once you have checked that it is Ada
    else if (req.method === 'POST' && req.url === '/sign-out') session.logout()
    else session.data.visits++
    res.end(`${session.userId ?? 'guest'}, visit ${session.data.visits}\n`)
  })
}).listen(process.env.PORT ?? 3000)
