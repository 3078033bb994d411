/** A client with a cookie jar, for handlers called in this process: several cookies, and all of it can be copied. */

type Handler = (request: Request) => Promise<Response>

/** Cookies by name, and what they are sent to. */
export class Client {
  cookies: Map<string, string>
  readonly #handler: Handler

  constructor(handler: Handler, cookies: ReadonlyMap<string, string> = new Map()) {
    this.#handler = handler
    this.cookies = new Map(cookies)
  }

  /** The same client, now, before another app. */
  at(handler: Handler): Client {
    return new Client(handler, this.cookies)
  }

  async send(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers)
    if (this.cookies.size > 0)
      headers.set('cookie', [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; '))
    const response = await this.#handler(new Request(`https://shop.example${path}`, { ...init, headers }))
    for (const line of response.headers.getSetCookie()) {
      const [pair, ...attributes] = line.split('; ')
      const [name, value] = pair!.split(/=(.*)/s) as [string, string]
      if (attributes.includes('Max-Age=0')) this.cookies.delete(name)
      else this.cookies.set(name, value)
    }
    return response
  }

  /** The JSON of a GET. */
  async get<T = Record<string, unknown>>(path: string): Promise<T> {
    return (await this.send(path)).json() as Promise<T>
  }
}
