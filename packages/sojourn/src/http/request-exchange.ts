/** A fetch `Request`, and headers for its response, as the least that the session core needs. */
import type { Exchange } from '../types.js'

/** The exchange of one `Request`. */
export class RequestExchange implements Exchange {
  readonly ip: string | undefined
  secure: boolean
  /** Those of the response; whoever makes it decides which they are. */
  protected headers: Headers
  readonly #request: Request

  constructor(request: Request, secure: boolean, ip?: string, headers: Headers = new Headers()) {
    this.#request = request
    this.secure = secure
    this.ip = ip
    this.headers = headers
  }

  get method(): string {
    return this.#request.method
  }

  get url(): string {
    const { pathname, search } = new URL(this.#request.url)
    return pathname + search
  }

  header(name: string): string | undefined {
    const value = this.#request.headers.get(name)
    // A Request made from elsewhere may lack Host; its URL has it.
    return value ?? (name === 'host' ? new URL(this.#request.url).host : undefined)
  }

  get(name: string): string | undefined {
    return this.headers.get(name) ?? undefined
  }

  set(name: string, value: string): void {
    this.headers.set(name, value)
  }

  cookies(): string[] {
    return this.headers.getSetCookie()
  }

  setCookies(lines: string[]): void {
    this.headers.delete('set-cookie')
    for (const line of lines) this.headers.append('set-cookie', line)
  }
}
