/** A browser's cookies and redirects, for tests that call the handlers themselves. */
import type { Arrived, BeginOptions, OAuth, OAuthSession, Refused } from 'sojourn/identity/oauth'

/** One visitor: keeps cookies by name, as `localhost` would. */
export class Visitor {
  readonly cookies = new Map<string, string>()
  readonly #origin: string

  constructor(origin: string) {
    this.#origin = origin
  }

  /** A request with the cookies. */
  request(url: string | URL, init: RequestInit = {}): Request {
    const cookie = [...this.cookies].map((pair) => pair.join('=')).join('; ')
    return new Request(new URL(url, this.#origin), { ...init, headers: { cookie, ...(init.headers as object) } })
  }

  /** Keeps and forgets what a response says. */
  take(headers: Headers): void {
    for (const line of headers.getSetCookie()) {
      const [name = '', value = ''] = line.split(';', 1)[0]!.split('=', 2)
      if (/; Max-Age=0;/.test(line)) this.cookies.delete(name)
      else this.cookies.set(name, value)
    }
  }

  /** Begins, and says where the browser is sent. Fails the test where it may not. */
  async begin(oauth: OAuth, provider: string, options: BeginOptions = {}, method = 'GET'): Promise<URL> {
    const begun = await oauth.begin(this.request('/begin', { method }), provider, options)
    if (!(begun instanceof Response)) throw new Error(`refused: ${begun.refused}`)
    this.take(begun.headers)
    return new URL(begun.headers.get('location')!)
  }

  /** Comes back. */
  async callback(oauth: OAuth, url: URL, session?: OAuthSession): Promise<Arrived | Refused> {
    const found = await oauth.callback(this.request(url), session)
    this.take(found.headers)
    return found
  }
}
