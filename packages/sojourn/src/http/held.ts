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

/** Makes `res` wait for `commit` before its headers leave. `false`: they have left. */
export function hold(res: ServerResponse, commit: () => Awaitable<void>): boolean {
  if (res.headersSent) return false
  const target = res as unknown as Record<Verb | 'on', Anything>
  const { writeHead, write, end, flushHeaders, on } = target
  const original: Record<Verb, Anything> = { writeHead, write, end, flushHeaders }
  const waiting: [verb: Verb, args: unknown[]][] = []
  const drains: Anything[] = []
  let phase: 'held' | 'committing' | 'free' | 'failed' = 'held'
  let unseal = (): void => {}

  const call = (verb: Verb, args: unknown[]): unknown => original[verb].apply(res, args)
  const ended = (): boolean => waiting.at(-1)?.[0] === 'end'

  /** Writers were told to wait for `drain`; where node has nothing to drain, nobody else tells them. */
  const drained = () => process.nextTick(() => drains.forEach((listener) => void listener.call(res)))

  /** Runs the first call, and those that came while the commit was under way. */
  const release = () => {
    unseal()
    phase = 'free'
    let flowing: unknown = true
    for (const [verb, args] of waiting) flowing = call(verb, args)
    if (waiting.at(-1)?.[0] === 'write' && flowing === true) drained()
  }

  /** Answers in place of the handler. What it still has to say goes nowhere, but it is let finish. */
  const fail = (error: unknown) => {
    unseal()
    phase = 'free'
    if (res.headersSent) res.destroy()
    else {
      const problem = problemOf(error)
      problemHead(res, problem)
      call('end', [problem.body])
    }
    phase = 'failed'
    for (const [, args] of waiting) dismiss(args)
    drained()
  }

  const later = (verb: Verb, args: unknown[]): unknown => {
    if (phase === 'failed') {
      dismiss(args)
      return verb === 'write' ? true : res
    }
    if (!ended()) waiting.push([verb, args])
    return verb === 'write' ? false : res
  }

  const intercept =
    (verb: Verb): Anything =>
    (...args) => {
      if (phase === 'free') return call(verb, args)
      if (phase !== 'held') return later(verb, args)
      // First, because it may throw: then nothing has begun yet.
      const rest = verb === 'writeHead' ? [applyHead(res, args)] : args
      phase = 'committing'
      try {
        const done = commit()
        if (isPromise(done)) {
          waiting.push([verb, rest])
          unseal = sealHead(res, ended)
          // What node refuses (a status that is none, a chunk that is no text) it can now only refuse here.
          done.then(release).catch(fail)
          return verb === 'write' ? false : res
        }
      } catch (error) {
        fail(error)
        return later(verb, args)
      }
      phase = 'free'
      return call(verb, rest)
    }

  for (const verb of Object.keys(original) as Verb[]) target[verb] = intercept(verb)
  // Noted here, because a middleware that compresses keeps those who wait for `drain` to itself.
  target.on = (type, listener) => {
    if (type === 'drain' && phase !== 'free') drains.push(listener as Anything)
    return on.call(res, type, listener)
  }
  return true
}

/** Tells whoever passed a callback that it is done. */
function dismiss(args: unknown[]): void {
  const callback = args.at(-1)
  if (typeof callback === 'function') process.nextTick(callback as () => void)
}

/** Takes in what `writeHead` was given, so that the commit sees all headers and its own are not overwritten. */
function applyHead(res: ServerResponse, [status, reason, headers]: unknown[]): number {
  if (typeof reason === 'string') res.statusMessage = reason
  const given = (typeof reason === 'string' ? headers : reason) as HeaderList | undefined
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

function pairs(given: HeaderList | undefined): [string, OutgoingHttpHeader | undefined][] {
  if (given === undefined) return []
  if (!Array.isArray(given)) return Object.entries(given)
  if (Array.isArray(given[0])) return given as [string, OutgoingHttpHeader][]
  return given.flatMap((name, i) => (i % 2 === 0 ? [[String(name), given[i + 1] as OutgoingHttpHeader]] : []))
}

/** Answers with a problem in place of what the handler had in mind. */
export function answer(res: ServerResponse, problem: Problem): void {
  problemHead(res, problem)
  res.end(problem.body)
}
