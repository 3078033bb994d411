/**
 * The contracts between the parts: what a store, a strategy, a transport and an adapter owe each other.
 * Times are epoch milliseconds, durations are milliseconds, sizes are bytes, everywhere.
 */

/** A value, or the promise of one. A synchronous store stays synchronous all the way through. */
export type Awaitable<T> = T | Promise<T>

/**
 * Why a credential was not honoured. A refusal is a value, never an exception, and never clears a cookie.
 *
 * - `absent`: the request carried none
 * - `malformed`: not of the form that we issue, or several that contradict each other
 * - `forged`: the form is right, the signature is not
 * - `expired`: past its idle or absolute timeout
 * - `ended`: well signed, but its session is gone (logged out, ended from another device, forgotten after its time)
 * - `replaced`: a login or rotation gave its session a new identifier a moment ago
 * - `replayed`: single-use, and used before
 */
export type Refusal = 'absent' | 'malformed' | 'forged' | 'expired' | 'ended' | 'replaced' | 'replayed'

/** Where a session was begun, for the list of a user's devices. Untrusted text: escape it when showing it. */
export interface Device {
  userAgent?: string
  ip?: string
}

/** How a user proved who they are at a login, by the names of the standards (RFC 8176, RFC 9068). */
export interface Proof {
  /** The methods: `pwd`, `otp`, `hwk`, `mfa` and the like. */
  readonly amr?: readonly string[] | undefined
  /** The level of assurance that they came to. */
  readonly acr?: string | undefined
}

/** A session at rest. Nothing in it can be used as a credential. Treat it as frozen. */
export interface SessionRecord {
  /** Absent: a guest. Set by `login()` and by nothing else. */
  readonly userId?: string | undefined
  /** The codec's output; a store never looks inside. The empty string marks a record replaced by a successor. */
  readonly data: string
  readonly createdAt: number
  /** When activity was last written down; at most a tenth of the idle timeout behind the truth. */
  readonly seenAt: number
  readonly authenticatedAt?: number | undefined
  /** min(idle end, absolute end): at this time and after it the record is honoured by nobody, and a store may forget it. */
  readonly expiresAt: number
  /** 1, 2, 3 … grows by one with every write. */
  readonly version: number
  /** "Remember me" was chosen: the longer timeouts hold, and the cookie outlives the browser. */
  readonly persistent?: boolean | undefined
  readonly device?: Device | undefined
}

/**
 * Where records live. Three verbs are required; the others are capabilities, asked for where they are needed.
 * Every verb throws (or rejects) only when the backend fails, never to say "no".
 */
export interface Store {
  /** The record, or `undefined` when it is absent or expired. */
  get(id: string): Awaitable<SessionRecord | undefined>
  /**
   * Compare-and-set. `was` is the version that the caller read; 0 creates, and succeeds only where no live record is.
   * `false`: somebody was faster, or the record is gone; nothing was written. A record whose `expiresAt` has passed
   * is a conditional delete: once it is set, `get` answers `undefined`.
   */
  set(id: string, record: SessionRecord, was: number): Awaitable<boolean>
  /** `true` for exactly one of several callers. */
  delete(id: string): Awaitable<boolean>
  /** The live records of one user, or of everybody, in no particular order. */
  list?(
    userId?: string,
  ): Iterable<[id: string, record: SessionRecord]> | AsyncIterable<[id: string, record: SessionRecord]>
  /**
   * Ends every session of the user but `except`, and says how many. Nothing issued before it is honoured after it,
   * even if it raced with a commit.
   */
  endAll?(userId: string, except?: string): Awaitable<number>
  /** Forgets records that expired at or before `now`, and says how many. Never holds the event loop for long. */
  sweep?(now: number): Awaitable<number>
  /** As `get`, from the backend itself, where `get` may answer from a copy. Absent where `get` asks the backend always. */
  fresh?(id: string): Awaitable<SessionRecord | undefined>
  /** How old what `get` answers may be, milliseconds, where it answers from a copy. Such a store has `fresh`. */
  readonly staleness?: number
  /**
   * Pushed: this record changed or ended, here or in another process; one that begins need not be told. Who is told must
   * not throw. `onCut`: the feed was lost, or cannot name what changed; anything may have, and whoever kept copies drops
   * them. It is called when the loss is noticed, and again when the feed is back. Gives back what ends the watch.
   */
  watch?(onChange: (id: string) => void, onCut?: () => void): () => void
  close?(): Awaitable<void>
  /** A weak store is none of these. */
  readonly weak?: undefined
}

/**
 * Where records live if it must be: it keeps the contract of `Store` among the requests of one process, and not between
 * processes. There it may lose an update, bring back what was ended a moment ago, and delete twice.
 */
export interface WeakStore extends Pick<Store, 'get' | 'set' | 'delete'> {
  readonly weak: true
}

/** A store that knows whose a record is: what device lists, `endAll` and session limits need. */
export type UserStore = Store & Required<Pick<Store, 'list' | 'endAll'>>

/** A session as a strategy found it: the handle, and the record behind it. */
export interface State {
  /** The handle: safe to show and to log, and refused as a credential. */
  readonly id: string
  readonly record: SessionRecord
  /** The sliding write is due: a tenth of the idle timeout has gone by since the last one, or it is far in the future. */
  readonly due: boolean
  /** The same identifier under the current key, where the one that came was signed with an older key. */
  readonly reissue?: string | undefined
  /** What opens its data, where only the credential can. It shows nothing of itself. */
  readonly key?: import('./crypto/holder-key.js').HolderKey | undefined
  /** When its identifier was made; what is ended is told apart by it where no record can be deleted. */
  readonly issuedAt?: number
  /** A token pair's: short, and renewed by its refresh half alone. It is not slid, rotated or converted. */
  readonly fixed?: boolean
  /** What its credential is good for (RFC 6749, 3.3). Absent: for all that its user may do. */
  readonly scope?: readonly string[] | undefined
  /** What it goes on under from its next commit, where another strategy is to keep it from then on. */
  readonly successor?: Minted | undefined
}

/** An identifier made before its session is written, so that a page can already name it. */
export interface Minted {
  readonly id: string
  /** Empty where the credential is made of the whole session, and so only at the commit. */
  readonly credential: string
}

/** What a request wants of its session, handed to the strategy at commit. */
export interface Draft {
  /** What was opened; absent when there was nothing to open. */
  readonly state: State | undefined
  /** Why what the request carried was not honoured, where it was not. */
  readonly refused: Refusal | undefined
  readonly intent: 'keep' | 'login' | 'rotate' | 'logout'
  /** The identifier to create under, where one was already minted. */
  readonly minted: Minted | undefined
  readonly userId: string | undefined
  readonly persistent: boolean
  /** When the user of a login proved who they are, where that was before now, epoch milliseconds. */
  readonly authenticatedAt?: number | undefined
  /** Where a session begins, if one does: what goes on has its own. */
  readonly device: Device | undefined
  /** Whether the data was changed by this request. */
  readonly changed: boolean
  /** Whether this request has given away what names the session as it is: it is not to move now, if it need not. */
  readonly stays: boolean
  /** The request's own changes, done again over `data` (a record's text; `undefined` starts from the initial data). */
  replay(data: string | undefined): string
  /** `replay` for a login: over a guest's data, keeping only what `login` was told to keep. */
  carry(data: string | undefined): string
}

/** What the commit came to. `give` sets the credential, `clear` unsets it, `keep` leaves the client as it is. */
export type Outcome =
  | { readonly kind: 'keep' }
  | { readonly kind: 'give'; readonly credential: string; readonly state: State }
  | { readonly kind: 'clear' }
  | { readonly kind: 'ended' }

/** How a session becomes a credential and back. */
export interface Strategy {
  open(credential: string, now: number): Awaitable<State | Refusal>
  /** A new identifier, for a user's session or a guest's. */
  mint(user: boolean): Minted
  commit(draft: Draft, now: number): Awaitable<Outcome>
  /** The live sessions of a user. Absent where the strategy cannot know them. */
  list?(userId: string): Awaitable<State[]>
  end?(id: string): Awaitable<boolean>
  endAll?(userId: string, except?: string): Awaitable<number>
  /** Whether it can keep a session for somebody who has not signed in. Default `true`. */
  readonly guests?: boolean
  /** Whether its credential only refers to a session, and is worth nothing once that has ended. Default `false`. */
  readonly byReference?: boolean
  /** Whether whoever holds its credential can read the session in it. Default `false`. */
  readonly readable?: boolean
  /** Whether what is in a session can change after the login. Default `true`. */
  readonly mutable?: boolean
  /** Whether it only opens sessions, for others to go on with. Default `false`. */
  readonly readOnly?: boolean
  /** Whether a session that is too large for it is to be kept by the next strategy of the list. Default `false`. */
  readonly overflows?: boolean
  /**
   * Whether the credential is of this strategy's own form, by its look alone. Where several strategies are configured,
   * the first that says so is asked.
   */
  owns(credential: string): boolean
  /** Goes on with a session that another strategy has kept so far, with the request's changes. */
  adopt(draft: Draft, state: State, now: number): Awaitable<Outcome>
  /** Lets go of a session that another strategy goes on with. `false`: it was changed or ended since it was opened. */
  release(state: State, now: number): Awaitable<boolean>
  /** Whether an opened session still holds, by the backend's own word. Absent where opening asked it already. */
  fresh?(state: State): Awaitable<boolean>
  close?(): Awaitable<void>
}

/** The least that an adapter offers: one request, and the headers of its response. Header names are lower case. */
export interface Exchange {
  readonly method: string
  /** Whether the request came over TLS, as far as the adapter can tell; a configured `origin` has the last word. */
  secure: boolean
  /** The path with its query, as sent. */
  readonly url: string
  readonly ip: string | undefined
  /** A request header; several lines of it are joined as HTTP says (`; ` for Cookie, `, ` otherwise). */
  header(name: string): string | undefined
  /** A response header that was set before. */
  get(name: string): string | undefined
  /** Sets a response header, replacing what was there. */
  set(name: string, value: string): void
  /** The `Set-Cookie` lines so far. */
  cookies(): string[]
  /** Replaces all `Set-Cookie` lines. */
  setCookies(lines: string[]): void
  /**
   * Asked once, before the first thing that a commit may have to write: from here on the headers must wait for it.
   * `false`: they have left already.
   */
  hold?(): boolean
}

/** What a transport puts on a response. */
export interface Carried {
  readonly credential: string
  /** When the session ends at the latest. */
  readonly endsAt: number
  /** Whether the client should keep it when it is closed. */
  readonly persistent: boolean
}

/** Where the credential travels. */
export interface Transport {
  /** What a self-contained credential is bound to, so that one made for one place is refused in another. */
  readonly binding: string
  readonly capacity: Capacity
  /**
   * The candidates that the request carries, best first. A string is one candidate, the empty one says that there is
   * none; an empty list, that what came cannot be one, and is refused as malformed.
   */
  read(x: Exchange): string | readonly string[]
  write(x: Exchange, carried: Carried, now: number): void
  clear(x: Exchange): void
  /** Other sites can make requests with a credential (browsers attach it), so that these need the cross-origin guard. */
  readonly ambient: boolean
  /** Others see the credential on its way, so that it may not be more than a reference. Default `false`. */
  readonly exposed?: boolean
  /** Called as each request begins, whether or not somebody asks for its session. */
  begin?(x: Exchange): void
  /** A path of this origin with the credential in it. Absent where a link needs none. */
  link?(x: Exchange, path: string, credential: string): string
}

/** Idle and absolute timeouts, milliseconds. Both always hold, on the server's clock. */
export interface Timeouts {
  /** Ends a session that was not used for so long. */
  readonly idle: number
  /** Ends a session so long after its login, whatever happens. */
  readonly absolute: number
}

/** How many sessions a user may have at once, and what happens at the limit (ASVS 7.1.2). */
export interface Limit {
  readonly sessions: number
  /** `evict-oldest` ends the longest-running ones; `reject` refuses the login with a `Fault` (`ERR_LIMIT`). */
  readonly policy: 'evict-oldest' | 'reject'
}

/** What a strategy is given by `createSessions`: the configuration that all strategies share. */
export interface StrategyContext {
  readonly keys: Keyring
  readonly timeouts: Timeouts
  /** The timeouts of a "remember me" session. */
  readonly remember: Timeouts
  readonly limit: Limit | undefined
  readonly clock: () => number
  readonly emit: (event: EventBody) => void
  /** What the transport says of itself. */
  readonly binding: string
  readonly capacity: Capacity
}

/** The longest credential that a transport can carry, characters: in one piece, and in all. */
export interface Capacity {
  readonly whole: number
  readonly chunked: number
}

/** A strategy as the user configures it; `createSessions` completes it. */
export type StrategyFactory = (context: StrategyContext) => Strategy

/** A key that serves one purpose, and the id that credentials name it by. */
export interface DerivedKey {
  readonly id: string
  readonly key: import('node:crypto').KeyObject
}

/** The key ring: derives one key per purpose from each secret, so that no key serves two (ASVS 11.1.2). */
export interface Keyring {
  /** First the current one, which signs; then those still accepted. */
  derive(purpose: string): readonly [DerivedKey, ...DerivedKey[]]
}

/** Why a session ended. */
export type EndReason = 'logout' | 'login' | 'revoked' | 'revoked-all' | 'limit' | 'replayed'

/** What happened, for audit and metrics. Nothing in it is secret: `id` is the handle, never the credential. */
export type EventBody =
  | { readonly type: 'created'; readonly id: string; readonly userId?: string | undefined }
  | { readonly type: 'renewed'; readonly id: string; readonly userId?: string | undefined }
  | {
      readonly type: 'rotated'
      readonly id: string
      readonly from: string
      readonly reason: 'login' | 'rotate'
      readonly userId?: string | undefined
    }
  | {
      readonly type: 'ended'
      readonly id?: string | undefined
      readonly userId?: string | undefined
      readonly reason: EndReason
      /** How many, where a call ended several at once. */
      readonly count?: number
    }
  | {
      readonly type: 'refused'
      readonly reason: Refusal | 'cross-origin' | 'csrf-token'
      readonly ip?: string | undefined
      /** Whose it was, where that is known all the same. */
      readonly id?: string | undefined
      readonly userId?: string | undefined
    }
  | { readonly type: 'fault'; readonly code: string; readonly message: string }

/** An event as listeners receive it, with the time at which it happened. */
export type SessionEvent = EventBody & { readonly at: number }
