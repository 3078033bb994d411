/**
 * Slows down whoever guesses passwords, without letting an attacker lock anybody out (A-92, ASVS 6.3.1, N-21), in one
 * process or in many over one store. An account that does not exist is counted like any other, so that being throttled
 * tells nothing.
 *
 * | counted per | from | then |
 * |---|---|---|
 * | account and source | 5 wrong in a row | a wait of 4 s, doubled by each further one, up to 15 min |
 * | source | 50 wrong, refilled at 50 an hour | a wait until there is room again |
 * | account | 100 wrong in a row, from anywhere | sources that never signed in to it wait an hour after each |
 */
import { createHash } from 'node:crypto'
import { type Flow, run } from '../awaitable.js'
import { memory } from '../store/memory.js'
import type { Awaitable, Store } from '../types.js'
import { type Count, Counts, type Seen } from './throttle-counts.js'
import { sourceOf } from './throttle-source.js'

/** Options of `throttle`. */
export interface ThrottleOptions {
  /** Where counts live: shared by all processes, and best not the table of the sessions. Default: memory, 100,000 counts. */
  store?: Store
  /** Epoch milliseconds. Default `Date.now`. */
  clock?: () => number
}

/** Too many were wrong: nothing was checked. */
export interface Throttled {
  readonly ok: false
  /** Whole seconds until it is worth trying again, for `Retry-After` and status 429. */
  readonly retryAfter: number
}

/** What came of a guarded check. */
export type Guarded<T> = { readonly ok: true; readonly value: T | undefined } | Throttled

/** Guards what can be guessed. All throw a `Fault` where the store fails: then nothing is checked, and nobody let in. */
export interface Throttle {
  /**
   * Runs `check` unless too many were wrong, and counts what it says: `undefined`, `null` and `false` are wrong, and a check
   * that throws counts as none. `account` is the name as typed, once it is normalised; `address` an IP. Store calls: 4 where it is
   * refused; else 6, and 1 more for a wrong one, up to 7 for a right one.
   */
  guard<T>(account: string, address: string, check: () => Awaitable<T | undefined>): Promise<Guarded<T>>
  /**
   * Counts one `action` from there, such as a sign-up, right or wrong: at most `perHour` at once, refilled at as many an
   * hour. `undefined`: it may go on. Two store calls.
   */
  charge(action: string, address: string, perHour: number): Awaitable<Throttled | undefined>
}

const HOUR = 3_600_000
const DAY = 24 * HOUR
const PAIR = { free: 5, first: 4000, longest: 15 * 60_000 }
const SOURCE_PER_HOUR = 50
const ACCOUNT = { free: 100, wait: HOUR }
const KEEP = { pair: 30 * DAY, account: 30 * DAY, known: 90 * DAY }

/** A throttle over one store. */
export function throttle(options: ThrottleOptions = {}): Throttle {
  const { clock = Date.now } = options
  const counts = new Counts(options.store ?? memory({ max: 100_000, clock }), clock)

  const raised = ({ level }: Count): Count => ({ level: level + 1, at: clock() })
  const lowered = ({ level, at }: Count): Count => ({ level: Math.max(0, level - 1), at })

  /** A bucket that leaks `perHour`: one more in it, or how long until there is room. */
  const leaking =
    (perHour: number) =>
    ({ level, at }: Count): Count | number => {
      const now = Math.max(0, level - ((clock() - at) * perHour) / HOUR)
      return now + 1 <= perHour ? raised({ level: now, at }) : Math.max(1, ((now + 1 - perHour) * HOUR) / perHour)
    }

  /** The owner, from where they have signed in before, is nobody's to lock out. */
  const fromAnywhere =
    (known: boolean) =>
    (count: Count): Count | number => {
      const left = count.at + ACCOUNT.wait - clock()
      return count.level >= ACCOUNT.free && !known && left > 0 ? left : raised(count)
    }

  const waitOf = (made: Count | number): number => (typeof made === 'number' ? made : 0)

  /** Charged before the check and not after it, or a hundred parallel guesses would all be let through. */
  function* admit(keys: Keys): Flow<Throttled | Admitted> {
    const pair = yield* counts.read(keys.pair)
    const source = yield* counts.read(keys.source)
    const account = yield* counts.read(keys.account)
    const known = yield* counts.read(keys.known)
    const bySource = leaking(SOURCE_PER_HOUR)
    const byAccount = fromAnywhere(known.record !== undefined)
    const longest = Math.max(
      pair.at + delay(pair.level) - clock(),
      waitOf(bySource(source)),
      waitOf(byAccount(account)),
    )
    if (longest > 0) return refusal(longest)
    const full = yield* counts.change(source, HOUR, bySource)
    if (full > 0) return refusal(full)
    const over = yield* counts.change(account, KEEP.account, byAccount)
    if (over === 0) return { pair, known }
    yield* lower(keys.source, HOUR)
    return refusal(over)
  }

  function* lower(key: string, keep: number): Flow<void> {
    yield* counts.change(yield* counts.read(key), keep, lowered)
  }

  function* uncharge(keys: Keys): Flow<void> {
    yield* lower(keys.source, HOUR)
    yield* lower(keys.account, KEEP.account)
  }

  /** After the check: a user who opens ten tabs at once has not guessed wrong once. */
  function* wrong({ pair }: Admitted): Flow<void> {
    yield* counts.change(pair, KEEP.pair, raised)
  }

  function* right(keys: Keys, { known }: Admitted): Flow<void> {
    yield* lower(keys.source, HOUR)
    yield* counts.forget(yield* counts.read(keys.pair))
    yield* counts.forget(yield* counts.read(keys.account))
    // Once a day is enough to know it for three months.
    if (!known.record || known.at < clock() - DAY)
      yield* counts.change(known, KEEP.known, () => ({ level: 1, at: clock() }))
  }

  return {
    async guard(account, address, check) {
      const keys = keysOf(account, sourceOf(address))
      const admitted = await run(admit(keys))
      if ('retryAfter' in admitted) return admitted
      let value: Awaited<ReturnType<typeof check>>
      try {
        value = await check()
      } catch (error) {
        // What went wrong first is what is told.
        await Promise.resolve(run(uncharge(keys))).catch(() => {})
        throw error
      }
      await run(isWrong(value) ? wrong(admitted) : right(keys, admitted))
      return { ok: true, value }
    },

    charge(action, address, perHour) {
      if (!(perHour >= 1)) throw new TypeError('throttle: `perHour` is a number of at least 1')
      return run(charge(keyOf('action', action, sourceOf(address)), perHour))
    },
  }

  function* charge(key: string, perHour: number): Flow<Throttled | undefined> {
    const full = yield* counts.change(yield* counts.read(key), HOUR, leaking(perHour))
    return full > 0 ? refusal(full) : undefined
  }
}

/** Databases say `null` of what they do not find, and comparisons `false`: a guess that counted as right would reset all. */
function isWrong(value: unknown): boolean {
  return value === undefined || value === null || value === false
}

interface Admitted {
  readonly pair: Seen
  readonly known: Seen
}

type Keys = Readonly<Record<'pair' | 'source' | 'account' | 'known', string>>

function keysOf(account: string, source: string): Keys {
  return {
    pair: keyOf('pair', account, source),
    source: keyOf('source', source),
    account: keyOf('account', account),
    known: keyOf('known', account, source),
  }
}

/** How long after the last wrong one the next may be tried. */
function delay(failures: number): number {
  return failures < PAIR.free ? 0 : Math.min(PAIR.longest, PAIR.first * 2 ** (failures - PAIR.free))
}

function refusal(wait: number): Throttled {
  return { ok: false, retryAfter: Math.ceil(wait / 1000) }
}

/** Hashed: people type passwords into the field for the name, and those must not lie about in a table. */
function keyOf(...parts: string[]): string {
  return createHash('sha256')
    .update(JSON.stringify(['throttle', ...parts]))
    .digest('base64url')
}
