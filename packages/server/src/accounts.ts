/** Who has an account. Knows names and password hashes; nothing that leaves it carries a hash but `credentials`. */
import { randomUUID } from 'node:crypto'
import type { Refused, User } from './services.js'

/** An account with what a login needs. Stays between `accounts` and `password`. */
export interface Credentials {
  readonly user: User
  /** A PHC string; empty where the account has no password. */
  readonly hash: string
}

/** The accounts of this server, wherever they are kept. Every call is one statement, and rejects when that fails. */
export interface Accounts {
  find(id: string): Promise<User | undefined>
  /** By username, in any spelling that counts as the same. */
  credentials(username: string): Promise<Credentials | undefined>
  /** `undefined`: the name is taken. */
  create(username: string, hash: string): Promise<User | undefined>
  /** `false`: the hash was another one already; nothing was changed. */
  replacePassword(id: string, was: string, hash: string): Promise<boolean>
}

const MIN = 3
const MAX = 64

/** A new account's user: an id of its own, and the name in its composed form. */
export function newUser(username: string): User {
  return { id: randomUUID(), username: username.normalize('NFKC') }
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
