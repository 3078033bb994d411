/**
 * What is kept of a session's content, as text: the data, the flash values and what a vault put there, apart from each
 * other and from every field that means something to us, so that no key of the user's can become one.
 */
import { Fault } from './errors.js'
import { proofOf } from './proof.js'
import type { Proof } from './types.js'

/** The content of a session: plain JSON objects. */
export interface Content {
  data: Record<string, unknown>
  flash: Record<string, unknown>
  /** Sealed texts and references of a vault: no code of the app's is handed them. Absent: there are none. */
  vault?: Record<string, unknown> | undefined
  /** How the user proved who they are, where the login said so. */
  auth?: Proof | undefined
}

/** The most that one session may hold, bytes of JSON text: a session is not a file system. */
export const MAX_BYTES = 1_048_576

/** Text for the record. Throws `ERR_DATA` when it is over 1 MB. */
export function encode(content: Content): string {
  const { data, flash, vault = {}, auth } = content
  const kept = (part: Record<string, unknown>) => (isEmpty(part) ? undefined : part)
  const text = JSON.stringify({ data, flash: kept(flash), vault: kept(vault), auth })
  // A UTF-16 unit is at most three bytes of UTF-8: small texts, nearly all of them, need no count.
  if (text.length * 3 > MAX_BYTES && Buffer.byteLength(text) > MAX_BYTES) {
    throw new Fault(
      'ERR_DATA',
      `the session holds more than ${MAX_BYTES} bytes; keep large things in a database and their key in the session`,
    )
  }
  return text
}

/** The content of a record's text; `undefined` when it cannot be read (cut off, or not ours). */
export function decode(text: string): Content | undefined {
  try {
    const { data, flash = {}, vault, auth } = JSON.parse(text)
    if (!isObject(data) || !isObject(flash) || (vault !== undefined && !isObject(vault))) return undefined
    return { data, flash, ...(vault && { vault }), ...(auth && { auth: proofOf(auth) }) }
  } catch {
    return undefined
  }
}

/** How messages name a field of the data: as a programmer may have, never by a key that a visitor may have typed. */
export function fieldOf(part: string, key: string): string {
  return /^[A-Za-z_$][\w$]{0,63}$/.test(key) ? `session.${part}.${key}` : `a field of session.${part}`
}

/**
 * Throws `ERR_DATA` for a value that would come back as something else: JSON turns a Map into `{}`, a function into
 * nothing and an infinite number into null without a word. `part` and `key` say where it was put.
 */
export function checkValue(part: string, key: string, value: unknown): void {
  let why: string | undefined
  try {
    why = loss(value)
    if (why === undefined && typeof value === 'object') JSON.stringify(value, checkPart)
  } catch (error) {
    why = error instanceof Lossy ? error.message : 'it has a cycle or a BigInt'
  }
  if (why !== undefined) {
    throw new Fault(
      'ERR_DATA',
      `${fieldOf(part, key)} cannot be kept: ${why}; keep plain objects, arrays, text, finite numbers and booleans`,
    )
  }
}

/** Whether a value is an array, or an object that is nothing but its fields. */
export function isPlain(value: unknown): value is Record<string, unknown> | unknown[] {
  if (typeof value !== 'object' || value === null) return false
  if (Array.isArray(value)) return true
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** A copy of what is plain, all the way down; anything else stays what it is. */
export function copyOf(value: unknown): unknown {
  if (!isPlain(value)) return value
  if (Array.isArray(value)) return value.map(copyOf)
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, copyOf(part)]))
}

class Lossy extends Error {}

function checkPart(this: Record<string, unknown>, key: string, value: unknown): unknown {
  // `this[key]` is the value before its `toJSON`: a Date is seen as the Date that would come back as text.
  const part = this[key]
  const why = part === undefined && Array.isArray(this) ? 'it holds an array with a hole' : loss(part)
  if (why !== undefined) throw new Lossy(why)
  return value
}

function loss(value: unknown): string | undefined {
  switch (typeof value) {
    case 'function':
    case 'symbol':
    case 'bigint':
      return `it holds a ${typeof value}`
    case 'number':
      return Number.isFinite(value) ? undefined : `it holds ${value}`
    case 'object': {
      if (value === null || Array.isArray(value)) return undefined
      if (!isPlain(value)) return `it holds a ${Object.getPrototypeOf(value).constructor?.name || 'class instance'}`
      return typeof (value as { toJSON?: unknown }).toJSON === 'function'
        ? 'it holds an object with a toJSON'
        : undefined
    }
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isEmpty(object: object): boolean {
  for (const _ in object) return false
  return true
}
