/**
 * Serves the metrics, on an address of their own: behind a proxy on this machine everybody comes from this machine, so
 * that who asks could not be told by where they ask from.
 */
import { createServer, type Server } from 'node:http'
import type { Address } from './config.js'
import { listen } from './listen.js'
import type { Metrics } from './metrics.js'

/** Answers `GET /metrics`, and nothing else. */
export async function serveMetrics(metrics: Metrics, at: Address): Promise<Server> {
  const server = createServer((request, response) => {
    const { method, url } = request
    const found = url === '/metrics' && (method === 'GET' || method === 'HEAD')
    if (!found || !metrics.text) return void response.writeHead(404).end()
    metrics.text().then(
      ({ type, body }) => response.writeHead(200, { 'content-type': type, 'cache-control': 'no-store' }).end(body),
      () => response.writeHead(500).end(),
    )
  })
  await listen(server, at)
  return server
}
