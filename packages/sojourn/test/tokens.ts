/** Tokens as an attacker writes them: taken apart, changed, and put together with or without a signature. */
import { createHmac, type KeyObject } from 'node:crypto'

/** Any text or bytes as base64url. */
export function base64url(content: string | Uint8Array): string {
  return Buffer.from(content).toString('base64url')
}

/** What a signed token says, unverified. */
export function claimsOf(token: string): { header: Record<string, unknown>; claims: Record<string, unknown> } {
  const [header, claims] = token.split('.', 2).map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()))
  return { header, claims }
}

/** A token signed with HMAC-SHA-256, whatever its header and payload say; text goes in as it is. */
export function sign(key: KeyObject | Uint8Array, header: object | string, payload: object | string | Buffer): string {
  const part = (value: object | string | Buffer) =>
    base64url(typeof value === 'string' || Buffer.isBuffer(value) ? value : JSON.stringify(value))
  const signed = `${part(header)}.${part(payload)}`
  return `${signed}.${mac(key, signed)}`
}

/** HMAC-SHA-256. */
export function mac(key: KeyObject | Uint8Array, signed: string): string {
  return createHmac('sha256', key).update(signed).digest('base64url')
}
