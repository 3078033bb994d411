/** `/api/token` and what is below it: for clients that keep their tokens themselves (RFC 6749, 7009, 7662, 7517). */
import type { Context, Hono } from 'hono'
import type { Device } from 'sojourn'
import { tokenEndpoints } from 'sojourn/token/endpoints'
import type { TokenPair } from 'sojourn/token/pair'
import { refusal } from '../problem.js'
import type { Services } from '../services.js'
import { readFields, textOf } from './json.js'

/** Characters of a user agent that are kept. */
const USER_AGENT = 256

/** Adds the calls that issue, renew, end and explain token pairs. Errors below `/api/token/` are as RFC 6749 has them. */
export function tokenCalls(app: Hono, services: Services, pair: TokenPair): void {
  const endpoints = tokenEndpoints(pair, {
    // Whoever is signed in, by token or cookie: a resource server has an account of its own (RFC 7662, 2.1).
    mayIntrospect: async (request) => (await services.visit(request)).user !== undefined,
  })

  app.post('/api/token', async (c) => {
    const { username, password } = await readFields(c)
    const visit = await services.visit(c.req.raw)
    const credentials = { username: textOf(username), password: textOf(password) }
    const result = await services.issueTokens(visit, { ...credentials, device: deviceOf(c, visit.ip) })
    return result.ok ? endpoints.granted(c.req.raw, result.value) : refusal(result)
  })

  app.post('/api/token/refresh', (c) => endpoints.token(c.req.raw))
  app.post('/api/token/revoke', (c) => endpoints.revoke(c.req.raw))
  app.post('/api/token/introspect', (c) => endpoints.introspect(c.req.raw))
}

function deviceOf(c: Context, ip: string): Device {
  const userAgent = c.req
    .header('user-agent')
    ?.replace(/\p{Cc}/gu, ' ')
    .slice(0, USER_AGENT)
  return { ip, ...(userAgent === undefined ? {} : { userAgent }) }
}
