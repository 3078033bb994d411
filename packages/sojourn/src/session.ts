/** The session of one request: everything on it is memory and marks; the commit carries them out. */
import { inspect } from 'node:util'
import type { Changes } from './changes.js'
import { Contents, type LoginContent, type Owner, proofIn } from './content.js'
import { SessionCommittedError } from './errors.js'
import { type MergeRules, mergedValue } from './merge.js'
import { isOwnPath } from './own-path.js'
import { statedProof } from './proof.js'
import type { Awaitable, Device, Draft, Minted, Proof, Refusal, SessionRecord, State } from './types.js'

/** What a session asks of the request that it belongs to. */
export interface Host extends Owner {
  mint(user: boolean): Minted
  device(): Device | undefined
  fresh(state: State): Awaitable<boolean>
  readonly merge: MergeRules<Record<string, unknown>>
  issueToken(id: string): string
  verifyToken(id: string, token: unknown): boolean
  credential(): string | undefined
  link(path: string, credential: string | undefined): string
  commit(): Awaitable<void>
}

/** Options of `login`. */
export interface LoginOptions<Data> extends Proof {
  /** "Remember me": the `remember` timeouts hold and the cookie outlives the browser. Default `false` (N-09). */
  persistent?: boolean
  /** The keys of a guest's data that come along. Default: all. Another user's data never does. */
  keep?: readonly (keyof Data & string)[]
  /**
   * What the app has kept of this user, by key: a guest's data becomes one with it by the `merge` rules of
   * `createSessions`; without a rule for a key, this stands. A session that is the user's own already goes on as it is.
   */
  data?: Partial<Data>
  /**
   * When the user proved who they are, epoch milliseconds, where that was not just now: by a provider's word, say. It is
   * what `session.authenticatedAt` becomes; no timeout counts from it. Default, and in place of a time to come: now.
   */
  authenticatedAt?: number
}

/** What is asked about nobody must not be answered about everybody: throws a `TypeError` for what is no user's id. */
export function checkUserId(verb: string, userId: unknown): void {
  if (typeof userId !== 'string' || userId === '')
    throw new TypeError(`${verb}: the user's id is a text that is not empty; convert numbers with String()`)
}

const NO_LOGIN = Object.freeze({})

/** One visitor's session, typed by its data. */
export class Session<Data extends object = Record<string, unknown>> {
  /** Why the credential that came was not honoured; absent when it was. */
  readonly refused: Refusal | undefined
  readonly #host: Host
  #state: State | undefined
  #contents: Contents | undefined
  #intent: Draft['intent'] = 'keep'
  #minted: Minted | undefined
  #userId: string | undefined
  #login: LoginOptions<Record<string, unknown>> = NO_LOGIN
  #proof: Proof | undefined
  #wanted = false
  #left = false
  /** This request has named the session as it is, or as what it goes on as: it must not turn out to be the other. */
  #named: 'stays' | 'moves' | undefined
  #closed = false

  /** Made by an adapter, never by hand. */
  constructor(host: Host, found: State | Refusal) {
    this.#host = host
    this.#state = typeof found === 'string' ? undefined : found
    this.refused = typeof found === 'string' ? found : undefined
    this.#userId = this.#state?.record.userId
  }

  /** The handle: safe to show and to log, refused as a credential. Absent for a guest about whom nothing is kept. */
  get id(): string | undefined {
    return this.#minted?.id ?? (this.#intent === 'logout' ? undefined : this.#state?.id)
  }

  /** Who: set by `login()` and by nothing else. Absent for a guest. */
  get userId(): string | undefined {
    return this.#userId
  }

  /** When it began, epoch milliseconds. Absent until it is kept. */
  get createdAt(): number | undefined {
    return this.#record?.createdAt
  }

  /** When activity was last written down, epoch milliseconds; up to a tenth of the idle timeout ago. */
  get seenAt(): number | undefined {
    return this.#record?.seenAt
  }

  /** When the user last proved who they are, epoch milliseconds. Absent for a guest. */
  get authenticatedAt(): number | undefined {
    return this.#record?.authenticatedAt
  }

  /**
   * The methods by which the user proved who they are at `authenticatedAt` (RFC 8176), as `login()` said them. Absent
   * for a guest, and where the login did not say.
   */
  get amr(): readonly string[] | undefined {
    return this.#proven?.amr
  }

  /** The level of assurance of the login (RFC 9068), as `login()` said it. Absent for a guest. */
  get acr(): string | undefined {
    return this.#proven?.acr
  }

  /**
   * What the access token that came is good for, as `pair.issue` or its issuer said (RFC 6749, 3.3); `requireScope` asks
   * for it. Absent: the session is not limited to a scope, and is good for all that its user may do.
   */
  get scope(): readonly string[] | undefined {
    return this.#intent === 'login' ? undefined : this.#state?.scope
  }

  /** When it ends if nobody comes back, epoch milliseconds. */
  get expiresAt(): number | undefined {
    return this.#record?.expiresAt
  }

  /** Whether "remember me" was chosen. */
  get persistent(): boolean {
    return this.#intent === 'login' ? this.#login.persistent === true : this.#record?.persistent === true
  }

  /** Where it was begun. Untrusted text. */
  get device(): Device | undefined {
    return this.#record?.device
  }

  /**
   * The data: plain JSON, changed in place. Different keys changed by parallel requests both survive; of one key the
   * last assignment wins, unless it is changed with `update`. Throws `ERR_DATA` for what JSON cannot keep.
   */
  get data(): Data {
    return this.#open().data.view as Data
  }

  /**
   * Sets `data[key]` to `fn` of its value, exactly: on a conflict `fn` is run again over the newer value. It must be
   * synchronous, and do nothing but compute. Returns the new value.
   */
  update<K extends keyof Data & string>(key: K, fn: (value: Data[K]) => Data[K]): Data[K] {
    return this.#open().data.update(key, fn as (value: unknown) => unknown) as Data[K]
  }

  /** Keeps a value until it is read once, by `flashed`, on this request or a later one. */
  flash(key: string, value: unknown): void {
    this.#open().flash.assign(key, value)
  }

  /** The value of a flash, which is then forgotten. */
  flashed(key: string): unknown {
    const { flash } = this.#open()
    const value = flash.view[key]
    if (value !== undefined) flash.remove(key)
    return value
  }

  /**
   * Makes this the session of `userId`, under a new identifier always (ASVS 7.2.4, A-01). A mark: carried out at the
   * commit, in 1 to 3 store calls. The same user again is a step-up: the data stays, and `authenticatedAt`, `amr` and
   * `acr` are those of this login. Throws a `TypeError` for an empty id and for what is no time, method or level.
   */
  login(userId: string, options: LoginOptions<Data> = {}): void {
    checkUserId('login', userId)
    const proof = statedProof('login', options)
    const { authenticatedAt = 0 } = options
    if (typeof authenticatedAt !== 'number' || !(authenticatedAt >= 0))
      throw new TypeError('login: `authenticatedAt` is epoch milliseconds, as Date.now() gives them')
    this.#mark('login')
    const before = this.#userId
    // What was written about one user in this request does not pass to another.
    if (this.#userId !== undefined && this.#userId !== userId) this.#contents = undefined
    this.#intent = 'login'
    this.#userId = userId
    this.#login = options as LoginOptions<Record<string, unknown>>
    this.#proof = proof
    this.#minted = this.#host.mint(true)
    if (options.data && before !== userId) this.#merge(options.data as Record<string, unknown>)
  }

  /** Gives the session a new identifier, for a change of rights. A mark; two store calls at the commit. */
  rotate(): void {
    this.#mark('rotate')
    if (this.#intent !== 'keep' || !this.#state) return
    this.#intent = 'rotate'
    this.#minted = this.#host.mint(this.#userId !== undefined)
  }

  /** Ends the session and clears its credential. What is written afterwards is a new guest's. A mark; one store call. */
  logout(): void {
    this.#mark('logout')
    this.#intent = 'logout'
    this.#userId = undefined
    this.#minted = undefined
    this.#wanted = false
    this.#left = true
    this.#contents = new Contents(undefined, this.#host)
  }

  /** A token for the forms of this session (CS-09); another for each call. A guest's session is kept for it. */
  csrfToken(): string {
    if (this.id === undefined) {
      this.#mark('csrfToken')
      this.#wanted = true
      this.#minted = this.#host.mint(false)
    }
    const successor = this.#successor
    this.#named ??= successor ? 'moves' : 'stays'
    return this.#host.issueToken(successor?.id ?? this.id!)
  }

  /** Whether `token` was made by `csrfToken()` for the session that this request came with. */
  verifyCsrf(token: unknown): boolean {
    return this.#state !== undefined && this.#host.verifyToken(this.#state.id, token)
  }

  /**
   * The path with the session in it where it travels in URLs (`query`), for links, forms and redirects; elsewhere the
   * path as it is, so that one template serves both. Call it after what changes the session. Throws a `TypeError` for
   * anything but a path of this origin: the session is nobody else's.
   */
  url(path: string): string {
    if (!isOwnPath(path))
      throw new TypeError('session.url: only a path of this origin may carry the session; give one such as "/cart"')
    return this.#host.link(path, Session.credential(this as Session<object>))
  }

  /**
   * Whether this session has not been ended anywhere until now, by the store's own word: for a route that must not rest
   * on a copy that is seconds old. Costs a store call or two where sessions are sealed or signed, and nothing where
   * opening the session has just asked the store. A guest about whom nothing is kept is `true`.
   */
  fresh(): Awaitable<boolean> {
    return this.#state === undefined || this.#host.fresh(this.#state)
  }

  /**
   * Carries the marks out now, for a handler that wants to know before it answers; adapters do it anyway, before the
   * headers leave. Throws a `Fault`. Nothing can be changed after it.
   */
  commit(): Awaitable<void> {
    return this.#host.commit()
  }

  /** No data, no identifier: what a log shows of a session that was logged by mistake. */
  toJSON(): { session: string } {
    return { session: this.#userId === undefined ? 'guest' : 'user' }
  }

  /** What was found, until it is left behind. */
  get #record(): SessionRecord | undefined {
    return this.#intent === 'logout' ? undefined : this.#state?.record
  }

  /** As updates, so that a conflict does the same again over whatever the guest has put in meanwhile. */
  #merge(kept: Record<string, unknown>): void {
    const { merge, initial } = this.#host
    const { data } = this.#open()
    for (const [key, value] of Object.entries(kept)) {
      if (value === undefined) continue
      const rule = (guest: unknown) => mergedValue(merge, key, { guest, kept: value, initial: initial()[key] })
      data.update(key, rule)
    }
  }

  get #proven(): Proof | undefined {
    if (this.#intent === 'login') return this.#proof
    const record = this.#record
    return record?.userId === undefined ? undefined : proofIn(record.data)
  }

  #open(): Contents {
    if (!this.#contents) {
      const carried = this.#userId === this.#state?.record.userId || this.#state?.record.userId === undefined
      const text = carried ? this.#state?.record.data : undefined
      this.#contents = new Contents(text, this.#host)
      if (this.#closed) this.#contents.close()
    }
    return this.#contents
  }

  /** What the next request will find it under, where another strategy takes it over at this commit. */
  get #successor(): Minted | undefined {
    const moves = this.#intent === 'keep' && this.#named !== 'stays' && !this.#closed
    return moves ? this.#state?.successor : undefined
  }

  #mark(what: string): void {
    if (!this.#closed) this.#host.touch()
    if (this.#closed) throw new SessionCommittedError(`${what}()`)
  }

  /** For links and tickets: what will open this session when the request is done. Nothing for whom nothing is kept. */
  static credential(session: Session<object>): string | undefined {
    if (session.#closed) return session.id === undefined ? undefined : session.#host.credential()
    if (session.id === undefined && session.#contents?.dirty === true) session.#minted = session.#host.mint(false)
    if (session.id === undefined) return undefined
    return (session.#minted ?? session.#successor)?.credential ?? session.#host.credential()
  }

  /** `credential` for what is used in a moment: where the one to come is not known yet, the session keeps what it has. */
  static ticket(session: Session<object>): string | undefined {
    if (!session.#successor?.credential) session.#named ??= 'stays'
    return Session.credential(session)
  }

  /**
   * For a vault: what it keeps in this session, which the app has no way to. `what` announces a change that comes later:
   * the headers wait for it, and `SessionCommittedError` is thrown where they have left.
   */
  static vault(session: Session<object>, what?: string): Changes {
    if (what !== undefined) session.#mark(what)
    return session.#open().vault
  }

  /** For the commit: what this request wants. Nothing at all is `undefined`. */
  static draft(session: Session<object>): Draft | undefined {
    const state = session.#state
    const changed = session.#wanted || session.#contents?.dirty === true
    if (session.#intent === 'keep' && !changed && !state?.due && !state?.reissue) return undefined
    const login = { keep: session.#login.keep, auth: session.#proof }
    const goesOn = state !== undefined && (session.#intent === 'keep' || session.#intent === 'rotate')
    return {
      state,
      changed,
      stays: session.#named === 'stays',
      refused: session.refused,
      intent: session.#intent,
      minted: session.#minted,
      userId: session.#userId,
      persistent: session.persistent,
      authenticatedAt: session.#login.authenticatedAt,
      device: goesOn ? undefined : session.#host.device(),
      replay: (text) => session.#replay(text),
      // After a logout a login takes nothing along, not even the user's own.
      carry: (text) => session.#replay(session.#left ? undefined : text, login),
    }
  }

  /** For the commit: it is done, and this is what the session is now. */
  static settle(session: Session<object>, state: State | undefined): void {
    if (state) {
      session.#state = state
      session.#intent = 'keep'
    }
    session.#closed = true
    session.#contents?.close()
  }

  #replay(text: string | undefined, login?: LoginContent): string {
    // A login that keeps all, over what says of its user what it says itself, has nothing to write anew either.
    const asItIs = !login || (!login.keep && !login.auth && text !== undefined && !proofIn(text))
    if (text !== undefined && asItIs && !this.#contents?.dirty) return text
    const contents = this.#contents ?? new Contents(undefined, this.#host)
    return contents.replay(text, login)
  }
}

Object.defineProperty(Session.prototype, inspect.custom, {
  value(this: Session) {
    return `Session { ${this.toJSON().session} }`
  },
})
