/** Accounts in SQLite. */
import { type Accounts, nameOf, newUser } from '../accounts.js'
import type { Database } from '../database.js'
import type { User } from '../services.js'

/** The accounts kept in `database`; that a name is taken is its own constraint. */
export function sqliteAccounts(database: Database, clock: () => number): Accounts {
  const byId = database.prepare('SELECT id, username FROM accounts WHERE id = ?')
  const byName = database.prepare('SELECT id, username, password FROM accounts WHERE name = ?')
  const insert = database.prepare(
    'INSERT INTO accounts (id, username, name, password, created_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING',
  )
  const update = database.prepare('UPDATE accounts SET password = ? WHERE id = ? AND password = ?')

  return {
    async find(id) {
      const row = byId.get(id) as User | undefined
      return row && { id: row.id, username: row.username }
    },
    async credentials(username) {
      const row = byName.get(nameOf(username)) as { id: string; username: string; password: string } | undefined
      return row && { user: { id: row.id, username: row.username }, hash: row.password }
    },
    async create(username, hash) {
      const user = newUser(username)
      const { changes } = insert.run(user.id, user.username, nameOf(username), hash, clock())
      return Number(changes) === 1 ? user : undefined
    },
    replacePassword: async (id, was, hash) => Number(update.run(hash, id, was).changes) === 1,
  }
}
