/** Identities in SQLite, beside the accounts. */
import { nameOf, newUser } from '../accounts.js'
import type { Database } from '../database.js'
import type { User } from '../services.js'
import type { Identities, LinkedIdentity } from './identities.js'

/** The identities kept in `database`. An account without a password has the empty text for a hash, which nothing matches. */
export function sqliteIdentities(database: Database, clock: () => number): Identities {
  const owner = database.prepare(
    'SELECT a.id, a.username FROM identities i JOIN accounts a ON a.id = i.user_id WHERE i.issuer = ? AND i.sub = ?',
  )
  const account = database.prepare(
    "INSERT INTO accounts (id, username, name, password, created_at) VALUES (?, ?, ?, '', ?) ON CONFLICT (name) DO NOTHING",
  )
  const insert = database.prepare(
    'INSERT INTO identities (issuer, sub, user_id, label, linked_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
  )
  const ofUser = database.prepare(
    'SELECT issuer, sub, label, linked_at FROM identities WHERE user_id = ? ORDER BY issuer',
  )
  const remove = database.prepare(
    `DELETE FROM identities WHERE user_id = ? AND issuer = ? AND (
       EXISTS (SELECT 1 FROM accounts WHERE id = ? AND password <> '') OR
       EXISTS (SELECT 1 FROM identities WHERE user_id = ? AND issuer <> ?
               AND issuer IN (SELECT value FROM json_each(?))))`,
  )
  const find = (issuer: string, sub: string): User | undefined => {
    const row = owner.get(issuer, sub) as User | undefined
    return row && { id: row.id, username: row.username }
  }
  const list = (userId: string): LinkedIdentity[] =>
    (ofUser.all(userId) as { issuer: string; sub: string; label: string; linked_at: number }[]).map(
      ({ linked_at, ...identity }) => ({ ...identity, linkedAt: linked_at }),
    )

  return {
    find: async (issuer, sub) => find(issuer, sub),
    list: async (userId) => list(userId),

    create: async (username, { issuer, sub, label }) =>
      database.transaction(() => {
        const known = find(issuer, sub)
        if (known) return known
        const user = newUser(username)
        if (Number(account.run(user.id, user.username, nameOf(username), clock()).changes) === 0) return undefined
        insert.run(issuer, sub, user.id, label, clock())
        return user
      }),

    link: async (userId, { issuer, sub, label }) =>
      database.transaction(() => {
        if (Number(insert.run(issuer, sub, userId, label, clock()).changes) === 1) return 'linked'
        const known = find(issuer, sub)
        if (known === undefined) return 'other-identity'
        return known.id === userId ? 'linked' : 'other-user'
      }),

    unlink: async (userId, issuer, others) =>
      database.transaction(() => {
        if (Number(remove.run(userId, issuer, userId, userId, issuer, JSON.stringify(others)).changes) === 1)
          return 'unlinked'
        return list(userId).some((identity) => identity.issuer === issuer) ? 'last' : 'absent'
      }),
  }
}
