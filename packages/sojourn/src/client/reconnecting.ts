/** A connection that is made anew when it breaks, each time with a fresh ticket, for as long as there are any. */
import { type Opener, Refused } from './ticket.js'

const SHORTEST = 500
const LONGEST = 30_000
/** A connection that lasted so long, in milliseconds, was a good one: the next attempt is soon. */
const GOOD = 10_000

/** Dispatches `open` each time that it is connected, and `close` once, when it is over for good. */
export abstract class Reconnecting extends EventTarget {
  readonly #opener: Opener
  #timer: ReturnType<typeof setTimeout> | undefined
  #failures = 0
  #openedAt = Number.POSITIVE_INFINITY
  #over = false

  constructor(opener: Opener) {
    super()
    this.#opener = opener
    // What the derived class needs is not there before its constructor has run, nor is any listener.
    queueMicrotask(() => this.#connect())
  }

  /** Whether it is over: closed here, ended by the server, or no ticket is given any more. */
  get closed(): boolean {
    return this.#over
  }

  /** Ends it for good. */
  close(): void {
    this.finish(new Event('close'))
  }

  override addEventListener(
    type: string,
    listener: ((event: MessageEvent) => void) | EventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void {
    super.addEventListener(type, listener as EventListenerOrEventListenerObject | null, options)
  }

  protected abstract connect(url: URL): void
  protected abstract disconnect(): void

  /** It is connected. */
  protected opened(): void {
    this.#openedAt = Date.now()
    this.dispatchEvent(new Event('open'))
  }

  /** It broke, or could not be made. */
  protected broken(): void {
    this.disconnect()
    if (this.#over) return
    if (Date.now() - this.#openedAt >= GOOD) this.#failures = 0
    this.#openedAt = Number.POSITIVE_INFINITY
    const longest = Math.min(LONGEST, SHORTEST * 2 ** this.#failures++)
    // Not all at once when a server comes back.
    const share = crypto.getRandomValues(new Uint8Array(1))[0]! / 255
    this.#timer = setTimeout(() => this.#connect(), longest * (0.5 + share / 2))
    this.dispatchEvent(new Event('error'))
  }

  /** It is over, and `event` says so. */
  protected finish(event: Event): void {
    if (this.#over) return
    this.#over = true
    clearTimeout(this.#timer)
    this.disconnect()
    this.dispatchEvent(event)
  }

  async #connect(): Promise<void> {
    try {
      const url = await this.#opener()
      if (!this.#over) this.connect(url)
    } catch (error) {
      if (error instanceof Refused) this.close()
      else this.broken()
    }
  }
}
