/** A client on real sockets that are kept alive: it carries one credential, and remembers every one that it ever had. */
import { Agent, request } from 'node:http'
import { onTestFinished } from 'vitest'
import type { Travel } from './rows.js'
import type { Served, View } from './servers.js'

/** One answer. `view` is the app's; absent where the adapter answered in its place. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly view: View | undefined
}

/** A visitor. */
export class Visitor {
  credential: string
  readonly captured: Set<string>
  readonly #travel: Travel
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 8 })
  readonly #server: Served

  constructor(travel: Travel, server: Served, credential = '') {
    this.#travel = travel
    this.#server = server
    this.credential = credential
    this.captured = new Set(credential === '' ? [] : [credential])
    onTestFinished(() => this.#agent.destroy())
  }

  /** Sends a request, and keeps what it was given. */
  async send(path: string): Promise<Answer> {
    const { headers, path: url } = this.#travel.send(this.credential, path)
    const answer = await this.#ask(url, headers)
    this.credential = this.#travel.keep(this.credential, {
      headers: answer.headers,
      ...(answer.view ? { link: answer.view.link } : {}),
    })
    if (this.credential !== '') this.captured.add(this.credential)
    return answer
  }

  /** What the app says, which answered in person. */
  async view(path = '/'): Promise<View> {
    const { view, status } = await this.send(path)
    if (!view) throw new Error(`${path} was answered ${status}`)
    return view
  }

  /** Another client with a credential of this one's, before this server or another. */
  copy(credential: string = this.credential, server: Served = this.#server): Visitor {
    return new Visitor(this.#travel, server, credential)
  }

  #ask(path: string, headers: Record<string, string>): Promise<Answer> {
    const method = path === '/' || path.startsWith('/?') ? 'GET' : 'POST'
    const { port } = this.#server
    return new Promise((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port, path, method, headers, agent: this.#agent }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const received = new Headers()
          for (let i = 0; i < response.rawHeaders.length; i += 2)
            received.append(response.rawHeaders[i]!, response.rawHeaders[i + 1]!)
          const text = Buffer.concat(chunks).toString()
          const own = response.statusCode === 200
          resolve({ status: response.statusCode!, headers: received, view: own ? JSON.parse(text) : undefined })
        })
      })
      sent.on('error', reject)
      sent.end()
    })
  }
}
