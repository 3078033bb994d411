/** A clock that stands still until it is told to move: tests of timeouts neither wait nor guess. */

/** A clock for the `clock` option of `createSessions` and of the stores; call it to read the time. */
export interface ManualClock {
  /** The time it shows, epoch milliseconds. */
  (): number
  /** Moves it on by `ms` milliseconds. */
  advance(ms: number): void
  /** Moves it to `ms`, epoch milliseconds; backwards too, as clocks of real servers do. */
  set(ms: number): void
}

/**
 * Makes a clock that shows `start`, epoch milliseconds; by default the beginning of 2026, in the past on purpose:
 * a part that was not given this clock and asks the real one finds everything expired, and its test fails at once.
 */
export function manualClock(start: number = Date.UTC(2026, 0)): ManualClock {
  let time = start
  return Object.assign(() => time, {
    advance: (ms: number) => {
      time += ms
    },
    set: (ms: number) => {
      time = ms
    },
  })
}
