/** `/healthz`: the process answers. `/readyz`: it can do its work, sessions and accounts included. */
import type { Env, Hono } from 'hono'
import type { Store } from 'sojourn'
import type { Database } from './database.js'
import { problem } from './problem.js'

/** What readiness is judged by. */
export interface Health {
  /** The server is about to stop: it answers, and wants no more. */
  draining: boolean
  /** Asks store and database something; the names of those that failed. */
  failing(): Promise<string[]>
}

/** Asks the real store and the real database. */
export function createHealth(store: Store, database: Database): Health {
  const one = database.prepare('SELECT 1')
  const checks: Readonly<Record<string, () => unknown>> = {
    sessions: () => store.get('readyz'),
    accounts: () => one.get(),
  }
  return {
    draining: false,
    async failing() {
      const failed: string[] = []
      for (const [name, check] of Object.entries(checks)) {
        try {
          await check()
        } catch {
          failed.push(name)
        }
      }
      return failed
    },
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
