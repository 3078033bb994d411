/** JSON as a security decision needs it: an object, of valid UTF-8, in which no name stands twice (RFC 8725, A-42). */
import { isAscii, isUtf8 } from 'node:buffer'

/** The bytes behind base64url text, if this is the one way to spell them: decoders skip what they do not know. */
export function canonical(text: string): Buffer | undefined {
  const decoded = Buffer.from(text, 'base64url')
  return decoded.toString('base64url') === text ? decoded : undefined
}

/** The object that the bytes spell, or nothing. Never throws, however deep or broken they are. */
export function strictObject(bytes: Buffer): Record<string, unknown> | undefined {
  const ascii = isAscii(bytes)
  if (!ascii && !isUtf8(bytes)) return undefined
  try {
    const text = bytes.toString(ascii ? 'latin1' : 'utf8')
    const value: unknown = JSON.parse(text)
    // A parser keeps the last of two members of one name: it then has fewer than the text.
    return isObject(value) && members(value) === colons(text) ? value : undefined
  } catch {
    return undefined
  }
}

/** Whether a value is a JSON object: not null, and no array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function members(value: object): number {
  let count = 0
  if (!Array.isArray(value)) for (const _ in value) count++
  for (const inner of Object.values(value)) if (typeof inner === 'object' && inner !== null) count += members(inner)
  return count
}

const [QUOTE, COLON, BACKSLASH] = [0x22, 0x3a, 0x5c]

/** The colons outside of strings, one for each member. The text is known to be JSON. */
function colons(text: string): number {
  let count = 0
  let quoted = false
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) quoted = !quoted
    else if (code === BACKSLASH) at++
    else if (code === COLON && !quoted) count++
  }
  return count
}
