/** `/api/signup`, `/api/login`, `/api/logout`, `/api/account/password`. */
import type { Hono } from 'hono'
import { refusal } from '../problem.js'
import type { Services } from '../services.js'
import { readFields, textOf } from './json.js'

/** Adds the calls that make, prove and protect an account. */
export function accountCalls(app: Hono, services: Services): void {
  app.post('/api/signup', async (c) => {
    const { username, password } = await readFields(c)
    const visit = await services.visit(c.req.raw)
    const result = await services.signUp(visit, { username: textOf(username), password: textOf(password) })
    return result.ok ? c.json({ user: result.value }, 201) : refusal(result)
  })

  app.post('/api/login', async (c) => {
    const { username, password, remember } = await readFields(c)
    const visit = await services.visit(c.req.raw)
    const input = { username: textOf(username), password: textOf(password), remember: remember === true }
    const result = await services.signIn(visit, input)
    return result.ok ? c.json({ user: result.value }) : refusal(result)
  })

  app.post('/api/logout', async (c) => {
    const result = await services.signOut(await services.visit(c.req.raw))
    return result.ok ? c.body(null, 204) : refusal(result)
  })

  app.post('/api/account/password', async (c) => {
    const { current, next } = await readFields(c)
    const visit = await services.visit(c.req.raw)
    const result = await services.changePassword(visit, { current: textOf(current), next: textOf(next) })
    return result.ok ? c.body(null, 204) : refusal(result)
  })
}
