/**
 * Slows down whoever guesses passwords, without letting an attacker lock anybody out (A-92, ASVS 6.3.1, N-21). Counts
 * survive a restart. An account that does not exist is counted like any other, so that being throttled tells nothing.
 *
 * | counted per | from | then |
 * |---|---|---|
 * | account and source | 5 wrong in a row | a wait of 4 s, doubled by each further one, up to 15 min |
 * | source | 50 wrong, refilled at 50 an hour | a wait until there is room again |
 * | account | 100 wrong in a row, from anywhere | sources that never signed in to it wait an hour after each |
 */
import { hash } from 'node:crypto'
import type { Database } from './database.js'
import type { Refused } from './services.js'
import { sourceOf } from './source.js'

/** Guards the checks of passwords, and the making of accounts. */
export interface Throttle {
  /**
   * Runs `check` unless too many were wrong, and counts what it says: `undefined` is wrong, and a check that throws
   * counts as none. Two transactions.
   */
  guard<T>(account: string, ip: string, check: () => Promise<T | undefined>): Promise<Checked<T>>
  /** Counts one account made from there: at most 500 at once, refilled at 500 an hour. */
  signUp(ip: string): Refused<'throttled'> | undefined
  /** Forgets what is old, and the oldest of what is too much. */
  sweep(): void
}

/** What came of a guarded check. */
export type Checked<T> = { readonly ok: true; readonly value: T | undefined } | Refused<'throttled'>

interface Count {
  readonly level: number
  readonly at: number
}

const HOUR = 3_600_000
const PAIR = { free: 5, first: 4000, longest: 15 * 60_000 }
const SOURCE_PER_HOUR = 50
/** A school or an office signs up from one address; hashing is bounded by its gate anyway. */
const SIGN_UPS_PER_HOUR = 500
const ACCOUNT = { free: 100, wait: HOUR }
const KEEP = { throttle: 30 * 24 * HOUR, known: 90 * 24 * HOUR, rows: 100_000 }
const SWEEP_EVERY = 1000

/** A throttle that counts in `database`. */
export function createThrottle(database: Database, clock: () => number): Throttle {
  const read = database.prepare('SELECT level, at FROM throttle WHERE key = ?')
  const write = database.prepare(
    'INSERT INTO throttle (key, level, at) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET level = excluded.level, at = excluded.at',
  )
  const lower = database.prepare('UPDATE throttle SET level = max(0, level - 1) WHERE key = ?')
  const forget = database.prepare('DELETE FROM throttle WHERE key = ?')
  const knows = database.prepare('SELECT 1 FROM known WHERE key = ?')
  const learn = database.prepare(
    'INSERT INTO known (key, at) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET at = excluded.at',
  )
  const sweeps = (['throttle', 'known'] as const).map((table) => ({
    old: database.prepare(`DELETE FROM ${table} WHERE at < ?`),
    most: database.prepare(
      `DELETE FROM ${table} WHERE key IN (SELECT key FROM ${table} ORDER BY at DESC LIMIT -1 OFFSET ?)`,
    ),
    keep: KEEP[table],
  }))
  let written = 0

  // Never later than now: a clock that was put right must not leave anybody waiting for the time that it showed.
  const count = (key: string): Count => {
    const { level, at } = (read.get(key) as Count | undefined) ?? { level: 0, at: clock() }
    return { level, at: Math.min(at, clock()) }
  }
  const raise = (key: string, level: number): void => {
    write.run(key, level + 1, clock())
    if (++written % SWEEP_EVERY === 0) sweep()
  }

  /** A bucket that leaks `perHour`: the level as it is now, and how long until one more fits in. */
  function leaking(key: string, perHour: number): { level: number; wait: number } {
    const { level, at } = count(key)
    const now = Math.max(0, level - ((clock() - at) * perHour) / HOUR)
    return { level: now, wait: now + 1 <= perHour ? 0 : ((now + 1 - perHour) * HOUR) / perHour }
  }

  function sweep(): void {
    for (const { old, most, keep } of sweeps) {
      old.run(clock() - keep)
      most.run(KEEP.rows)
    }
  }

  return {
    async guard(account, ip, check) {
      const source = sourceOf(ip)
      const keys = {
        pair: keyOf('pair', account, source),
        source: keyOf('source', source),
        account: keyOf('account', account),
        known: keyOf('known', account, source),
      }
      // Source and account are charged before the check and not after it, or a hundred parallel guesses would all be
      // let through. The pair is charged after it: a user who opens ten tabs at once has not guessed wrong once.
      const refused = database.transaction(() => {
        const pair = count(keys.pair)
        const bySource = leaking(keys.source, SOURCE_PER_HOUR)
        const byAccount = count(keys.account)
        const over = byAccount.level >= ACCOUNT.free && !knows.get(keys.known)
        const wait = Math.max(
          pair.at + delay(pair.level) - clock(),
          bySource.wait,
          over ? byAccount.at + ACCOUNT.wait - clock() : 0,
        )
        if (wait > 0) return refusal(wait)
        raise(keys.source, bySource.level)
        raise(keys.account, byAccount.level)
        return undefined
      })
      if (refused) return refused

      let value: Awaited<ReturnType<typeof check>>
      try {
        value = await check()
      } catch (error) {
        database.transaction(() => {
          lower.run(keys.source)
          lower.run(keys.account)
        })
        throw error
      }
      database.transaction(() => {
        if (value === undefined) return raise(keys.pair, count(keys.pair).level)
        lower.run(keys.source)
        forget.run(keys.pair)
        forget.run(keys.account)
        learn.run(keys.known, clock())
      })
      return { ok: true, value }
    },

    signUp(ip) {
      const key = keyOf('sign-up', sourceOf(ip))
      return database.transaction(() => {
        const { level, wait } = leaking(key, SIGN_UPS_PER_HOUR)
        if (wait > 0) return refusal(wait)
        raise(key, level)
        return undefined
      })
    },

    sweep,
  }
}

/** How long after the last wrong one the next may be tried. */
function delay(failures: number): number {
  return failures < PAIR.free ? 0 : Math.min(PAIR.longest, PAIR.first * 2 ** (failures - PAIR.free))
}

function refusal(wait: number): Refused<'throttled'> {
  const retryAfter = Math.ceil(wait / 1000)
  return {
    ok: false,
    reason: 'throttled',
    message: 'Too many attempts. Please wait a little and try again.',
    retryAfter,
  }
}

/** Hashed: people type passwords into the field for the name, and those must not lie about in a table. */
function keyOf(...parts: string[]): string {
  return hash('sha256', JSON.stringify(parts), 'base64url')
}
