/** Reads what a client of the API sent. Only JSON that says that it is JSON is read (ASVS 3.5.2). */
import type { Context } from 'hono'
import { thrown } from '../problem.js'

/** The fields of a JSON object. Nothing is known of their types. */
export type Fields = Readonly<Record<string, unknown>>

/** The body as an object. Throws the answer 415 or 400 for anything else. */
export async function readFields(c: Context): Promise<Fields> {
  const type = c.req.header('content-type')?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json') throw thrown(415, 'Send JSON, with Content-Type: application/json.')
  let value: unknown
  try {
    // Fatal: two passwords that differ in a broken byte must not come to the same text.
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(await c.req.arrayBuffer()))
  } catch {
    throw thrown(400, 'The body is not well-formed JSON.')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw thrown(400, 'The body is not a JSON object.')
  return value as Fields
}

/** A field's text; whatever is no text is the empty one, which no rule accepts. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
