/**
 * How long a record lives. The timeouts hold here, on the server's clock, whatever a store thinks of a record's age
 * (ASVS 7.3.1, 7.3.2); activity moves the idle end and never the absolute one.
 */
import type { Draft, Refusal, SessionRecord, State, StrategyContext, Timeouts } from '../types.js'

/** A replaced record is remembered so long, to tell requests that were under way with its identifier from new guests. */
const REPLACED_FOR = 30_000
/** Clocks of several servers may differ so much; a record from further in the future is not believed. */
const SKEW = 300_000

/** The timeouts that hold for a record. */
export function timeoutsOf(record: Pick<SessionRecord, 'persistent'>, context: StrategyContext): Timeouts {
  return record.persistent ? context.remember : context.timeouts
}

/** What a record that was read is worth now. */
export function judge(
  id: string,
  record: SessionRecord | undefined,
  now: number,
  context: StrategyContext,
): State | Refusal {
  if (record === undefined) return 'ended'
  if (!isRecord(record)) return 'malformed'
  if (isReplaced(record)) return 'replaced'
  const { idle, absolute } = timeoutsOf(record, context)
  if (now >= record.expiresAt || now >= record.createdAt + absolute || now >= record.seenAt + idle) return 'expired'
  if (record.createdAt > now + SKEW) return 'malformed'
  return { id, record, due: isDue(record.seenAt - now, idle), reissue: undefined }
}

/**
 * Whether the activity is to be written down. Also where it was written down far `ahead` of this clock, which was set back or
 * is behind another's: some stores count by a clock of their own how long a record is kept, and forget it meanwhile. Half,
 * where a tenth would do for that, so that two servers whose clocks differ a little do not write in turn.
 */
function isDue(ahead: number, idle: number): boolean {
  return ahead <= -idle / 10 || ahead >= idle / 2
}

/** `base` as of now: seen, with the ends that follow from it. */
export function renewed(
  base: SessionRecord,
  data: string,
  now: number,
  version: number,
  context: StrategyContext,
): SessionRecord {
  const { idle, absolute } = timeoutsOf(base, context)
  return { ...base, data, seenAt: now, expiresAt: Math.min(now + idle, base.createdAt + absolute), version }
}

/** A record that begins now: a user's when `userId` is given, else a guest's. */
export function begun(
  draft: Draft,
  userId: string | undefined,
  data: string,
  now: number,
  version: number,
  context: StrategyContext,
): SessionRecord {
  const { device, authenticatedAt: proved = now } = draft
  // No proof is newer than the session that rests on it, whatever a provider's clock says.
  const authenticatedAt = Math.min(Math.floor(proved), now)
  const user =
    userId === undefined ? { device } : { device, userId, authenticatedAt, persistent: draft.persistent || undefined }
  return renewed({ ...user, data, createdAt: now, seenAt: now, expiresAt: now, version }, data, now, version, context)
}

/** What stays of a record whose session has a new identifier: nothing but the fact, and not for long. */
export function replaced(base: SessionRecord, now: number): SessionRecord {
  return { data: '', createdAt: base.createdAt, seenAt: now, expiresAt: now + REPLACED_FOR, version: base.version + 1 }
}

/** What is written over a record to end it: a store forgets what has expired, and only if nobody was faster. */
export function ended(base: SessionRecord): SessionRecord {
  return { ...base, expiresAt: 0, version: base.version + 1 }
}

/** Whether a record only says that its session has a new identifier. */
export function isReplaced(record: SessionRecord): boolean {
  return record.data === ''
}

/** What encrypted data begins with. No JSON does. */
export const SEALED = '~'

/** Whether a record's data is encrypted still: in the store, or because nothing that we have opens it. */
export function isSealed(record: SessionRecord): boolean {
  return typeof record.data === 'string' && record.data[0] === SEALED
}

/** A store may hold what somebody else wrote there, or altered. */
function isRecord(record: SessionRecord): boolean {
  return (
    typeof record.data === 'string' &&
    !isSealed(record) &&
    Number.isFinite(record.createdAt) &&
    Number.isFinite(record.seenAt) &&
    Number.isFinite(record.expiresAt) &&
    Number.isInteger(record.version) &&
    (record.userId === undefined || typeof record.userId === 'string')
  )
}
