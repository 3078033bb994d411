/** Carts in PostgreSQL: each call is one statement. */
import { type Carts, MAX_QUANTITY, REMEMBER_MERGES } from '../carts.js'
import type { Sql } from '../engines/postgres-pool.js'

/** The carts kept in `sojourn_carts`. */
export function postgresCarts(sql: Sql, clock: () => number): Carts {
  return {
    async lines(userId) {
      const { rows } = await sql('SELECT sku, quantity FROM sojourn_carts WHERE user_id = $1 ORDER BY sku', [userId])
      return rows.map(({ sku, quantity }) => ({ sku: String(sku), quantity: Number(quantity) }))
    },
    async add(userId, { sku, quantity }) {
      if (quantity > MAX_QUANTITY) return false
      const { count } = await sql(
        `INSERT INTO sojourn_carts AS kept (user_id, sku, quantity) VALUES ($1, $2, $3)
         ON CONFLICT (user_id, sku) DO UPDATE SET quantity = kept.quantity + excluded.quantity
         WHERE kept.quantity + excluded.quantity <= $4`,
        [userId, sku, quantity, MAX_QUANTITY],
      )
      return count === 1
    },
    async remove(userId, sku) {
      await sql('DELETE FROM sojourn_carts WHERE user_id = $1 AND sku = $2', [userId, sku])
    },
    async merge(userId, { id, lines }) {
      const values = [userId, id, Object.keys(lines), Object.values(lines), MAX_QUANTITY, clock()]
      await sql('SELECT sojourn_merge_cart($1, $2, $3, $4, $5, $6)', values)
    },
    async sweep() {
      await sql('DELETE FROM sojourn_merged WHERE at < $1', [clock() - REMEMBER_MERGES])
    },
  }
}
