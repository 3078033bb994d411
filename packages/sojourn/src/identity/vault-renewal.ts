/**
 * One renewal for all who need it, in whatever process they run. Whoever writes a lease into the row asks the provider;
 * the others wait for the row to change. A refresh token may work once only, so its successor is in the row before
 * anybody uses what came with it.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { Fault } from '../errors.js'
import { LONGEST_RENEWAL, type ProviderTokens } from './oauth-tokens.js'
import { areSendable, type Entry, isDue, isUsable } from './vault-entry.js'
import type { Row, Shelf } from './vault-shelf.js'

/**
 * Asks the provider for the successors of tokens that can be renewed. Gives them, or a refusal, which is a word: `unavailable`, `misconfigured` and
 * `unusable` say nothing of the grant, every other ends it.
 */
export type Refresh = (tokens: ProviderTokens) => Promise<ProviderTokens | string>

/** What became of it. `retryAfter`: milliseconds. */
export type Renewal =
  | { readonly kind: 'fresh'; readonly entry: Entry }
  | { readonly kind: 'over'; readonly why: 'absent' | 'expired' | 'revoked' }
  | { readonly kind: 'unavailable'; readonly retryAfter: number }

/** How long the provider is waited for, milliseconds; what it answers later is kept all the same. */
const PATIENCE = 5_000
/** A lease runs out then: whoever took it has died, or it would have been given back. The difference is for clocks. */
const LEASE = LONGEST_RENEWAL + 3_000
/** Waiting for somebody else's renewal ends then: a little after a dead one's lease. */
export const WAIT: number = LEASE + 2_000
/** How long a provider that failed is left alone. */
const REST = 1_000
/** Clocks of several servers may differ so much. */
const CLOCKS = 60_000
const FIRST_LOOK = 20
const SLOWEST_LOOK = 250
/** Looks at a row. Whoever loses to others so often, and sees none of them, has a store that takes nothing. */
const ROUNDS = 256
/** How often the store is asked to take what the provider has already given. */
const TRIES = 5

/** What a refusal says of the provider and not of the grant. */
const TEMPORARY = ['unavailable', 'misconfigured', 'unusable']

/** Renews entries, each once at a time. */
export class Renewals {
  readonly #clock: () => number
  readonly #running = new Map<string, Promise<Renewal>>()

  constructor(clock: () => number) {
    this.#clock = clock
  }

  /**
   * The entry with an access token that works, and is not `failing`, which the provider has refused. Two reads and
   * two writes for whoever renews it; reads alone for those who wait. Throws `ERR_STORE`.
   */
  async renew(shelf: Shelf, refresh: Refresh, failing?: string): Promise<Renewal> {
    const others = this.#running.get(shelf.id)
    if (others) {
      const renewal = await others
      // What they came to may be the very token that was refused since.
      if (renewal.kind !== 'fresh' || renewal.entry.tokens.accessToken !== failing) return renewal
      if (this.#running.has(shelf.id)) return this.renew(shelf, refresh, failing)
    }
    const own = this.#renew(shelf, refresh, failing).finally(() => this.#running.delete(shelf.id))
    this.#running.set(shelf.id, own)
    return own
  }

  async #renew(shelf: Shelf, refresh: Refresh, failing: string | undefined): Promise<Renewal> {
    const deadline = performance.now() + WAIT
    for (let look = FIRST_LOOK, rounds = 0; rounds < ROUNDS; rounds++) {
      const row = await shelf.read()
      if (row === undefined) return { kind: 'over', why: 'absent' }
      // Sealed by a process that has a newer key than we have: theirs to renew, and nobody's to drop.
      if (row === 'unreadable') return { kind: 'unavailable', retryAfter: REST }
      const { entry, version } = row
      const now = this.#clock()
      const known = settled(entry, now, failing)
      if (known) return known
      if (entry.tokens.refreshToken === undefined) {
        if (await shelf.remove(version)) return { kind: 'over', why: failing === undefined ? 'expired' : 'revoked' }
      } else if (!isLeased(entry, now)) {
        if (await shelf.write({ ...entry, leasedUntil: now + LEASE }, version))
          return this.#ask(shelf, refresh, entry, failing)
      } else {
        if (performance.now() >= deadline) return { kind: 'unavailable', retryAfter: REST }
        await pause(look)
        look = Math.min(look * 2, SLOWEST_LOOK)
      }
    }
    return { kind: 'unavailable', retryAfter: REST }
  }

  /** With the lease. Goes on to the end however long the provider takes; only the waiting is bounded. */
  #ask(shelf: Shelf, refresh: Refresh, entry: Entry, failing: string | undefined): Promise<Renewal> {
    const asked = this.#exchange(shelf, refresh, entry, failing)
    // Nobody may be there any more to hear that it failed.
    asked.catch(() => {})
    const timer = new AbortController()
    const late = pause(PATIENCE, undefined, { signal: timer.signal, ref: false }).then(
      (): Renewal => ({ kind: 'unavailable', retryAfter: REST }),
    )
    late.catch(() => {})
    return Promise.race([asked, late]).finally(() => timer.abort())
  }

  async #exchange(shelf: Shelf, refresh: Refresh, was: Entry, failing: string | undefined): Promise<Renewal> {
    const answer = await refresh(was.tokens).catch(() => 'unavailable')
    const tokens = typeof answer === 'string' ? undefined : successor(was.tokens, answer)
    const now = this.#clock()
    const { leasedUntil: _, restUntil: __, ...plain } = was
    if (tokens) {
      const entry: Entry = { ...plain, tokens, obtainedAt: now }
      const found = await this.#replace(shelf, was, (version) => shelf.write(entry, version))
      if (found === 'done') return { kind: 'fresh', entry }
      if (found) return settled(found.entry, now, failing) ?? { kind: 'unavailable', retryAfter: REST }
      // Forgotten meanwhile, by a logout; a disconnection would have waited for us.
      return { kind: 'over', why: 'absent' }
    }
    if (typeof answer !== 'string' || TEMPORARY.includes(answer)) {
      const entry: Entry = { ...plain, restUntil: now + REST }
      const found = await this.#replace(shelf, was, (version) => shelf.write(entry, version))
      if (!found) return { kind: 'over', why: 'absent' }
      return settled(found === 'done' ? entry : found.entry, now, failing) ?? { kind: 'unavailable', retryAfter: REST }
    }
    // Refused because another process, which held our lease to have run out, was faster: then its tokens are there.
    const found = await this.#replace(shelf, was, (version) => shelf.remove(version))
    if (found && found !== 'done')
      return settled(found.entry, now, failing) ?? { kind: 'unavailable', retryAfter: REST }
    return { kind: 'over', why: 'revoked' }
  }

  /**
   * Does `change` to the row for as long as it holds the tokens that were exchanged, whoever may have the lease: what the
   * provider gave for them is newer. Otherwise the row that is there, or nothing.
   */
  async #replace(
    shelf: Shelf,
    { tokens }: Entry,
    change: (version: number) => Promise<boolean>,
  ): Promise<Row | 'done' | undefined> {
    for (let failures = 0; ; ) {
      try {
        const row = await shelf.read()
        if (row === undefined) return undefined
        // Not ours to open, and so not ours to write over.
        if (row === 'unreadable') throw new Fault('ERR_STORE', 'the vault holds a row that no key of the ring opens')
        const { refreshToken, accessToken } = row.entry.tokens
        if (refreshToken !== tokens.refreshToken || accessToken !== tokens.accessToken || row.entry.over) return row
        if (await change(row.version)) return 'done'
      } catch (fault) {
        if (++failures >= TRIES) throw fault
        await pause(FIRST_LOOK * 2 ** failures)
      }
    }
  }
}

/** What can be said without asking the provider; `undefined` where it has to be asked. */
function settled(entry: Entry, now: number, failing: string | undefined): Renewal | undefined {
  if (entry.over) return { kind: 'over', why: 'revoked' }
  const works = entry.tokens.accessToken !== failing && isUsable(entry, now)
  const busy = isLeased(entry, now) || holds(entry.restUntil, now, REST)
  // Before it has run out, nobody waits for its successor.
  if (works && (busy || !isDue(entry, now) || entry.tokens.refreshToken === undefined)) return { kind: 'fresh', entry }
  if (holds(entry.restUntil, now, REST))
    return { kind: 'unavailable', retryAfter: Math.min(entry.restUntil! - now, REST) }
  return undefined
}

/** Whether somebody is renewing it. */
export function isLeased({ leasedUntil }: Entry, now: number): boolean {
  return holds(leasedUntil, now, LEASE)
}

/**
 * Whether a time that was set `length` ahead, by another server's clock perhaps, is still to come. One from much further
 * ahead is of a clock that was wrong, and counts for nothing.
 */
function holds(until: number | undefined, now: number, length: number): boolean {
  return until !== undefined && until > now && until - now <= length + CLOCKS
}

/**
 * The new tokens, with what the provider did not repeat. `undefined` where they are somebody else's (OpenID Connect 12.2),
 * or could not be sent: an error about a header would tell what is in it.
 */
function successor(was: ProviderTokens, now: ProviderTokens): ProviderTokens | undefined {
  if (now.sub && now.sub !== was.sub) return undefined
  const { expiresAt: _, ...kept } = was
  const given = Object.fromEntries(Object.entries(now).filter(([, value]) => value !== undefined && value !== ''))
  const { provider, sub, issuer } = was
  const next = { ...kept, accessToken: '', ...given, provider, sub, issuer } as ProviderTokens
  return areSendable(next) ? next : undefined
}
