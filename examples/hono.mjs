// A counter for each visitor, under Hono; any other framework of fetch handlers goes the same way.
//   npm run build && node examples/hono.mjs
//   curl -i -c jar -b jar localhost:3000        (twice)
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { createSessions, generateSecret } from 'sojourn'
import { fetch as withSessions } from 'sojourn/adapter/fetch'

const sessions = createSessions({ keys: process.env.SESSION_KEY ?? generateSecret(), initial: () => ({ visits: 0 }) })
const app = new Hono()

app.get('/', async (c) => {
  const session = await sessions.of(c.req.raw)
  return c.text(`Visit ${session.update('visits', (n) => n + 1)}\n`)
})

serve({ fetch: withSessions(sessions, app.fetch), port: Number(process.env.PORT ?? 3000) })
