/** `/healthz`: the process answers. `/readyz`: it can do its work, sessions and accounts included. */
import type { Env, Hono } from 'hono'
import { problem } from './problem.js'

/** What readiness is judged by. */
export interface Health {
  /** The server is about to stop: it answers, and wants no more. */
  draining: boolean
  /** Asks all databases something at once; the names of those that failed, or did not answer within a second. */
  failing(): Promise<string[]>
}

/** Milliseconds; less than those who ask are used to wait. */
const PATIENCE = 1_000

/** Asks by the checks, each under a name that can be shown to anybody. */
export function createHealth(checks: Readonly<Record<string, () => unknown>>): Health {
  const failed = async ([name, check]: [string, () => unknown]) => {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(reject, PATIENCE, new Error('no answer'))
    })
    try {
      await Promise.race([(async () => check())(), late])
      return []
    } catch {
      return [name]
    } finally {
      clearTimeout(timer)
    }
  }
  return {
    draining: false,
    failing: async () => (await Promise.all(Object.entries(checks).map(failed))).flat(),
  }
}

/** Adds both calls. They touch no session. */
export function healthRoutes<E extends Env>(app: Hono<E>, health: Health): void {
  app.get('/healthz', (c) => c.json({ status: 'ok' }))
  app.get('/readyz', async (c) => {
    if (health.draining) return problem(503, 'This server is stopping.')
    const failed = await health.failing()
    return failed.length === 0 ? c.json({ status: 'ok' }) : problem(503, `Out of reach: ${failed.join(', ')}.`)
  })
}
