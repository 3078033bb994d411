/**
 * Renewals over controlled interleavings: each call of the store and of the provider waits until fast-check lets it
 * happen, so that every order in which two processes can meet has its turn.
 */
import fc from 'fast-check'
import type { SessionRecord, UserStore } from 'sojourn'
import { createSessions } from 'sojourn'
import type { ProviderTokens } from 'sojourn/identity/oauth-tokens'
import { type Vault, type VaultProviders, vault } from 'sojourn/identity/vault'
import { memory } from 'sojourn/store/memory'
import { describe, expect, test } from 'vitest'
import { VAULT_KEY } from './fixtures/vault.js'
import { gated, KEY } from './helpers.js'

type Wait = <T>(go: () => Promise<T> | T) => Promise<T>

/** A provider whose refresh tokens work once, and whose API nobody calls: the token is what counts. */
function rotating(wait: Wait) {
  let generation = 0
  const state = { refreshes: 0, replays: 0, alive: 'r0', revoked: [] as string[] }
  const tokens = (expiresIn: number): ProviderTokens => ({
    provider: 'github',
    accessToken: `a${generation}`,
    refreshToken: `r${generation}`,
    expiresAt: Date.now() + expiresIn,
    tokenType: 'bearer',
    sub: '1',
    issuer: 'https://github.com',
  })
  const providers: VaultProviders = {
    apiOf: () => ['http://127.0.0.1:1'],
    refresh: (_, refreshToken) =>
      wait(async () => {
        state.refreshes++
        if (refreshToken !== state.alive) {
          state.replays++
          return 'denied'
        }
        state.alive = `r${++generation}`
        const given = tokens(3_600_000)
        return wait(() => given)
      }),
    revoke: (_, { refreshToken }) =>
      wait(() => {
        state.revoked.push(refreshToken!)
        if (refreshToken === state.alive) state.alive = ''
        return true
      }),
  }
  return { state, providers, expired: tokens(-10_000) }
}

interface Race {
  readonly processes: Vault<Record<string, unknown>>[]
  readonly calm: Vault<Record<string, unknown>>
  readonly store: UserStore
  readonly state: ReturnType<typeof rotating>['state']
}

/** `apart`: how far the clocks of the second and the third process go ahead of and behind the first's, milliseconds. */
async function race(
  scheduler: fc.Scheduler,
  { broken = () => false, apart = 0 }: { broken?: (call: number) => boolean; apart?: number } = {},
): Promise<Race> {
  let racing = false
  let writes = 0
  const wait: Wait = (go) => (racing ? scheduler.schedule(Promise.resolve()).then(go) : Promise.resolve(go()))
  const { state, providers, expired } = rotating(wait)
  const rows = memory()
  const store = gated(rows, (verb, go) =>
    wait(() => {
      if (racing && verb === 'set' && broken(writes++)) throw new Error('disk full')
      return go()
    }),
  )
  const open = (its: UserStore, ahead = 0) => {
    const sessions = createSessions({ keys: KEY, clock: () => Date.now() + ahead })
    return vault({ sessions, keys: VAULT_KEY, providers, store: its, owner: 'user' })
  }
  const calm = open(rows)
  await calm.keep('ada', expired)
  racing = true
  return { processes: [open(store), open(store, apart), open(store, -apart)], calm, store: rows, state }
}

/** What a call comes to where the API itself is not there: the token was had, or not. */
const call = (one: Vault<Record<string, unknown>>) => one.fetch('ada', 'github', '/user').then(({ kind }) => kind)

const underAnyOrder = (body: (scheduler: fc.Scheduler, draw: fc.GeneratorValue) => Promise<void>, numRuns = 60) =>
  fc.assert(fc.asyncProperty(fc.scheduler(), fc.gen(), body), { numRuns })

/** Whose refresh token is kept: read through a vault, by what it asks the provider for. */
async function kept({ calm, state, store }: Race): Promise<string | undefined> {
  const [row] = [...(store.list() as Iterable<[string, SessionRecord]>)]
  if (!row) return undefined
  const before = state.revoked.length
  await calm.disconnect('ada', 'github')
  return state.revoked[before]
}

describe('A-116: over every order of two or three processes’ calls', () => {
  test('one renewal, no replay, and the token that lives at the provider is the one that is kept', () =>
    underAnyOrder(async (scheduler, draw) => {
      // Run out for all of them, however their clocks differ.
      const world = await race(scheduler, { apart: draw(fc.integer, { min: 0, max: 3_000 }) })
      const { processes, state } = world
      const callers = draw(fc.array, fc.nat(2), { minLength: 2, maxLength: 8 })
      const got = await scheduler.waitFor(Promise.all(callers.map((i) => call(processes[i]!))))
      expect(got).toEqual(callers.map(() => 'unavailable'))
      expect(state).toMatchObject({ refreshes: 1, replays: 0, alive: 'r1' })
      await scheduler.waitFor(Promise.resolve())
      const end = kept(world)
      expect(await scheduler.waitFor(end)).toBe('r1')
    }))

  test('a disconnection among them: nothing lives on at the provider or here, and nothing comes back', () =>
    underAnyOrder(async (scheduler, draw) => {
      const { processes, state, store } = await race(scheduler)
      const callers = draw(fc.array, fc.nat(1), { minLength: 1, maxLength: 4 })
      const all = [processes[2]!.disconnect('ada', 'github'), ...callers.map((i) => call(processes[i]!))]
      const [said] = await scheduler.waitFor(Promise.all(all))
      expect(said).toBe('revoked')
      expect(state.alive).toBe('')
      expect([...(store.list() as Iterable<unknown>)]).toEqual([])
    }))

  test('a new sign-in among them: what it brought is what is kept, whoever renewed the old tokens', () =>
    underAnyOrder(async (scheduler, draw) => {
      const world = await race(scheduler)
      const { processes } = world
      const callers = draw(fc.array, fc.nat(1), { minLength: 1, maxLength: 4 })
      const brought: ProviderTokens = {
        provider: 'github',
        accessToken: 'a-new',
        refreshToken: 'r-new',
        expiresAt: Date.now() + 3_600_000,
        tokenType: 'bearer',
        sub: '1',
        issuer: 'https://github.com',
      }
      const all = [processes[2]!.keep('ada', brought), ...callers.map((i) => call(processes[i]!))]
      await scheduler.waitFor(Promise.all(all))
      expect(await scheduler.waitFor(kept(world))).toBe('r-new')
    }))

  test('a logout among them, which asks no provider: nothing comes back here', () =>
    underAnyOrder(async (scheduler, draw) => {
      const { processes, state, store } = await race(scheduler)
      const callers = draw(fc.array, fc.nat(1), { minLength: 1, maxLength: 4 })
      await scheduler.waitFor(Promise.all([processes[2]!.forget('ada'), ...callers.map((i) => call(processes[i]!))]))
      expect([...(store.list() as Iterable<unknown>)]).toEqual([])
      expect(state.replays).toBe(0)
    }))

  test('a store that fails after the provider has answered is asked again: the successor is not lost', () =>
    underAnyOrder(async (scheduler, draw) => {
      const failures = draw(fc.integer, { min: 1, max: 3 })
      const world = await race(scheduler, { broken: (write) => write > 0 && write <= failures })
      const got = await scheduler.waitFor(call(world.processes[0]!))
      expect(got).toBe('unavailable')
      expect(world.state).toMatchObject({ refreshes: 1, replays: 0, alive: 'r1' })
      expect(await scheduler.waitFor(kept(world))).toBe('r1')
    }, 20))
})
