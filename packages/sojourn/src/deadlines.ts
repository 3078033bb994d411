/**
 * Calls that must be answered within a time that is the same for all. They run out in the order in which they began, so one
 * timer does for all of them, and a call that is answered has cost none of its own.
 */

/** A call that is waited for: a place in the line. */
export interface Waiting {
  /** On the clock that nobody sets. */
  readonly due: number
  readonly late: () => void
  before: Waiting
  after: Waiting
}

/** The line of those that wait. */
export class Deadlines {
  readonly #ms: number
  /** Stands between the last and the first. */
  readonly #end: Waiting
  #timer: ReturnType<typeof setTimeout> | undefined

  /** `ms`: milliseconds that each may take. */
  constructor(ms: number) {
    this.#ms = ms
    this.#end = { due: Number.POSITIVE_INFINITY, late() {} } as Waiting
    this.#end.before = this.#end.after = this.#end
  }

  /** A call began. `late` is called unless `end` comes first. */
  begin(late: () => void): Waiting {
    const end = this.#end
    this.#timer ??= setTimeout(this.#ring, this.#ms)
    const waiting = { due: performance.now() + this.#ms, late, before: end.before, after: end }
    end.before.after = waiting
    end.before = waiting
    return waiting
  }

  /** A call was answered. `false`: too late. */
  end(waiting: Waiting): boolean {
    const { before, after } = waiting
    if (after === waiting) return false
    before.after = after
    after.before = before
    waiting.before = waiting.after = waiting
    if (this.#end.after === this.#end) this.#rest()
    return true
  }

  /** Nobody waits: no timer keeps the process from ending. */
  #rest(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  readonly #ring = (): void => {
    const now = performance.now()
    const { due } = this.#end.after
    // When it was this process that paused, what has come meanwhile is heard first.
    if (due <= now) setImmediate(this.#over, now)
    else this.#wait(due - now)
  }

  readonly #over = (now: number): void => {
    for (let first = this.#end.after; first.due <= now; first = this.#end.after) {
      this.end(first)
      first.late()
    }
    this.#wait(this.#end.after.due - now)
  }

  #wait(ms: number): void {
    this.#rest()
    if (ms < Number.POSITIVE_INFINITY) this.#timer = setTimeout(this.#ring, Math.ceil(ms))
  }
}
