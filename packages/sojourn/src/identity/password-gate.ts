/** How much of something costly runs at once, and how much may wait for it. */
import { Fault } from '../errors.js'

/** Runs the work when there is room for it. Throws `ERR_BUSY` at once when the queue is full. */
export type Gate = <T>(work: () => Promise<T>) => Promise<T>

/** A gate that lets `atOnce` through and `waiting` queue, first come, first served. Throws a `TypeError` for other numbers. */
export function createGate(atOnce: number, waiting: number): Gate {
  if (!Number.isSafeInteger(atOnce) || atOnce < 1 || !Number.isSafeInteger(waiting) || waiting < 0)
    throw new TypeError('password: `atOnce` is a whole number from 1 on, and `waiting` one from 0 on')
  const queue: Array<() => void> = []
  let running = 0
  return async (work) => {
    if (running === atOnce) {
      if (queue.length >= waiting) throw new Fault('ERR_BUSY', 'more password hashes are waiting than are let to')
      // The place is handed over by whoever leaves, so that nobody slips in between.
      await new Promise<void>((resolve) => queue.push(resolve))
    } else {
      running++
    }
    try {
      return await work()
    } finally {
      const next = queue.shift()
      if (next) next()
      else running--
    }
  }
}
