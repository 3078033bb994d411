/** The PostgreSQL store in races: every order of what two connections do, and several processes at once. */
import { execFile, spawn } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import fc from 'fast-check'
import pg from 'pg'
import type { SessionRecord } from 'sojourn'
import { migrate, type PostgresStore, postgres } from 'sojourn/store/postgres'
import { manualClock } from 'sojourn/testing/clock'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { usePostgres } from './engines/postgres.js'
import { shop } from './helpers.js'

const CHILD = fileURLToPath(new URL('fixtures/postgres-child.mjs', import.meta.url))
const engine = usePostgres({ deadlock_timeout: '200ms' })

const ending: (() => unknown)[] = []
let table: string
let store: PostgresStore
let pool: pg.Pool
let tables = 0

beforeEach(async () => {
  table = `t${++tables}`
  pool = new pg.Pool({ connectionString: engine().url, max: 4 })
  await migrate(pool, { table })
  store = postgres(pool, { table })
})
afterEach(async () => {
  for (const end of ending.splice(0)) await end()
  store.close()
  await pool.end()
})

function record(changes: Partial<SessionRecord> = {}): SessionRecord {
  const now = Date.now()
  return { data: '{}', createdAt: now, seenAt: now, expiresAt: now + 3_600_000, version: 1, ...changes }
}

async function ids(userId?: string): Promise<string[]> {
  const found: string[] = []
  for await (const [id] of store.list(userId)) found.push(id)
  return found.toSorted()
}

/** A connection of its own, whose every step is seen: whether it is done, or waits for another. */
class Actor {
  readonly client: pg.Client = new pg.Client(engine().url)
  store!: PostgresStore
  #settled = true
  #work: Promise<unknown> = Promise.resolve()

  async open(): Promise<this> {
    await this.client.connect()
    ending.push(() => this.client.end())
    this.store = postgres(this.client, { table })
    await this.store.get('so that it has looked')
    return this
  }

  /** Begins `work`, and comes back when it is done or waits for a lock. Says which. */
  async step(work: () => Promise<unknown>): Promise<'done' | 'waits'> {
    this.#settled = false
    this.#work = work().finally(() => {
      this.#settled = true
    })
    this.#work.catch(() => {})
    return this.look()
  }

  /** Comes back when what it does is done or waits for a lock. */
  async look(): Promise<'done' | 'waits'> {
    const { processID } = this.client as unknown as { processID: number }
    for (;;) {
      const { rows } = await pool.query('SELECT wait_event_type FROM pg_stat_activity WHERE pid = $1', [processID])
      if (this.#settled) return 'done'
      if (rows[0]?.wait_event_type === 'Lock') return 'waits'
      await pause(2)
    }
  }

  result(): Promise<unknown> {
    return this.#work
  }
}

describe('endAll and writes that are under way', () => {
  test('A-69: a session that is being begun when all are ended is ended too: the end waits for it', async () => {
    const [writer, ender] = [await new Actor().open(), await new Actor().open()]
    await writer.client.query('BEGIN')
    expect(await writer.step(() => writer.store.set('new', record({ userId: 'ada' }), 0))).toBe('done')
    expect(await ender.step(() => ender.store.endAll('ada'))).toBe('waits')
    await writer.client.query('COMMIT')
    expect(await ender.result()).toBe(1)
    expect(await ids()).toEqual([])
  })

  test('A-69: a rotation on its way leaves no successor behind', async () => {
    await store.set('old', record({ userId: 'ada' }), 0)
    const [writer, ender] = [await new Actor().open(), await new Actor().open()]
    await writer.client.query('BEGIN')
    await writer.step(() => writer.store.set('next', record({ userId: 'ada' }), 0))
    await writer.step(() => writer.store.set('old', record({ userId: 'ada', data: '', version: 2 }), 1))
    expect(await ender.step(() => ender.store.endAll('ada'))).toBe('waits')
    await writer.client.query('COMMIT')
    expect(await ender.result()).toBe(1)
    expect(await store.get('next')).toBeUndefined()
    expect(await store.get('old')).toBeUndefined()
  })

  test("other users, guests and readers wait for nobody's end", async () => {
    const [ender, other] = [await new Actor().open(), await new Actor().open()]
    await store.set('ada', record({ userId: 'ada' }), 0)
    await ender.client.query('BEGIN')
    await ender.step(() => ender.store.endAll('ada'))
    expect(await other.step(() => other.store.set('bob', record({ userId: 'bob' }), 0))).toBe('done')
    expect(await other.step(() => other.store.set('guest', record(), 0))).toBe('done')
    expect(await other.step(() => other.store.get('ada'))).toBe('done')
    expect(await other.step(() => other.store.set('ada-2', record({ userId: 'ada' }), 0))).toBe('waits')
    await ender.client.query('COMMIT')
    expect(await other.result()).toBe(true)
  })

  test('A-69: in every order of four writers and an end, what began before is gone and what began after is there', {
    timeout: 120_000,
  }, async () => {
    const actors = await Promise.all([1, 2, 3, 4].map(() => new Actor().open()))
    const ender = await new Actor().open()
    const kinds = ['create', 'adopt', 'slide', 'replaceExpired'] as const
    const write = (actor: Actor, kind: (typeof kinds)[number], id: string) => {
      const ada = record({ userId: 'ada' })
      return actor.store.set(
        id,
        kind === 'adopt' || kind === 'slide' ? { ...ada, version: 2 } : ada,
        kind === 'adopt' || kind === 'slide' ? 1 : 0,
      )
    }
    const orders = fc.shuffledSubarray(['0', '1', '2', '3', '0', '1', '2', '3', 'end'], { minLength: 9 })
    let run = 0
    let waited = 0
    await fc.assert(
      fc.asyncProperty(
        orders,
        fc.array(fc.constantFrom(...kinds), { minLength: 4, maxLength: 4 }),
        async (order, chosen) => {
          run++
          const name = (i: number) => `run-${run}-${i}`
          for (const [i, kind] of chosen.entries()) {
            if (kind === 'adopt') await store.set(name(i), record(), 0)
            if (kind === 'slide') await store.set(name(i), record({ userId: 'ada' }), 0)
            if (kind === 'replaceExpired')
              await store.set(name(i), record({ userId: 'ada', expiresAt: Date.now() + 1 }), 0)
          }
          await pause(2)
          const begun = new Set<string>()
          const committing: Promise<unknown>[] = []
          const late = new Set<string>()
          let ended = false
          for (const event of order) {
            if (event === 'end') {
              if ((await ender.step(() => ender.store.endAll('ada'))) === 'waits') waited++
              ended = true
              continue
            }
            const i = Number(event)
            const actor = actors[i]!
            if (!begun.has(event)) {
              begun.add(event)
              if (ended) late.add(event)
              await actor.client.query('BEGIN')
              await actor.step(() => write(actor, chosen[i]!, name(i)))
            } else {
              // A writer that waits for the end commits once it may go on.
              committing.push(actor.result().then(() => actor.client.query('COMMIT')))
              await pause(5)
            }
          }
          await Promise.all([...committing, ender.result()])
          const expected = [...late]
            .map(Number)
            .filter((i) => chosen[i] !== 'slide')
            .map(name)
          expect(await ids('ada')).toEqual(expected.toSorted())
          await store.endAll('ada')
        },
      ),
      { numRuns: 60 },
    )
    expect(waited, 'ends that came while somebody wrote').toBeGreaterThan(5)
  })
})

describe('two apps on one table', () => {
  const apps = (options: Parameters<typeof shop>[0] = {}) =>
    [1, 2].map(() => {
      const own = new pg.Pool({ connectionString: engine().url, max: 8 })
      ending.push(() => own.end())
      return shop({ ...options, store: postgres(own, { table }), clock: manualClock(Date.now()) })
    })

  test('A-68: parallel requests of one browser lose no update', async () => {
    const both = apps()
    const browser = both[0]!.browser()
    await browser.visit((session) => session.login('ada'))
    const add = (_: unknown, i: number) =>
      both[i % 2]!.request(browser.cookie, (session) => session.update('count', (n) => n + 1))
    const answers = await Promise.all(Array.from({ length: 12 }, add))
    const kept = answers.filter(({ status }) => status === 200).length
    expect(kept).toBeGreaterThan(0)
    expect((await browser.visit((session) => session.data.count)).value).toBe(kept)
  })

  test('7.1.2: a limit holds exactly, however many sign in at once', async () => {
    const both = apps({ limit: { sessions: 2, policy: 'reject' } })
    const login = (_: unknown, i: number) => both[i % 2]!.browser().visit((session) => session.login('ada'))
    const answers = await Promise.all(Array.from({ length: 12 }, login))
    const given = answers.filter((answer) => answer.given !== undefined)
    expect(given.length).toBeLessThanOrEqual(2)
    expect((await ids('ada')).length).toBe(given.length)
  })

  test('A-69: ending all of a user while all of them rotate leaves no session that was there before', async () => {
    const both = apps()
    for (let round = 0; round < 5; round++) {
      const browsers = Array.from({ length: 6 }, (_, i) => both[i % 2]!.browser())
      await Promise.all(browsers.map((browser) => browser.visit((session) => session.login('ada'))))
      const [ended] = await Promise.all([
        both[round % 2]!.sessions.endAll('ada'),
        ...browsers.map((browser) => browser.visit((session) => session.rotate())),
      ])
      expect(ended).toBeGreaterThan(0)
      expect(await ids('ada')).toEqual([])
      for (const { cookie } of browsers) expect(await both[0]!.userOf(cookie)).toBeUndefined()
    }
  })
})

describe('several processes', () => {
  const child = (what: string, library: string, argument: string) =>
    promisify(execFile)(process.execPath, [CHILD, what, engine().url, library, table, argument], { timeout: 60_000 })

  test('A-68: no increment of four processes is lost', { timeout: 90_000 }, async () => {
    await store.set('counter', record({ data: '0' }), 0)
    await Promise.all(['pg', 'postgres', 'pg', 'postgres'].map((library) => child('increment', library, '50')))
    expect(await store.get('counter')).toMatchObject({ data: '200', version: 201 })
  })

  test('A-69: nothing that four processes began before an end is there after it', {
    timeout: 90_000,
  }, async () => {
    const begun = new Set<string>()
    const children = ['pg', 'postgres', 'pg', 'postgres'].map((library) => {
      const process_ = spawn(process.execPath, [CHILD, 'sessions', engine().url, library, table], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let rest = ''
      process_.stdout.on('data', (text) => {
        const lines = (rest + text).split('\n')
        rest = lines.pop()!
        for (const line of lines) begun.add(line.slice('begun '.length))
      })
      return process_
    })
    try {
      while (begun.size < 50) await pause(20)
      let total = 0
      for (let round = 0; round < 15; round++) {
        await pause(60)
        const before = new Set(begun)
        total += await store.endAll('ada')
        const there = await ids('ada')
        expect(there.filter((id) => before.has(id))).toEqual([])
      }
      expect(total).toBeGreaterThan(50)
    } finally {
      for (const each of children) each.kill('SIGKILL')
    }
  })

  test('a table that eight processes make at once is made once', { timeout: 60_000 }, async () => {
    table = `made_${table}`
    const at = String(Date.now() + 1500)
    const said = await Promise.all(Array.from({ length: 8 }, (_, i) => child('migrate', i % 2 ? 'pg' : 'postgres', at)))
    for (const { stdout } of said) expect(stdout).toMatch(/^[01] 1\n$/)
    expect(said.some(({ stdout }) => stdout === '0 1\n')).toBe(true)
    const own = postgres(pool, { table })
    expect(await own.set('a', record({ userId: 'u' }), 0)).toBe(true)
    own.close()
  })
})
