/**
 * The limit of sessions per user (ASVS 7.1.2), exact under parallel logins without a lock: everybody creates first and
 * looks afterwards, so the last one to look sees all the others.
 */
import { randomInt } from 'node:crypto'
import { collect, type Flow, wait } from '../awaitable.js'
import { Fault } from '../errors.js'
import type { Ask } from '../patience.js'
import type { EventBody, Limit, UserStore } from '../types.js'

/** What the limit needs of the ledger. */
export interface LimitContext {
  readonly store: Pick<UserStore, 'list' | 'delete'>
  readonly limit: Limit
  readonly ask: Ask
  readonly emit: (event: EventBody) => void
}

/** How often a login that met another one at the very limit tries again. */
const TRIES = 8

/** Ends the user's oldest sessions beyond the limit. All who look agree on which those are. */
export function* evictOldest(context: LimitContext, userId: string): Flow<void> {
  const { store, limit, ask, emit } = context
  const sessions = yield* wait(ask(() => collect(store.list(userId))))
  const oldestFirst = sessions.sort(([a, x], [b, y]) => x.createdAt - y.createdAt || (a < b ? -1 : 1))
  for (const [id] of oldestFirst.slice(0, Math.max(0, sessions.length - limit.sessions))) {
    if (yield* wait(ask(() => store.delete(id)))) emit({ type: 'ended', id, userId, reason: 'limit' })
  }
}

/**
 * Runs `create` if there is room for one more, else throws `ERR_LIMIT`. When two logins meet at the last place both see
 * one too many, both step back (`undo`) and try again at different times. `except` is about to be replaced: not counted.
 */
export function* withinLimit(
  context: LimitContext,
  userId: string,
  except: string | undefined,
  create: () => Flow<string>,
): Flow<void> {
  const { store, limit, ask } = context
  for (let attempt = 0; attempt < TRIES; attempt++) {
    if ((yield* others(context, userId, except)) >= limit.sessions) break
    const id = yield* create()
    if ((yield* others(context, userId, except)) <= limit.sessions) return
    yield* wait(ask(() => store.delete(id)))
    yield* wait(new Promise<void>((resolve) => setTimeout(resolve, randomInt(20 * (attempt + 1)))))
  }
  throw new Fault('ERR_LIMIT', `the user has ${limit.sessions} sessions, which is the limit; end one of them first`)
}

function* others({ store, ask }: LimitContext, userId: string, except: string | undefined): Flow<number> {
  const sessions = yield* wait(ask(() => collect(store.list(userId))))
  return sessions.filter(([id]) => id !== except).length
}
