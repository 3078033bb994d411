/** The file store: the contract in both durabilities and between processes, and what is its own: names, modes, leftovers. */
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type FileOptions, type FileStore, file } from 'sojourn/store/file'
import { manualClock } from 'sojourn/testing/clock'
import { storeCases } from 'sojourn/testing/store'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { child, contents, folder, record, talking } from './fixtures/file.js'
import { inRealTime } from './fixtures/real-time.js'
import { remote, useServed } from './fixtures/remote.js'

const BOTH = ['normal', 'full'] as const

/** What is closed after the test. */
const closing: { close(): unknown }[] = []
let path: string
let remove: () => void

beforeEach(() => {
  ;({ path, remove } = folder())
})
afterEach(() => {
  for (const each of closing.splice(0)) each.close()
  remove()
})

function store(options: FileOptions<'normal'> = {}): FileStore {
  const made = file(path, options)
  closing.push(made)
  return made
}

/** The one record's folder. */
function only(part: 'records' | 'users' = 'records'): string {
  const found = contents(path).filter((name) => new RegExp(`^${part}/../[0-9a-f]{64}$`).test(name))
  expect(found).toHaveLength(1)
  return join(path, found[0]!)
}

/** Makes everything in the store's folder look as old as it has to be to be a leftover. */
function longAgo(): void {
  const then = new Date(Date.now() - 3_600_000)
  for (const name of contents(path)) utimesSync(join(path, name), then, then)
}

const breakBackend = () => {
  renameSync(path, `${path}-away`)
  closing.push({ close: () => rmSync(`${path}-away`, { recursive: true }) })
}

describe.each(BOTH)('the contract of stores, two handles in one process: %s', (durability) => {
  const clock = manualClock()
  const open = () => {
    const made = file(path, { durability, clock })
    closing.push(made)
    return made
  }
  const real = () => {
    const made = file(path, { durability })
    closing.push(made)
    return made
  }
  const suite = [
    ...storeCases({ create: open, second: open, clock, breakBackend }),
    ...inRealTime({ create: real, second: real }),
  ]
  test.each(suite.map(({ name, run }) => [name, run] as const))('%s', { timeout: 30_000 }, (_, run) => run())
})

describe('the contract of stores, the other handle in another process', () => {
  const clock = manualClock()
  const served = useServed(folder, (path) => talking('serve', path, 'normal'))
  const create = async () => {
    const made = file(served().path, { clock })
    await made.sweep(Number.MAX_VALUE)
    return made
  }
  const suite = storeCases({ create, second: () => remote(served().server, clock), clock })
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
    const full = record({
      userId: 'ada',
      authenticatedAt: 5,
      persistent: true,
      device,
      version: 7,
      data: 'x\0y\n\ud800',
    })
    const first = file(path)
    first.set('a', full, 0)
    first.close()
    expect(store().get('a')).toEqual(full)
  })

  test('after close every verb throws', () => {
    const s = store()
    s.close()
    expect(() => s.get('a')).toThrow('closed')
    expect(() => s.set('a', record(), 0)).toThrow('closed')
    expect(() => s.list('ada')).toThrow('closed')
    expect(() => s.sweep(0)).toThrow('closed')
  })
})

describe('the folder', () => {
  test('A-79: names are made of hashes, whatever ids and users are made of', () => {
    const s = store()
    const names = [
      '../../../etc/passwd',
      'CON',
      'a/b',
      'A',
      'a',
      '.',
      '',
      '\0',
      'é',
      'e\u0301',
      'ada\ud800',
      'ada\ufffd',
    ]
    for (const name of names) expect(s.set(name, record({ userId: name }), 0), JSON.stringify(name)).toBe(true)
    for (const name of names) expect([...s.list(name)].map(([id]) => id)).toEqual([name])
    expect(contents(path)).toHaveLength(names.length * 5)
    for (const name of contents(path)) expect(name).toMatch(/^(records|users)\/[0-9a-f]{2}\/[0-9a-f]{64}(\/[\w.]+)?$/)
  })

  test('A-62: only its owner reads it, whatever the umask', () => {
    const before = process.umask(0)
    try {
      const s = file(join(path, 'new', 'sessions'))
      closing.push(s)
      s.set('a', record({ userId: 'ada' }), 0)
      s.set('a', record({ userId: 'ada', version: 2 }), 1)
    } finally {
      process.umask(before)
    }
    for (const name of readdirSync(path, { recursive: true, encoding: 'utf8' })) {
      const stat = statSync(join(path, name))
      expect(stat.mode & 0o777, name).toBe(stat.isDirectory() ? 0o700 : 0o600)
    }
  })

  test('what is written over and ended leaves nothing behind but what others can use', async () => {
    const s = store()
    for (let version = 1; version < 50; version++) s.set('a', record({ userId: 'ada', version }), version - 1)
    expect(readdirSync(only())).toHaveLength(2)
    expect(readdirSync(only('users'))).toHaveLength(1)
    s.set('a', record({ userId: 'eve', version: 50 }), 49)
    s.delete('a')
    await s.sweep(Date.now())
    expect(contents(path)).toEqual([])
  })

  test('of other things is misuse, and is left as it was; an empty path is misuse too', () => {
    writeFileSync(join(path, 'novel.txt'), '')
    expect(() => file(path)).toThrow(TypeError)
    expect(readdirSync(path)).toEqual(['novel.txt'])
    mkdirSync(join(path, 'stage'))
    expect(() => file(path), 'one of our names does not make it ours').toThrow(TypeError)
    expect(() => file('')).toThrow(TypeError)
    // @ts-expect-error: a misspelt durability must not become the weaker one
    expect(() => file(path, { durability: 'Full' })).toThrow('file: `durability` is')
    expect(() => file(join(path, 'novel.txt'))).toThrow('EEXIST')
  })

  test('may be a disk of its own, and one that other processes make at the same moment', async () => {
    mkdirSync(join(path, 'lost+found'))
    await Promise.all(Array.from({ length: 4 }, () => child('leave', path, 'normal').catch((error) => error)))
    expect(store().get('left')).toBeDefined()
  })

  test('A-80: a record that a power cut has torn is taken for none, and can be ended', async () => {
    const s = store()
    for (const tear of ['', '{"id"', '\0'.repeat(100)]) {
      s.set('a', record({ userId: 'ada' }), 0)
      const data = readdirSync(only()).find((name) => !name.includes('_'))!
      writeFileSync(join(only(), data), tear)
      expect(s.get('a')).toBeUndefined()
      expect([...s.list('ada')]).toEqual([])
      expect(s.endAll('ada')).toBe(1)
      expect(s.set('a', record(), 0)).toBe(true)
      s.delete('a')
    }
  })

  test('A-80: what the disk fails with names no path, no id, no user and no data', async () => {
    const s = store()
    const durable = file(path, { durability: 'full' })
    closing.push(durable)
    const canary = record({ userId: 'canary-user', data: '"canary-data"', device: { ip: 'canary-ip' } })
    s.set('canary-id', canary, 0)
    const secrets = ['canary', path, ...contents(path).map((name) => name.slice(-40))]
    renameSync(path, `${path}-away`)
    closing.push({ close: () => rmSync(`${path}-away`, { recursive: true }) })
    writeFileSync(path, '')
    closing.push({ close: () => rmSync(path, { force: true }) })
    const errors = await Promise.all(
      [
        () => s.list()[Symbol.asyncIterator]().next(),
        () => s.get('canary-id'),
        () => s.set('canary-id', canary, 0),
        () => s.set('canary-id', canary, 1),
        () => s.delete('canary-id'),
        () => [...s.list('canary-user')],
        () => s.endAll('canary-user'),
        () => s.sweep(Date.now()),
        () => durable.set('canary-id', canary, 0),
      ].map(async (verb) => {
        try {
          await verb()
        } catch (error) {
          return `${error} ${(error as Error).stack} ${JSON.stringify(error)}`
        }
        throw new Error('it answered')
      }),
    )
    for (const text of errors) for (const secret of secrets) expect(text).not.toContain(secret)
  })
})

describe('several processes', () => {
  test.each(BOTH)('A-68: lose no update of one record: %s', { timeout: 60_000 }, async (durability) => {
    const s = store()
    s.set('counter', record({ data: '0', expiresAt: Date.now() + 3_600_000 }), 0)
    const count = durability === 'full' ? 300 : 1500
    await Promise.all([1, 2, 3].map(() => child('increment', path, durability, String(count))))
    expect(s.get('counter')).toMatchObject({ data: String(3 * count), version: 3 * count + 1 })
    expect(readdirSync(only())).toHaveLength(2)
  })

  test('A-69: create once and delete once, however they contend', { timeout: 60_000 }, async () => {
    const told = await Promise.all([1, 2, 3].map(() => child('contend', path, 'normal', '2000')))
    const all = told.map((text) => JSON.parse(text) as { created: number; deleted: number })
    const sum = (of: 'created' | 'deleted') => all.reduce((total, each) => total + each[of], 0)
    const s = store()
    const left = [0, 1, 2].filter((n) => s.get(`contended-${n}`) !== undefined).length
    expect(sum('created')).toBeGreaterThan(100)
    expect(sum('created')).toBe(sum('deleted') + left)
    expect([...s.list('ada')]).toHaveLength(left)
  })

  test.each(BOTH)(
    '7.4.3: endAll overlooks none of those that others are just creating: %s',
    { timeout: 60_000 },
    async (durability) => {
      const s = store()
      const children = await Promise.all([1, 2].map(() => talking('signIn', path, durability)))
      closing.push(...children.map((each) => ({ close: () => each.kill() })))
      const told = children.map((each) => once(each, 'message'))
      for (let round = 0; round < 25; round++) {
        const before = [...s.list('ada')].map(([id]) => id)
        s.endAll('ada')
        for (const id of before) expect(s.get(id), `round ${round}`).toBeUndefined()
        await pause(5)
      }
      for (const each of children) each.send('stop')
      const created = (await Promise.all(told)).reduce((sum, [message]) => sum + message.created, 0)
      expect(created).toBeGreaterThan(10)
      // Nothing lives that is not listed, and so would be overlooked.
      const listed = [...s.list('ada')].map(([id]) => id)
      const living: string[] = []
      for await (const [id] of s.list()) living.push(id)
      expect(living.toSorted()).toEqual(listed.toSorted())
      s.endAll('ada')
      for await (const [id] of s.list()) expect.unreachable(id)
    },
  )

  test.each(BOTH)('A-78: an open store does not keep its process alive: %s', async (durability) => {
    const began = performance.now()
    await child('leave', path, durability)
    expect(performance.now() - began).toBeLessThan(10_000)
    expect(store().get('left')).toBeDefined()
  })
})

describe('sweeping', () => {
  test('A-78: forgets what expired, spares the living, and lets others run meanwhile', async () => {
    const clock = manualClock()
    const s = store({ clock })
    for (let n = 0; n < 1000; n++)
      s.set(`id-${n}`, record({ expiresAt: clock() + (n % 4 === 0 ? 5000 : 1000), userId: `user-${n % 3}` }), 0)
    clock.advance(1000)
    let turns = 0
    const counting = setInterval(() => turns++, 1)
    expect(await s.sweep(clock())).toBe(750)
    clearInterval(counting)
    expect(turns).toBeGreaterThan(3)
    expect(contents(path)).toHaveLength(250 * 4 + 3)
    expect(await s.sweep(clock())).toBe(0)
  })

  test('A-78: expired records are forgotten without being asked to, the whole folder in eight minutes', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const clock = manualClock()
      const s = store({ clock })
      for (let n = 0; n < 300; n++) s.set(`id-${n}`, record({ expiresAt: clock() + 1000 }), 0)
      clock.advance(1000)
      const left = () => contents(path).length / 3
      for (let minute = 0; left() > 0; minute++) {
        expect(minute, 'minutes, even if each but the eighth passes while the last turn is not done').toBeLessThan(300)
        await vi.advanceTimersByTimeAsync(60_000)
        // The thread pool lists, and its time is real.
        await pause(20)
        if (minute === 0) expect(left(), 'after one turn').toBeGreaterThan(150)
      }
    } finally {
      vi.useRealTimers()
    }
  })

  test('takes away what killed processes left, once it is old, and nothing of the living', async () => {
    const s = store()
    s.set('a', record({ userId: 'ada' }), 0)
    const living = contents(path)
    const at = (name: string) => join(path, name)
    mkdirSync(at(`stage/${'a'.repeat(16)}1`))
    writeFileSync(at(`stage/${'a'.repeat(16)}1/file`), '')
    mkdirSync(at('stage/somebody-elses'))
    writeFileSync(join(only(), 'never-won.0'), '')
    writeFileSync(join(only('users'), `${'0'.repeat(64)}_entry`), '')
    const headless = at(`records/00/${'0'.repeat(64)}`)
    mkdirSync(headless, { recursive: true })
    writeFileSync(join(headless, 'ended.0'), '')
    const all = contents(path)
    await s.sweep(Date.now())
    expect(contents(path), 'somebody may be just about to use them').toEqual(all)
    longAgo()
    await s.sweep(Date.now())
    await s.sweep(Date.now())
    expect(contents(path)).toEqual([...living, 'stage/somebody-elses'].toSorted())
    expect(s.get('a')).toBeDefined()
  })

  test('a writer that stood still until what it had begun was swept away puts it back', async () => {
    const s = file(path, { durability: 'full' })
    closing.push(s)
    await s.set('a', record({ userId: 'ada' }), 0)
    const before = new Set(readdirSync(only()))
    const writing = s.set('a', record({ userId: 'ada', version: 2 }), 1)
    const begun = readdirSync(only()).filter((name) => !before.has(name))
    expect(begun).toHaveLength(1)
    rmSync(join(only(), begun[0]!))
    expect(await writing).toBe(true)
    expect(s.get('a')).toMatchObject({ version: 2, userId: 'ada' })

    const entries = () => contents(path).filter((name) => /^users.*_/.test(name))
    const adas = entries()
    const creating = s.set('b', record({ userId: 'eve' }), 0)
    const entered = () => entries().filter((name) => !adas.includes(name))
    while (entered().length === 0) await new Promise((resolve) => setImmediate(resolve))
    expect(s.get('b'), 'entered first').toBeUndefined()
    rmSync(join(path, entered()[0]!))
    expect(await creating).toBe(true)
    expect([...s.list('eve')].map(([id]) => id)).toEqual(['b'])
  })

  test('what an ended record left stands in nobody’s way', () => {
    const s = store()
    s.set('a', record(), 0)
    const left = only()
    s.delete('a')
    mkdirSync(left, { recursive: true })
    writeFileSync(join(left, 'ended.0'), '')
    expect(s.get('a')).toBeUndefined()
    expect(s.set('a', record({ version: 2 }), 1)).toBe(false)
    expect(s.set('a', record({ data: '"anew"' }), 0)).toBe(true)
    expect(s.get('a')?.data).toBe('"anew"')
    expect(existsSync(join(left, 'ended.0'))).toBe(false)
  })

  test('close ends a sweep that is under way', async () => {
    const s = store()
    for (let n = 0; n < 500; n++) s.set(`id-${n}`, record({ expiresAt: Date.now() + 10_000 }), 0)
    const sweeping = s.sweep(Date.now() + 20_000)
    s.close()
    expect(await sweeping).toBeLessThan(500)
  })
})
