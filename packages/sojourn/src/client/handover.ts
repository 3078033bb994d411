/**
 * A renewed credential for the copies of a tab. A browser copies `sessionStorage` into a duplicated tab, and two tabs that
 * rotate one refresh token would look like a thief. Encrypted under the token that was replaced: those who hold it may
 * have the next one, and whoever else listens learns nothing.
 */
import { type Credential, credentialOf } from './credential.js'

const IV = 12

/** `undefined` where there is no refresh token to be shared, or no WebCrypto (plain HTTP). */
export async function sealFor(was: Credential, next: Credential): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (was.refresh === undefined || !globalThis.crypto?.subtle) return undefined
  const iv = crypto.getRandomValues(new Uint8Array(IV))
  const text = new TextEncoder().encode(JSON.stringify(next))
  const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, await keyOf(was.refresh), text)
  const message = new Uint8Array(IV + sealed.byteLength)
  message.set(iv)
  message.set(new Uint8Array(sealed), IV)
  return message
}

/** The successor of `held`, if that is what it is. */
export async function openWith(held: Credential, message: Uint8Array<ArrayBuffer>): Promise<Credential | undefined> {
  if (held.refresh === undefined || !globalThis.crypto?.subtle) return undefined
  try {
    const cipher = { name: 'AES-GCM', iv: message.subarray(0, IV) }
    const text = await crypto.subtle.decrypt(cipher, await keyOf(held.refresh), message.subarray(IV))
    return credentialOf(JSON.parse(new TextDecoder().decode(text)))
  } catch {
    return undefined
  }
}

async function keyOf(refresh: string): Promise<CryptoKey> {
  const text = new TextEncoder()
  const secret = await crypto.subtle.importKey('raw', text.encode(refresh), 'HKDF', false, ['deriveKey'])
  const how = { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info: text.encode('sojourn client handover') }
  return crypto.subtle.deriveKey(how, secret, { name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt'])
}
