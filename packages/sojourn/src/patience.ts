/**
 * How long a store is waited for. One policy for all: a deadline per call, and a breaker that stops asking a store that
 * does not answer, so that no request hangs and no queue grows. A synchronous store is never in the way of either.
 */
import { isPromise } from './awaitable.js'
import { Fault } from './errors.js'
import type { Awaitable } from './types.js'

/** Milliseconds that one call may take. */
const DEADLINE = 2_000
/** Failures in a row after which the store is left alone … */
const FAILURES = 5
/** … for so many milliseconds. */
const REST = 1_000

/** Asks the store; whatever goes wrong becomes a `Fault` (`ERR_STORE`) with the cause attached. */
export type Ask = <T>(call: () => Awaitable<T>) => Awaitable<T>

/** The patience with one store. */
export function patience(): Ask {
  let failures = 0
  let restUntil = 0

  const failed = (cause: unknown): never => {
    if (cause instanceof Fault) throw cause
    failures++
    if (failures >= FAILURES) restUntil = performance.now() + REST
    throw new Fault('ERR_STORE', 'the session store failed; nobody was logged out', { cause })
  }

  const inTime = <T>(answer: Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      const late = () => reject(new Error(`no answer within ${DEADLINE} ms`))
      // When it was this process that paused, what has come meanwhile is heard first.
      const timer = setTimeout(() => setImmediate(late), DEADLINE)
      answer.then(resolve, reject).finally(() => clearTimeout(timer))
    })

  return (call) => {
    if (restUntil > 0 && performance.now() < restUntil) {
      throw new Fault('ERR_STORE', 'the session store failed several times in a row and is left alone for a second')
    }
    let answer: ReturnType<typeof call>
    try {
      answer = call()
    } catch (cause) {
      return failed(cause)
    }
    if (!isPromise(answer)) {
      failures = restUntil = 0
      return answer
    }
    return inTime(answer).then((value) => {
      failures = restUntil = 0
      return value
    }, failed)
  }
}
