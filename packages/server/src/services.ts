/**
 * What the server can do for a visitor: the one set of operations that the JSON API and the pages both call, so that
 * neither holds any logic of its own.
 *
 * ```tsx
 * const visit = await services.visit(c.req.raw)             // the session, and where the request came from
 * const result = await services.signIn(visit, { username, password, remember: true })
 * if (!result.ok) return page({ error: result.message }, statusOf(result.reason), result.retryAfter)
 * visit.notices.flash('notice', `Welcome back, ${result.value.username}.`)
 * return c.redirect('/', 303)
 * ```
 *
 * A refusal is a value (`ok: false`, with a message that can be shown as it is). Nothing here throws for what a visitor
 * did; what does throw is a failed store, and the error handler of the app answers that with 503.
 *
 * The pages are `pages(services): Hono` and `errorPage(status, message): string` of `pages/index.js`. Their responses
 * get `Content-Security-Policy: default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self';
 * base-uri 'none'; frame-ancestors 'none'`: nothing inline, so there is no nonce either; styles live in a file. Wrong
 * methods (405 with `Allow`) and unknown paths (404) are answered by the app for the pages too, with `errorPage`.
 */
import type { Device, Session } from 'sojourn'
import type { Tokens } from 'sojourn/token/pair'
import type { IdentityServices } from './identity/services.js'

/** What a session holds here. A cart is here only for as long as its owner is a guest. */
export interface ShopData {
  cart: GuestCart
}

/** A guest's cart. Its own id lets it be merged into an account exactly once, whatever sessions it travels through. */
export interface GuestCart {
  /** Empty until something was put in. */
  readonly id: string
  readonly lines: Readonly<Record<string, number>>
}

/** An account, as far as anybody outside `accounts` may know it. */
export interface User {
  readonly id: string
  readonly username: string
}

/** One request: its session, and where it came from. */
export interface Visit {
  readonly session: Session<ShopData>
  /** What is told once, on the next page. */
  readonly notices: Pick<Session, 'flash' | 'flashed' | 'commit'>
  /** Who is signed in; `undefined` for a guest. */
  readonly user: User | undefined
  /** The client's address, as far as the configuration says whom to believe. */
  readonly ip: string
  /**
   * Looks once more when the session is kept and the answer has not left: a refusal takes the answer's place, and that of
   * the credential in it.
   */
  readonly recheck: (look: () => Promise<Refused | undefined>) => void
  /** The request brought its credential in the header `Authorization`, as programs do. */
  readonly bearer: boolean
}

/** A thing for sale. */
export interface Product {
  readonly sku: string
  readonly name: string
  /** One sentence for the product page. */
  readonly description: string
  readonly price: Price
}

/** Money, without fractions to round. */
export interface Price {
  /** In the currency's smallest unit. */
  readonly cents: number
  /** ISO 4217. */
  readonly currency: string
}

/** How many of what. */
export interface CartLine {
  readonly sku: string
  readonly quantity: number
}

/** One signed-in device of a user: a session, without what only the session may know. */
export interface DeviceEntry {
  /** The handle: safe in a page and in a URL, no credential. */
  readonly id: string
  /** This very request came from it. */
  readonly current: boolean
  readonly createdAt: number
  readonly seenAt: number
  readonly expiresAt: number
  readonly persistent: boolean
  /** Untrusted text. */
  readonly device: Device | undefined
}

/**
 * Why an operation was refused.
 *
 * - `guest`: nobody is signed in
 * - `credentials`: name or password is wrong; which one is not said
 * - `username`, `password`, `product`, `quantity`: the input so named breaks a rule, which the message says
 * - `taken`: the username belongs to somebody else
 * - `unknown`: there is no such thing, or it is not this user's
 * - `throttled`: too many attempts; `retryAfter` says when to come back
 * - `busy`: more password hashes were asked for than the server computes at once; `retryAfter` says when to come back
 * - `replaced`: the session got a new identifier just now, and goes on under that; nothing was done
 * - `disconnected`: the provider has to be connected first, or again
 * - `last`: without it there would be no way left to sign in
 * - `unavailable`, `unusable`: a provider failed, or made no sense; `retryAfter` says when to come back
 */
export type Reason =
  | 'guest'
  | 'credentials'
  | 'username'
  | 'password'
  | 'product'
  | 'quantity'
  | 'taken'
  | 'unknown'
  | 'throttled'
  | 'busy'
  | 'replaced'
  | 'disconnected'
  | 'last'
  | 'unavailable'
  | 'unusable'

/** What came of an operation. */
export type Result<T, R extends Reason = Reason> = { readonly ok: true; readonly value: T } | Refused<R>

/** An operation that was not done, and why, in a sentence that can be shown. */
export interface Refused<R extends Reason = Reason> {
  readonly ok: false
  readonly reason: R
  readonly message: string
  /** Seconds. */
  readonly retryAfter?: number
}

/** The operations. Each is complete in itself: throttling, logging and the session's marks included. */
export interface Services {
  readonly products: readonly Product[]
  /** Signing in through providers; absent where none is configured. */
  readonly identity?: IdentityServices
  /** Lower bound of a new password's length in code points, for hints in forms. */
  readonly passwordMin: number
  /** Opens the request's session. The same `Request` gives the same visit. */
  visit(request: Request): Promise<Visit>

  /** Makes an account and signs in to it; the guest's cart comes along. */
  signUp(
    visit: Visit,
    input: { username: string; password: string },
  ): Promise<Result<User, 'username' | 'password' | 'taken' | 'throttled' | 'busy'>>
  /** The guest's cart comes along. `remember` keeps the session when the browser is closed. */
  signIn(
    visit: Visit,
    input: { username: string; password: string; remember: boolean },
  ): Promise<Result<User, 'credentials' | 'throttled' | 'busy'>>
  /** As `signIn`, for a client that keeps its tokens itself: the session of the visit is left as it is. */
  issueTokens(
    visit: Visit,
    input: { username: string; password: string; device: Device },
  ): Promise<Result<Tokens, 'credentials' | 'throttled' | 'busy'>>
  /** Kept when it resolves. Does nothing to a guest; whoever signed in again just now is signed in still. */
  signOut(visit: Visit): Promise<Result<void, 'replaced'>>
  /** Renews this session and ends the user's others; a visit by token is ended like the others. */
  changePassword(
    visit: Visit,
    input: { current: string; next: string },
  ): Promise<Result<void, 'guest' | 'credentials' | 'password' | 'throttled' | 'busy'>>

  /** The user's sessions: this one first, then by when they were last seen. */
  devices(visit: Visit): Promise<Result<DeviceEntry[], 'guest'>>
  /** Ends one of the user's sessions; ending this one is signing out. */
  endDevice(visit: Visit, id: string): Promise<Result<void, 'guest' | 'unknown'>>
  /** Ends all of the user's sessions but this one, and says how many. */
  endOthers(visit: Visit): Promise<Result<number, 'guest'>>

  /** The cart of the user, or of the guest. */
  cart(visit: Visit): Promise<CartLine[]>
  /** Adds to what is there; answers the new cart. Parallel adds all count. */
  addToCart(visit: Visit, line: CartLine): Promise<Result<CartLine[], 'product' | 'quantity'>>
  /** Takes the whole line out; answers the new cart. A product that is not in it changes nothing. */
  removeFromCart(visit: Visit, sku: string): Promise<Result<CartLine[], 'product'>>
}
