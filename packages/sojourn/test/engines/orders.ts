/** Several actors whose steps are let through one at a time, in every order or in drawn ones. */

/** Waits for the actor's next turn. */
export type Turn = () => Promise<void>

/** Decides who of `count` that wait goes next. */
type Choose = (count: number) => number

/** What takes part: begun at once, each step of its own waiting for a turn. */
export type Actor = (turn: Turn) => Promise<unknown>

/** Runs the actors to their end, one step at a time. */
export async function inOrder(actors: readonly Actor[], choose: Choose): Promise<void> {
  const waiting = new Map<number, () => void>()
  let running = actors.length
  let allWait = () => {}
  const rested = () => {
    running--
    if (running === 0) allWait()
  }
  const failures: unknown[] = []
  const begun = actors.map((actor, i) => {
    const turn = () =>
      new Promise<void>((resolve) => {
        waiting.set(i, resolve)
        rested()
      })
    return actor(turn)
      .catch((error) => void failures.push(error))
      .then(rested)
  })
  for (;;) {
    if (running > 0)
      await new Promise<void>((resolve) => {
        allWait = resolve
      })
    const ready = [...waiting.keys()].toSorted((a, b) => a - b)
    if (ready.length === 0) break
    const next = ready[choose(ready.length)]!
    const go = waiting.get(next)!
    waiting.delete(next)
    running++
    go()
  }
  await Promise.all(begun)
  if (failures.length > 0) throw failures[0]
}

/** Runs `once` in every order that there is, and says how many. Throws beyond `most`: then there are too many. */
export async function everyOrder(once: (choose: Choose) => Promise<void>, most = 20_000): Promise<number> {
  let plan: { chosen: number; of: number }[] = []
  for (let orders = 1; ; orders++) {
    if (orders > most) throw new Error(`more than ${most} orders`)
    const made: typeof plan = []
    await once((of) => {
      const chosen = plan[made.length]?.chosen ?? 0
      made.push({ chosen, of })
      return chosen
    })
    while (made.length > 0 && made.at(-1)!.chosen === made.at(-1)!.of - 1) made.pop()
    if (made.length === 0) return orders
    made.at(-1)!.chosen++
    plan = made
  }
}

/** Draws orders, the same for the same seed. */
export function drawn(seed: number): Choose {
  let state = seed + 1
  return (count) => {
    // A linear congruential generator: its high bits are good enough to order steps by.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * count)
  }
}
