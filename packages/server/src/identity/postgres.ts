/** Identities in PostgreSQL, beside the accounts. */
import { nameOf, newUser } from '../accounts.js'
import type { Sql } from '../engines/postgres-pool.js'
import type { User } from '../services.js'
import type { Identities } from './identities.js'

/** The identities kept in `sojourn_identities`. An account without a password has the empty text for a hash, which nothing matches. */
export function postgresIdentities(sql: Sql, clock: () => number): Identities {
  const find = async (issuer: string, sub: string): Promise<User | undefined> => {
    const { rows } = await sql(
      `SELECT a.id, a.username FROM sojourn_identities i JOIN sojourn_accounts a ON a.id = i.user_id
       WHERE i.issuer = $1 AND i.sub = $2`,
      [issuer, sub],
    )
    return rows[0] && { id: String(rows[0].id), username: String(rows[0].username) }
  }

  return {
    find,

    async list(userId) {
      const { rows } = await sql(
        'SELECT issuer, sub, label, linked_at FROM sojourn_identities WHERE user_id = $1 ORDER BY issuer',
        [userId],
      )
      return rows.map(({ issuer, sub, label, linked_at }) => ({
        issuer: String(issuer),
        sub: String(sub),
        label: String(label),
        linkedAt: Number(linked_at),
      }))
    },

    async create(username, { issuer, sub, label }) {
      const known = await find(issuer, sub)
      if (known) return known
      const user = newUser(username)
      try {
        // One statement: where the identity is somebody's since a moment ago, the account is not made either.
        const { count } = await sql(
          `WITH made AS (
             INSERT INTO sojourn_accounts (id, username, name, password, created_at) VALUES ($1, $2, $3, '', $4)
             ON CONFLICT (name) DO NOTHING RETURNING id
           ) INSERT INTO sojourn_identities (issuer, sub, user_id, label, linked_at) SELECT $5, $6, id, $7, $4 FROM made`,
          [user.id, user.username, nameOf(username), clock(), issuer, sub, label],
        )
        return count === 1 ? user : await find(issuer, sub)
      } catch (error) {
        if ((error as { code?: unknown }).code === UNIQUE) return find(issuer, sub)
        throw error
      }
    },

    async link(userId, { issuer, sub, label }) {
      const { count } = await sql(
        `INSERT INTO sojourn_identities (issuer, sub, user_id, label, linked_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT DO NOTHING`,
        [issuer, sub, userId, label, clock()],
      )
      if (count === 1) return 'linked'
      const known = await find(issuer, sub)
      if (known === undefined) return 'other-identity'
      return known.id === userId ? 'linked' : 'other-user'
    },

    async unlink(userId, issuer, others) {
      const { rows } = await sql('SELECT sojourn_unlink_identity($1, $2, $3) AS done', [userId, issuer, others])
      return rows[0]!.done as 'unlinked' | 'absent' | 'last'
    },
  }
}

const UNIQUE = '23505'
