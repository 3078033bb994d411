/**
 * Refresh races over controlled interleavings: each call of the store waits until a scheduler lets it go, so that every
 * order in which requests can meet has its turn, and a failure names the order that showed it.
 */
import { join } from 'node:path'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import pg from 'pg'
import type { UserStore } from 'sojourn'
import { file } from 'sojourn/store/file'
import { memory } from 'sojourn/store/memory'
import { postgres } from 'sojourn/store/postgres'
import { redis } from 'sojourn/store/redis'
import { sqlite } from 'sojourn/store/sqlite'
import { type ManualClock, manualClock } from 'sojourn/testing/clock'
import type { TokenPair, Tokens } from 'sojourn/token/pair'
import { afterAll, describe, expect, test } from 'vitest'
import { usePostgres } from './engines/postgres.js'
import { startRedis, useRedis } from './engines/redis.js'
import { folder } from './fixtures/file.js'
import { granted, MINUTE, SECOND, type World, world } from './fixtures/pair.js'
import { gated } from './helpers.js'

type Answer = Tokens | string

interface Race extends World {
  /** A server whose every store call waits for its turn. */
  readonly slow: TokenPair
}

type Open = (clock: ManualClock) => UserStore | Promise<UserStore>

async function race(scheduler: fc.Scheduler, open: Open, grace = 10 * SECOND): Promise<Race> {
  const clock = manualClock()
  const store = await open(clock)
  const base = world({ clock, store, refresh: { grace } })
  const late = gated(store, (verb, go) => scheduler.schedule(Promise.resolve(), verb).then(go))
  return { ...base, slow: base.again({ store: late }) }
}

/** Whether a token is good for another pair, asked of a copy of the store so that asking changes nothing. */
async function lives({ store, clock, again }: World, token: string): Promise<boolean> {
  const copy = memory({ clock })
  for await (const [id, record] of store.list()) copy.set(id, record, 0)
  return typeof (await again({ store: copy }).refresh(token)) !== 'string'
}

const distinct = (answers: Answer[]): string[] => [
  ...new Set(answers.flatMap((answer) => (typeof answer === 'string' ? [] : [answer.refreshToken]))),
]

describe('memory', () => scenario((clock) => memory({ clock }), 120))
describe('sqlite', () => scenario((clock) => sqlite(':memory:', { clock }), 40))

describe('file', () => {
  const { path, remove } = folder()
  afterAll(remove)
  let folders = 0
  scenario((clock) => file(join(path, String(folders++)), { clock }), 10)
})

describe('redis', () => {
  const server = useRedis(() => startRedis())
  let client: Redis | undefined
  afterAll(() => client?.disconnect())
  let prefixes = 0
  scenario((clock) => {
    client ??= new Redis(server().port)
    return redis(client, { clock, prefix: `race ${prefixes++}:` })
  }, 8)
})

describe('postgres', () => {
  const engine = usePostgres({ fsync: 'off', synchronous_commit: 'off' })
  let client: pg.Pool | undefined
  afterAll(() => client?.end())
  let tables = 0
  scenario((clock) => {
    client ??= new pg.Pool({ connectionString: engine().url, max: 10 })
    return postgres(client, { clock, table: `race_${tables++}`, migrate: true })
  }, 5)
})

function scenario(open: Open, numRuns: number): void {
  const holds = (property: (scheduler: fc.Scheduler, n: number, lost: boolean[]) => Promise<void>) =>
    fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.integer({ min: 2, max: 50 }),
        fc.array(fc.boolean(), { minLength: 50, maxLength: 50 }),
        property,
      ),
      { numRuns },
    )

  test('A-60: of 2 to 50 parallel refreshes with one token one rotates, and all get its successor', async () => {
    await holds(async (scheduler, n) => {
      const { slow, pair, store, told } = await race(scheduler, open)
      const { id, refreshToken } = await pair.issue({ userId: 'ann' })
      told()
      const asked = Array.from({ length: n }, () => slow.refresh(refreshToken))
      const answers = await scheduler.waitFor(Promise.all(asked))
      expect(answers.filter((answer) => typeof answer === 'string')).toEqual([])
      expect(distinct(answers)).toHaveLength(1)
      expect((await store.get(id))?.version).toBe(2)
      expect(told()).toEqual(['renewed'])
      await store.close?.()
    })
  })

  test('A-61: whatever responses are lost, who tries again within the grace goes on', async () => {
    await holds(async (scheduler, n, lost) => {
      const one = await race(scheduler, open)
      const { slow, pair, clock, store } = one
      let token = (await pair.issue({ userId: 'ann' })).refreshToken
      for (let round = 0; round < 3; round++) {
        clock.advance(5 * MINUTE)
        const asked = Array.from({ length: n }, () => slow.refresh(token))
        const arrived = (await scheduler.waitFor(Promise.all(asked))).filter((_, i) => !lost[(i + round) % lost.length])
        expect(arrived.filter((answer) => typeof answer === 'string')).toEqual([])
        clock.advance(9 * SECOND)
        const successor = granted(await scheduler.waitFor(Promise.resolve(slow.refresh(token))))
        expect(distinct([...arrived, successor])).toHaveLength(1)
        expect(await lives(one, successor.refreshToken)).toBe(true)
        token = successor.refreshToken
      }
      await store.close?.()
    })
  })

  test('A-61: however fast it is rotated, a duplicate that is late within the grace logs nobody out', async () => {
    const step = fc.record({ wait: fc.integer({ min: 0, max: 4000 }), times: fc.integer({ min: 1, max: 4 }) })
    const property = async (scheduler: fc.Scheduler, steps: { wait: number; times: number }[], again: boolean[]) => {
      const one = await race(scheduler, open)
      const { slow, pair, clock, store, told } = one
      const first = await pair.issue({ userId: 'ann' })
      const spent: { token: string; at: number }[] = []
      let token = first.refreshToken
      for (const [round, { wait, times }] of steps.entries()) {
        clock.advance(wait)
        const asked = Array.from({ length: times }, () => slow.refresh(token))
        // What was sent before, and has been on its way since; and the one that has just been replaced.
        const late = spent.filter(({ at }, i) => again[(i + round) % again.length] && clock() - at < 10 * SECOND)
        const delayed = late.map((one) => slow.refresh(one.token))
        const answers = await scheduler.waitFor(Promise.all([...asked, ...delayed]))
        const [own, others] = [answers.slice(0, times), answers.slice(times)]
        expect(own.filter((answer) => typeof answer === 'string')).toEqual([])
        const [successor, ...more] = distinct(own)
        expect(more).toEqual([])
        // Nothing but a successor that its owner has too, or nothing.
        for (const answer of others)
          if (typeof answer === 'string') expect(answer).toBe('replaced')
          else expect([token, successor]).toContain(answer.refreshToken)
        spent.push({ token, at: clock() })
        token = successor!
      }
      expect(await lives(one, token)).toBe(true)
      expect(told()).not.toContain('ended replayed')
      clock.advance(10 * SECOND)
      expect(await pair.refresh(first.refreshToken)).toBe('replayed')
      expect(await pair.refresh(token)).toBe('ended')
      await store.close?.()
    }
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(step, { minLength: 2, maxLength: 8 }),
        fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
        property,
      ),
      { numRuns },
    )
  })

  test('A-59: a thief before or after the owner, beyond the grace: the second to come ends it for both', async () => {
    await holds(async (scheduler, n, [thiefFirst]) => {
      const one = await race(scheduler, open)
      const { slow, pair, clock, store, revocations } = one
      const first = await pair.issue({ userId: 'ann' })
      const [early, later] = thiefFirst ? [1, n] : [n, 1]
      const refresh = async (times: number) => {
        const asked = Array.from({ length: times }, () => slow.refresh(first.refreshToken))
        return scheduler.waitFor(Promise.all(asked))
      }
      const got = await refresh(early)
      expect(distinct(got)).toHaveLength(1)
      clock.advance(10 * SECOND)
      const none = await refresh(later)
      expect(none.every((answer) => answer === 'replayed' || answer === 'ended')).toBe(true)
      expect(none).toContain('replayed')
      for (const token of [first.refreshToken, ...distinct(got)]) expect(await pair.refresh(token)).toBe('ended')
      expect(revocations.check({ id: first.id, userId: 'ann', issuedAt: 0 })).toBe(true)
      expect(await store.get(first.id)).toBeUndefined()
      await store.close?.()
    })
  })

  test('A-59: a replay while the owner refreshes: whatever the order, nothing of the family lives on', async () => {
    await holds(async (scheduler, n) => {
      const { slow, pair, clock, store } = await race(scheduler, open)
      const first = await pair.issue({ userId: 'ann' })
      const second = granted(await pair.refresh(first.refreshToken))
      clock.advance(10 * SECOND)
      const owner = Array.from({ length: n }, () => slow.refresh(second.refreshToken))
      const thief = slow.refresh(first.refreshToken)
      const [answer, ...got] = await scheduler.waitFor(Promise.all([thief, ...owner]))
      expect(answer).toBe('replayed')
      expect(distinct(got).length).toBeLessThanOrEqual(1)
      for (const token of [second.refreshToken, ...distinct(got)]) expect(await pair.refresh(token)).toBe('ended')
      for (const answer of got) {
        if (typeof answer === 'string') expect(answer).toBe('ended')
        else expect(await pair.introspect(answer.accessToken)).toEqual({ active: false })
      }
      await store.close?.()
    })
  })

  test('A-63: a logout, or the end of all, among refreshes: nothing issued before is honoured after', async () => {
    await holds(async (scheduler, n, [all]) => {
      const { slow, pair, store, revocations, clock } = await race(scheduler, open)
      const first = await pair.issue({ userId: 'ann' })
      clock.advance(MINUTE)
      const asked = Array.from({ length: n }, () => slow.refresh(first.refreshToken))
      const ending = all
        ? scheduler.schedule(Promise.resolve(), 'end all').then(async () => {
            await revocations.endAll('ann', clock() + 60 * MINUTE)
            await scheduler.schedule(Promise.resolve(), 'delete').then(() => store.endAll('ann'))
          })
        : slow.revoke(first.refreshToken)
      const [, ...got] = await scheduler.waitFor(Promise.all([ending, ...asked]))
      expect(got.every((answer) => answer === 'ended' || typeof answer !== 'string')).toBe(true)
      for (const token of [first.refreshToken, ...distinct(got)]) expect(await pair.refresh(token)).toBe('ended')
      for (const answer of got)
        if (typeof answer !== 'string') expect(await pair.introspect(answer.accessToken)).toEqual({ active: false })
      expect(await store.get(first.id)).toBeUndefined()
      await store.close?.()
    })
  })

  test('grace 0: of parallel refreshes at most one gets a successor, and the family is dead after it', async () => {
    await holds(async (scheduler, n) => {
      const { slow, pair, store } = await race(scheduler, open, 0)
      const { refreshToken } = await pair.issue({ userId: 'ann' })
      const asked = Array.from({ length: n }, () => slow.refresh(refreshToken))
      const got = await scheduler.waitFor(Promise.all(asked))
      expect(got.filter((answer) => typeof answer !== 'string')).toHaveLength(1)
      for (const token of distinct(got)) expect(await pair.refresh(token)).toBe('ended')
      await store.close?.()
    })
  })
}
