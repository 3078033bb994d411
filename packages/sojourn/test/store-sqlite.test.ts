/** The SQLite store: the contract in both durabilities, and what is its own: files, drivers, processes, commits, sweeping. */
import { execFile } from 'node:child_process'
import { chmodSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type SqliteDatabase, type SqliteOptions, type SqliteStore, sqlite } from 'sojourn/store/sqlite'
import { manualClock } from 'sojourn/testing/clock'
import { storeCases } from 'sojourn/testing/store'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { inRealTime } from './fixtures/real-time.js'
import { remote, started, useServed } from './fixtures/remote.js'
import { ask, connect, drivers, folder, record } from './fixtures/sqlite.js'

const CHILD = fileURLToPath(new URL('fixtures/sqlite-child.mjs', import.meta.url))
const BOTH = ['normal', 'full'] as const

/** What is closed after the test. */
const closing: { close(): unknown }[] = []
let file: string
let remove: () => void

beforeEach(() => {
  const { path, remove: removeFolder } = folder()
  file = join(path, 'sessions.db')
  remove = removeFolder
})
afterEach(() => {
  for (const each of closing.splice(0)) each.close()
  remove()
})

function store(options: SqliteOptions<'normal'> = {}): SqliteStore {
  const made = sqlite(file, options)
  closing.push(made)
  return made
}

/** A second connection to the store's file. */
function beside(path: string = file): SqliteDatabase {
  const db = connect(path)
  closing.push(db)
  return db
}

function child(what: string, ...args: string[]): Promise<{ stdout: string; stderr: string }> {
  return promisify(execFile)(process.execPath, [CHILD, what, file, ...args], { timeout: 60_000 })
}

function fill(into: SqliteStore, count: number, expiresAt: (n: number) => number): void {
  for (let n = 0; n < count; n++) into.set(`id-${n}`, record({ expiresAt: expiresAt(n), userId: `user-${n % 3}` }), 0)
}

describe.each(BOTH)('the contract of stores: %s', (durability) => {
  const clock = manualClock()
  const open = () => {
    const made = sqlite(file, { durability, clock })
    closing.push(made)
    return made
  }
  const breakBackend = () => {
    beside().exec('DROP TABLE sojourn_sessions')
  }
  const real = () => {
    const made = sqlite(file, { durability })
    closing.push(made)
    return made
  }
  const suite = [
    ...storeCases({ create: open, second: open, clock, breakBackend, tells: 1000 }),
    ...inRealTime({ create: real, second: real }),
  ]
  test.each(suite.map(({ name, run }) => [name, run] as const))('%s', { timeout: 30_000 }, (_, run) => run())
})

describe('the contract of stores, the other handle in another process', () => {
  const clock = manualClock()
  const served = useServed(folder, (path) => started(CHILD, 'serve', join(path, 'sessions.db'), 'normal'))
  const create = async () => {
    const made = sqlite(join(served().path, 'sessions.db'), { clock })
    await made.sweep(Number.MAX_VALUE)
    return made
  }
  const suite = storeCases({ create, second: () => remote(served().server, clock), clock, tells: 1000 })
  test.each(suite.map(({ name, run }) => [name, run] as const))('%s', { timeout: 30_000 }, (_, run) => run())
})

describe('verbs that answer at once', () => {
  test('normal makes no promise', () => {
    const s = store()
    expect(s.set('a', record(), 0)).toBe(true)
    expect(s.get('a')).toMatchObject({ version: 1, data: '{}' })
    expect(s.set('a', record({ version: 2, userId: 'ada' }), 1)).toBe(true)
    expect(s.set('a', record({ version: 2 }), 1)).toBe(false)
    expect([...s.list('ada')].map(([id]) => id)).toEqual(['a'])
    expect(s.endAll('ada')).toBe(1)
    expect(s.delete('a')).toBe(false)
  })

  test('what was written is there for the next process', () => {
    const device = { userAgent: 'Mozilla/5.0 "quoted" \u{1f600}', ip: '::1' }
    const full = record({ userId: 'ada', authenticatedAt: 5, persistent: true, device, version: 7, data: 'x\0y' })
    const first = sqlite(file)
    first.set('a', full, 0)
    first.close()
    expect(store().get('a')).toEqual(full)
  })

  test('endAll ends what was replaced by a successor and what has expired, and counts neither', () => {
    const clock = manualClock()
    const s = store({ clock })
    s.set('live', record({ userId: 'ada' }, clock()), 0)
    s.set('replaced', record({ userId: 'ada', data: '' }, clock()), 0)
    s.set('expired', record({ userId: 'ada', expiresAt: clock() + 1 }, clock()), 0)
    clock.advance(1)
    expect(s.endAll('ada')).toBe(1)
    expect(ask(beside(), 'SELECT count(*) FROM sojourn_sessions')).toBe(0)
  })

  test('A-79: users and ids that differ in what SQLite or a driver of it loses stay apart', () => {
    const s = store()
    const names = [
      'ada',
      'ada\0',
      'ada\0x',
      'ada\ud800',
      'ada\udc00',
      'ada\ufffd',
      'ada\x1b',
      'ada\x1b0000',
      'ada\n',
      '\u{1f600}',
    ]
    for (const name of names)
      expect(s.set(name, record({ userId: name, data: JSON.stringify(name) + name }), 0)).toBe(true)
    for (const name of names) {
      const kept = record({ userId: name, data: JSON.stringify(name) + name })
      expect(s.get(name)).toMatchObject({ userId: name, data: kept.data })
      expect([...s.list(name)].map(([id]) => id)).toEqual([name])
      expect(s.set(name, { ...kept, version: 2 }, 1)).toBe(true)
    }
    expect([...s.list()].map(([id]) => id).toSorted()).toEqual(names.toSorted())
    for (const name of names) expect([s.endAll(name, name), s.endAll(name), s.delete(name)]).toEqual([0, 1, false])
  })
})

describe('files', () => {
  test('folders are made, and what is made is for its owner alone', () => {
    file = join(file, 'deep', 'down', 'sessions.db')
    store().set('a', record(), 0)
    const mode = (path: string) => (statSync(path).mode & 0o777).toString(8)
    expect([file, `${file}-wal`, `${file}-shm`].map(mode)).toEqual(['600', '600', '600'])
    expect(mode(join(file, '..'))).toBe('700')
  })

  test('a file that is there keeps its mode', () => {
    connect(file).close()
    beside().exec('CREATE TABLE other (a)')
    chmodSync(file, 0o640)
    store()
    expect(statSync(file).mode & 0o777).toBe(0o640)
  })

  test('WAL is on, and the version that an application counts its migrations with is not touched', () => {
    beside().exec('PRAGMA user_version = 41')
    store()
    expect(ask(beside(), 'PRAGMA journal_mode')).toBe('wal')
    expect(ask(beside(), 'PRAGMA user_version')).toBe(41)
  })

  test('A-79: two tables in one file share nothing', () => {
    const [a, b] = [store({ table: 'shop' }), store({ table: 'admin' })]
    a.set('id', record({ userId: 'ada' }), 0)
    expect(b.get('id')).toBeUndefined()
    expect(b.set('id', record({ userId: 'ada' }), 0)).toBe(true)
    expect(a.endAll('ada')).toBe(1)
    expect(b.get('id')).toBeDefined()
  })

  test.each(['a b', 'a;', '1a', '', 'a"', 'sqlite_a', 'SQLITE_a', 'a\n'])('the table name %j is misuse', (table) => {
    expect(() => sqlite(file, { table })).toThrow(TypeError)
  })

  test.each(['order', 'Select', 'index'])('the table name %j, a word of SQL, is a name like others', (table) => {
    const s = store({ table })
    expect(s.set('id', record({ userId: 'ada' }), 0)).toBe(true)
    expect(s.set('id', record({ userId: 'ada', version: 2 }), 1)).toBe(true)
    expect([[...s.list('ada')].length, s.endAll('ada')]).toEqual([1, 1])
  })

  test("a table that is somebody else's is misuse, and is left as it was", () => {
    beside().exec('CREATE TABLE sessions (sid, sess, expire)')
    expect(() => sqlite(file, { table: 'sessions' })).toThrow(
      'sqlite: the table "sessions" is not of this store\'s layout',
    )
    expect(ask(beside(), "SELECT count(*) FROM sqlite_schema WHERE type = 'index'")).toBe(0)
  })

  test('an empty path is misuse; a folder, or a file that is no database, throws without delay', () => {
    expect(() => sqlite('')).toThrow(TypeError)
    // @ts-expect-error: a misspelt durability must not become the weaker one
    expect(() => sqlite(file, { durability: 'Full' })).toThrow('sqlite: `durability` is')
    expect(() => sqlite(join(file, '..'))).toThrow()
    const began = performance.now()
    expect(() => sqlite(CHILD)).toThrow(/not a database/)
    expect(performance.now() - began).toBeLessThan(1000)
  })

  test('close is idempotent, and after it the verbs throw', () => {
    const s = store()
    s.close()
    s.close()
    expect(() => s.get('a')).toThrow()
    expect(() => s.set('a', record(), 0)).toThrow()
  })
})

describe.each(drivers)('a database that is open already: %s', (_, Database) => {
  test('is used as it is, and left open', () => {
    const db = new Database(file)
    closing.push(db)
    const [synchronous, journal] = [ask(db, 'PRAGMA synchronous'), ask(db, 'PRAGMA journal_mode')]
    const s = sqlite(db)
    s.set('a', record(), 0)
    s.close()
    expect([ask(db, 'PRAGMA synchronous'), ask(db, 'PRAGMA journal_mode')]).toEqual([synchronous, journal])
    expect(ask(db, 'SELECT count(*) FROM sojourn_sessions')).toBe(1)
  })

  test('full asks it for flushed commits, and never for fewer than it makes', () => {
    const db = new Database(file)
    closing.push(db)
    const after = (before: string) => {
      db.exec(`PRAGMA synchronous = ${before}`)
      sqlite(db, { durability: 'full' }).close()
      return ask(db, 'PRAGMA synchronous')
    }
    expect(['OFF', 'NORMAL', 'FULL', 'EXTRA'].map(after)).toEqual([2, 2, 2, 3])
  })

  test('may be one in memory, and one that reads bigints', async () => {
    const db = new Database(':memory:')
    const whole = record({ userId: 'ada', authenticatedAt: 1, persistent: true, expiresAt: Date.now() + 2 ** 40 })
    if ('defaultSafeIntegers' in db) (db.defaultSafeIntegers as () => void)()
    const s = sqlite(db)
    expect(s.set('a', whole, 0)).toBe(true)
    expect(s.get('a')).toEqual(whole)
    expect(s.set('gone', record({ userId: 'ada', expiresAt: Date.now() + 30 }), 0)).toBe(true)
    expect(await s.sweep(Date.now() + 100)).toBe(1)
    expect(s.endAll('ada')).toBe(1)
    s.close()
    db.close()
  })
})

describe('full: the writes of one turn share a flush', () => {
  /** A connection that tells what it was asked to execute, and fails where it is told to. */
  function spied(fail: (sql: string) => boolean = () => false): { db: SqliteDatabase; said: string[] } {
    const db = beside()
    const said: string[] = []
    const exec = (sql: string) => {
      said.push(sql)
      if (fail(sql)) throw new Error('disk I/O error')
      return db.exec(sql)
    }
    return { said, db: { exec, prepare: (sql) => db.prepare(sql), close: () => db.close() } }
  }

  test('fifty writes are one transaction, and none is acknowledged before it is committed', async () => {
    const { db, said } = spied()
    const s = sqlite(db, { durability: 'full' })
    closing.unshift(s)
    said.length = 0
    const writes = Array.from({ length: 50 }, (_, n) => s.set(`id-${n}`, record(), 0).then(() => said.push('written')))
    expect(said).toEqual([])
    await Promise.all(writes)
    expect(said).toEqual(['BEGIN IMMEDIATE', 'COMMIT', ...writes.map(() => 'written')])
  })

  test('within a shared commit, compare-and-set is exact and writes keep their order', async () => {
    const s = sqlite(file, { durability: 'full' })
    closing.push(s)
    expect(
      await Promise.all([
        s.set('a', record({ userId: 'ada' }), 0),
        s.set('a', record(), 0),
        s.set('a', record({ userId: 'ada', version: 2 }), 1),
        s.set('a', record({ userId: 'ada', version: 2 }), 1),
        s.delete('a'),
        s.delete('a'),
        s.set('a', record({ version: 3 }), 2),
        s.set('b', record({ userId: 'ada' }), 0),
        s.endAll('ada'),
        s.set('b', record({ userId: 'ada', version: 2 }), 1),
      ]),
    ).toEqual([true, false, true, false, true, false, false, true, 1, false])
    expect([s.get('a'), s.get('b')]).toEqual([undefined, undefined])
  })

  test.each(['BEGIN IMMEDIATE', 'COMMIT'])(
    'when %s fails, all that shared it are rejected and nothing is kept',
    async (sql) => {
      let broken = true
      const { db, said } = spied((asked) => broken && asked === sql)
      const s = sqlite(db, { durability: 'full' })
      closing.unshift(s)
      const writes = [s.set('a', record(), 0), s.set('b', record(), 0), s.delete('c')]
      expect((await Promise.allSettled(writes)).map(({ status }) => status)).toEqual(Array(3).fill('rejected'))
      expect(said.includes('ROLLBACK')).toBe(sql === 'COMMIT')
      expect([...s.list()]).toEqual([])
      broken = false
      expect(await Promise.all([s.set('a', record(), 0), s.set('b', record(), 0)])).toEqual([true, true])
    },
  )

  test("a transaction of the connection's owner is not rolled back by the store's failure", async () => {
    const db = beside()
    const s = sqlite(db, { durability: 'full' })
    closing.unshift(s)
    db.exec("CREATE TABLE other (a); BEGIN; INSERT INTO other VALUES ('kept')")
    await expect(s.set('a', record(), 0)).rejects.toThrow('transaction')
    db.exec('COMMIT')
    expect(ask(db, 'SELECT a FROM other')).toBe('kept')
  })

  test('more than a transaction takes are written all the same, and close carries out what waits', async () => {
    const s = sqlite(file, { durability: 'full' })
    const writes = Array.from({ length: 2500 }, (_, n) => s.set(`id-${n}`, record(), 0))
    s.close()
    expect(new Set(await Promise.all(writes))).toEqual(new Set([true]))
    expect(ask(beside(), 'SELECT count(*) FROM sojourn_sessions')).toBe(2500)
  })
})

describe('several processes', () => {
  test('that make a file at the same moment, sixty times, all have it', async () => {
    const start = String(Date.now() + 500)
    await Promise.all([child('together', 'normal', start), child('together', 'full', start)])
    expect(ask(beside(`${file}-59`), 'PRAGMA journal_mode')).toBe('wal')
  })

  test.each(BOTH)('lose no update of one record: %s', { timeout: 60_000 }, async (durability) => {
    const s = store()
    s.set('counter', record({ data: '0', expiresAt: Date.now() + 3_600_000 }), 0)
    await Promise.all(['1500', '1500'].map((count) => child('increment', durability, count)))
    expect(s.get('counter')).toMatchObject({ data: '3000', version: 3001 })
  })

  test.each(BOTH)('A-78: an open store does not keep its process alive: %s', async (durability) => {
    const began = performance.now()
    await child('leave', durability)
    expect(performance.now() - began).toBeLessThan(10_000)
    expect(store().get('left')).toBeDefined()
  })

  test('a write waits for another process, and throws when that takes over two seconds', async () => {
    const [s, durable] = [store(), sqlite(file, { durability: 'full' })]
    closing.push(durable)
    const db = beside()
    db.exec('BEGIN IMMEDIATE')
    const began = performance.now()
    expect(() => s.set('a', record(), 0)).toThrow('locked')
    expect(performance.now() - began).toBeGreaterThan(1500)
    expect(s.get('a'), 'reads go on').toBeUndefined()
    await expect(durable.set('a', record(), 0)).rejects.toThrow('locked')
    db.exec('ROLLBACK')
    expect(s.set('a', record(), 0)).toBe(true)
  })

  test('A-80: what SQLite says when it fails names no id, no user and no data', async () => {
    const canary = record({ userId: 'canary-user', data: '"canary-data"', device: { ip: 'canary-ip' } })
    const [s, durable] = [store(), sqlite(file, { durability: 'full' })]
    closing.push(durable)
    beside().exec('DROP TABLE sojourn_sessions')
    const errors = await Promise.all(
      [
        () => s.get('canary-id'),
        () => s.set('canary-id', canary, 0),
        () => s.set('canary-id', canary, 1),
        () => s.set('canary-id', { ...canary, expiresAt: 0 }, 1),
        () => s.delete('canary-id'),
        () => s.endAll('canary-user', 'canary-id'),
        () => [...s.list('canary-user')],
        () => durable.set('canary-id', canary, 0),
        // Data that no codec makes: what cannot be bound is not quoted either.
        () => s.set('canary-id', { ...canary, data: { canary: 'canary-data' } as never }, 0),
      ].map(async (verb) => {
        try {
          await verb()
        } catch (error) {
          return `${error} ${(error as Error).stack} ${JSON.stringify(error)}`
        }
        throw new Error('it answered')
      }),
    )
    for (const text of errors) expect(text).not.toContain('canary')
  })
})

describe('expiry', () => {
  test('A-78: a sweep forgets what expired, spares the living, and lets others run meanwhile', async () => {
    const clock = manualClock()
    const s = store({ clock })
    fill(s, 2000, (n) => clock() + (n % 4 === 0 ? 5000 : 1000))
    clock.advance(1000)
    let turns = 0
    const counting = setInterval(() => turns++, 1)
    expect(await s.sweep(clock())).toBe(1500)
    clearInterval(counting)
    expect(turns).toBeGreaterThan(3)
    expect(ask(beside(), 'SELECT count(*) FROM sojourn_sessions')).toBe(500)
    expect([...s.list()]).toHaveLength(500)
    expect(await s.sweep(clock())).toBe(0)
  })

  test('A-78: expired records are forgotten without being asked to, once a minute', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const clock = manualClock()
      const s = store({ clock })
      fill(s, 10, () => clock() + 1000)
      const db = beside()
      for (let minute = 0; minute < 2; minute++) {
        s.set('late', record({ expiresAt: clock() + 1000 }), 0)
        clock.advance(1000)
        await vi.advanceTimersByTimeAsync(60_000)
        expect(ask(db, 'SELECT count(*) FROM sojourn_sessions')).toBe(0)
      }
    } finally {
      vi.useRealTimers()
    }
  })

  test('a sweep looks for the write lock only when it has something to forget', async () => {
    const s = store()
    s.set('a', record(), 0)
    const db = beside()
    db.exec('BEGIN IMMEDIATE')
    expect(await s.sweep(Date.now())).toBe(0)
    db.exec('ROLLBACK')
  })

  test('close ends a sweep that is under way', async () => {
    const clock = manualClock()
    const s = store({ clock })
    fill(s, 1000, () => clock() + 1000)
    const sweeping = s.sweep(clock() + 1000)
    s.close()
    expect(await sweeping).toBe(100)
  })
})

describe('listing', () => {
  test('goes over many pages, and minds neither what is ended nor what is added on the way', () => {
    const s = store()
    fill(s, 900, () => Date.now() + 60_000)
    const seen = new Set<string>()
    for (const [id, { userId }] of s.list()) {
      seen.add(id)
      s.delete(id)
      s.set(`new-${id}`, record({ userId }), 0)
    }
    expect(seen.size).toBe(900)
    expect([...seen].every((id) => id.startsWith('id-'))).toBe(true)
    expect([...s.list('user-1')]).toHaveLength(300)
  })

  test('holds no cursor: others write, and the file is checkpointed, in the middle of it', () => {
    const s = store()
    fill(s, 600, () => Date.now() + 60_000)
    const listing = s.list()[Symbol.iterator]()
    listing.next()
    const other = beside()
    expect(Object.values(other.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get() as object)[0], 'busy').toBe(0)
    other.exec('VACUUM')
    expect([...{ [Symbol.iterator]: () => listing }]).toHaveLength(599)
  })
})

describe('watch', () => {
  test.each(BOTH)(
    'tells what is written here by its id, and that something was written elsewhere: %s',
    async (durability) => {
      const here = sqlite(file, { durability })
      closing.push(here)
      const told: string[] = []
      const stop = here.watch(
        (id) => void told.push(id),
        () => void told.push('cut'),
      )
      const news = () => told.splice(0)
      expect(await here.set('a', record({ userId: 'ada' }), 0)).toBe(true)
      expect(await here.set('a', record({ userId: 'ada' }), 0)).toBe(false)
      expect(news()).toEqual(['a'])
      await here.set('b\0', record({ userId: 'ada' }), 0)
      await here.delete('a')
      expect(await here.endAll('ada')).toBe(1)
      expect(news()).toEqual(['b\0', 'a', 'b\0'])
      await new Promise((resolve) => setTimeout(resolve, 120))
      expect(news(), 'what is written here is no news from elsewhere').toEqual([])

      const there = store()
      await new Promise((resolve) => setTimeout(resolve, 120))
      news()
      there.set('c', record(), 0)
      await vi.waitUntil(() => told.length > 0, { timeout: 2000, interval: 5 })
      expect(new Set(news())).toEqual(new Set(['cut']))
      stop()
      there.delete('c')
      await new Promise((resolve) => setTimeout(resolve, 120))
      expect(news()).toEqual([])
    },
  )

  test('looks while somebody watches, and no longer', () => {
    vi.useFakeTimers()
    try {
      const s = store()
      const before = vi.getTimerCount()
      const stops = [s.watch(() => {}), s.watch(() => {})]
      expect(vi.getTimerCount()).toBe(before + 1)
      for (const stop of stops) stop()
      expect(vi.getTimerCount()).toBe(before)
      s.watch(() => {})
      s.close()
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })
})
