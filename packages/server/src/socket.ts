/** What the server listens by: plain HTTP, or HTTPS with a certificate of its own that is renewed while it runs. */
import type { Server } from 'node:http'
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https'
import { createAdaptorServer } from '@hono/node-server'
import { loadCertificate } from './certificate.js'
import type { Config } from './config.js'

/** A server that does not listen yet. */
export interface Socket {
  readonly server: Server
  readonly scheme: 'http' | 'https'
  /** Looks after the certificate no more. */
  stop(): void
}

const LOOK_EVERY = 12 * 3_600_000

/** Makes it; with HTTPS, the certificate too. Throws a `TypeError` for a certificate that others can read. */
export async function createSocket(
  fetch: Parameters<typeof createAdaptorServer>[0]['fetch'],
  config: Pick<Config, 'https' | 'data' | 'host' | 'origin'>,
  clock: () => number,
): Promise<Socket> {
  if (!config.https) return { server: createAdaptorServer({ fetch }) as Server, scheme: 'http', stop: () => {} }
  const names = [config.host, config.origin && new URL(config.origin).hostname.replace(/^\[(.*)\]$/, '$1')]
  const named = names.filter((name) => name !== undefined && !['0.0.0.0', '::'].includes(name)) as string[]
  const certificate = await loadCertificate(config.data, named, clock())
  const server = createAdaptorServer({
    fetch,
    createServer: createSecureServer,
    serverOptions: certificate,
  }) as unknown as SecureServer
  let current = certificate.cert
  const look = async () => {
    const next = await loadCertificate(config.data, named, clock())
    if (next.cert !== current) server.setSecureContext(next)
    current = next.cert
  }
  // What fails is tried again, long before the old one runs out.
  const looking = setInterval(() => void look().catch(() => {}), LOOK_EVERY).unref()
  return { server: server as unknown as Server, scheme: 'https', stop: () => clearInterval(looking) }
}
