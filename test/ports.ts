/** Ports for programs that have to be told one. */
import { once } from 'node:events'
import { createServer } from 'node:net'

/** One that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('the server had no port')
  return address.port
}
