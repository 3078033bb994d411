/** `/api/ticket`, and who a ticket is of: for connections that can send nothing but a URL. */
import type { Hono } from 'hono'
import { challenge, type Refusal } from 'sojourn'
import type { Redeemed, TicketRequest } from 'sojourn/token/ticket'
import { problem } from '../problem.js'

/** What tickets do, whatever the sessions hold. */
export interface TicketDesk {
  readonly handler: (request: Request) => Promise<Response>
  redeem(ticket: unknown, path: string, request: TicketRequest): Redeemed | Refusal | Promise<Redeemed | Refusal>
}

const REDEEMED_AT = '/api/ticket/session'

/** Adds the call that issues tickets, and the one that a service before this server asks with what it was given. */
export function ticketCalls(app: Hono, desk: TicketDesk): void {
  app.post('/api/ticket', (c) => desk.handler(c.req.raw))

  app.get(REDEEMED_AT, async (c) => {
    const found = await desk.redeem(c.req.query('ticket'), REDEEMED_AT, c.req.raw)
    if (typeof found === 'string')
      return problem(401, 'This ticket opens nothing; get another one.', {
        'www-authenticate': challenge({ refused: found }),
      })
    const { id, userId, createdAt, authenticatedAt, expiresAt } = found
    c.header('cache-control', 'no-store')
    return c.json({ session: { id, userId, createdAt, authenticatedAt, expiresAt } })
  })
}
