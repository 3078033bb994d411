/**
 * What all servers of the benchmark share, so that they differ in their sessions only. A server is started with
 * one argument, `bare`, `unmodified` or `modified`, tells its parent the port, and answers `cpu` with the processor
 * time that it has used.
 */

/** Whether each request changes its session. */
export const modified = process.argv[2] === 'modified'

export { secret } from './secret.mjs'

let people = 0

/** What a login puts into a session: about 230 bytes of JSON, whatever keeps it, and another person's each time. */
export const filled = () => ({
  count: 0,
  name: `Ada Lovelace ${people++}`,
  locale: 'en-GB',
  theme: 'dark',
  cart: [
    { sku: 'KB-0417', title: 'Keyboard', quantity: 1, price: 8900 },
    { sku: 'MS-0033', title: 'Mouse', quantity: 2, price: 2450 },
  ],
  visited: ['/shop', '/shop/keyboards', '/cart'],
})

/** The body of every answer: small, and enough to check that the session was recognised. */
export const answer = (user, count) => `${user ?? 'guest'} ${count ?? 0}`

/** The user whom `/login?user-17` logs in; `undefined` for every other address. */
export const loginOf = (url) => (url.startsWith('/login?') ? url.slice(7) : undefined)

/** Reports to the parent, and ends with it. */
export function announce(port, facts = {}) {
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    process.send({ cpu: user + system })
  })
  process.on('disconnect', () => process.exit())
  process.send({ port, ...facts })
}

/** Listens on a free port of the loopback interface; takes an `http.Server` or an Express app. */
export function listen(app, facts) {
  const server = app.listen(0, '127.0.0.1', () => announce(server.address().port, facts))
}
