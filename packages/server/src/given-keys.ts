/**
 * Keys that are given to the server rather than made by it, so that several servers honour each other's sessions. Each
 * secret serves two ends: it signs and seals sessions, and the key that signs tokens is derived from it.
 */
import { createPrivateKey, hkdfSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { acceptNoRevocation, createSessions, sealed } from 'sojourn'
import type { SigningKeyInput } from 'sojourn/token/import-key'

/**
 * The secrets of a text, the current one first, or of the file that it names (`file:/run/secrets/keys`). Between them are
 * commas, spaces or line ends. Throws a `TypeError` where there is none, and for one that is weak.
 */
export function keysOf(text: string): string[] {
  const [, path] = /^file:(.+)$/s.exec(text) ?? []
  const secrets = (path === undefined ? text : contentOf(path)).split(/[\s,]+/).filter((part) => part !== '')
  if (secrets.length === 0) throw new TypeError('holds no secret; make one with `openssl rand -base64 32`')
  try {
    // The library knows what a strong one is; what is made here keeps nothing.
    createSessions({ keys: secrets, initial: () => ({}), strategy: sealed({ revocations: acceptNoRevocation }) })
  } catch (error) {
    throw new TypeError(`is no list of strong secrets; ${(error as Error).message}`)
  }
  return secrets
}

/** The Ed25519 keys that belong to the secrets: the same in every server that has them. */
export function derivedSigningKeys(secrets: readonly string[]): SigningKeyInput[] {
  return secrets.map((secret) => {
    const seed = hkdfSync('sha256', secret, '', 'sojourn server token signing key', 32)
    const key = createPrivateKey({ key: Buffer.concat([PKCS8, Buffer.from(seed)]), format: 'der', type: 'pkcs8' })
    return { algorithm: 'Ed25519', key }
  })
}

/** What stands before the seed of an Ed25519 key in a file (RFC 8410, 7). */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')

function contentOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new TypeError(`names a file that cannot be read (${code}); say where it is, and let this user read it`, {
      cause,
    })
  }
}
