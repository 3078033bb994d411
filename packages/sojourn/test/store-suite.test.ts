/** The conformance suite is itself on trial: it passes the plainest right store, and finds out each wrong one. */
import { setImmediate as turn } from 'node:timers/promises'
import type { SessionRecord, Store } from 'sojourn'
import { manualClock } from 'sojourn/testing/clock'
import { type StoreHarness, storeCases } from 'sojourn/testing/store'
import { beforeAll, describe, expect, test } from 'vitest'
import { PlainStore } from './fixtures/plain-store.js'
import { inRealTime } from './fixtures/real-time.js'

type Fault = (right: PlainStore) => Partial<Store>

const clock = manualClock()

/** A store that is right but for `fault`; `lacks` are the capabilities left out of it. */
function harness(fault: Fault, lacks: StoreHarness['lacks'] = []): StoreHarness {
  return {
    clock,
    lacks,
    tells: 20,
    create: () => {
      const right = new PlainStore(clock)
      const store: Store = {
        get: (id) => right.get(id),
        set: (id, record, was) => right.set(id, record, was),
        delete: (id) => right.delete(id),
        list: (userId) => right.list(userId),
        endAll: (userId, except) => right.endAll(userId, except),
        sweep: (now) => right.sweep(now),
        watch: (onChange) => right.watch(onChange),
      }
      for (const verb of lacks) delete store[verb]
      return Object.assign(store, fault(right))
    },
    breakBackend: (store) => {
      for (const verb of ['get', 'set', 'delete', 'list', 'endAll', 'sweep'] as const)
        store[verb] = () => {
          throw new Error('down')
        }
    },
  }
}

/** The names of the cases that a store fails. */
async function failures(harness: StoreHarness): Promise<string[]> {
  const failed: string[] = []
  for (const { name, run } of storeCases(harness)) await run().catch(() => failed.push(name))
  return failed
}

const later = <T>(call: () => T): Promise<T> => turn().then(call)
const slow: Fault = (right) => ({
  get: (id) => later(() => right.get(id)),
  set: (id, record, was) => later(() => right.set(id, record, was)),
  delete: (id) => later(() => right.delete(id)),
  async *list(userId) {
    for (const entry of right.list(userId)) yield later(() => entry)
  },
  endAll: (userId, except) => later(() => right.endAll(userId, except)),
})

const past = (record: SessionRecord) => !(record.expiresAt > clock())
const renamed =
  (name: (id: string) => string): Fault =>
  (right) => ({
    get: (id) => right.get(name(id)),
    set: (id, record, was) => right.set(name(id), record, was),
    delete: (id) => right.delete(name(id)),
  })

const faults: Record<string, Fault> = {
  'overwrites what is not there': (right) => ({
    set: (id, record, was) => right.set(id, record, right.get(id) ? was : 0),
  }),
  'overwrites whatever the version': (right) => ({
    set: (id, record, was) => right.set(id, record, was && (right.get(id)?.version ?? was)),
  }),
  'creates over a living record': (right) => ({
    set: (id, record, was) => right.set(id, record, was || (right.get(id)?.version ?? 0)),
  }),
  'creates not over an expired one': (right) => ({
    set: (id, record, was) => !(was === 0 && right.records.has(id)) && right.set(id, record, was),
  }),
  'overwrites an expired one': (right) => ({
    set(id, record, was) {
      if (was !== 0 && right.records.get(id)?.version === was) right.records.delete(id)
      return right.set(id, record, right.records.has(id) ? was : 0)
    },
  }),
  'says true to every writer': (right) => ({ set: (id, record, was) => right.set(id, record, was) || true }),
  'reads, waits, and writes': (right) => ({
    async set(id, record, was) {
      const version = right.get(id)?.version ?? 0
      await turn()
      return version === was && right.set(id, record, right.get(id)?.version ?? 0)
    },
  }),
  'numbers versions itself': (right) => ({
    set: (id, record, was) => right.set(id, { ...record, version: was + 1 }, was),
  }),
  'says true to every delete': (right) => ({ delete: (id) => right.delete(id) || true }),
  'deletes an expired one': (right) => ({ delete: (id) => right.records.delete(id) }),
  'looks, waits, and deletes': (right) => ({
    async delete(id) {
      const there = right.get(id) !== undefined
      await turn()
      right.delete(id)
      return there
    },
  }),
  'keeps what it was told to delete on condition': (right) => ({
    set: (id, record, was) => (past(record) ? right.get(id)?.version === was : right.set(id, record, was)),
  }),
  'deletes past records whatever the condition': (right) => ({
    set: (id, record, was) => (past(record) ? right.delete(id) : right.set(id, record, was)),
  }),
  'takes an end that is no time for none': (right) => ({
    get: (id) => right.get(id) ?? (Number.isNaN(right.records.get(id)?.expiresAt) ? right.records.get(id) : undefined),
  }),
  'knows no expiry': (right) => ({ get: (id) => right.records.get(id) }),
  'expires a millisecond late': (right) => ({
    get: (id) => ((right.records.get(id)?.expiresAt ?? 0) >= clock() ? right.records.get(id) : undefined),
  }),
  'counts in seconds': (right) => ({
    set: (id, record, was) => right.set(id, { ...record, expiresAt: Math.floor(record.expiresAt / 1000) * 1000 }, was),
  }),
  'A-86: keeps lives in 32 bits': (right) => ({
    set: (id, record, was) =>
      right.set(id, { ...record, expiresAt: clock() + ((record.expiresAt - clock()) | 0) }, was),
  }),
  'moves no expiry': (right) => ({
    set: (id, record, was) =>
      right.set(id, { ...record, expiresAt: (!past(record) && right.get(id)?.expiresAt) || record.expiresAt }, was),
  }),
  'hands out what it keeps': (right) => ({ get: (id) => right.get(id) && right.records.get(id) }),
  'keeps what it was handed': (right) => ({
    set: (id, record, was) => right.set(id, record, was) && Boolean(right.records.set(id, record)),
  }),
  'forgets that a session is persistent': (right) => ({
    set: (id, record, was) => right.set(id, { ...record, persistent: undefined }, was),
  }),
  'forgets the device': (right) => ({
    set: (id, record, was) => right.set(id, { ...record, device: undefined }, was),
  }),
  'leaves the old device where none is given': (right) => ({
    set: (id, record, was) => right.set(id, { ...right.get(id), ...record }, was),
  }),
  'cuts data at NUL': (right) => ({
    set: (id, record, was) => right.set(id, { ...record, data: record.data.split('\0')[0]! || ' ' }, was),
  }),
  'cuts data at 64 KB': (right) => ({
    set: (id, record, was) => right.set(id, { ...record, data: record.data.slice(0, 65_536) }, was),
  }),
  'normalises text': (right) => ({
    set: (id, record, was) => right.set(id, { ...record, data: record.data.normalize('NFC') }, was),
  }),
  'A-79: cuts ids at NUL': renamed((id) => id.split('\0')[0]!),
  'A-79: trims ids': renamed((id) => id.trim()),
  'A-79: folds case': renamed((id) => id.toLowerCase()),
  'A-79: normalises ids': renamed((id) => id.normalize('NFC')),
  'A-79: cuts ids at 255 letters': renamed((id) => id.slice(0, 255)),
  'A-79: keeps records in an object': () => {
    const records: Record<string, SessionRecord> = {}
    return {
      get: (id) => records[id],
      set(id, record, was) {
        const free = (records[id]?.version ?? 0) === was
        if (free) records[id] = record
        return free
      },
      delete: (id) => id in records && delete records[id],
    }
  },
  'lists everybody for a user': (right) => ({ list: () => right.list() }),
  'lists everybody for an empty name': (right) => ({ list: (userId) => right.list(userId || undefined) }),
  'lists no guests': (right) => ({
    list: (userId) => right.list(userId).filter(([, record]) => record.userId !== undefined),
  }),
  'lists the replaced': (right) => ({
    list: (userId) => [...right.records].filter(([id, { userId: of }]) => right.get(id) && (userId ?? of) === of),
  }),
  'lists the expired': (right) => ({
    list: (userId) => [...right.records].filter(([, { userId: of, data }]) => data !== '' && (userId ?? of) === of),
  }),
  'lists by a pattern': (right) => ({
    list: (userId) =>
      right.list().filter(([, { userId: of }]) => !userId || of === userId || (of && userId === '%' && of.length > 0)),
  }),
  'lists for ever while records are replaced': (right) => ({
    *list(userId) {
      for (const id of right.records.keys()) for (const entry of right.list(userId)) if (entry[0] === id) yield entry
    },
  }),
  'keeps a record with the user who had it first': (right) => {
    const first = new Map<string, string | undefined>()
    return {
      set: (id, record, was) =>
        right.set(id, record, was) &&
        Boolean(record.userId === undefined || first.has(id) || first.set(id, record.userId)),
      list: (userId) =>
        right.list().filter(([id, { userId: of }]) => userId === undefined || (first.get(id) ?? of) === userId),
    }
  },
  'ends what is excepted': (right) => ({ endAll: (userId) => right.endAll(userId) }),
  'ends everybody': (right) => ({
    endAll: (_, except) => right.list().filter(([id]) => id !== except && right.delete(id)).length,
  }),
  'counts what it did not end': (right) => ({
    endAll: (userId, except) => {
      const count = right.list(userId).length
      right.endAll(userId, except)
      return count
    },
  }),
  'counts the expired among the ended': (right) => ({
    endAll: (userId, except) =>
      [...right.records].filter(([id, { userId: of }]) => of === userId && id !== except && right.records.delete(id))
        .length,
  }),
  'spares what was replaced': (right) => ({
    endAll: (userId, except) => right.list(userId).filter(([id]) => id !== except && right.delete(id)).length,
  }),
  'spares nothing where the id to spare is empty': (right) => ({
    endAll: (userId, except) => right.endAll(userId, except || undefined),
  }),
  'ends nobody': () => ({ endAll: () => 0 }),
  'ends what it saw when it began, one after the other': (right) => ({
    async endAll(userId, except) {
      const seen = right.list(userId).filter(([id]) => id !== except)
      await turn()
      return seen.filter(([id]) => right.delete(id)).length
    },
  }),
  'does not sweep': () => ({ sweep: () => 0 }),
  'sweeps everything': (right) => ({
    sweep: () => [...right.records.keys()].filter((id) => right.records.delete(id)).length,
  }),
  'sweeps one slice and stops': (right) => ({
    sweep: (now) =>
      [...right.records]
        .filter(([, { expiresAt }]) => expiresAt <= now)
        .slice(0, 500)
        .filter(([id]) => right.records.delete(id)).length,
  }),
  'tells nobody': () => ({ watch: () => () => {} }),
  'tells of what is written, and not of what is deleted': (right) => ({
    delete: (id) => right.get(id) !== undefined && right.records.delete(id),
  }),
  'tells those who want to hear no more': (right) => ({
    watch(onChange) {
      right.watch(onChange)
      return () => {}
    },
  }),
  'cannot be closed twice': () => {
    let closed = false
    return {
      close() {
        if (closed) throw new Error('closed')
        closed = true
      },
    }
  },
}

describe('the suite', () => {
  test('passes a right store', async () => {
    expect(await failures(harness(() => ({})))).toEqual([])
  })

  test('passes a right store that answers later', async () => {
    expect(await failures(harness(slow))).toEqual([])
  })

  const noticed = new Map<string, string[]>()
  beforeAll(async () => {
    for (const [what, fault] of Object.entries(faults)) noticed.set(what, await failures(harness(fault)))
  })

  test.each(Object.keys(faults))('finds out a store that %s', (what) => {
    expect(noticed.get(what)).not.toEqual([])
  })

  test('has no case that cannot fail', () => {
    const names = storeCases(harness(() => ({}))).map(({ name }) => name)
    const failed = new Set([...noticed.values()].flat())
    // The two that the tests below make fail.
    expect(names.filter((name) => !failed.has(name))).toEqual([
      expect.stringContaining('A-80'),
      'can list, endAll and sweep',
    ])
  })

  test('A-86: finds out a store that goes by a clock of its own, where the harness has none', async () => {
    const trying = (clock: () => number) => inRealTime({ create: () => new PlainStore(clock) }).map(({ run }) => run())
    await Promise.all(trying(Date.now))
    for (const run of trying(() => 0)) await expect(run).rejects.toThrow()
  })

  test('A-80: finds out a store that takes a failure for an absent session', async () => {
    const silent: StoreHarness = {
      ...harness(() => ({})),
      breakBackend(store) {
        store.get = () => undefined
      },
    }
    expect(await failures(silent)).toEqual([expect.stringContaining('A-80')])
  })

  test('passes a store without capabilities, when it was said, and names them', async () => {
    const bare = harness(() => ({}), ['list', 'endAll', 'sweep'])
    expect(await failures(bare)).toEqual([])
    expect(storeCases(bare).at(-1)?.name).toMatch(/LEFT OUT.*: list, endAll, sweep$/)
    expect(storeCases(bare).length).toBeGreaterThan(18)
    expect(storeCases({ create: bare.create }).at(-1)?.name).toMatch(/LEFT OUT.*: clock, breakBackend, watch$/)
  })

  test('finds out a store that can less than was said, and one that can more', async () => {
    const { lacks: _, ...less } = harness(() => ({}), ['sweep'])
    expect(await failures(less)).toContain('can list, endAll and sweep')
    const more: StoreHarness = { ...harness(() => ({})), lacks: ['list'] }
    expect(await failures(more)).toEqual([expect.stringContaining('LEFT OUT')])
  })

  test('closes what it opens, also when a case fails, and both handles', async () => {
    let open = 0
    const counted = (): Store => {
      open++
      let closed = false
      const close = () => {
        if (!closed) open--
        closed = true
      }
      return Object.assign(new PlainStore(clock), { close })
    }
    const { breakBackend: _, ...right } = harness(() => ({}))
    const failed = await failures({ ...right, create: counted, second: counted })
    expect(failed.length).toBeGreaterThan(0)
    expect(open).toBe(0)
  })
})
