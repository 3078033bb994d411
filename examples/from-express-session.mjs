// An app that leaves express-session: who comes with an old cookie goes on, signed in, under a new one.
//   npm run build && SESSION_KEY=… OLD_SESSION_SECRET=… OLD_SESSIONS=./sessions node examples/from-express-session.mjs
//   Here the old store is session-file-store; any other store of express-session is handed over in its place.
import express from 'express'
import session from 'express-session'
// @ts-expect-error It has no types.
import fileStore from 'session-file-store'
import { cookie, createSessions, opaque } from 'sojourn'
import { express as withSessions } from 'sojourn/adapter/express'
import { sqlite } from 'sojourn/store/sqlite'
import { legacy } from 'sojourn/strategy/legacy'
import { moved } from 'sojourn/transport/moved'

const { SESSION_KEY = '', OLD_SESSION_SECRET = '', OLD_SESSIONS = './sessions', PORT = 3000 } = process.env
const store = sqlite('data/sessions.db')
const now = cookie()
const sessions = createSessions({
  keys: SESSION_KEY,
  strategy: [
    opaque({ store }),
    legacy({
      from: new (fileStore(session))({ path: OLD_SESSIONS, retries: 0 }),
      secrets: OLD_SESSION_SECRET,
      read: (old) => ({ userId: /** @type {string | undefined} */ (old.userId), data: { cart: old.cart ?? [] } }),
      store,
    }),
  ],
  transport: [now, moved({ from: cookie({ name: 'connect.sid', prefix: '' }), to: now })],
  initial: () => ({ cart: /** @type {unknown[]} */ ([]) }),
})

const app = express()
app.use(withSessions(sessions))
app.get('/', async (req, res) => {
  const { userId, data } = await sessions.of(req)
  res.json({ userId: userId ?? null, cart: data.cart })
})
app.listen(PORT)
