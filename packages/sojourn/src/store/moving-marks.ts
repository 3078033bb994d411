/**
 * What a move writes beside records, in the two stores: a **copy** in the new one, which does not count yet, and a
 * **signpost** in the old one, which says that it does. Both have a version that no other write of any record has, so
 * that a compare-and-set tells one copy from all others, however late it comes.
 */
import { randomInt } from 'node:crypto'
import type { SessionRecord } from '../types.js'

/** Versions from here on are those of marks. A session that is written every second gets there in 34 years. */
const MARKS = 2 ** 30

/** A version for one copy and its signpost. It fits into 32 bits, which is what a store may have for it. */
export function markVersion(): number {
  return randomInt(MARKS, 2 ** 31 - 1)
}

/** Whether what the old store has of a session only says that the session is in the new one. Nobody lists it. */
export function isSignpost(record: SessionRecord): boolean {
  return record.data === '' && record.version >= MARKS
}

/** The signpost to the copy `version`. It stands for as long as the session could have lived here. */
export function signpost(record: SessionRecord, version: number): SessionRecord {
  const { createdAt, seenAt, expiresAt } = record
  return { data: '', createdAt, seenAt, expiresAt, version }
}

// No JSON begins so, and nothing that is encrypted.
const COPY = /^moving (\d+) /

/** A copy that does not count before its signpost stands. It is its user's, so that `endAll` finds it. */
export function copyOf(record: SessionRecord, version: number): SessionRecord {
  return { ...record, data: `moving ${record.version} ${record.data}`, version }
}

/** Whether what the new store has of a session is a copy that may not count yet, or never. */
export function isCopy(record: SessionRecord): boolean {
  return record.version >= MARKS && COPY.test(record.data)
}

/** The record that a copy was made of, at its own version: who read it in the old store can overwrite it in the new one. */
export function copied(copy: SessionRecord): SessionRecord {
  const [prefix, version] = COPY.exec(copy.data)!
  return { ...copy, data: copy.data.slice(prefix.length), version: Number(version) }
}

/** Where a move is written down to have begun: in the old store, under a name that no credential leads to. */
export const BEGUN = 'sojourn-move-begun'
/** Were it forgotten, new sessions would be made in the old store again. */
const FOREVER = 8_640_000_000_000_000

/** What is written down there. Nobody lists it. */
export function begunAt(now: number): SessionRecord {
  return { data: '', createdAt: now, seenAt: now, expiresAt: FOREVER, version: 1 }
}

/** What is written over a record to end it. */
export function gone(record: SessionRecord): SessionRecord {
  return { ...record, expiresAt: 0, version: record.version + 1 }
}
