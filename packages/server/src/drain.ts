/** Stops a server without cutting anybody off. */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'

const LOOK_EVERY = 50

/**
 * Gives the function that stops `server`: no new connections, those that idle are closed, those with a request under
 * way after its response, and all of them after `limit` milliseconds.
 */
export function draining(server: Server, limit: number): () => Promise<void> {
  // Browsers open connections ahead of need. For node those are requests that have not said anything yet, not idle.
  const open = new Set<Socket>()
  server.on('connection', (socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  const closeIdle = () => {
    server.closeIdleConnections()
    for (const socket of open) if (socket.bytesRead === 0) socket.destroy()
  }
  return () =>
    new Promise((resolve) => {
      const looking = setInterval(closeIdle, LOOK_EVERY)
      const late = setTimeout(() => server.closeAllConnections(), limit)
      server.close(() => {
        clearInterval(looking)
        clearTimeout(late)
        resolve()
      })
      closeIdle()
    })
}
