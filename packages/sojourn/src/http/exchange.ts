/** A request and response of node:http, as the least that the session core needs. */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Awaitable, Exchange } from '../types.js'
import { hold } from './held.js'

/** What the node adapter may believe of what proxies write. */
export interface Trust {
  /** How many proxies stand in front, each of which adds to X-Forwarded-For. 0: none is believed. */
  readonly hops: number
}

/** The exchange of one node request. */
export class NodeExchange implements Exchange {
  protected readonly req: IncomingMessage
  readonly #res: ServerResponse
  readonly #trust: Trust
  /** Kept, since looking it up on a request whose prototype a framework has changed takes a microsecond. */
  #headers: IncomingHttpHeaders | undefined
  #secure: boolean | undefined
  /** As it was when the commit began: what a commit sets while the response waits is let through. */
  #setHeader: ServerResponse['setHeader'] | undefined

  constructor(req: IncomingMessage, res: ServerResponse, trust: Trust) {
    this.req = req
    this.#res = res
    this.#trust = trust
  }

  get method(): string {
    return this.req.method ?? ''
  }

  get url(): string {
    return this.req.url ?? ''
  }

  get secure(): boolean {
    this.#secure ??= this.detectSecure()
    return this.#secure
  }

  set secure(value: boolean) {
    this.#secure = value
  }

  get ip(): string | undefined {
    return this.#forwarded('x-forwarded-for') ?? addressOf(this.req.socket)
  }

  header(name: string): string | undefined {
    if (name === 'authorization') return this.#everyLine(name)
    // HTTP/2 says in a field of its own what HTTP/1.1 says in Host.
    this.#headers ??= this.req.headers
    const value = this.#headers[name] ?? (name === 'host' ? this.#headers[':authority'] : undefined)
    return Array.isArray(value) ? value.join(', ') : value
  }

  get(name: string): string | undefined {
    const value = this.#res.getHeader(name)
    return value === undefined ? undefined : String(value)
  }

  set(name: string, value: string): void {
    try {
      this.#put(name, value)
    } catch (error) {
      // Too late is not the request's fault: a session that is read while streaming is read all the same.
      if (!this.#res.headersSent) throw error
    }
  }

  cookies(): string[] {
    const lines = this.#res.getHeader('set-cookie')
    if (lines === undefined) return []
    return Array.isArray(lines) ? lines : [String(lines)]
  }

  setCookies(lines: string[]): void {
    this.#put('set-cookie', lines)
  }

  hold(): boolean {
    return !this.#res.headersSent
  }

  /**
   * What the headers wait for. From the beginning: in `res.end(view(session))` the session is changed after `res.end` was
   * looked up, and what stands there then is what is called.
   */
  before(commit: () => Awaitable<void>): void {
    hold(this.#res, () => {
      this.#setHeader = this.#res.setHeader
      return commit()
    })
  }

  #put(name: string, value: string | string[]): void {
    if (this.#setHeader) this.#setHeader.call(this.#res, name, value)
    else this.#res.setHeader(name, value)
  }

  /** Node keeps the first of several and drops the rest; whoever stands before us may have believed another. */
  #everyLine(name: string): string | undefined {
    const raw = this.req.rawHeaders
    const values = raw.filter((_, i) => i % 2 === 1 && raw[i - 1]!.toLowerCase() === name)
    return values.length === 0 ? undefined : values.join(', ')
  }

  protected detectSecure(): boolean {
    return this.#forwarded('x-forwarded-proto') === 'https' || (this.req.socket as TLSSocket).encrypted === true
  }

  /** What the outermost trusted proxy wrote: counted from the right, as the left end is the client's to invent. */
  #forwarded(name: string): string | undefined {
    if (this.#trust.hops === 0) return undefined
    const values = this.header(name)?.split(',')
    return values?.at(-Math.min(this.#trust.hops, values.length))?.trim() || undefined
  }
}

/**
 * The client's address. Node writes it down on the socket when it is asked, which gives that socket a layout that others do
 * not have; with a few of these, node's own code looks up every property of every socket the slow way, two microseconds of
 * each request. So it is asked on behalf of a stand-in, which keeps what is written down.
 */
function addressOf(socket: Socket): string | undefined {
  const written = new Map<string | symbol, unknown>()
  const standIn = new Proxy(socket, {
    get: (_, key) => (written.has(key) ? written.get(key) : Reflect.get(socket, key)),
    set: (_, key, value) => written.set(key, value) === written,
  })
  return Reflect.get(socket, 'remoteAddress', standIn)
}
