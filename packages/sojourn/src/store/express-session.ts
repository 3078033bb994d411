/**
 * The stores of express-session, both ways: what an app has already (connect-redis, connect-pg-simple, …) keeps our
 * sessions, weakly; and any store of ours keeps the sessions of an app on express-session.
 */
import { createHash } from 'node:crypto'
import type { SessionRecord, WeakStore } from '../types.js'

export { type ExpressSessionMethods, type ToExpressStoreOptions, toExpressStore } from './express-session-to.js'

/** What is needed of a store of express-session, by structure: an instance of any `connect-*` package has it. */
export interface ExpressStore {
  get(sid: string, done: (error: unknown, session?: unknown) => void): unknown
  set(sid: string, session: never, done: (error?: unknown) => void): unknown
  destroy(sid: string, done: (error?: unknown) => void): unknown
}

/** Options of `fromExpressStore`. */
export interface FromExpressStoreOptions {
  /** Tells the time, epoch milliseconds. Default `Date.now`. */
  clock?: () => number
}

/** A write waits so long, milliseconds, for one before it that is never answered. */
const HELD = 5_000
/** Longer than any session, and short enough for every backend's dates. */
const FURTHEST = 10 * 365 * 86_400_000
/** The backend forgets a session so much later, milliseconds, than it ends here: it may round, and its clock may be ahead. */
const LATER = 1_000

/** The writes of each store by key, so that those of one process are made one after the other. */
const lines = new WeakMap<ExpressStore, Map<string, Promise<unknown>>>()

/**
 * Keeps records in a store of express-session. It has no compare-and-set: each write reads, compares and writes, one after
 * the other in this process, and other processes may write in between. Hence a `WeakStore`, which `opaque` takes
 * with `weak: acceptLostUpdates`. It knows no users: no device list, no `endAll`, no limit.
 *
 * Store calls: `get` one, `set` and `delete` two. The verbs reject when the store throws, rejects or calls back with an error, but for
 * one that says `ENOENT`, as express-session has it. The store is left open.
 *
 * @throws TypeError when `store` lacks get, set or destroy.
 */
export function fromExpressStore(store: ExpressStore, options: FromExpressStoreOptions = {}): WeakStore {
  const { clock = () => Date.now() } = options
  if (typeof store?.get !== 'function' || typeof store.set !== 'function' || typeof store.destroy !== 'function')
    throw new TypeError(
      'fromExpressStore: the store must have get, set and destroy; pass an instance, such as new RedisStore({ client })',
    )
  const line = lines.get(store) ?? new Map<string, Promise<unknown>>()
  lines.set(store, line)

  const read = async (key: string) => {
    const session = await asked('get', (done) => store.get(key, done))
    return live(recordOf(session), clock())
  }
  const write = (key: string, record: SessionRecord) =>
    asked('set', (done) => store.set(key, wrapped(record, clock()), done))
  const destroy = (key: string) => asked('destroy', (done) => store.destroy(key, done))

  return {
    weak: true,
    get: (id) => read(keyOf(id)),
    set(id, record, was) {
      const key = keyOf(id)
      return inLine(line, key, async () => {
        const there = await read(key)
        if ((there?.version ?? 0) !== was) return false
        if (live(record, clock())) await write(key, record)
        else if (there) await destroy(key)
        return true
      })
    },
    delete(id) {
      const key = keyOf(id)
      return inLine(line, key, async () => {
        const there = await read(key)
        if (there) await destroy(key)
        return there !== undefined
      })
    },
  }
}

/**
 * Hashed once more: a name that every file system and database takes and keeps apart, and one that nobody has seen who
 * has seen a handle. An app on express-session may use the same store.
 */
function keyOf(id: string): string {
  return createHash('sha256').update(id).digest('hex')
}

/** What such stores expect. Their lives are told in all the ways that they read: by date, by length, from now. */
function wrapped(record: SessionRecord, now: number): never {
  // The dates of these stores are those of the machine's clock, whatever ours is.
  const maxAge = Math.min(record.expiresAt - now, FURTHEST) + LATER
  const cookie = { path: '/', httpOnly: true, expires: new Date(Date.now() + maxAge), originalMaxAge: maxAge, maxAge }
  // As text: some backends keep no NUL, no half of a surrogate pair, or no `undefined`.
  return { cookie, sojourn: JSON.stringify(record) } as never
}

/** What is not ours is nobody's session. */
function recordOf(session: unknown): SessionRecord | undefined {
  const { sojourn } = (session ?? {}) as { sojourn?: unknown }
  if (typeof sojourn !== 'string') return undefined
  try {
    return JSON.parse(sojourn) as SessionRecord
  } catch {
    return undefined
  }
}

function live(record: SessionRecord | undefined, now: number): SessionRecord | undefined {
  return record && record.expiresAt > now ? record : undefined
}

type Done = (error?: unknown, value?: unknown) => void

function asked(verb: 'get' | 'set' | 'destroy', call: (done: Done) => unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const done: Done = (error, value) => {
      if (!error) resolve(value)
      // Says a store of files of a session that is not there, and of a folder when it writes.
      else if ((error as NodeJS.ErrnoException).code === 'ENOENT' && verb !== 'set') resolve(undefined)
      else reject(failure(verb, error))
    }
    try {
      const said = call(done) as PromiseLike<unknown> | undefined
      // One written with `async` fails by its promise, and may never call back; nobody else listens to that promise.
      if (typeof said?.then === 'function') said.then(undefined, (error) => reject(failure(verb, error)))
    } catch (error) {
      reject(failure(verb, error))
    }
  })
}

/** Without what the store says of it: connect-mongodb-session quotes the whole session (A-154). */
function failure(verb: string, error: unknown): Error {
  const { name, code } = error as { name?: unknown; code?: unknown }
  const known = [name, code].filter((part) => typeof part === 'number' || /^\w{1,40}$/.test(String(part ?? '')))
  return new Error(`fromExpressStore: the store failed to ${verb}${known.length > 0 ? ` (${known.join(', ')})` : ''}`)
}

/** Does `work` after what was asked before it about the same key. */
function inLine<T>(line: Map<string, Promise<unknown>>, key: string, work: () => Promise<T>): Promise<T> {
  const before = line.get(key)
  const answer = before ? patient(before).then(work) : work()
  const settled = answer.then(
    () => {},
    () => {},
  )
  line.set(key, settled)
  settled.then(() => line.get(key) === settled && line.delete(key))
  return answer
}

function patient(before: Promise<unknown>): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined
  const enough = new Promise((resolve) => {
    timer = setTimeout(resolve, HELD)
  })
  return Promise.race([before, enough]).finally(() => clearTimeout(timer))
}
