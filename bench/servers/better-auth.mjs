/**
 * Sessions in its secondary storage, a Map, so that a look-up is as cheap as it gets. Passwords are not hashed: only
 * the sessions are measured. A session of better-auth has no data of its own; an additional field stands in for it.
 */
import { createServer } from 'node:http'
import { betterAuth } from 'better-auth'
import { memoryAdapter } from 'better-auth/adapters/memory'
import { fromNodeHeaders } from 'better-auth/node'
import { answer, listen, loginOf, modified, secret } from './host.mjs'

const kept = new Map()
const auth = betterAuth({
  baseURL: 'http://127.0.0.1',
  secret,
  database: memoryAdapter({ user: [], session: [], account: [], verification: [] }),
  secondaryStorage: {
    get: (key) => kept.get(key),
    set: (key, value) => void kept.set(key, value),
    delete: (key) => void kept.delete(key),
  },
  session: { additionalFields: { count: { type: 'number', required: false, defaultValue: 0 } } },
  emailAndPassword: {
    enabled: true,
    password: { hash: async (password) => password, verify: async ({ hash, password }) => hash === password },
  },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  logger: { level: 'error' },
})

async function login(res, user) {
  const body = { name: user, email: `${user}@shop.example`, password: 'correct horse battery' }
  const { headers } = await auth.api.signUpEmail({ body, returnHeaders: true })
  res.setHeader('set-cookie', headers.getSetCookie())
  res.end()
}

listen(
  createServer(async (req, res) => {
    const user = loginOf(req.url)
    if (user) return login(res, user)
    const headers = fromNodeHeaders(req.headers)
    const found = await auth.api.getSession({ headers })
    let count = found?.session.count
    if (modified && found) {
      const changed = await auth.api.updateSession({ headers, body: { count: (count ?? 0) + 1 } })
      count = changed.session.count
    }
    res.end(answer(found?.user.name, count))
  }),
)
