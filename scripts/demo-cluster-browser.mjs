/** A client of the cluster demo: it keeps its cookie, and may say which server it wants. */

/** @typedef {{ status: number, body: any }} Answer */

/** A client with a cookie of its own. */
export class Browser {
  #origin
  #cookie = ''

  /** @param {string} origin */
  constructor(origin) {
    this.#origin = origin
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {{ server?: number, body?: object }} [options]
   * @returns {Promise<Answer>}
   */
  async ask(method, path, { server, body } = {}) {
    const response = await fetch(this.#origin + path, {
      method,
      headers: {
        ...(this.#cookie ? { cookie: this.#cookie } : {}),
        ...(body ? { 'content-type': 'application/json' } : {}),
        ...(server ? { 'x-server': String(server) } : {}),
      },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
    if (server && response.headers.get('x-server') !== String(server)) throw new Error('nginx chose another server')
    const [line] = response.headers.getSetCookie()
    if (line) this.#cookie = line.split(';', 1)[0] ?? ''
    const text = await response.text()
    return { status: response.status, body: text.startsWith('{') ? JSON.parse(text) : undefined }
  }

  /**
   * @param {number} status
   * @param {string} method
   * @param {string} path
   * @param {{ server?: number, body?: object }} [options]
   */
  async expect(status, method, path, options) {
    const answer = await this.ask(method, path, options)
    if (answer.status !== status)
      throw new Error(`${method} ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`)
    return answer.body
  }
}
