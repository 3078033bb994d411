/**
 * The limit of sessions per user (ASVS 7.1.2), exact under parallel logins without a lock: everybody creates first and
 * looks afterwards, so the last one to look sees all the others.
 */
import { randomInt } from 'node:crypto'
import { type Flow, wait } from '../awaitable.js'
import { Fault } from '../errors.js'
import type { Awaitable, EventBody, Limit, SessionRecord } from '../types.js'

type Listed = [id: string, record: SessionRecord]

/** What the limit needs of the place where sessions are written down. */
export interface LimitContext {
  readonly limit: Limit
  readonly emit: (event: EventBody) => void
  /** The user's sessions. */
  list(userId: string): Awaitable<Listed[]>
  /** Ends a session as it was listed. `false`: it is not as it was. */
  end(id: string, record: SessionRecord): Awaitable<boolean>
}

/** How often a login that met another one at the very limit tries again. */
const TRIES = 8
/** Each round of a conflict has a winner; so many of them in a row are nobody's honest traffic. */
const ROUNDS = 256

/**
 * Ends the user's oldest sessions beyond the limit. All who look agree on which those are. `except` is about to be
 * replaced: neither counted nor ended.
 */
export function* evictOldest(context: LimitContext, userId: string, except: string | undefined): Flow<void> {
  for (let round = 0; round < ROUNDS; round++) {
    const sessions = yield* others(context, userId, except)
    const oldestFirst = sessions.sort(([a, x], [b, y]) => x.createdAt - y.createdAt || (a < b ? -1 : 1))
    let settled = true
    for (const [id, record] of oldestFirst.slice(0, Math.max(0, sessions.length - context.limit.sessions))) {
      if (yield* wait(context.end(id, record))) context.emit({ type: 'ended', id, userId, reason: 'limit' })
      // It was used meanwhile, or goes by a new identifier, which only another look shows.
      else settled = false
    }
    if (settled) return
  }
}

/**
 * Runs `insert` if there is room for one more, else throws `ERR_LIMIT`. When two logins meet at the last place both see
 * one too many, both step back (`undo`) and try again at different times. `except` is about to be replaced: not counted.
 */
export function* withinLimit(
  context: LimitContext,
  userId: string,
  except: string | undefined,
  insert: () => Flow<unknown>,
  undo: () => Flow<unknown>,
): Flow<void> {
  const { sessions } = context.limit
  for (let attempt = 0; attempt < TRIES; attempt++) {
    if ((yield* others(context, userId, except)).length >= sessions) break
    yield* insert()
    if ((yield* others(context, userId, except)).length <= sessions) return
    yield* undo()
    yield* wait(new Promise<void>((resolve) => setTimeout(resolve, randomInt(20 * (attempt + 1)))))
  }
  throw new Fault('ERR_LIMIT', `the user has ${sessions} sessions, which is the limit; end one of them first`)
}

function* others(context: LimitContext, userId: string, except: string | undefined): Flow<Listed[]> {
  const sessions = yield* wait(context.list(userId))
  return sessions.filter(([id]) => id !== except)
}
