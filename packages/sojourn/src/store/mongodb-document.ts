/** A record as a document, and back. */
import { ESCAPE, escaped, unescaped } from '../escape.js'
import type { SessionRecord } from '../types.js'

/** A record at rest. `_id` is a string; what is no record in the collection has an object there. */
export interface RecordDocument {
  readonly _id: string
  readonly user?: string
  readonly version: number
  /** A date, because the TTL index wants one. */
  readonly expiresAt: Date
  readonly createdAt: number
  readonly seenAt: number
  readonly authenticatedAt?: number
  readonly persistent?: true
  /** JSON. */
  readonly device?: string
  readonly data: string
}

/** The latest time that a `Date` can show. */
const LAST = 8.64e15

/** Fields that are absent stay absent: the driver would make null of `undefined`. */
export function documentOf(record: SessionRecord): Omit<RecordDocument, '_id'> {
  const { userId, authenticatedAt, persistent, device } = record
  return {
    ...(userId === undefined ? {} : { user: textOf(userId) }),
    version: record.version,
    expiresAt: new Date(Math.min(record.expiresAt, LAST)),
    createdAt: record.createdAt,
    seenAt: record.seenAt,
    ...(authenticatedAt === undefined ? {} : { authenticatedAt }),
    ...(persistent ? { persistent } : {}),
    ...(device === undefined ? {} : { device: JSON.stringify(device) }),
    data: textOf(record.data),
  }
}

/** The record of a document. */
export function recordOf(document: RecordDocument): SessionRecord {
  return {
    userId: document.user === undefined ? undefined : unescaped(document.user),
    data: unescaped(document.data),
    createdAt: document.createdAt,
    seenAt: document.seenAt,
    authenticatedAt: document.authenticatedAt,
    expiresAt: Number(document.expiresAt),
    version: document.version,
    persistent: document.persistent,
    device: document.device === undefined ? undefined : JSON.parse(document.device),
  }
}

// BSON keeps all other control characters.
const LOST = new RegExp(`[${ESCAPE}\\p{Surrogate}]`, 'gu')

/**
 * Text as BSON keeps it unharmed: half a surrogate pair does not survive UTF-8, and two users would become one. What is
 * no text is refused: as a part of a query, an object would be an operator.
 *
 * @throws TypeError when it is not a string.
 */
export function textOf(text: string): string {
  if (typeof text !== 'string') throw new TypeError('mongodb: ids, user ids and data are strings, and nothing else')
  return escaped(text, LOST)
}
