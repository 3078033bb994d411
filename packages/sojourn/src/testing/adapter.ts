/**
 * The conformance suite of adapters: what "committed before the headers leave" means, however a handler answers, over
 * real sockets, with a synchronous store and with one that takes its time.
 */
import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { createSessions, generateSecret, opaque, type Sessions } from '../index.js'
import { memory } from '../store/memory.js'
import type { Awaitable } from '../types.js'
import { answers } from './adapter-answers.js'
import { Client } from './adapter-client.js'
import { failures } from './adapter-failures.js'
import { responses } from './adapter-responses.js'
import { type Case, type Handle, type Kept, type Need, type Trial, watch } from './adapter-trial.js'

export type { Given, Handle, Kept, Reply } from './adapter-trial.js'

/** A server of the adapter's framework. */
export interface AdapterServer {
  /** Where it listens, on 127.0.0.1. */
  readonly port: number
  /** Stops it, and cuts the connections that are left. */
  close(): Awaitable<void>
}

/** The adapter under trial, in its framework. */
export interface AdapterHarness {
  /**
   * Starts a server that asks `handle` for every request, behind the adapter: once for each of `sessions`, the first
   * outermost. Errors that `handle` throws are answered with 500 in the way of the framework, or by their `status`.
   */
  serve(sessions: readonly Sessions<Kept>[], handle: Handle): Awaitable<AdapterServer>
  /** The server speaks HTTP/2 without TLS. Default `false`: HTTP/1.1. */
  http2?: boolean
  /**
   * What is not so in this framework: handlers cannot reach node's `response`; a `Fault` that a handler lets out is
   * answered by the framework, by its status, and not as `problems`.
   */
  lacks?: readonly ('response' | 'problems')[]
}

/** One check, for any test runner. */
export interface AdapterCase {
  readonly name: string
  /** Rejects with an `AssertionError` when the adapter does not keep the contract. */
  run(): Promise<void>
}

/**
 * The checks that an adapter must pass, each over a synchronous and an asynchronous store. They start their own servers,
 * so they may run in any order, but not in parallel: a rejection that nobody handles would be laid at another's door.
 *
 * What cannot be checked is never passed over in silence: the last case names what was left out.
 *
 * @example
 * ```ts
 * for (const { name, run } of adapterCases({ serve })) test(name, run) // vitest, node:test, …
 * ```
 */
export function adapterCases(harness: AdapterHarness): AdapterCase[] {
  const lacks: readonly string[] = [...(harness.lacks ?? []), ...(harness.http2 ? ['http/1.1' satisfies Need] : [])]
  const able = [...answers, ...failures, ...responses].filter(
    ({ needs }) => !needs.some((need) => lacks.includes(need)),
  )
  const cases = [
    ['synchronous store', undefined] as const,
    // Long enough for a handler to go on in the meantime.
    ['asynchronous store', 3] as const,
  ].flatMap(([kind, delay]) =>
    able.map(({ name, run }) => ({ name: `${kind}: ${name}`, run: () => trial(harness, run, delay) })),
  )
  const left = lacks.length > 0 ? `; LEFT OUT, for want of them: ${lacks.join(', ')}` : ''
  return [...cases, { name: `hands out what it says${left}`, run: () => trial(harness, handsOut(lacks), undefined) }]
}

/** Whether node's response is there or not, as the harness says. */
function handsOut(lacks: readonly string[]): Case['run'] {
  return async ({ serve }) => {
    let found: boolean | undefined
    const client = await serve(({ response }) => {
      found = response !== undefined
      return {}
    })
    await client.ask()
    assert.equal(found, !lacks.includes('response'))
  }
}

async function trial(harness: AdapterHarness, run: Case['run'], delay: number | undefined): Promise<void> {
  const unhandled: unknown[] = []
  const note = (reason: unknown) => void unhandled.push(reason)
  process.on('unhandledRejection', note)
  const servers: AdapterServer[] = []
  const store = watch(memory(), delay)
  const keys = generateSecret()
  const create: Trial['create'] = (options) =>
    createSessions<Kept>({ keys, initial: () => ({ count: 0, items: [], text: '' }), ...options })
  const sessions = create({ strategy: opaque({ store }) })
  try {
    await run({
      asynchronous: delay !== undefined,
      problems: !harness.lacks?.includes('problems'),
      store,
      sessions,
      create,
      serve: async (handle, behind = [sessions]) => {
        const server = await harness.serve(behind, handle)
        servers.push(server)
        return new Client(server.port, harness.http2 === true)
      },
    })
  } finally {
    for (const server of servers) await server.close()
    await turn()
    process.off('unhandledRejection', note)
  }
  assert.deepEqual(unhandled, [], 'rejections that nobody handled')
}
