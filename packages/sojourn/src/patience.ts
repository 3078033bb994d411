/**
 * How long a store is waited for. One policy for all: a deadline per call, and a breaker that stops asking a store that
 * does not answer, so that no request hangs and no queue grows. A synchronous store is never in the way of either.
 *
 * The breaker opens after five failures in a row. What was under way together when a line broke has failed once, however
 * many calls it was: a connection that is back in a moment costs nobody a second. A call that nobody answered in time
 * counts each. While it is open nothing is asked for a second, then one call is let through, alone: what it comes to
 * decides for all.
 */
import { isPromise } from './awaitable.js'
import { Deadlines } from './deadlines.js'
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

/** What a call is failed with that was not answered in time. It may be carried out all the same, and later. */
class Late extends Error {
  override readonly name: string = 'Late'
}

/** Whether a fault says that a store did not answer in time: then it is not worth waiting for once more. */
export function isLate(fault: unknown): boolean {
  return fault instanceof Fault && fault.cause instanceof Late
}

/** The patience with one store. */
export function patience(): Ask {
  const deadlines = new Deadlines(DEADLINE)
  let calls = 0
  /** The latest call that was begun when a failure was counted: those up to it were under way beside it. */
  let counted = 0
  let failures = 0
  let restUntil = 0
  let probing = false

  const succeeded = (probe: boolean) => {
    if (probe) probing = false
    failures = 0
  }

  const failed = (begun: number, probe: boolean, cause: unknown): Fault => {
    if (probe) probing = false
    if (cause instanceof Fault) return cause
    const opened = failures >= FAILURES
    if (begun > counted || cause instanceof Late) {
      failures++
      counted = calls
    }
    // What was asked before it opened says nothing new, and must not keep it open.
    if (failures >= FAILURES && (probe || !opened)) restUntil = performance.now() + REST
    return new Fault('ERR_STORE', 'the session store failed; nobody was logged out', { cause })
  }

  const inTime = <T>(answer: Promise<T>, begun: number, probe: boolean): Promise<T> =>
    new Promise((resolve, reject) => {
      const late = () => reject(failed(begun, probe, new Late(`no answer within ${DEADLINE} ms`)))
      const waiting = deadlines.begin(late)
      answer.then(
        (value) => {
          if (!deadlines.end(waiting)) return
          succeeded(probe)
          resolve(value)
        },
        (cause) => {
          if (deadlines.end(waiting)) reject(failed(begun, probe, cause))
        },
      )
    })

  return (call) => {
    const probe = failures >= FAILURES
    if (probe) {
      if (probing || performance.now() < restUntil)
        throw new Fault('ERR_STORE', 'the session store failed several times in a row and is left alone for a second')
      probing = true
    }
    const begun = ++calls
    let answer: ReturnType<typeof call>
    try {
      answer = call()
    } catch (cause) {
      throw failed(begun, probe, cause)
    }
    if (isPromise(answer)) return inTime(answer, begun, probe)
    succeeded(probe)
    return answer
  }
}
