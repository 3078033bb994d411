/** Holds handlers in the middle of their work, so that an interleaving is made and not hoped for. */
export function createGate() {
  let held = []
  let noticed = () => {}
  return {
    /** What a handler awaits where it would ask its database. */
    pass: () =>
      new Promise((resolve) => {
        held.push(resolve)
        noticed()
      }),
    /** Resolves when as many handlers are held: all of them have read their session by then. */
    holds: (count) =>
      new Promise((resolve) => {
        noticed = () => held.length >= count && resolve()
        noticed()
      }),
    /** Lets all of them go on. */
    open() {
      for (const release of held) release()
      held = []
    },
  }
}

/** How long a slow store takes, milliseconds: a network away, and its writes reach a disk. */
export const SLOW = { read: 2, write: 20 }

/** Does `work` as late as a slow store would. */
export const later = (kind, work) => setTimeout(work, SLOW[kind])
