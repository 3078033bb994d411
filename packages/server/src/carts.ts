/**
 * The carts of accounts, and how a guest's cart becomes part of one. Adding is a single statement that adds to what is
 * there, so parallel adds all count. Merging is idempotent: the table `merged` remembers how much of which guest's cart an
 * account has had already, so that two tabs that sign in at once, or an add that races with the login, give what was
 * put in and no more.
 */
import type { Database } from './database.js'
import type { CartLine, GuestCart } from './services.js'

/** The most of one thing in a cart. */
export const MAX_QUANTITY = 999

/** The carts of accounts. */
export interface Carts {
  lines(userId: string): CartLine[]
  /** `false`: the line would grow over `MAX_QUANTITY`; nothing was added. */
  add(userId: string, line: CartLine): boolean
  remove(userId: string, sku: string): void
  /** Adds what the account has not had of this guest's cart yet; a line stops at `MAX_QUANTITY`. One transaction. */
  merge(userId: string, cart: GuestCart): void
  /** Forgets merges that no session can ask for again. */
  sweep(): void
}

// Longer than any session lasts that could still carry the guest's cart.
const REMEMBER_MERGES = 400 * 24 * 3_600_000

/** The carts kept in `database`. */
export function createCarts(database: Database, clock: () => number): Carts {
  const all = database.prepare('SELECT sku, quantity FROM carts WHERE user_id = ? ORDER BY sku')
  const insert = database.prepare(
    `INSERT INTO carts (user_id, sku, quantity) VALUES (?, ?, ?)
     ON CONFLICT (user_id, sku) DO UPDATE SET quantity = quantity + excluded.quantity
     WHERE quantity + excluded.quantity <= ${MAX_QUANTITY}`,
  )
  const fill = database.prepare(
    `INSERT INTO carts (user_id, sku, quantity) VALUES (?, ?, ?)
     ON CONFLICT (user_id, sku) DO UPDATE SET quantity = min(${MAX_QUANTITY}, quantity + excluded.quantity)`,
  )
  const drop = database.prepare('DELETE FROM carts WHERE user_id = ? AND sku = ?')
  const had = database.prepare('SELECT quantity FROM merged WHERE cart = ? AND user_id = ? AND sku = ?')
  const remember = database.prepare(
    `INSERT INTO merged (cart, user_id, sku, quantity, at) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (cart, user_id, sku) DO UPDATE SET quantity = excluded.quantity, at = excluded.at`,
  )
  const forget = database.prepare('DELETE FROM merged WHERE at < ?')

  return {
    lines: (userId) => (all.all(userId) as CartLine[]).map(({ sku, quantity }) => ({ sku, quantity })),
    add: (userId, { sku, quantity }) =>
      quantity <= MAX_QUANTITY && Number(insert.run(userId, sku, quantity).changes) === 1,
    remove: (userId, sku) => void drop.run(userId, sku),
    merge(userId, cart) {
      database.transaction(() => {
        for (const [sku, quantity] of Object.entries(cart.lines)) {
          const before = (had.get(cart.id, userId, sku) as { quantity: number } | undefined)?.quantity ?? 0
          if (quantity <= before) continue
          fill.run(userId, sku, quantity - before)
          remember.run(cart.id, userId, sku, quantity, clock())
        }
      })
    },
    sweep: () => void forget.run(clock() - REMEMBER_MERGES),
  }
}
