/**
 * The refresh half of a token pair: families that begin, rotate and end. A rotation is one compare-and-set, so of any
 * number of parallel refreshes one makes the successor, and the others read which one it is.
 */
import { collect, type Flow, run, then, wait } from '../awaitable.js'
import { randomText } from '../crypto/random.js'
import { Fault } from '../errors.js'
import { evictOldest, type LimitContext, withinLimit } from '../ledger/limit.js'
import { type Ask, patience } from '../patience.js'
import { statedProof } from '../proof.js'
import type {
  Device,
  EndReason,
  EventBody,
  Limit,
  Proof,
  Refusal,
  SessionRecord,
  Timeouts,
  UserStore,
} from '../types.js'
import {
  encodeFamily,
  endOf,
  type Family,
  type FamilyContent,
  familyOf,
  isOver,
  narrowed,
  placeOf,
  recentOf,
} from './family.js'
import type { RefreshTokens } from './refresh-token.js'
import type { Revocations } from './revocation.js'

/** A login that the app has made sure of. */
export interface PairLogin extends Proof {
  /** Who signed in: the app has authenticated them. */
  readonly userId: string
  /** What the access tokens are good for: words with a space between (RFC 6749, 3.3). Never widens later. */
  readonly scope?: string | undefined
  /** Where it was, for the list of devices. Untrusted text. */
  readonly device?: Device | undefined
  /** Whether a cookie with the refresh token outlives the browser. Default `false`. */
  readonly persistent?: boolean | undefined
  /** What `access.claims` are made from, and what encrypted access tokens carry. Fixed until the next login. */
  readonly data?: Record<string, unknown> | undefined
}

/** A family and its current token. */
export interface Grant {
  readonly family: Family
  readonly refreshToken: string
  /** What the access token is to be good for. */
  readonly scope?: string
}

/** What families are configured with. */
export interface FamilyContext {
  readonly store: UserStore
  readonly tokens: RefreshTokens
  readonly revocations: Revocations | undefined
  readonly limits: Timeouts
  /** Milliseconds within which a token that was just rotated is given the same successor again. */
  readonly grace: number
  /** Milliseconds that the family's last access token may outlive it without revocation. */
  readonly lifetime: number
  readonly limit: Limit | undefined
  readonly emit: (event: EventBody) => void
}

/** Our token is the current one no more once somebody was faster: the second look knows what it is instead. */
const ROUNDS = 8

/** The families of one store. */
export class Families {
  readonly #context: FamilyContext
  readonly #ask: Ask = patience()

  constructor(context: FamilyContext) {
    this.#context = context
  }

  /** A new family. Store calls: 1, one or two for revocations, and one or two for a limit. */
  *begin({ userId, scope, device, persistent, data = {}, ...proof }: PairLogin, now: number): Flow<Grant> {
    const { tokens, revocations, limits, emit } = this.#context
    const auth = statedProof('pair', proof)
    const id = randomText(32)
    // So that the issue time below knows of what was ended a moment ago, here or on another server.
    yield* wait(revocations?.fresh({ id, userId, issuedAt: now }))
    const issuedAt = revocations?.issueTime(userId, now) ?? now
    const source = { key: tokens.currentKey, seed: randomText(32), generation: 1 }
    const { text, digest } = tokens.make({ family: id, ...source })!
    const content: FamilyContent = { ...source, current: digest, issuedAt, ...narrowed(scope, undefined), auth, data }
    const times = {
      createdAt: now,
      seenAt: now,
      authenticatedAt: now,
      expiresAt: endOf({ createdAt: now }, now, limits),
    }
    const who = { userId, persistent: persistent || undefined, device }
    const family = { id, userId, content, record: { ...who, ...times, data: encodeFamily(content), version: 1 } }
    yield* this.#admit(family, now)
    emit({ type: 'created', id, userId })
    return { family, refreshToken: text, ...narrowed(scope, undefined) }
  }

  /** The successor of a token. Store calls: 2, and one or two for revocations; none for a forged token. */
  *renew(text: string, asked: string | undefined, now: number): Flow<Grant | Refusal | 'scope'> {
    const { store, tokens, grace, emit } = this.#context
    const token = tokens.open(text)
    if (typeof token === 'string') return this.#refuse(token)
    for (let round = 0; round < ROUNDS; round++) {
      const family = yield* this.find(token.family, now)
      if (typeof family === 'string') return this.#refuse(family)
      const place = placeOf(family, token, now, grace)
      if (place === 'forged') return this.#refuse(place, family)
      // Whoever sent it has had its successors since, or has lost a race: nobody is a thief for that, and nothing is given.
      if (place === 'late') return this.#refuse('replaced', family)
      if (place === 'replayed') {
        // Two have used it, and nobody knows which of them is the owner: both lose it (RFC 9700, 4.14.2).
        this.#refuse(place, family)
        yield* this.end(family.id, 'replayed', now)
        return place
      }
      const scope = narrowed(family.content.scope, asked)
      if (!scope) return 'scope'
      if (place === 'retry') return { family, refreshToken: this.#current(family), ...scope }
      const { next, refreshToken } = this.#successor(family, now)
      if (yield* wait(this.#ask(() => store.set(next.id, next.record, family.record.version)))) {
        emit({ type: 'renewed', id: next.id, userId: next.userId })
        return { family: next, refreshToken, ...scope }
      }
    }
    throw new Fault('ERR_CONFLICT', `pair: the store refused a rotation ${ROUNDS} times; nothing was rotated`)
  }

  /** The family of a token that we signed, of whatever generation. */
  idOf(text: string): string | undefined {
    const token = this.#context.tokens.open(text)
    return typeof token === 'string' ? undefined : token.family
  }

  /** When a family ends at the latest. */
  endsAt({ record }: Family): number {
    return record.createdAt + this.#context.limits.absolute
  }

  /** The living family of that id. Store calls: 1, and one or two for revocations. */
  *find(id: string, now: number): Flow<Family | 'ended' | 'expired'> {
    const { store, revocations, limits } = this.#context
    const record = yield* wait(this.#ask(() => store.get(id)))
    const family = record && familyOf(id, record)
    if (!family) return 'ended'
    const { userId, content } = family
    if (yield* wait(revocations?.fresh({ id, userId, issuedAt: content.issuedAt }))) {
      // What was written about it may be forgotten before it has run out.
      yield* wait(this.#ask(() => store.delete(id)))
      return 'ended'
    }
    return isOver(family, now, limits) ? 'expired' : family
  }

  /**
   * Ends both halves. The record first: should the second step fail, what is left is an access token, and not for long.
   * Store calls: 2, and two for revocations.
   */
  *end(id: string, reason: EndReason, now: number): Flow<boolean> {
    const { ended, userId } = yield* this.#end(id, now)
    if (ended) this.#context.emit({ type: 'ended', id, userId, reason })
    return ended
  }

  *#end(id: string, now: number): Flow<{ ended: boolean; userId: string | undefined }> {
    const { store, revocations, lifetime } = this.#context
    const record: SessionRecord | undefined = yield* wait(this.#ask(() => store.get(id)))
    const ended = yield* wait(this.#ask(() => store.delete(id)))
    // What is not a family shares the store, and the limit, and lives for as long as its row says.
    const until = record && !familyOf(id, record) ? record.expiresAt : now + lifetime
    // Also where it was gone: somebody may be doing again what failed half way.
    yield* wait(revocations?.end(id, until))
    return { ended, userId: record?.userId }
  }

  *#admit({ id, userId, record }: Family, now: number): Flow<void> {
    const { store, limit, emit } = this.#context
    const insert = () => wait(this.#ask(() => store.set(id, record, 0)))
    if (!limit) return void (yield* insert())
    const list = (userId: string) => this.#ask(() => collect(store.list(userId)))
    const end = (id: string) => then(run(this.#end(id, now)), ({ ended }) => ended)
    const context: LimitContext = { limit, emit, list, end }
    if (limit.policy === 'reject') {
      // The record alone goes: what was revoked could not come back at the next try.
      const undo = () => wait(this.#ask(() => store.delete(id)))
      return yield* withinLimit(context, userId, undefined, insert, undo)
    }
    yield* insert()
    yield* evictOldest(context, userId, undefined)
  }

  #successor({ id, userId, record, content }: Family, now: number): { next: Family; refreshToken: string } {
    const { tokens, limits, grace } = this.#context
    const source = { key: tokens.currentKey, seed: content.seed, generation: content.generation + 1 }
    const { text, digest } = tokens.make({ family: id, ...source })!
    const recent = recentOf({ id, userId, record, content }, now, grace)
    const renewed: FamilyContent = { ...content, ...source, previous: content.current, current: digest, recent }
    const times = { seenAt: now, expiresAt: endOf(record, now, limits), version: record.version + 1 }
    const next = { id, userId, content: renewed, record: { ...record, ...times, data: encodeFamily(renewed) } }
    return { next, refreshToken: text }
  }

  #current({ id, content }: Family): string {
    const made = this.#context.tokens.make({ family: id, ...content })
    if (made) return made.text
    throw new Fault(
      'ERR_STORE',
      'pair: another server has rotated with a key that this one lacks; give a new key to all servers as an accepted one first',
    )
  }

  #refuse<R extends Refusal>(reason: R, family?: Family): R {
    this.#context.emit({ type: 'refused', reason, ...(family && { id: family.id, userId: family.userId }) })
    return reason
  }
}
