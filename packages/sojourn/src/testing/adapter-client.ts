/** What the adapter suite asks servers with: real sockets, HTTP/1.1 or HTTP/2, and every header line as it came. */
import { request as request1 } from 'node:http'
import { connect as connect2, type IncomingHttpHeaders } from 'node:http2'
import { connect } from 'node:net'

/** A request: GET / unless it says more. */
export interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** The cookies to send, and where those that come back are kept. */
  readonly jar?: Map<string, string>
}

/** What came back. */
export interface Answered {
  readonly status: number
  readonly reason: string
  readonly headers: Readonly<IncomingHttpHeaders>
  /** The `Set-Cookie` lines. */
  readonly cookies: readonly string[]
  readonly body: Buffer
  /** When the head arrived, in the time of `performance.now()`. */
  readonly at: number
}

/** A server that hangs is told from a slow one after so many milliseconds. */
const PATIENCE = 5_000

/** Sends requests to one server. */
export class Client {
  readonly port: number
  readonly #http2: boolean

  constructor(port: number, http2: boolean) {
    this.port = port
    this.#http2 = http2
  }

  /** Asks, waits for the whole answer, and keeps its cookies. Rejects when it is cut, or does not come. */
  async ask(path = '/', { jar, ...asked }: Asked = {}): Promise<Answered> {
    const headers: Record<string, string> = { ...asked.headers }
    if (jar?.size) headers.cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const answered = await inTime(path, (this.#http2 ? ask2 : ask1)(this.port, path, { ...asked, headers }))
    for (const line of jar ? answered.cookies : []) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!
      if (/; Max-Age=0(;|$)/.test(line)) jar!.delete(name!)
      else jar!.set(name!, value!)
    }
    return answered
  }

  /** Sends these bytes on a connection of its own (HTTP/1.1), and gives all that comes until `enough` says so. */
  raw(bytes: string, enough: (received: string) => boolean): Promise<string> {
    const socket = connect(this.port, '127.0.0.1', () => socket.write(bytes))
    const received = new Promise<string>((resolve, reject) => {
      let text = ''
      socket.setEncoding('latin1')
      socket.on('error', reject)
      socket.on('close', () => reject(new Error(`the connection was closed after ${JSON.stringify(text)}`)))
      socket.on('data', (more: string) => {
        text += more
        if (enough(text)) resolve(text)
      })
    })
    return inTime('these bytes', received).finally(() => socket.destroy())
  }

  /** Sends a request, and goes away as soon as `begun` is done, without waiting for the answer. */
  async abort(path: string, begun: Promise<unknown>): Promise<void> {
    if (this.#http2) {
      const session = connect2(`http://127.0.0.1:${this.port}`)
      const stream = session.request({ ':path': path, ':authority': `localhost:${this.port}` })
      stream.on('error', () => {})
      session.on('error', () => {})
      await inTime(path, begun)
      session.destroy()
    } else {
      const request = request1({ host: '127.0.0.1', port: this.port, path, agent: false })
      request.on('error', () => {}).end()
      await inTime(path, begun)
      request.destroy()
    }
  }
}

function inTime<T>(what: string, answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no whole answer to ${what} in ${PATIENCE} ms`)), PATIENCE)
    answer.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

type Ask = (port: number, path: string, asked: Asked) => Promise<Answered>

const ask1: Ask = (port, path, { method = 'GET', headers, body }) =>
  new Promise((resolve, reject) => {
    const host = `localhost:${port}`
    const sent = request1({ host: '127.0.0.1', port, path, method, agent: false, headers: { host, ...headers } })
    sent.on('error', reject)
    sent.on('response', (response) => {
      const at = performance.now()
      const chunks: Buffer[] = []
      response.on('error', reject)
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => {
        const { statusCode: status = 0, statusMessage: reason = '', headers } = response
        const cookies = headers['set-cookie'] ?? []
        resolve({ status, reason, headers, cookies, body: Buffer.concat(chunks), at })
      })
    })
    sent.end(body)
  })

const ask2: Ask = (port, path, { method = 'GET', headers, body }) =>
  new Promise((resolve, reject) => {
    const session = connect2(`http://127.0.0.1:${port}`)
    const head = { ':method': method, ':path': path, ':authority': `localhost:${port}`, ...headers }
    const stream = session.request(head)
    const fail = (error: Error) => {
      session.destroy()
      reject(error)
    }
    session.on('error', fail)
    stream.on('error', fail)
    stream.on('response', (headers) => {
      const at = performance.now()
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('aborted', () => fail(new Error(`the answer to ${path} was cut`)))
      stream.on('end', () => {
        session.close()
        const cookies = headers['set-cookie'] ?? []
        resolve({ status: headers[':status'] ?? 0, reason: '', headers, cookies, body: Buffer.concat(chunks), at })
      })
    })
    stream.end(body)
  })
