/**
 * The server's keys: secrets that sign and seal sessions, others that seal providers' tokens, and the key pair that signs
 * tokens for others to verify. Each is made when it is first needed and kept, so that a restart logs nobody out.
 */
import { generateKeyPairSync, type JsonWebKey } from 'node:crypto'
import { generateSecret, type Key } from 'sojourn'
import type { SigningKeyInput } from 'sojourn/token/import-key'
import { addKept, type KeptKey, type KeyFile, loadKept } from './kept-keys.js'

const SECRETS: KeyFile<KeptKey & { readonly secret: string }> = {
  name: 'keys.json',
  generate: () => ({ secret: generateSecret() }),
  isKey: ({ secret }) => typeof secret === 'string',
}

const VAULT: KeyFile<KeptKey & { readonly secret: string }> = { ...SECRETS, name: 'vault-keys.json' }

const SIGNING: KeyFile<KeptKey & { readonly key: JsonWebKey }> = {
  name: 'signing-keys.json',
  generate: () => ({ key: generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }) }),
  isKey: ({ key }) => typeof key === 'object' && key !== null && 'd' in key,
}

/**
 * The secrets of the data folder, the current one first; makes folder and secret where there are none. Throws a
 * `TypeError` when others than the owner can read the file, or when it is not one of ours.
 */
export function loadKeys(data: string, now: number): Key[] {
  return loadKept(SECRETS, data, now).map(({ secret }) => ({ secret }))
}

/** The secrets that seal providers' tokens, in the same manner. */
export function loadVaultKeys(data: string, now: number): Key[] {
  return loadKept(VAULT, data, now).map(({ secret }) => ({ secret }))
}

/** The Ed25519 keys that sign tokens, in the same manner. */
export function loadSigningKeys(data: string, now: number): SigningKeyInput[] {
  return loadKept(SIGNING, data, now).map((kept) => ({ ...kept, algorithm: 'Ed25519' }))
}

/** Puts a new key of each kind before the others, which are accepted until the last session that they signed is over. */
export function addKey(data: string, now: number): void {
  addKept(SECRETS, data, now)
  addKept(SIGNING, data, now)
  addKept(VAULT, data, now)
}
