/**
 * Holds the headers of a node response until the session's commit is done, so that no redirect outruns its save. Whatever
 * comes first (`end`, `write`, `writeHead`, `flushHeaders`, and through them `pipe`) starts the commit; with a synchronous
 * store nothing waits at all. The response gets properties of its own; no prototype is touched.
 */
import type { OutgoingHttpHeader, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { isPromise } from '../awaitable.js'
import { type Problem, problemOf } from '../errors.js'
import type { Awaitable } from '../types.js'
import { problemHead, sealHead } from './head.js'

type Verb = 'writeHead' | 'write' | 'end' | 'flushHeaders'
type Anything = (...args: unknown[]) => unknown
type HeaderList = OutgoingHttpHeaders | OutgoingHttpHeader[] | [string, OutgoingHttpHeader][]

type Target = Record<Verb | 'on', Anything>

/** Makes `res` wait for `commit` before its headers leave. `false`: they have left. */
export function hold(res: ServerResponse, commit: () => Awaitable<void>): boolean {
  if (res.headersSent) return false
  const target = res as unknown as Target
  const held = new Hold(res, commit)
  // No more of its own than these four: on a response whose prototype a framework has changed, each costs microseconds.
  target.writeHead = (...args) => held.intercept('writeHead', args)
  target.write = (...args) => held.intercept('write', args)
  target.end = (...args) => held.intercept('end', args)
  target.flushHeaders = (...args) => held.intercept('flushHeaders', args)
  return true
}

/** What stands between a response's verbs, as they were before, and whoever calls them. */
class Hold implements Record<Verb, Anything> {
  readonly writeHead: Anything
  readonly write: Anything
  readonly end: Anything
  readonly flushHeaders: Anything
  readonly #res: ServerResponse
  readonly #commit: () => Awaitable<void>
  #phase: 'held' | 'committing' | 'free' | 'failed' = 'held'
  #waiting: [verb: Verb, args: unknown[]][] | undefined
  #drains: Anything[] | undefined

  constructor(res: ServerResponse, commit: () => Awaitable<void>) {
    const before = res as unknown as Target
    this.writeHead = before.writeHead
    this.write = before.write
    this.end = before.end
    this.flushHeaders = before.flushHeaders
    this.#res = res
    this.#commit = commit
  }

  intercept(verb: Verb, args: unknown[]): unknown {
    if (this.#phase === 'free') return this[verb].apply(this.#res, args)
    if (this.#phase !== 'held') return this.#later(verb, args)
    // First, because it may throw: then nothing has begun yet.
    const rest = verb === 'writeHead' ? [applyHead(this.#res, args)] : args
    this.#phase = 'committing'
    try {
      const done = this.#commit()
      if (isPromise(done)) return this.#wait(done, verb, rest)
    } catch (error) {
      this.#fail(error)
      return this.#later(verb, args)
    }
    this.#phase = 'free'
    return this[verb].apply(this.#res, rest)
  }

  #wait(done: Promise<void>, verb: Verb, args: unknown[]): unknown {
    const waiting: [Verb, unknown[]][] = [[verb, args]]
    this.#waiting = waiting
    this.#noteDrains()
    const unseal = sealHead(this.#res, () => waiting.at(-1)![0] === 'end')
    const release = () => {
      unseal()
      try {
        this.#release(waiting)
      } catch (error) {
        // What node refuses (a status that is none, a chunk that is no text) it can now only refuse here, and to nobody.
        complain(error)
        this.#fail(error)
      }
    }
    done.then(release, (fault) => {
      unseal()
      this.#fail(fault)
    })
    return verb === 'write' ? false : this.#res
  }

  /** Runs the first call, and those that came while the commit was under way. */
  #release(waiting: [Verb, unknown[]][]): void {
    this.#phase = 'free'
    let flowing: unknown = true
    for (const [verb, args] of waiting) flowing = this[verb].apply(this.#res, args)
    if (waiting.at(-1)![0] === 'write' && flowing === true) this.#drained()
  }

  /** Answers in place of the handler. What it still has to say goes nowhere, but it is let finish. */
  #fail(error: unknown): void {
    const res = this.#res
    this.#phase = 'free'
    if (res.headersSent) res.destroy()
    else {
      const problem = problemOf(error)
      problemHead(res, problem)
      this.end.call(res, problem.body)
    }
    this.#phase = 'failed'
    for (const [, args] of this.#waiting ?? []) dismiss(args)
    this.#drained()
  }

  #later(verb: Verb, args: unknown[]): unknown {
    if (this.#phase === 'failed') {
      dismiss(args)
      return verb === 'write' ? true : this.#res
    }
    const waiting = this.#waiting
    if (waiting && waiting.at(-1)![0] !== 'end') waiting.push([verb, args])
    return verb === 'write' ? false : this.#res
  }

  /** Noted here, because a middleware that compresses keeps those who wait for `drain` to itself. */
  #noteDrains(): void {
    const drains: Anything[] = []
    const target = this.#res as unknown as Target
    const { on } = target
    this.#drains = drains
    target.on = (type, listener) => {
      if (type === 'drain' && this.#phase !== 'free') drains.push(listener as Anything)
      return on.call(this.#res, type, listener)
    }
  }

  /** Writers were told to wait for `drain`; where node has nothing to drain, nobody else tells them. */
  #drained(): void {
    const res = this.#res
    const drains = this.#drains
    if (!drains) return
    process.nextTick(() => {
      for (const listener of new Set([...drains, ...(res.rawListeners('drain') as Anything[])])) listener.call(res)
    })
  }
}

/** By its kind alone: its words may quote what the handler said. */
function complain(error: unknown): void {
  const kind = error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.name) : typeof error
  process.emitWarning(`an answer could not be sent (${kind}); the client got status 500, or was cut off`, {
    code: 'SOJOURN_UNSENT',
  })
}

/** Tells whoever passed a callback that it is done. */
function dismiss(args: unknown[]): void {
  const callback = args.at(-1)
  if (typeof callback === 'function') process.nextTick(callback as () => void)
}

/** Takes in what `writeHead` was given, so that the commit sees all headers and its own are not overwritten. */
function applyHead(res: ServerResponse, [status, reason, headers]: unknown[]): number {
  if (typeof reason === 'string') res.statusMessage = reason
  const given = (typeof reason === 'string' ? headers : (headers ?? reason)) as HeaderList | null | undefined
  const seen = new Set<string>()
  for (const [name, value] of pairs(given)) {
    if (value === undefined) continue
    if (seen.has(name.toLowerCase())) res.appendHeader(name, value as string | string[])
    else res.setHeader(name, value)
    seen.add(name.toLowerCase())
  }
  res.statusCode = Number(status)
  return res.statusCode
}

function pairs(given: HeaderList | null | undefined): [string, OutgoingHttpHeader | undefined][] {
  if (given === undefined || given === null) return []
  if (!Array.isArray(given)) return Object.entries(given)
  if (Array.isArray(given[0])) return given as [string, OutgoingHttpHeader][]
  return given.flatMap((name, i) => (i % 2 === 0 ? [[String(name), given[i + 1] as OutgoingHttpHeader]] : []))
}

/** Answers with a problem in place of what the handler had in mind. */
export function answer(res: ServerResponse, problem: Problem): void {
  problemHead(res, problem)
  res.end(problem.body)
}
