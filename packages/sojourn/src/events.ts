/** What happened, told to whoever listens. A listener that fails is the listener's problem, never the visitor's. */
import type { EventBody, SessionEvent } from './types.js'

/** Hears every event. */
export type Listener = (event: SessionEvent) => unknown

/** The listeners of one `createSessions`. */
export class Events {
  readonly #clock: () => number
  readonly #listeners = new Set<Listener>()

  constructor(clock: () => number) {
    this.#clock = clock
  }

  on(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  emit(body: EventBody): void {
    if (this.#listeners.size === 0) return
    const event: SessionEvent = { ...body, at: this.#clock() }
    for (const listener of this.#listeners) {
      try {
        const result = listener(event)
        if (result instanceof Promise) result.catch(complain)
      } catch (error) {
        complain(error)
      }
    }
  }
}

function complain(error: unknown): void {
  const reason = error instanceof Error ? error.name : typeof error
  process.emitWarning(`a listener for session events failed (${reason}); the request went on`, {
    code: 'SOJOURN_LISTENER',
  })
}
