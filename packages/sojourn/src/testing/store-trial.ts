/** What the cases of the store suite are made of: a store under trial, records to try it with, and ways to look. */
import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { Awaitable, SessionRecord, Store } from '../types.js'

/** What a case cannot do without. */
export type Need = 'list' | 'endAll' | 'sweep' | 'clock' | 'real time' | 'breakBackend' | 'watch'

/** A store under trial, and what may be done to it. */
export interface Trial {
  readonly store: Required<Store>
  /** Another handle on the same data, where there is one. */
  readonly other: Store
  now(): number
  advance(ms: number): void
  breakBackend(): Promise<void>
  /** Milliseconds within which `watch` tells of a change. */
  readonly tells: number
}

/** One check. */
export interface Case {
  readonly name: string
  readonly needs: readonly Need[]
  run(trial: Trial): Promise<void>
}

/** A case, for a list of them. */
export function check(name: string, needs: readonly Need[], run: (trial: Trial) => Promise<void>): Case {
  return { name, needs, run }
}

/** How long a fresh record lives, milliseconds. */
export const LIFE = 60_000

/** A guest's first record, but for `more`. */
export function fresh(trial: Trial, more: Partial<SessionRecord> = {}): SessionRecord {
  const now = trial.now()
  return { data: '{"n":1}', createdAt: now, seenAt: now, expiresAt: now + LIFE, version: 1, ...more }
}

/** `record` without what is absent: a store may leave such a field out, or say `undefined`, or `false` of `persistent`. */
function plain(record: object | undefined): object | undefined {
  const said = Object.entries(record ?? {}).filter(([, value]) => value !== undefined && value !== false)
  return record && Object.fromEntries(said.map(([key, value]) => [key, value instanceof Object ? plain(value) : value]))
}

/** Asserts that `get` answers with `record`: at once, or within the `staleness` that the store admits to. */
export async function holds(store: Store, id: string, record: SessionRecord | undefined, why?: string): Promise<void> {
  const until = performance.now() + (store.staleness ?? 0)
  let found = plain(await store.get(id))
  while (!isDeepStrictEqual(found, plain(record)) && performance.now() < until) {
    await pause(5)
    found = plain(await store.get(id))
  }
  assert.deepEqual(found, plain(record), why)
  if (store.fresh) assert.deepEqual(plain(await store.fresh(id)), plain(record), why)
}

/** Begins `count` calls together, alternately on both handles, and tells how many said `true`. */
export async function winners(
  trial: Trial,
  count: number,
  call: (store: Store, i: number) => Awaitable<boolean>,
): Promise<number> {
  const { store, other } = trial
  const said = await Promise.all(Array.from({ length: count }, async (_, i) => call(i % 2 ? other : store, i)))
  return said.filter((won) => won === true).length
}

/** The ids of a list, sorted. */
export async function listed(store: Required<Store>, userId?: string): Promise<string[]> {
  const ids: string[] = []
  for await (const [id] of store.list(userId)) ids.push(id)
  return ids.sort()
}

/** Names that break a store which builds keys, queries or objects out of them. */
export const HOSTILE: readonly string[] = [
  ...['', '__proto__', 'constructor', 'toString', 'hasOwnProperty'],
  // Prefixes, separators, patterns.
  ...['a', 'A', 'a:', ':a', 'a:b', 'a/../b', 'a.b', '*', 'a*', '%', 'a%', '_', '?', '[a]', '{a}', '$where'],
  ...["a' OR '1'='1", 'a"; --', 'a\\', ' ', ' a', 'a ', 'a\n', '\0', 'a\0', 'a\0b'],
  // The two ways to write é are two names.
  ...['é', 'e\u0301', '😀', '\u2028', 'a'.repeat(200), 'a'.repeat(2000), `${'a'.repeat(1999)}b`],
]
