/** `sojourn move` between real databases: under load, killed on the way, begun again; and nobody notices. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { connectEngine } from '@sojourn/server/engines/connect'
import { storePlace } from '@sojourn/server/place'
import { generateSecret } from 'sojourn'
import { describe, expect, test } from 'vitest'
import { usePostgres } from '../../sojourn/test/engines/postgres.js'
import { startRedis, useRedis } from '../../sojourn/test/engines/redis.js'
import { type Client, client } from './client.js'
import { serve, sojourn } from './spawned.js'
import { folder, PASSWORD } from './started.js'

const postgres = usePostgres({ fsync: 'off' })
const redis = useRedis(() => startRedis())

type Kind = 'sqlite' | 'file' | 'postgres' | 'redis'

/** An empty place of this kind. */
async function place(kind: Kind): Promise<string> {
  if (kind === 'sqlite') return `sqlite:${join(folder(), 'sessions.db')}`
  if (kind === 'file') return `file:${folder()}`
  if (kind === 'postgres') return postgres().database()
  await redis().command('FLUSHALL')
  return `redis://127.0.0.1:${redis().port}`
}

const IDLE = 1500
// Every place of these tests names its own folder.
const context = { data: '.', clock: Date.now }

/** The table of sessions at a place, for a look or for filling it. */
async function tableOf(text: string) {
  const engine = await connectEngine(storePlace(text), 'SOJOURN_STORE', context, { wait: 10_000, migrate: true })
  const store = engine.store('sojourn_sessions')
  return {
    store,
    async close() {
      await store.close?.()
      await engine.close()
    },
  }
}

/** Sessions of people who do nothing meanwhile. */
async function fill(text: string, count: number): Promise<void> {
  const { store, close } = await tableOf(text)
  const now = Date.now()
  const record = {
    data: '{"cart":{"id":"","lines":{}}}',
    createdAt: now,
    seenAt: now,
    expiresAt: now + 600_000,
    version: 1,
  }
  for (let i = 0; i < count; i += 100)
    await Promise.all(
      Array.from({ length: 100 }, async (_, k) => {
        expect(await store.set(`idle-${i + k}`, { ...record, userId: `user-${i + k}` }, 0)).toBe(true)
      }),
    )
  await close()
}

async function count(text: string): Promise<number> {
  const { store, close } = await tableOf(text)
  let count = 0
  for await (const [id] of store.list()) if (id.startsWith('idle-')) count++
  await close()
  return count
}

/** A guest who fills a cart, and knows what was said to be in it. */
interface Guest {
  readonly who: Client
  kept: number
}

async function shopping(urls: readonly string[], guest: Guest, over: () => boolean): Promise<void> {
  for (let i = 0; !over() && guest.kept < 95; i++) {
    const here = client(urls[i % urls.length]!, guest.who.jar)
    const { status, text } = await here.post('/api/cart/items', { sku: 'notebook', quantity: 1 })
    expect(status, text).toBe(200)
    guest.kept++
    await pause(20)
  }
}

const quantity = async (who: Client) => (await who.get('/api/cart')).body.items[0]?.quantity ?? 0

describe('sojourn move', () => {
  const ways: [Kind, Kind][] = [
    ['sqlite', 'postgres'],
    ['postgres', 'redis'],
    ['redis', 'sqlite'],
    ['file', 'sqlite'],
  ]
  test.each(ways)(
    '%s to %s under load, killed and begun again: no cart loses a thing, and nobody is logged out',
    async (from, to) => {
      const accounts = { SOJOURN_ACCOUNTS: `sqlite:${join(folder(), 'accounts.db')}`, SOJOURN_KEYS: generateSecret() }
      const [old, now] = [await place(from), await place(to)]
      await fill(old, IDLE)
      // Makes the tables of the new one.
      expect(await count(now)).toBe(0)

      const data = folder()
      const alone = await serve(data, [], { ...accounts, SOJOURN_STORE: old })
      const guests: Guest[] = Array.from({ length: 4 }, () => ({ who: client(alone.url), kept: 0 }))
      const [ada, eve] = [client(alone.url), client(alone.url)]
      expect((await ada.post('/api/signup', { username: 'ada', password: PASSWORD })).status).toBe(201)
      expect((await eve.post('/api/signup', { username: 'eve', password: PASSWORD })).status).toBe(201)
      let over = false
      // One server still knows the old store alone, the others know both.
      const both = { ...accounts, SOJOURN_STORE: now, SOJOURN_STORE_FROM: old }
      const servers = await Promise.all([1, 2].map(() => serve(folder(), [], both)))
      await Promise.all(guests.map((guest) => shopping([alone.url, servers[0]!.url], guest, () => guest.kept > 5)))
      alone.child.kill('SIGTERM')
      await alone.ended

      const urls = servers.map(({ url }) => url)
      const load = Promise.all(guests.map((guest) => shopping(urls, guest, () => over)))
      const dry = sojourn(['move', '--from', old, '--to', now, '--data', data, '--dry-run'])
      expect(await dry.ended, dry.output()).toBe(0)
      expect(dry.output()).toContain(`sojourn_sessions: ${IDLE + 2} of users and 4 others would be moved`)
      expect(await count(now)).toBe(0)

      const killed = sojourn(['move', '--data', data], both)
      const moved = await tableOf(now)
      for (let seen = 0; seen < 100 && killed.child.exitCode === null; ) {
        seen = 0
        for await (const _ of moved.store.list()) seen++
        await pause(5)
      }
      killed.child.kill('SIGKILL')
      await killed.ended
      await moved.close()
      const left = await count(old)
      // Somebody signs out in between, and another everywhere.
      expect((await client(urls[1]!, eve.jar).post('/api/logout')).status).toBeLessThan(300)

      const again = sojourn(['move', '--from', old, '--to', now, '--data', data])
      expect(await again.ended, again.output()).toBe(0)
      await pause(100)
      over = true
      await load
      console.log(`${from} to ${to}: killed with ${left} of ${IDLE} left; ${again.output().split('\n')[0]}`)
      expect(left).toBeGreaterThan(0)
      expect([await count(old), await count(now)]).toEqual([0, IDLE])

      for (const { child, ended } of servers) {
        child.kill('SIGTERM')
        await ended
      }
      const last = await serve(folder(), [], { ...accounts, SOJOURN_STORE: now })
      for (const { who, kept } of guests) expect(await quantity(client(last.url, who.jar))).toBe(kept)
      expect((await client(last.url, ada.jar).get('/api/session')).body.user.username).toBe('ada')
      expect((await client(last.url, eve.jar).get('/api/session')).body.user ?? null).toBeNull()
    },
    120_000,
  )

  /** Runs it dry or not, and gives its code and its words. */
  const run = async (from: string, to: string, ...args: string[]) => {
    const spawned = sojourn(['move', '--data', folder(), '--from', from, '--to', to, ...args])
    const code = await spawned.ended
    return { code, said: spawned.output() }
  }

  test.each([[['--dry-run']], [[]]])('%s: a place that is not there is refused, and not made', async (args) => {
    const here = folder()
    writeFileSync(join(here, 'text'), '')
    for (const [from, says] of [
      ['sqlite:', 'SQLite: there is no such file'],
      [`sqlite:${join(here, 'typo', 'none.db')}`, 'SQLite: there is no such file'],
      [`sqlite:${here}`, 'SQLite: there is no such file'],
      [`file:${join(here, 'typo')}`, 'the folder: there is no such folder'],
      [`file:${join(here, 'text')}`, 'the folder: there is no such folder'],
    ] as const) {
      const { code, said } = await run(from, `file:${join(here, 'new')}`, ...args)
      expect([code, said]).toEqual([
        1,
        expect.stringMatching(new RegExp(`SOJOURN_STORE_FROM: ${says}; correct --from`)),
      ])
    }
    expect(readdirSync(here)).toEqual(['text'])
  })

  test.each([[['--dry-run']], [[]]])('%s: a place without sessions is said to be one', async (args) => {
    const accounts = join(folder(), 'accounts.db')
    writeFileSync(accounts, '')
    const { code, said } = await run(`sqlite:${accounts}`, await place('sqlite'), ...args)
    expect([code, said]).toEqual([1, expect.stringMatching(/nothing to move; .*correct --from/)])
  })

  test.each([[['--dry-run']], [[]]])(
    '%s: a store with sessions of its own is refused, and left alone',
    async (args) => {
      for (const kind of ['file', 'postgres'] as const) {
        const [old, now] = [await place('sqlite'), await place(kind)]
        await fill(old, 100)
        await fill(now, 100)
        const { code, said } = await run(old, now, ...args)
        expect([code, said]).toEqual([1, expect.stringMatching(/SOJOURN_STORE: .*has sessions already.*with --to/)])
        expect([await count(old), await count(now)]).toEqual([100, 100])
      }
    },
  )

  test('PostgreSQL without tables is refused, dry or not, unless they are to be made', async () => {
    const [old, now] = [await place('sqlite'), await place('postgres')]
    await fill(old, 100)
    for (const args of [['--dry-run'], []]) {
      const { code, said } = await run(old, now, ...args)
      expect([code, said]).toEqual([
        1,
        expect.stringMatching(/is not there\. Run `sojourn migrate`, or give --migrate\n$/),
      ])
    }
    const dry = await run(old, now, '--migrate', '--dry-run')
    expect(dry).toMatchObject({ code: 0, said: expect.stringContaining('The new place would be made first.') })
    // It is still not made.
    expect((await run(old, now, '--dry-run')).code).toBe(1)
    expect(await run(old, now, '--migrate')).toMatchObject({ code: 0, said: expect.stringContaining('100 moved') })
    expect((await run(now, await place('redis'), '--dry-run')).said).toContain('sojourn_sessions: 100 of users')
  })

  test('a dry run makes no new place, and of a move that is over says that nothing is left', async () => {
    const old = await place('sqlite')
    await fill(old, 100)
    for (const kind of ['sqlite', 'file']) {
      const path = join(folder(), 'deep', 'new')
      const dry = await run(old, `${kind}:${path}`, '--dry-run')
      expect(dry).toMatchObject({ code: 0, said: expect.stringContaining('100 of users and 0 others would be moved') })
      expect(dry.said).toContain('The new place would be made first.')
      expect(existsSync(join(path, '..'))).toBe(false)
    }
    const now = await place('file')
    expect(await run(old, now)).toMatchObject({ code: 0, said: expect.stringContaining('sojourn_sessions: 100 moved') })
    expect(await run(old, now, '--dry-run')).toMatchObject({ code: 0, said: expect.stringContaining('0 of users') })
    expect(await run(old, now)).toMatchObject({ code: 0, said: expect.stringContaining('0 moved') })
    expect(await count(now)).toBe(100)
  })

  test('says what cannot move, and repeats no address', async () => {
    const run = async (...args: string[]) => {
      const spawned = sojourn(['move', '--data', folder(), ...args])
      expect(await spawned.ended).toBe(1)
      return spawned.output()
    }
    expect(await run()).toContain('say where sessions live until now')
    expect(await run('--from', 'memory:')).toContain('in one process alone')
    expect(await run('--from', 'sqlite:', '--to', 'sqlite:')).toContain('is where SOJOURN_STORE is')
    expect(await run('--from', 'express:secret')).toMatch(/^(?!.*secret).*is no store/s)
    const serving = sojourn(['serve', '--data', folder()], { SOJOURN_STORE_FROM: 'postgres://u:secret@db.example/x' })
    expect(await serving.ended).toBe(1)
    expect(serving.output()).toMatch(/^(?!.*secret).*SOJOURN_ACCOUNTS: accounts are in PostgreSQL/s)
  })
})
