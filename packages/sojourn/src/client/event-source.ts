/** Server-sent events for a session whose credential is no cookie. */
import { Reconnecting } from './reconnecting.js'

/** What it says of itself, and no event of the server's. */
const OWN = new Set(['open', 'error', 'close'])

/**
 * As an `EventSource`: `message`, and the events by their names. After a break the address has the last event's id as
 * `last-event-id`, since a new `EventSource` sends no such header.
 */
export class TicketedEventSource extends Reconnecting {
  readonly #types = new Set<string>()
  #source: EventSource | undefined
  #lastEventId = ''

  override addEventListener(...args: Parameters<Reconnecting['addEventListener']>): void {
    super.addEventListener(...args)
    const [type] = args
    if (OWN.has(type) || this.#types.has(type)) return
    this.#types.add(type)
    this.#source?.addEventListener(type, this.#forward)
  }

  protected connect(url: URL): void {
    if (this.#lastEventId !== '') url.searchParams.set('last-event-id', this.#lastEventId)
    const source = new EventSource(url)
    this.#source = source
    source.onopen = () => this.opened()
    // Its own reconnecting would show a ticket that is used up.
    source.onerror = () => this.broken()
    for (const type of this.#types) source.addEventListener(type, this.#forward)
  }

  protected disconnect(): void {
    if (this.#source) this.#source.onerror = null
    this.#source?.close()
    this.#source = undefined
  }

  readonly #forward = (event: MessageEvent): void => {
    const { type, data, origin, lastEventId } = event
    this.#lastEventId = lastEventId
    this.dispatchEvent(new MessageEvent(type, { data, origin, lastEventId }))
  }
}
