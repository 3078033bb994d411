/** Compact JWE (RFC 7516) with a shared key and AES-256-GCM (`dir`, `A256GCM`), around a signed token, and nothing else. */
import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from 'node:crypto'
import { canonical } from './json.js'

const CIPHER = 'aes-256-gcm'
const IV = 12
const TAG = 16
/** A longer token is not ours: characters that anything at all is done about. */
const LONGEST = 32_768

/** A 256-bit key and the id that tokens name it by. */
export interface EncryptionKey {
  readonly id: string
  readonly key: KeyObject
}

/** Encrypts a signed token. One key is good for 2^32 tokens (NIST SP 800-38D), which at a thousand a second is 49 days. */
export function sealJwe({ id, key }: EncryptionKey, token: string): string {
  const header = headerOf(id)
  const iv = randomBytes(IV)
  const cipher = createCipheriv(CIPHER, key, iv)
  cipher.setAAD(Buffer.from(header))
  const body = Buffer.concat([cipher.update(token, 'utf8'), cipher.final()])
  return `${header}..${iv.toString('base64url')}.${body.toString('base64url')}.${cipher.getAuthTag().toString('base64url')}`
}

/**
 * The token inside, or why there is none. Nobody else has the key, so the header is one that we write, to the letter:
 * nothing in it is ever parsed, let alone obeyed.
 */
export function openJwe(
  token: string,
  keys: readonly EncryptionKey[],
): { token: string; key: EncryptionKey } | 'malformed' | 'forged' {
  if (token.length > LONGEST) return 'malformed'
  const parts = token.split('.', 6)
  if (parts.length !== 5 || parts[1] !== '') return 'malformed'
  const [header, , ...rest] = parts as [string, string, string, string, string]
  const [iv, body, tag] = rest.map(canonical)
  if (iv?.length !== IV || !body || tag?.length !== TAG) return 'malformed'
  const key = keys.find(({ id }) => header === headerOf(id))
  if (!key) return 'forged'
  try {
    const decipher = createDecipheriv(CIPHER, key.key, iv)
    decipher.setAAD(Buffer.from(header))
    decipher.setAuthTag(tag)
    return { token: decipher.update(body, undefined, 'utf8') + decipher.final('utf8'), key }
  } catch {
    return 'forged'
  }
}

function headerOf(id: string): string {
  return Buffer.from(JSON.stringify({ alg: 'dir', enc: 'A256GCM', cty: 'JWT', kid: id })).toString('base64url')
}
