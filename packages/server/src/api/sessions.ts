/** `/api/session`: the one that asks. `/api/sessions`: all of the user's. */
import type { Hono } from 'hono'
import { refusal } from '../problem.js'
import type { Services } from '../services.js'

/** Adds the calls that show sessions and end them. */
export function sessionCalls(app: Hono, services: Services): void {
  app.get('/api/session', async (c) => {
    const { session, user } = await services.visit(c.req.raw)
    if (session.id === undefined) return c.json({ session: null, user: null })
    const { id, createdAt, seenAt, expiresAt, authenticatedAt, persistent, device } = session
    return c.json({
      session: { id, createdAt, seenAt, expiresAt, authenticatedAt, persistent, device },
      user: user ?? null,
    })
  })

  app.get('/api/sessions', async (c) => {
    const result = await services.devices(await services.visit(c.req.raw))
    return result.ok ? c.json({ sessions: result.value }) : refusal(result)
  })

  // Before the next one, whose path would take `end-others` for an id.
  app.post('/api/sessions/end-others', async (c) => {
    const result = await services.endOthers(await services.visit(c.req.raw))
    return result.ok ? c.json({ ended: result.value }) : refusal(result)
  })

  app.delete('/api/sessions/:id', async (c) => {
    const result = await services.endDevice(await services.visit(c.req.raw), c.req.param('id'))
    return result.ok ? c.body(null, 204) : refusal(result)
  })
}
