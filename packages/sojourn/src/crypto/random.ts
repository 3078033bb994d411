/**
 * The one source of randomness: the operating system's generator, drawn 4 KB at a time, because a call per identifier
 * costs twenty times what the bytes do. Each byte is handed out once and then erased.
 */
import { randomFillSync } from 'node:crypto'

const pool = Buffer.allocUnsafeSlow(4096)
let used = pool.length

/** `bytes` fresh random bytes (at most 4096) as base64url text without padding. */
export function randomText(bytes: number): string {
  if (used + bytes > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  const text = pool.toString('base64url', used, used + bytes)
  pool.fill(0, used, used + bytes)
  used += bytes
  return text
}
