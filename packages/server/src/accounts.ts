/** Who has an account. Knows names and password hashes; nothing that leaves it carries a hash but `credentials`. */
import { randomUUID } from 'node:crypto'
import type { Database } from './database.js'
import type { Refused, User } from './services.js'

/** An account with what a login needs. Stays between `accounts` and `password`. */
export interface Credentials {
  readonly user: User
  /** A PHC string. */
  readonly hash: string
}

/** The accounts of this server. Every call is one statement. */
export interface Accounts {
  find(id: string): User | undefined
  /** By username, in any spelling that counts as the same. */
  credentials(username: string): Credentials | undefined
  /** `undefined`: the name is taken. */
  create(username: string, hash: string): User | undefined
  /** `false`: the hash was another one already; nothing was changed. */
  replacePassword(id: string, was: string, hash: string): boolean
}

const MIN = 3
const MAX = 64

/** The accounts kept in `database`. */
export function createAccounts(database: Database, clock: () => number): Accounts {
  const byId = database.prepare('SELECT id, username FROM accounts WHERE id = ?')
  const byName = database.prepare('SELECT id, username, password FROM accounts WHERE name = ?')
  const insert = database.prepare(
    'INSERT INTO accounts (id, username, name, password, created_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING',
  )
  const update = database.prepare('UPDATE accounts SET password = ? WHERE id = ? AND password = ?')

  return {
    find: (id) => {
      const row = byId.get(id) as User | undefined
      return row && { id: row.id, username: row.username }
    },
    credentials: (username) => {
      const row = byName.get(nameOf(username)) as { id: string; username: string; password: string } | undefined
      return row && { user: { id: row.id, username: row.username }, hash: row.password }
    },
    create: (username, hash) => {
      const user = { id: randomUUID(), username: username.normalize('NFKC') }
      return Number(insert.run(user.id, user.username, nameOf(username), hash, clock()).changes) === 1
        ? user
        : undefined
    },
    replacePassword: (id, was, hash) => Number(update.run(hash, id, was).changes) === 1,
  }
}

/** What two usernames must share to be the same: case and compatibility forms do not tell people apart. */
export function nameOf(username: string): string {
  return username.normalize('NFKC').toLowerCase().normalize('NFKC')
}

/** Why this cannot become a username, or `undefined` when it can. */
export function checkUsername(username: string): Refused<'username'> | undefined {
  const refuse = (message: string): Refused<'username'> => ({ ok: false, reason: 'username', message })
  const length = username.length > 4 * MAX ? Infinity : [...username.normalize('NFKC')].length
  if (length < MIN) return refuse(`A username has at least ${MIN} characters.`)
  if (length > MAX) return refuse(`A username has at most ${MAX} characters.`)
  if (!/^[\p{L}\p{M}\p{N}._-]+$/u.test(username.normalize('NFKC'))) {
    return refuse('A username consists of letters, digits, dots, hyphens and underscores.')
  }
  if (!/[\p{L}\p{N}]/u.test(username)) return refuse('A username contains at least one letter or digit.')
  return undefined
}
