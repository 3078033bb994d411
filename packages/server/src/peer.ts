/** Who is at the other end, as far as the configuration says whom to believe (ASVS 15.3.4). */
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'

/** Where a request came from, and whether the way was encrypted. */
export interface Peer {
  readonly ip: string
  readonly secure: boolean
}

/**
 * The peer of a request that passed `hops` proxies of ours. Each appends what it saw, so the entry that the outermost
 * one wrote is counted from the end, and whatever a client wrote before it is not looked at.
 */
export function peerOf(incoming: IncomingMessage, hops: number): Peer {
  const socket = incoming.socket
  const direct: Peer = { ip: socket.remoteAddress ?? '', secure: 'encrypted' in socket && socket.encrypted === true }
  if (hops === 0) return direct
  const forwarded = entry(incoming.headers['x-forwarded-for'], hops)
  const scheme = entry(incoming.headers['x-forwarded-proto'], hops)
  return {
    ip: forwarded !== undefined && isIP(forwarded) ? forwarded : direct.ip,
    secure: scheme === undefined ? direct.secure : scheme.toLowerCase() === 'https',
  }
}

function entry(header: string | string[] | undefined, hops: number): string | undefined {
  const list = String(header ?? '').split(',')
  return list[Math.max(0, list.length - hops)]?.trim() || undefined
}
