/** One at a time, across all tabs of the origin. */

const queues = new Map<string, Promise<unknown>>()

/**
 * Does the work while no other tab does any of that name; `waited` tells whether another one did before it. Without Web
 * Locks (pages over plain HTTP) only this page takes turns.
 */
export async function alone<T>(name: string, work: (waited: boolean) => Promise<T>): Promise<T> {
  const locks = (globalThis.navigator as Partial<Navigator> | undefined)?.locks
  if (!locks) return inTurn(name, work)
  const first = await locks.request(name, { ifAvailable: true }, async (lock) => lock && { done: await work(false) })
  return first ? first.done : locks.request(name, () => work(true))
}

function inTurn<T>(name: string, work: (waited: boolean) => Promise<T>): Promise<T> {
  const before = queues.get(name)
  const turn = before === undefined ? work(false) : before.then(() => work(true))
  const over = turn.then(
    () => {},
    () => {},
  )
  queues.set(name, over)
  over.then(() => {
    if (queues.get(name) === over) queues.delete(name)
  })
  return turn
}
