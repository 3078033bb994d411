/** Listening, and what the address is called. */
import type { Server } from 'node:http'
import { type AddressInfo, isIPv6 } from 'node:net'
import type { Address } from './config.js'

/** Listens; rejects when the address is taken, or not ours. */
export function listen(server: Server, { port, host }: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** Where it is reached from this machine. */
export function urlOf(server: Server, scheme: 'http' | 'https' = 'http'): string {
  const { address, port } = server.address() as AddressInfo
  const host = address === '0.0.0.0' || address === '::' ? 'localhost' : isIPv6(address) ? `[${address}]` : address
  return `${scheme}://${host}:${port}`
}

/** Whether only this machine reaches it. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}
