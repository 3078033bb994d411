/** A WebSocket for a session whose credential is no cookie. */

import { Reconnecting } from './reconnecting.js'
import type { Opener } from './ticket.js'

/** The code of a connection that did what it was for. */
const DONE = 1000

/** As a `WebSocket`: `open`, `message`, `close`. A server that closes with 1000 ends it; after anything else it comes back. */
export class TicketedWebSocket extends Reconnecting {
  readonly #protocols: string | string[]
  #socket: WebSocket | undefined

  constructor(opener: Opener, protocols: string | string[] = []) {
    super(opener)
    this.#protocols = protocols
  }

  /** Whether `send` would send now. */
  get connected(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN
  }

  /** Throws an `InvalidStateError` while it is not connected: what to say again after a break, the app knows. */
  send(data: string | Blob | BufferSource): void {
    if (!this.#socket || !this.connected)
      throw new DOMException('client: the socket is not connected', 'InvalidStateError')
    this.#socket.send(data)
  }

  protected connect(url: URL): void {
    url.protocol = url.protocol.replace('http', 'ws')
    const socket = new WebSocket(url, this.#protocols)
    this.#socket = socket
    socket.onopen = () => this.opened()
    socket.onmessage = ({ data, origin }) => this.dispatchEvent(new MessageEvent('message', { data, origin }))
    socket.onclose = ({ code, reason, wasClean }) => {
      if (code === DONE) this.finish(new CloseEvent('close', { code, reason, wasClean }))
      else this.broken()
    }
  }

  protected disconnect(): void {
    if (this.#socket) this.#socket.onclose = null
    this.#socket?.close(DONE)
    this.#socket = undefined
  }
}
