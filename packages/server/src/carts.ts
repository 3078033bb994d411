/**
 * The carts of accounts, and how a guest's cart becomes part of one. Adding adds to what is there in one step of the
 * database's own, so parallel adds all count. Merging is idempotent: it is written down how much of which guest's cart an
 * account has had already, so that two tabs that sign in at once, or an add that races with the login, give what was
 * put in and no more.
 */
import type { CartLine, GuestCart } from './services.js'

/** The most of one thing in a cart. */
export const MAX_QUANTITY = 999

/** For so long a merge is remembered, milliseconds: longer than any session lasts that could still carry the guest's cart. */
export const REMEMBER_MERGES: number = 400 * 24 * 3_600_000

/** The carts of accounts, wherever they are kept. Calls reject when the database fails. */
export interface Carts {
  /** By sku. */
  lines(userId: string): Promise<CartLine[]>
  /** `false`: the line would grow over `MAX_QUANTITY`; nothing was added. */
  add(userId: string, line: CartLine): Promise<boolean>
  remove(userId: string, sku: string): Promise<void>
  /** Adds what the account has not had of this guest's cart yet; a line stops at `MAX_QUANTITY`. All of it, or nothing. */
  merge(userId: string, cart: GuestCart): Promise<void>
  /** Forgets merges that no session can ask for again. */
  sweep(): Promise<void>
}
