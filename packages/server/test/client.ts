/** A browser's half of the conversation, as far as tests need it: a jar of cookies and JSON. */
import { CookieJar } from 'tough-cookie'

/** What can be sent: text, bytes, or a stream of bytes, which does not say its length. */
export type Body = string | Uint8Array<ArrayBuffer> | ReadableStream

/** One answer, read. */
export interface Answer {
  status: number
  headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: what the server says is what the tests find out
  body: any
  text: string
}

/** A client with cookies of its own. */
export interface Client {
  jar: CookieJar
  get(path: string, headers?: Record<string, string>): Promise<Answer>
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
  delete(path: string): Promise<Answer>
  send(method: string, path: string, init?: { body?: Body; headers?: Record<string, string> }): Promise<Answer>
}

/** A client of the server at `base`. */
export function client(base: string, jar: CookieJar = new CookieJar()): Client {
  const send: Client['send'] = async (method, path, { body, headers = {} } = {}) => {
    const url = base + path
    const cookie = await jar.getCookieString(url)
    const response = await fetch(url, {
      method,
      headers: { ...(cookie === '' ? {} : { cookie }), ...headers },
      redirect: 'manual',
      ...(body === undefined ? {} : { body, duplex: 'half' }),
    })
    for (const line of response.headers.getSetCookie()) await jar.setCookie(line, url)
    const text = await response.text()
    const json = response.headers.get('content-type')?.includes('json')
    return { status: response.status, headers: response.headers, text, body: json ? JSON.parse(text) : undefined }
  }
  return {
    jar,
    send,
    get: (path, headers = {}) => send('GET', path, { headers }),
    delete: (path) => send('DELETE', path),
    post: (path, body, headers = {}) =>
      body === undefined
        ? send('POST', path, { headers })
        : send('POST', path, {
            body: JSON.stringify(body),
            headers: { 'content-type': 'application/json', ...headers },
          }),
  }
}
