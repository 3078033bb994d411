/**
 * The conformance suite of stores. A store that passes it can be put behind the `opaque` strategy: what the library
 * promises of parallel requests, of logouts and of expiry rests on what these cases check.
 */
import assert from 'node:assert/strict'
import type { Awaitable, Store } from '../types.js'
import { races } from './store-races.js'
import { records } from './store-records.js'
import type { Case, Need } from './store-trial.js'
import { users } from './store-users.js'

/** What the suite must be told of a store. */
export interface StoreHarness {
  /** Makes an empty store that goes by `clock`. Called once for each case, which closes it. */
  create(): Awaitable<Store>
  /**
   * The clock of the stores made, such as `manualClock()`. Without it one case waits for an expiry in real time, which
   * shows what the backend does of itself, and none goes to the millisecond: run the suite once with it and once without.
   */
  clock?: (() => number) & { advance(ms: number): void }
  /**
   * Another handle on the data of `store`: a second connection, or one in another process. Races are run across both.
   * Without it they are run on the one handle.
   */
  second?(store: Store): Awaitable<Store>
  /** Makes the backend of `store` fail from now on. Without it the case that a failure is never "no session" is not there. */
  breakBackend?(store: Store): Awaitable<void>
  /**
   * Milliseconds within which `watch` tells of a change that was made through another handle, or that it cannot name it.
   * Without it what `watch` owes is not checked.
   */
  tells?: number
  /** The capabilities that the store does without. Their cases are not there; that it lacks them is checked. */
  lacks?: readonly ('list' | 'endAll' | 'sweep')[]
}

/** One check, for any test runner. */
export interface StoreCase {
  readonly name: string
  /** Rejects with an `AssertionError` when the store does not keep the contract. */
  run(): Promise<void>
}

/**
 * The checks that a store must pass. Each makes its own store, so they may run in any order, but not in parallel:
 * they share the harness's clock.
 *
 * What cannot be checked is never passed over in silence: the last case names what was left out, and fails when the
 * store can do what its harness says it lacks, or the other way round.
 *
 * @example
 * ```ts
 * import { test } from 'vitest' // or 'node:test': the line below is the same
 * import { manualClock } from 'sojourn/testing/clock'
 * import { storeCases } from 'sojourn/testing/store'
 *
 * const clock = manualClock()
 * for (const { name, run } of storeCases({ clock, create: () => myStore({ clock }) })) test(name, run)
 * ```
 */
export function storeCases(harness: StoreHarness): StoreCase[] {
  const lacks: readonly Need[] = [
    ...(harness.lacks ?? []),
    ...(harness.clock ? [] : (['clock'] as const)),
    ...(harness.breakBackend ? [] : (['breakBackend'] as const)),
    ...(harness.tells === undefined ? (['watch'] as const) : []),
  ]
  const absent = harness.clock ? [...lacks, 'real time'] : lacks
  const able = [...records, ...users, ...races].filter(({ needs }) => !needs.some((need) => absent.includes(need)))
  return [
    ...able.map(({ name, run }) => ({ name, run: () => trial(harness, run) })),
    {
      name: `can list, endAll and sweep${lacks.length > 0 ? `; LEFT OUT, for want of them: ${lacks.join(', ')}` : ''}`,
      run: () =>
        trial(harness, async ({ store }) => {
          for (const verb of ['list', 'endAll', 'sweep'] as const)
            assert.equal(typeof store[verb] === 'function', !lacks.includes(verb), `whether the store has ${verb}`)
        }),
    },
  ]
}

async function trial(harness: StoreHarness, run: Case['run']): Promise<void> {
  const store = await harness.create()
  const other = (await harness.second?.(store)) ?? store
  let broken = false
  try {
    await run({
      // A case that uses a capability says that it needs it.
      store: store as Required<Store>,
      other,
      now: harness.clock ?? Date.now,
      advance: (ms) => harness.clock?.advance(ms),
      tells: harness.tells ?? 0,
      breakBackend: async () => {
        broken = true
        await harness.breakBackend?.(store)
      },
    })
  } finally {
    // What a case has broken may well fail to close.
    const close = async (handle: Store) => handle.close?.()
    for (const handle of new Set([other, store])) await close(handle).catch((error) => broken || Promise.reject(error))
  }
}
