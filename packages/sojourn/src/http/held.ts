/**
 * Holds the headers of a node response until the session's commit is done, so that no redirect outruns its save. Whatever
 * comes first (`end`, `write`, `writeHead`, `flushHeaders`, and through them `pipe`) starts the commit; with a synchronous
 * store nothing waits at all. The response gets properties of its own; no prototype is touched.
 */
import type { OutgoingHttpHeader, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { isPromise } from '../awaitable.js'
import { type Problem, problemOf } from '../errors.js'
import type { Awaitable } from '../types.js'

type Verb = 'writeHead' | 'write' | 'end' | 'flushHeaders'
type Anything = (...args: unknown[]) => unknown
type HeaderList = OutgoingHttpHeaders | OutgoingHttpHeader[] | [string, OutgoingHttpHeader][]

/** Makes `res` wait for `commit` before its headers leave. `false`: they have left. */
export function hold(res: ServerResponse, commit: () => Awaitable<void>): boolean {
  if (res.headersSent) return false
  const target = res as unknown as Record<Verb, Anything>
  const original: Record<Verb, Anything> = {
    writeHead: target.writeHead,
    write: target.write,
    end: target.end,
    flushHeaders: target.flushHeaders,
  }
  const waiting: [verb: Verb, args: unknown[]][] = []
  let phase: 'held' | 'committing' | 'free' | 'failed' = 'held'

  const call = (verb: Verb, args: unknown[]): unknown => original[verb].apply(res, args)

  /** Runs the first call, and those that came while the commit was under way. */
  const release = () => {
    phase = 'free'
    let flowing: unknown = true
    for (const [verb, args] of waiting) flowing = call(verb, args)
    // Writers were told to wait for `drain`; if node has nothing to drain, nobody else will tell them.
    if (waiting.at(-1)?.[0] === 'write' && flowing === true) process.nextTick(() => res.emit('drain'))
  }

  const fail = (error: unknown) => {
    // The answer goes through; what the handler still has to say does not.
    phase = 'free'
    answer(res, problemOf(error))
    phase = 'failed'
  }

  const later = (verb: Verb, args: unknown[]): unknown => {
    if (phase !== 'failed' && waiting.at(-1)?.[0] !== 'end') waiting.push([verb, args])
    return verb === 'write' ? false : res
  }

  const intercept =
    (verb: Verb): Anything =>
    (...args) => {
      if (phase === 'free') return call(verb, args)
      if (phase !== 'held') return later(verb, args)
      phase = 'committing'
      const rest = verb === 'writeHead' ? [applyHead(res, args)] : args
      try {
        const done = commit()
        if (isPromise(done)) {
          waiting.push([verb, rest])
          done.then(release, fail)
          return verb === 'write' ? false : res
        }
      } catch (error) {
        fail(error)
        return verb === 'write' ? false : res
      }
      phase = 'free'
      return call(verb, rest)
    }

  for (const verb of Object.keys(original) as Verb[]) target[verb] = intercept(verb)
  return true
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

/** Answers with a problem in place of what the handler had in mind. Headers that speak of the server stay (HSTS, CSP). */
export function answer(res: ServerResponse, problem: Problem): void {
  for (const name of res.getHeaderNames()) {
    if (/^(?:content-(?!security)|transfer-encoding|set-cookie|etag|last-modified|location|accept-ranges)/.test(name))
      res.removeHeader(name)
  }
  res.statusCode = problem.status
  res.statusMessage = ''
  for (const [name, value] of Object.entries(problem.headers)) res.setHeader(name, value)
  res.end(problem.body)
}
