/**
 * Signed out there is signed out here: receives OpenID Connect Back-Channel Logout 1.0, and ends the sessions that rest on
 * the sign-in that has ended. They are found by the provider's session (`sid`) or by its user (`sub`), whatever store or
 * strategy keeps them; what needs no look-up is ended through its revocations.
 */
import { type Flow, run, wait } from '../awaitable.js'
import { Fault, problemOf } from '../errors.js'

import { Sessions } from '../sessions.js'
import { namedKey } from '../token/jws.js'
import { type RemoteJwks, remoteJwks } from '../token/remote-jwks.js'
import { parameters } from '../token/request.js'
import type { Awaitable, SessionEvent, Store } from '../types.js'
import { LogoutIndex } from './logout-index.js'
import { type LogoutNotice, type LogoutParties, namedIssuer, readLogoutToken } from './logout-token.js'

/** A provider that may say that somebody was signed out. */
export interface LogoutIssuer extends LogoutParties {
  /** Where its keys are; `undefined` while it cannot be asked. */
  keysUrl(): Promise<string | undefined>
}

/** Options of `logoutReceiver`. */
export interface LogoutReceiverOptions<Data extends object> {
  /** Whose sessions are ended. */
  sessions: Sessions<Data>
  /** Where it is noted which session rests on which sign-in: one that all servers share. The one of the sessions will do. */
  store: Store
  /** The providers: what `oauth` made. */
  oauth: { issuers(): readonly LogoutIssuer[] }
}

/** Who signed in, as `oauth` found it. */
export interface SignedIn {
  readonly identity: { readonly issuer: string; readonly sub: string }
  readonly claims: Readonly<Record<string, unknown>>
}

/** A provider, and the keys that were found at `keysAt`. */
type KnownIssuer = LogoutIssuer & { keys?: RemoteJwks; keysAt?: string }

/** Receives logouts, and knows what they end. */
export class LogoutReceiver {
  readonly #end: (id: string) => Awaitable<boolean>
  readonly #endAll: (userId: string) => Awaitable<number>
  readonly #index: LogoutIndex
  readonly #issuers: readonly KnownIssuer[]
  readonly #clock: () => number
  readonly #unwatch: () => void
  #following: Promise<void> = Promise.resolve()

  constructor({ sessions, store, oauth }: LogoutReceiverOptions<object>) {
    const { strategy, context } = Sessions.core(sessions)
    if (!strategy.end || !strategy.endAll)
      throw new TypeError(
        'logoutReceiver: these sessions cannot be ended from elsewhere; take a store that knows whose a session is, or `revocations`',
      )
    this.#end = (id) => sessions.end(id)
    this.#endAll = (userId) => sessions.endAll(userId)
    this.#clock = context.clock
    this.#index = new LogoutIndex(store, Math.max(context.timeouts.absolute, context.remember.absolute), context.clock)
    this.#issuers = oauth.issuers().map((issuer) => ({ ...issuer }))
    this.#unwatch = sessions.on((event) => this.#follow(event))
  }

  /**
   * Notes that this session, already committed, rests on that sign-in. `false`: it was ended at the provider meanwhile,
   * and is now ended here. Four store calls. When the store fails the session is ended, and it throws the `Fault`.
   */
  async enrol(
    session: { readonly id: string | undefined; readonly userId: string | undefined },
    who: SignedIn,
  ): Promise<boolean> {
    const { id, userId } = session
    if (id === undefined || userId === undefined)
      throw new TypeError('logoutReceiver.enrol: nobody is signed in by this session; call login() and commit() before')
    // A provider without logout tokens ends nothing.
    if (!this.#issuers.some(({ issuer }) => issuer === who.identity.issuer)) return true
    try {
      const lives = await run(this.#enrol(id, userId, who))
      if (!lives) await this.#end(id)
      return lives
    } catch (fault) {
      // What is not noted could not be ended.
      await new Promise((done) => done(this.#end(id))).catch(() => {})
      throw fault
    }
  }

  /**
   * `POST logout_token=…`, a form, from the provider's server: 200 when what it names is ended, 400 for what is no such
   * token, 503 where that cannot be told or done now. Never cached, and no more said than that. To be mounted where
   * nothing asks for a session or a form token; the signature is what counts (BL-01). Four store calls, and those
   * of each session's end and one more.
   */
  readonly handler = async (request: Request): Promise<Response> => {
    const type = /^[^;\s]*/.exec(request.headers.get('content-type') ?? '')?.[0].toLowerCase()
    if (request.method !== 'POST' || type !== 'application/x-www-form-urlencoded') return answer(400)
    const sent = await parameters(request)
    const token = typeof sent === 'number' ? undefined : sent.get('logout_token')
    if (token === undefined) return answer(400)
    try {
      const issuer = namedIssuer(token)
      for (const parties of this.#issuers.filter((known) => known.issuer === issuer)) {
        const notice = await this.#read(token, parties)
        if (notice !== undefined) return answer((await run(this.#obey(parties.issuer, notice))) ? 200 : 400)
      }
      return answer(400)
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      const { status, headers, body } = problemOf(error)
      return new Response(body, { status, headers })
    }
  }

  /** Resolves when what happened so far is noted: for tests, and for a server that shuts down. */
  async settled(): Promise<void> {
    await this.#following
  }

  /** Stops listening. The store stays open: it is the caller's. */
  close(): void {
    this.#unwatch()
  }

  async #read(token: string, parties: KnownIssuer): Promise<LogoutNotice | undefined> {
    const url = await parties.keysUrl()
    // Asked each time, and known for an hour: providers move their keys.
    if (url !== undefined && url !== parties.keysAt) {
      parties.keys = remoteJwks(url, { clock: this.#clock })
      parties.keysAt = url
    }
    if (parties.keys === undefined)
      throw new Fault(
        'ERR_STORE',
        'logout: the provider cannot be reached, so that its word can be neither believed nor refused',
      )
    const keys = await parties.keys.keysFor(namedKey(token))
    return readLogoutToken(token, keys, parties, this.#clock())
  }

  /** `false`: it came before. Marked when all is done, so that one that failed half-way can be sent again (BL-04). */
  *#obey(issuer: string, notice: LogoutNotice): Flow<boolean> {
    const { id, sid, sub, issuedAt, expiresAt } = notice
    if (yield* this.#index.knows(issuer, id)) return false
    if (sid !== undefined) {
      for (const session of yield* this.#index.endSession(issuer, sid)) yield* this.#endChain(session)
    } else {
      for (const userId of yield* this.#index.endPerson(issuer, sub!, issuedAt)) yield* wait(this.#endAll(userId))
    }
    yield* this.#index.remember(issuer, id, expiresAt + 60_000)
    return true
  }

  /** A session, under whichever identifier it is by now. */
  *#endChain(first: string): Flow<void> {
    for (let id: string | undefined = first; id !== undefined; id = yield* this.#index.successor(id)) {
      yield* this.#endOne(id)
    }
  }

  *#endOne(id: string): Flow<void> {
    try {
      yield* wait(this.#end(id))
    } catch (error) {
      // It has another identifier since a moment ago: the one who gave it that notes it, or finds it ended.
      if (!(error instanceof Fault && error.code === 'ERR_CONFLICT')) throw error
    }
  }

  *#enrol(id: string, userId: string, { identity: { issuer, sub }, claims }: SignedIn): Flow<boolean> {
    const { sid, iat } = claims
    const issuedAt = typeof iat === 'number' ? iat * 1000 : this.#clock()
    if (typeof sid === 'string' && !(yield* this.#index.atSession(issuer, sid, id))) return false
    return yield* this.#index.asPerson(issuer, sub, userId, issuedAt)
  }

  /** An identifier that changed is noted by whoever changed it; a sign-in of another kind rests on nothing here. */
  #follow(event: SessionEvent): void {
    if (event.type !== 'rotated' || event.reason !== 'rotate' || event.userId === undefined) return
    const { from, id } = event
    // Nothing is passed on: what each one came to would hold on to all before it.
    this.#following = Promise.all([this.#following, this.#move(from, id)]).then(() => {})
  }

  async #move(from: string, to: string, tries = 3): Promise<void> {
    try {
      if (!(await run(this.#index.moved(from, to)))) await this.#end(to)
    } catch {
      if (tries > 1) return this.#move(from, to, tries - 1)
      process.emitWarning('logout: a rotated session could not be noted; a logout at its provider may miss it', {
        code: 'SOJOURN_LOGOUT_UNNOTED',
      })
    }
  }
}

/** Receives logouts. Throws a `TypeError` where the sessions cannot be ended from elsewhere. */
export function logoutReceiver<Data extends object>(options: LogoutReceiverOptions<Data>): LogoutReceiver {
  return new LogoutReceiver(options as unknown as LogoutReceiverOptions<object>)
}

function answer(status: 200 | 400): Response {
  const headers = { 'cache-control': 'no-store', 'content-type': 'application/json' }
  if (status === 200) return new Response(null, { status, headers: { 'cache-control': 'no-store' } })
  return new Response(JSON.stringify({ error: 'invalid_request' }), { status, headers })
}
