/**
 * Tickets: what stands in for a credential in a URL, where WebSocket, EventSource and downloads can send nothing else.
 * One works once, for one path, for a minute at most, and only while its session lives: what logs and histories keep of
 * it opens nothing (A-117, A-118, ASVS 4.4.3).
 */
import { type Flow, run, then, wait } from '../awaitable.js'
import { challenge } from '../challenge.js'
import { hmac, sameDigest, sha256 } from '../crypto/digest.js'
import { randomText } from '../crypto/random.js'
import { Sealer } from '../crypto/seal.js'
import { problem } from '../errors.js'
import { mustBeStrong } from '../ledger/strong.js'
import { isOwnPath } from '../own-path.js'
import { type Ask, patience } from '../patience.js'
import { Session } from '../session.js'
import { Sessions } from '../sessions.js'
import type { Awaitable, DerivedKey, Device, Refusal, SessionRecord, State, Store } from '../types.js'
import type { Core } from '../visit.js'
import { parameters } from './request.js'

/** Options of `tickets`. */
export interface TicketOptions<Data extends object> {
  /** Whose sessions the tickets stand for. */
  sessions: Sessions<Data>
  /** Where it is kept which tickets are unused: one that all servers share. The one of the sessions will do. */
  store: Store
  /** How long a ticket waits to be used, milliseconds, 60,000 at most. Default 30,000. */
  lifetime?: number
}

/** What a ticket opened: the session as it is now, to be read. */
export interface Redeemed {
  /** The session's handle. */
  readonly id: string
  /** Absent: a guest. */
  readonly userId: string | undefined
  readonly createdAt: number
  readonly authenticatedAt: number | undefined
  /** What the access token that asked for the ticket is good for. Absent: for all that the user may do. */
  readonly scope: readonly string[] | undefined
  readonly expiresAt: number
  readonly persistent: boolean
  /** Untrusted text: escape it. */
  readonly device: Device | undefined
  /**
   * Whether the session is still honoured, for connections that outlast a request: ask now and then, and close them when
   * it is not. One store call; none where the strategy makes none. Throws a `Fault` when the store fails.
   */
  alive(): Awaitable<boolean>
}

/** The part of a request that is looked at: of a fetch `Request`, or of node's. */
export interface TicketRequest {
  readonly headers:
    | { get(name: string): string | null }
    | Readonly<Record<string, string | readonly string[] | undefined>>
}

const LONGEST_LIFE = 60_000
/** `<key id>.<256 random bits>.<when it ends>.<signature>` */
const TICKET = /^([A-Za-z0-9]{1,16})\.[\w-]{43}\.([0-9a-z]{1,9})\.([\w-]{43})$/

/** Issues and redeems tickets. */
export class Tickets<Data extends object> {
  readonly #sessions: Sessions<Data>
  readonly #core: Core
  readonly #store: Store
  readonly #lifetime: number
  readonly #keys: readonly [DerivedKey, ...DerivedKey[]]
  readonly #sealer: Sealer
  readonly #ask: Ask = patience()

  constructor({ sessions, store, lifetime = 30_000 }: TicketOptions<Data>) {
    if (!(lifetime >= 1_000 && lifetime <= LONGEST_LIFE))
      throw new TypeError(
        'tickets: `lifetime` is milliseconds between 1,000 and 60,000; a client gets its ticket right before it uses it',
      )
    mustBeStrong('tickets', 'store', store)
    this.#sessions = sessions
    this.#core = Sessions.core(sessions as unknown as Sessions<object>)
    this.#store = store
    this.#lifetime = lifetime
    const { keys } = this.#core.context
    this.#keys = keys.derive('ticket')
    this.#sealer = new Sealer(keys.derive('ticket content'), 'sojourn ticket')
  }

  /**
   * A ticket for this session and exactly this path, with or without a query, as `redeem` will be told it. `undefined`
   * for a visitor about whom nothing is kept, or not yet. One store call. Throws a `TypeError` for what is no path of this
   * origin.
   */
  issue(session: Session<Data>, path: string): Awaitable<string | undefined> {
    if (!isOwnPath(path)) throw new TypeError('tickets.issue: a ticket is for one path of this origin, such as "/live"')
    const credential = Session.ticket(session as unknown as Session<object>)
    if (!credential) return undefined
    const now = this.#core.context.clock()
    const expiresAt = now + this.#lifetime
    const [key] = this.#keys
    const unsigned = `${key.id}.${randomText(32)}.${expiresAt.toString(36)}`
    const ticket = `${unsigned}.${sign(key, unsigned, path)}`
    const id = idOf(ticket)
    // Its own name is sealed with it: whoever can write to the store cannot put another session under it.
    const data = this.#sealer.seal(JSON.stringify([id, credential]))
    const record: SessionRecord = { data, createdAt: now, seenAt: now, expiresAt, version: 1 }
    return then(
      this.#ask(() => this.#store.set(id, record, 0)),
      () => ticket,
    )
  }

  /**
   * The session that the ticket stands for, if it is presented at the path that it was issued for; the ticket is then
   * used up, for exactly one of several who present it at once. A prefetch of the browser's is `absent`, and uses up
   * nothing. No store call for a ticket that is not ours, of another path, or too late; otherwise two, and what
   * the strategy needs to open a session.
   */
  redeem(ticket: unknown, path: string, request: TicketRequest): Awaitable<Redeemed | Refusal> {
    if (ticket === undefined || ticket === null || ticket === '' || isPrefetch(request)) return 'absent'
    const { context } = this.#core
    return then(run(this.#redeem(ticket, path)), (found) => {
      if (typeof found === 'string') context.emit({ type: 'refused', reason: found })
      return found
    })
  }

  /**
   * `POST {"path": "/live"}`, as JSON or a form, to `{"ticket", "expires_in"}`: for the page that opens the connection. A
   * fetch handler, to be mounted behind the adapter, which guards it; 401 for a visitor about whom nothing is kept.
   */
  readonly handler = async (request: Request): Promise<Response> => {
    if (request.method !== 'POST') return refuse(405, 'Method Not Allowed', { allow: 'POST' })
    const sent = await parameters(request)
    if (typeof sent === 'number') return refuse(sent, TITLES[sent])
    const path = sent.get('path')
    if (!isOwnPath(path)) return refuse(400, TITLES[400])
    const session = await this.#sessions.of(request)
    const ticket = await this.issue(session, path)
    if (ticket === undefined) return refuse(401, 'Unauthorized', { 'www-authenticate': challenge(session) })
    const headers = { 'cache-control': 'no-store' }
    return Response.json({ ticket, expires_in: Math.floor(this.#lifetime / 1000) }, { headers })
  };

  *#redeem(ticket: unknown, path: string): Flow<Redeemed | Refusal> {
    const refusal = this.#verify(ticket, path)
    if (refusal) return refusal
    const id = idOf(ticket as string)
    const kept = yield* wait(this.#ask(() => this.#store.get(id)))
    if (!kept || !(yield* wait(this.#ask(() => this.#store.delete(id))))) return 'replayed'
    const sealed = this.#sealer.open(kept.data)
    if (typeof sealed === 'string') return sealed
    const [name, credential] = JSON.parse(sealed.text) as [string, string]
    if (name !== id) return 'forged'
    const found = yield* wait(this.#open(credential))
    return typeof found === 'string' ? found : this.#redeemed(found, credential)
  }

  /** Why a ticket is not worth asking the store about. */
  #verify(ticket: unknown, path: string): Refusal | undefined {
    const parts = typeof ticket === 'string' ? TICKET.exec(ticket) : undefined
    if (!parts) return 'malformed'
    const [text, keyId, ends, signature] = parts as unknown as [string, string, string, string]
    const key = this.#keys.find(({ id }) => id === keyId)
    if (!key || !sameDigest(sign(key, text.slice(0, -signature.length - 1), path), signature)) return 'forged'
    return this.#core.context.clock() < Number.parseInt(ends, 36) ? undefined : 'expired'
  }

  #open(credential: string): Awaitable<State | Refusal> {
    const { strategy, context } = this.#core
    return strategy.open(credential, context.clock())
  }

  #redeemed({ id, record, scope }: State, credential: string): Redeemed {
    const { userId, createdAt, authenticatedAt, expiresAt, persistent = false, device } = record
    const alive = () => then(this.#open(credential), (found) => typeof found !== 'string')
    return { id, userId, createdAt, authenticatedAt, scope, expiresAt, persistent, device, alive }
  }
}

/** Tickets for sessions. Throws a `TypeError` for a lifetime over a minute. */
export function tickets<Data extends object>(options: TicketOptions<Data>): Tickets<Data> {
  return new Tickets(options)
}

/** The path is signed and not said: at another one the ticket is simply not ours. */
function sign({ key }: DerivedKey, unsigned: string, path: string): string {
  return hmac(key, `${unsigned}.${path}`)
}

/** Only this is at rest, and no handle of a session looks like it. */
function idOf(ticket: string): string {
  return `ticket ${sha256(ticket)}`
}

function isPrefetch({ headers }: TicketRequest): boolean {
  const header = (name: string) =>
    typeof headers.get === 'function' ? headers.get(name) : (headers as Record<string, unknown>)[name]
  return ['sec-purpose', 'purpose', 'x-purpose', 'x-moz'].some((name) =>
    /\b(?:prefetch|prerender|preview)\b/i.test(String(header(name) ?? '')),
  )
}

const TITLES = { 400: 'Bad Request', 413: 'Content Too Large', 415: 'Unsupported Media Type' }

function refuse(status: number, title: string, more: Record<string, string> = {}): Response {
  const { headers, body } = problem(status, title, undefined, more)
  return new Response(body, { status, headers })
}
