/** Accounts in PostgreSQL. */
import { type Accounts, nameOf, newUser } from '../accounts.js'
import type { Sql } from '../engines/postgres-pool.js'

/** The accounts kept in `sojourn_accounts`; that a name is taken is its own constraint. */
export function postgresAccounts(sql: Sql, clock: () => number): Accounts {
  return {
    async find(id) {
      const { rows } = await sql('SELECT username FROM sojourn_accounts WHERE id = $1', [id])
      return rows[0] && { id, username: String(rows[0].username) }
    },
    async credentials(username) {
      const name = nameOf(username)
      // No name has one, and PostgreSQL takes none.
      if (name.includes('\0')) return undefined
      const { rows } = await sql('SELECT id, username, password FROM sojourn_accounts WHERE name = $1', [name])
      const [row] = rows
      return row && { user: { id: String(row.id), username: String(row.username) }, hash: String(row.password) }
    },
    async create(username, hash) {
      const user = newUser(username)
      const { count } = await sql(
        `INSERT INTO sojourn_accounts (id, username, name, password, created_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (name) DO NOTHING`,
        [user.id, user.username, nameOf(username), hash, clock()],
      )
      return count === 1 ? user : undefined
    },
    async replacePassword(id, was, hash) {
      const change = 'UPDATE sojourn_accounts SET password = $3 WHERE id = $1 AND password = $2'
      return (await sql(change, [id, was, hash])).count === 1
    },
  }
}
