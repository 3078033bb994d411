/** Carts in SQLite: adding is one statement, merging one transaction. */
import { type Carts, MAX_QUANTITY, REMEMBER_MERGES } from '../carts.js'
import type { Database } from '../database.js'
import type { CartLine } from '../services.js'

/** The carts kept in `database`. */
export function sqliteCarts(database: Database, clock: () => number): Carts {
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
    lines: async (userId) => (all.all(userId) as CartLine[]).map(({ sku, quantity }) => ({ sku, quantity })),
    add: async (userId, { sku, quantity }) =>
      quantity <= MAX_QUANTITY && Number(insert.run(userId, sku, quantity).changes) === 1,
    remove: async (userId, sku) => void drop.run(userId, sku),
    async merge(userId, cart) {
      database.transaction(() => {
        for (const [sku, quantity] of Object.entries(cart.lines)) {
          const before = (had.get(cart.id, userId, sku) as { quantity: number } | undefined)?.quantity ?? 0
          if (quantity <= before) continue
          fill.run(userId, sku, quantity - before)
          remember.run(cart.id, userId, sku, quantity, clock())
        }
      })
    },
    sweep: async () => void forget.run(clock() - REMEMBER_MERGES),
  }
}
