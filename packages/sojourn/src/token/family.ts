/**
 * A family: all the refresh tokens that came of one login, as one record, so that compare-and-set makes each rotation
 * atomic. Only the newest generation counts; hashes of it, of the one before, and for a moment of those that were rotated
 * in quick succession are what is kept.
 */
import { sameDigest } from '../crypto/digest.js'
import type { Proof, SessionRecord, Timeouts } from '../types.js'
import type { RefreshToken } from './refresh-token.js'

/** What a family's record holds beside the fields of every session. */
export interface FamilyContent {
  readonly generation: number
  /** The id of the key that the current token was made with. */
  readonly key: string
  /** Half of what makes the tokens; the other half is that key. */
  readonly seed: string
  /** Hash of the current token, and of the one that it replaced (at the record's `seenAt`). */
  readonly current: string
  readonly previous?: string | undefined
  /** Hashes of those before that, the youngest first, each with when it was replaced: only within the grace. */
  readonly recent?: readonly Rotated[] | undefined
  /** When the family began, for revocations: after all that was ended before. */
  readonly issuedAt: number
  readonly scope?: string | undefined
  /** How the user proved who they are at the login. */
  readonly auth?: Proof | undefined
  /** The app's own data as of the login. */
  readonly data: Record<string, unknown>
}

/** The hash of a token, and when another took its place. */
export type Rotated = readonly [digest: string, at: number]

/** No client needs as many new tokens within a grace: whoever takes more pays with the oldest. */
const MOST_RECENT = 32

/** A family as it was read. */
export interface Family {
  readonly id: string
  readonly userId: string
  readonly record: SessionRecord
  readonly content: FamilyContent
}

/** The text of a record. */
export function encodeFamily({ data, ...family }: FamilyContent): string {
  return JSON.stringify({ family, data })
}

/** The family in a record; `undefined` for a record that is none. */
export function familyOf(id: string, record: SessionRecord): Family | undefined {
  const { userId } = record
  if (userId === undefined) return undefined
  try {
    const { family, data } = JSON.parse(record.data) as { family: Omit<FamilyContent, 'data'>; data: object }
    const numbers = [family.generation, family.issuedAt, record.createdAt, record.seenAt, record.expiresAt]
    const texts = [family.key, family.seed, family.current, family.previous ?? '', family.scope ?? '']
    if (!numbers.every(Number.isFinite) || !texts.every((text) => typeof text === 'string')) return undefined
    if (typeof data !== 'object' || data === null || !areRotated(family.recent ?? [])) return undefined
    return { id, userId, record, content: { ...family, data: data as Record<string, unknown> } }
  } catch {
    return undefined
  }
}

function areRotated(recent: unknown): boolean {
  const isOne = (one: unknown) => Array.isArray(one) && typeof one[0] === 'string' && Number.isFinite(one[1])
  return Array.isArray(recent) && recent.every(isOne)
}

/** The end that idling brings, and never after the absolute one. */
export function endOf({ createdAt }: Pick<SessionRecord, 'createdAt'>, seenAt: number, limits: Timeouts): number {
  return Math.min(seenAt + limits.idle, createdAt + limits.absolute)
}

/** Whether its time is over, by its own end and by the timeouts that hold now. */
export function isOver({ record }: Family, now: number, limits: Timeouts): boolean {
  return now >= record.expiresAt || now >= endOf(record, record.seenAt, limits)
}

/** What is to be remembered of the tokens before the one that is rotated now. */
export function recentOf({ record, content }: Family, now: number, grace: number): FamilyContent['recent'] {
  const { previous, recent = [] } = content
  const all: Rotated[] = previous === undefined ? [] : [[previous, record.seenAt], ...recent]
  const young = all.filter(([, at]) => isYoung(at, now, grace)).slice(0, MOST_RECENT)
  return young.length === 0 ? undefined : young
}

/**
 * What a token that we signed is to its family: the `current` one; the one before, sent again within the grace
 * (`retry`); an older one that was current within the grace, and is on its way still (`late`); `replayed`, used before;
 * or `forged`, not of this family's making, whoever could sign it.
 */
export function placeOf(
  { record, content }: Family,
  token: RefreshToken,
  now: number,
  grace: number,
): 'current' | 'retry' | 'late' | 'replayed' | 'forged' {
  const { generation, current, previous = '', recent = [] } = content
  if (token.generation === generation) return sameDigest(token.digest, current) ? 'current' : 'forged'
  if (token.generation !== generation - 1) {
    const rotated = recent.find(([digest]) => sameDigest(token.digest, digest))
    return rotated && isYoung(rotated[1], now, grace) ? 'late' : 'replayed'
  }
  if (!sameDigest(token.digest, previous)) return 'forged'
  return isYoung(record.seenAt, now, grace) ? 'retry' : 'replayed'
}

/** Either way round, so that a clock that was put back does not lengthen the grace. */
function isYoung(at: number, now: number, grace: number): boolean {
  return Math.abs(now - at) < grace
}

/** The part of the granted scope that is asked for, all of it by default; `undefined` for more than was granted. */
export function narrowed(granted: string | undefined, asked: string | undefined): { scope?: string } | undefined {
  const own = granted?.split(' ') ?? []
  const words = new Set(asked?.split(' ').filter((word) => word !== ''))
  // Who names no word asks for all: a token without a scope would be good for more than was granted.
  const wanted = words.size === 0 ? own : [...words]
  if (!wanted.every((word) => own.includes(word))) return undefined
  return wanted.length === 0 ? {} : { scope: wanted.join(' ') }
}
