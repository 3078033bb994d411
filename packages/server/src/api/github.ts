/** `/api/github/repos`: a user's repositories, through the vault. */
import type { Hono } from 'hono'
import type { IdentityServices } from '../identity/services.js'
import { refusal } from '../problem.js'
import type { Services } from '../services.js'

/** Adds the call. Where GitHub is not connected, the problem says where a browser goes to connect it. */
export function githubCalls(app: Hono, services: Services, identity: IdentityServices): void {
  app.get('/api/github/repos', async (c) => {
    const result = await identity.repositories(await services.visit(c.req.raw))
    if (result.ok) return c.json({ repositories: result.value })
    const answer = refusal(result)
    if (result.reason !== 'disconnected') return answer
    const problem = { ...((await answer.json()) as object), connect: '/account' }
    return new Response(JSON.stringify(problem), answer)
  })
}
