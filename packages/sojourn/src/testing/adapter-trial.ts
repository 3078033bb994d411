/** What the cases of the adapter suite are made of: a server under trial, its store, and what handlers answer with. */
import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import type { Session, Sessions, SessionsOptions } from '../index.js'
import type { Awaitable, UserStore } from '../types.js'
import type { Answered, Client } from './adapter-client.js'

/** What the sessions of the suite keep. */
export interface Kept extends Record<string, unknown> {
  count: number
  items: string[]
  text: string
}

/** What a handler is given. */
export interface Given {
  /** What `sessions.of` takes in this framework. */
  readonly request: object
  /** The path of the request, without its query. */
  readonly path: string
  /** Node's own response, where handlers of this framework can reach it. */
  readonly response?: ServerResponse
}

/** What a handler answers with, which the harness says in the framework's own way. */
export interface Reply {
  /** Default 200. */
  readonly status?: number
  /** In lower case; pairs, as `set-cookie` comes twice. That and `vary` are added to what is there, all else is set. */
  readonly headers?: readonly (readonly [name: string, value: string])[]
  /** A stream is sent as it comes, with backpressure where the framework knows of it. */
  readonly body?: string | AsyncIterable<Uint8Array>
}

/** A handler. What it throws is the framework's to answer. `undefined`: it has answered through `response` itself. */
export type Handle = (given: Given) => Awaitable<Reply | undefined>

/** What a case cannot do without. */
export type Need = 'response' | 'http/1.1'

/** The store of a trial: memory, that can be watched, slowed down and broken. */
export interface TrialStore extends UserStore {
  /** The verbs that were called. */
  readonly calls: string[]
  /** How long a `set` takes, milliseconds; 0 is at once, where the store is synchronous. */
  slow: number
  broken: boolean
  /** When the last `set` was finished, in the time of `performance.now()`. */
  wroteAt: number
}

/** What a case may do. */
export interface Trial {
  readonly asynchronous: boolean
  readonly store: TrialStore
  readonly sessions: Sessions<Kept>
  /** Other sessions than the usual ones. */
  create(options: SessionsOptions<Kept>): Sessions<Kept>
  /** Starts a server that asks `handle`, behind these sessions, the first outermost. Default: the usual ones. */
  serve(handle: Handle, sessions?: readonly Sessions<Kept>[]): Promise<Client>
  /** Whether a `Fault` that a handler lets out is answered with problem details; else by the framework, by its status. */
  readonly problems: boolean
}

/** One check. */
export interface Case {
  readonly name: string
  readonly needs: readonly Need[]
  run(trial: Trial): Promise<void>
}

/** A case, for a list of them. */
export function check(name: string, needs: readonly Need[], run: (trial: Trial) => Promise<void>): Case {
  return { name, needs, run }
}

/** Makes `store` one to be watched. `delay` milliseconds before each call make it asynchronous. */
export function watch(store: UserStore, delay: number | undefined): TrialStore {
  const through = (verb: 'get' | 'set' | 'delete' | 'endAll', args: unknown[]): never => {
    const go = () => {
      if (watched.broken) throw new Error('down')
      const answer = (store[verb] as (...args: unknown[]) => unknown)(...args)
      if (verb === 'set') watched.wroteAt = performance.now()
      return answer
    }
    watched.calls.push(verb)
    const wait = verb === 'set' ? Math.max(delay ?? 0, watched.slow) : delay
    return (wait ? pause(wait).then(go) : go()) as never
  }
  const watched: TrialStore = {
    calls: [],
    slow: 0,
    broken: false,
    wroteAt: 0,
    get: (...args) => through('get', args),
    set: (...args) => through('set', args),
    delete: (...args) => through('delete', args),
    endAll: (...args) => through('endAll', args),
    list: (...args) => store.list(...args),
  }
  return watched
}

/** Counts one visit, and gives how many there were. */
export function visit(session: Session<Kept>): number {
  return session.update('count', (n) => n + 1)
}

/** What the session that `jar` opens has counted; `serve` must count nothing on `/count`. */
export async function countOf(client: Client, jar: Map<string, string>): Promise<number> {
  return Number((await client.ask('/count', { jar })).body.toString())
}

/** Answers `/count` with what was counted so far, and everything else with `handle`. */
export function counting({ sessions }: Trial, handle: Handle): Handle {
  return async (given) => {
    if (given.path !== '/count') return handle(given)
    return { body: String((await sessions.of(given.request)).data.count) }
  }
}

/** Asserts that exactly one line sets the cookie `name`, and gives the line. */
export function oneCookie({ cookies }: Answered, name = 'session'): string {
  const lines = cookies.filter((line) => line.startsWith(`${name}=`))
  assert.equal(
    lines.length,
    1,
    `one line for ${name} among ${JSON.stringify(cookies.map((line) => line.split('=')[0]))}`,
  )
  return lines[0]!
}

/** Asserts that a problem was answered, and that it set and cleared no cookie. */
export function isProblem(answered: Answered, status: number, where = ''): void {
  const text = answered.body.toString()
  assert.equal(answered.status, status, `${where} ${text}`)
  assert.equal(answered.headers['content-type'], 'application/problem+json', where)
  assert.equal((JSON.parse(text) as { status: number }).status, status, where)
  assert.deepEqual(answered.cookies, [], where)
}

/** The name of what `work` throws; `nothing` when it does not. */
export function thrown(work: () => unknown): string {
  try {
    work()
    return 'nothing'
  } catch (error) {
    return (error as Error).name
  }
}

/** A promise and what fulfils it. */
export function signal<T = void>(): { readonly done: Promise<T>; readonly tell: (value: T) => void } {
  let tell!: (value: T) => void
  const done = new Promise<T>((resolve) => {
    tell = resolve
  })
  return { done, tell }
}
