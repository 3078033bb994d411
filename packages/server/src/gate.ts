/** Bounds how much of something costly runs at once, and how much may wait for it. */

/** Too many are waiting already. */
export class Busy extends Error {
  override readonly name: string = 'Busy'
}

/** Runs the work when there is room for it. Throws `Busy` at once when the queue is full. */
export type Gate = <T>(work: () => Promise<T>) => Promise<T>

/** A gate that lets `atOnce` through and `waiting` queue, first come, first served. */
export function createGate(atOnce: number, waiting: number): Gate {
  const queue: Array<() => void> = []
  let running = 0
  return async (work) => {
    if (running === atOnce) {
      if (queue.length === waiting) throw new Busy('more password hashes are waiting than are let to')
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
