/** What the tabs of an origin tell each other. Every script of the origin can speak here, so nothing is taken on trust. */
import { type Credential, credentialOf } from './credential.js'

/** What was said, and when it holds from: epoch milliseconds. */
export interface Message {
  readonly kind: 'login' | 'logout' | 'renewed'
  readonly at: number
  /** Only where any script of the origin could have it from the server as well, by the refresh cookie. */
  readonly credential?: Credential | undefined
  /** A credential that only those can read who hold the one that it replaces. */
  readonly sealed?: Uint8Array<ArrayBuffer> | undefined
}

/** The other tabs. */
export interface Tabs {
  tell(message: Message): void
  close(): void
}

/** Joins the tabs whose clients have the same name. Nothing is heard of what this tab says itself. */
export function joinTabs(name: string, hear: (message: Message) => void): Tabs {
  if (typeof BroadcastChannel === 'undefined') return { tell() {}, close() {} }
  const channel = new BroadcastChannel(name)
  channel.onmessage = ({ data }) => {
    const message = messageOf(data)
    if (message) hear(message)
  }
  // Node keeps a process alive for an open channel; a browser has no such thing.
  ;(channel as { unref?: () => void }).unref?.()
  return { tell: (message) => channel.postMessage(message), close: () => channel.close() }
}

/** Browsers coarsen clocks, each process its own way: milliseconds that one may be ahead of another. */
const JITTER = 1_000

/** A time to come would end logins that have not begun yet. */
function messageOf(data: unknown): Message | undefined {
  if (typeof data !== 'object' || data === null) return undefined
  const { kind, at, credential, sealed } = data as Record<string, unknown>
  if (kind !== 'login' && kind !== 'logout' && kind !== 'renewed') return undefined
  if (typeof at !== 'number' || !(at <= Date.now() + JITTER)) return undefined
  return {
    kind,
    at: Math.min(at, Date.now()),
    credential: credentialOf(credential),
    sealed: sealed instanceof Uint8Array && sealed.length < 65_536 ? new Uint8Array(sealed) : undefined,
  }
}
