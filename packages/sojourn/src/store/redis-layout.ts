/**
 * What stands in Redis: one string per session, and one sorted set per user with the sessions that are the user's.
 *
 * A record is a short head, a newline, and the data as the codec made it. The head is a JSON list, so that any text is
 * safe in it; what the scripts need stands first in it, and the data, which may be long, is never parsed.
 */
import { Recent } from '../crypto/recent.js'
import { escaped, unescaped } from '../escape.js'
import type { SessionRecord } from '../types.js'

/** A name for each write, and for each entry of a user's index. */
export type Token = string

/** What the scripts put together with what stays as it was. */
export interface Encoded {
  readonly version: string
  readonly expiresAt: string
  /** The user as it stands in the head: JSON. `null`: a guest. */
  readonly user: string
  /** All that comes after the user, and the data. */
  readonly rest: string
}

/** What a head says of who must be told, or tidied up after, when its record has gone. */
export interface Head {
  readonly userId: string | undefined
  readonly token: Token
  readonly expiresAt: number
  readonly replaced: boolean
}

// Bits of `flags`.
const PERSISTENT = 1
const REPLACED = 2
/** The data is a JSON text, because it holds half a surrogate pair, which UTF-8 cannot say. */
const QUOTED = 4

const SURROGATE = /\p{Surrogate}/u
/** Infinity has no digits; this is longer than anybody's session. */
const FOREVER = Number.MAX_SAFE_INTEGER

/** A time or duration as the scripts read it: whole milliseconds, digits only. */
export function digits(ms: number): string {
  return String(Math.min(Math.ceil(ms), FOREVER))
}

/** The user as heads have it. */
export function userText(userId: string | undefined): string {
  return userId === undefined ? 'null' : JSON.stringify(userId)
}

/** A record of the session `id`, but for what the scripts add: the horizon, the names of the write and of the index entry. */
export function encode(id: string, record: SessionRecord): Encoded {
  const { data, createdAt, seenAt, authenticatedAt, persistent, device } = record
  const quoted = SURROGATE.test(data)
  const flags = (persistent ? PERSISTENT : 0) | (data === '' ? REPLACED : 0) | (quoted ? QUOTED : 0)
  const tail = JSON.stringify([createdAt, seenAt, authenticatedAt, flags, device, id])
  return {
    version: String(record.version),
    expiresAt: String(Math.min(record.expiresAt, FOREVER)),
    user: userText(record.userId),
    rest: `,${tail.slice(1)}\n${quoted ? JSON.stringify(data) : data}`,
  }
}

type List = readonly [
  version: number,
  expiresAt: number,
  horizon: number,
  write: Token,
  token: Token,
  user: string | null,
  createdAt: number,
  seenAt: number,
  authenticatedAt: number | null,
  flags: number,
  device: SessionRecord['device'] | null,
  id: string,
]

/**
 * What was decoded lately, by its session: a session that is only read is decoded once, and its record and data are the
 * same for every request.
 */
const decoded = new Recent<SessionRecord>()

/**
 * The record of the session `id` in a value; `undefined` when it has expired. Throws when the value is somebody else's, or
 * another session's: of a driver that lost count of its answers, which would hand out everybody's sessions to others.
 */
export function decode(id: string, value: string, now: number): SessionRecord | undefined {
  const record = decoded.get(value, id) ?? parsed(id, value)
  return record.expiresAt <= now ? undefined : record
}

function parsed(id: string, value: string): SessionRecord {
  const end = value.indexOf('\n')
  const [version, expiresAt, , , , user, createdAt, seenAt, authenticatedAt, flags, device, of] = list(value, end)
  expectSame(id, of)
  const data = value.slice(end + 1)
  // Frozen, since it is handed to everybody.
  const record: SessionRecord = Object.freeze({
    userId: user ?? undefined,
    data: (flags & QUOTED) === 0 ? data : JSON.parse(data),
    createdAt,
    seenAt,
    authenticatedAt: authenticatedAt ?? undefined,
    expiresAt,
    version,
    persistent: (flags & PERSISTENT) !== 0 || undefined,
    device: Object.freeze(device ?? undefined),
  })
  decoded.set(value, record, id)
  return record
}

/** What a head of the session `id` says. Throws when it is none, or another's. */
export function headOf(id: string, text: string): Head {
  const [, expiresAt, , , token, user, , , , flags, , of] = list(text, text.length)
  expectSame(id, of)
  return { userId: user ?? undefined, token, expiresAt, replaced: (flags & REPLACED) !== 0 }
}

/** What is thrown for an answer that cannot be one to what was asked. */
export function astray(): Error {
  return new Error(
    'redis: the client gave an answer that belongs to another question; its connection has lost count, and must be closed and opened anew',
  )
}

function expectSame(id: string, of: string): void {
  if (id !== of) throw astray()
}

function list(value: string, end: number): List {
  try {
    return JSON.parse(value.slice(0, end)) as List
  } catch {
    // What `JSON.parse` says shows a part of the value.
    throw new Error('redis: a value under `prefix` is not of this store; give `prefix` a name that nobody else uses')
  }
}

/** Text as a part of a SCAN pattern that matches itself alone. */
export function literal(text: string): string {
  return text.replace(/[*?[\]\\]/g, '\\$&')
}

/** The entry of a session in its user's index. */
export function entry(token: Token, id: string): string {
  return `${token}:${escaped(id)}`
}

/** The session that an entry stands for. */
export function idOf(member: string): string {
  return unescaped(member.slice(member.indexOf(':') + 1))
}
