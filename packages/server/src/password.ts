/** Passwords as this server hashes them: the library's way, with the argon2 that it brings along. */
import * as argon2 from '@node-rs/argon2'
import { type Passwords, password } from 'sojourn/identity/password'

export type { Passwords } from 'sojourn/identity/password'

/** Passwords behind a gate of two at once and fifty waiting. */
export async function createPasswords(): Promise<Passwords> {
  return password({ argon2 })
}
