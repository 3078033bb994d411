/**
 * What the MongoDB store asks of MongoDB: each command, word for word, as the driver's command monitoring tells it, and
 * what becomes of one that is cut off or refused. Over a STAND-IN that speaks the wire protocol.
 */

import { inspect } from 'node:util'
import type { SessionRecord } from 'sojourn'
import { type MongodbDb, type MongodbOptions, type MongodbStore, mongodb } from 'sojourn/store/mongodb'
import { manualClock } from 'sojourn/testing/clock'
import { describe, expect, test } from 'vitest'
import { type Command, connect, drivers, useStandIn } from './engines/mongodb.js'
import type { StandIn } from './engines/mongodb-stand-in.js'

const NOW = Date.UTC(2026, 0)
const END = NOW + 60_000

function record(more: Partial<SessionRecord> = {}): SessionRecord {
  return { data: '{}', createdAt: NOW, seenAt: NOW, expiresAt: END, version: 1, ...more }
}

type Connect = (typeof drivers)[number][1]

interface World {
  readonly standIn: StandIn
  readonly store: MongodbStore
  readonly db: MongodbDb
  readonly clock: ReturnType<typeof manualClock>
  /** The commands since the last call, without what the driver adds for itself. */
  sent(): Command[]
}

async function world(by: Connect, client: Record<string, unknown> = {}, options: MongodbOptions = {}): Promise<World> {
  const standIn = await useStandIn()
  const connection = connect(standIn.url, { monitorCommands: true, ...client }, by)
  const commands: Command[] = []
  connection.on('commandStarted', ({ command }) => commands.push(command))
  const clock = manualClock(NOW)
  const db = connection.db('app')
  const store = mongodb(db, { clock, ...options })
  const sent = () => commands.splice(0).map(plain)
  return { standIn, store, db, clock, sent }
}

const ADDED = ['lsid', 'txnNumber', '$clusterTime', '$db', '$readPreference']

/** As it is on the wire: without what is undefined, and without what the driver adds. */
function plain(command: Command): Command {
  const own = Object.entries(command).filter(([name, value]) => !ADDED.includes(name) && value !== undefined)
  return Object.fromEntries(own)
}

const MAJORITY = { w: 'majority', j: true, wtimeout: 5000 }
const LIVE = { $gt: new Date(NOW) }
const RECORD = { version: 1, expiresAt: new Date(END), createdAt: NOW, seenAt: NOW, data: '{}' }
const MARK = { _id: { ending: 'ada' } }

const found = (filter: object, more: object = {}) => ({
  find: 'sojourn_sessions',
  filter,
  limit: 1,
  singleBatch: true,
  ...more,
  readConcern: { level: 'majority' },
})
const created = (_id: string, document: object) => ({
  update: 'sojourn_sessions',
  updates: [{ q: { _id, expiresAt: { $lte: new Date(NOW) } }, u: document, upsert: true }],
  ordered: true,
  writeConcern: MAJORITY,
})
const deleted = (q: object, limit: 0 | 1) => ({
  delete: 'sojourn_sessions',
  deletes: [{ q, limit }],
  ordered: true,
  writeConcern: MAJORITY,
})
const updated = (q: object, u: object, upsert?: true) => ({
  update: 'sojourn_sessions',
  updates: [{ q, u, ...(upsert ? { upsert } : {}) }],
  ordered: true,
  writeConcern: MAJORITY,
})
const swapped = (version: number, update: object) => ({
  findAndModify: 'sojourn_sessions',
  query: { _id: 'a', version, expiresAt: LIVE },
  remove: false,
  new: false,
  upsert: false,
  fields: { user: 1 },
  update,
  writeConcern: MAJORITY,
})

describe.each(drivers)('every verb, word for word, by %s', (_, by) => {
  test('the first use makes the indexes, and no other does', async () => {
    const { store, sent } = await world(by)
    await store.get('a')
    await store.prepare()
    expect(sent()).toMatchObject([
      {
        createIndexes: 'sojourn_sessions',
        indexes: [
          { key: new Map([['expiresAt', 1]]), name: 'sojourn_expiry', expireAfterSeconds: 0 },
          {
            key: new Map([
              ['user', 1],
              ['_id', 1],
            ]),
            name: 'sojourn_user',
            partialFilterExpression: { user: { $exists: true } },
          },
        ],
        writeConcern: { w: 'majority' },
      },
      { find: 'sojourn_sessions' },
      { createIndexes: 'sojourn_sessions' },
    ])
    await store.get('a')
    expect(sent()).toMatchObject([{ find: 'sojourn_sessions' }])
  })

  test('get: one find by `_id`', async () => {
    const { store, sent } = await world(by, {}, { prepare: false })
    await store.get('a')
    expect(sent()).toEqual([found({ _id: 'a' })])
  })

  test("set, creating: one upsert, and a look for a mark where it is a user's", async () => {
    const { store, sent } = await world(by, {}, { prepare: false })
    await store.set('a', record(), 0)
    expect(sent()).toEqual([created('a', RECORD)])
    const device = { ip: '::1' }
    await store.set('b', record({ userId: 'ada', authenticatedAt: NOW, persistent: true, device }), 0)
    const document = { user: 'ada', ...RECORD, authenticatedAt: NOW, persistent: true, device: '{"ip":"::1"}' }
    expect(sent()).toEqual([created('b', document), found(MARK)])
  })

  test("set, overwriting: one findAndModify, also of a user's record", async () => {
    const { store, sent } = await world(by, {}, { prepare: false })
    await store.set('a', record({ userId: 'ada' }), 0)
    sent()
    expect(await store.set('a', record({ userId: 'ada', version: 2 }), 1)).toBe(true)
    expect(await store.set('a', record({ userId: 'ada', version: 2 }), 1)).toBe(false)
    const update = { user: 'ada', ...RECORD, version: 2 }
    expect(sent()).toEqual([swapped(1, update), swapped(1, update)])
    expect(await store.set('a', record({ data: '', version: 3 }), 2)).toBe(true)
    expect(sent()).toEqual([swapped(2, { ...RECORD, data: '', version: 3 })])
    expect(await store.set('a', record({ userId: 'ada', version: 4 }), 3)).toBe(true)
    expect(sent()).toEqual([swapped(3, { ...update, version: 4 }), found(MARK)])
  })

  test('set, ending: one delete of the version that was read', async () => {
    const { store, sent } = await world(by, {}, { prepare: false })
    await store.set('a', record({ expiresAt: 0, version: 5 }), 4)
    expect(sent()).toEqual([deleted({ _id: 'a', version: 4, expiresAt: LIVE }, 1)])
  })

  test('delete, sweep: one delete', async () => {
    const { store, sent } = await world(by, {}, { prepare: false })
    await store.delete('a')
    await store.sweep(NOW)
    const expired = { _id: { $gte: '' }, expiresAt: { $lte: new Date(NOW) } }
    expect(sent()).toEqual([deleted({ _id: 'a', expiresAt: LIVE }, 1), deleted(expired, 0)])
  })

  test('list: a find for each hundred, from where the last one ended', async () => {
    const { store, sent } = await world(by, {}, { prepare: false })
    for (let n = 100; n < 250; n++) await store.set(`id-${n}`, record(), 0)
    sent()
    let listed = 0
    for await (const _ of store.list()) listed++
    expect(listed).toBe(150)
    const page = (filter: object) => ({
      find: 'sojourn_sessions',
      filter: { ...filter, expiresAt: LIVE, data: { $gt: '' } },
      sort: new Map([['_id', 1]]),
      limit: 100,
      readConcern: { level: 'majority' },
    })
    expect(sent()).toEqual([page({ _id: { $gte: '' } }), page({ _id: { $gt: 'id-199' } })])
    for await (const _ of store.list('ada')) listed++
    expect(sent()).toEqual([page({ user: 'ada', _id: { $gte: '' } })])
  })

  test('endAll: a mark, two deletes, and the mark is gone', async () => {
    const { store, sent, standIn } = await world(by, {}, { prepare: false })
    await store.endAll('ada', 'spared')
    const [put, inUse, rest, down] = sent() as [Command, Command, Command, Command]
    const token = expect.stringMatching(/^[\w-]{36}$/)
    expect(put).toEqual(
      updated(
        MARK,
        { $push: { endings: { token, except: 'spared' } }, $set: { expiresAt: new Date(NOW + 86_400_000) } },
        true,
      ),
    )
    const theirs = { user: 'ada', _id: { $ne: 'spared' } }
    expect(inUse).toEqual(deleted({ ...theirs, expiresAt: LIVE, data: { $gt: '' } }, 0))
    expect(rest).toEqual(deleted(theirs, 0))
    expect(down).toEqual(deleted({ ...MARK, 'endings.token': token, endings: { $size: 1 } }, 1))
    expect(standIn.engine.documents('app.sojourn_sessions')).toEqual([])
  })

  test('reads are from the primary, whatever the client prefers', async () => {
    const standIn = await useStandIn()
    const client = connect(standIn.url, { monitorCommands: true, readPreference: 'secondaryPreferred' }, by)
    const preferred: unknown[] = []
    client.on('commandStarted', ({ command }) => preferred.push(command.$readPreference))
    const store = mongodb(client.db('app'))
    await store.set('a', record({ expiresAt: Date.now() + 1000, userId: 'ada' }), 0)
    await store.set('a', record({ expiresAt: Date.now() + 1000, version: 2 }), 1)
    await store.get('a')
    for await (const _ of store.list()) expect(preferred.length).toBeGreaterThan(3)
    for (const preference of preferred) expect([undefined, { mode: 'primary' }]).toContainEqual(preference)
  })

  test('a client that decodes numbers in its own way, and asks for less than a majority, changes nothing', async () => {
    const odd = { promoteValues: false, useBigInt64: false, ignoreUndefined: true, w: 1, readConcernLevel: 'local' }
    const { store, sent } = await world(by, odd, { prepare: false })
    const full = record({ userId: 'ada', authenticatedAt: 5, persistent: true, device: { ip: '::1' } })
    await store.set('a', full, 0)
    expect(await store.get('a')).toEqual(full)
    expect(await store.set('a', { ...full, version: 2 }, 1)).toBe(true)
    for (const command of sent())
      expect(command.writeConcern ?? command.readConcern).toEqual(
        command.writeConcern ? MAJORITY : { level: 'majority' },
      )
  })
})

describe.each(drivers)('what is cut off or refused, by %s', (_, by) => {
  /** The connection breaks when the first command of this name comes, before or after it is carried out. */
  function cutOnce(standIn: StandIn, name: string, when: 'cut before' | 'cut after'): void {
    let done = false
    standIn.fate = (heard) => {
      if (done || heard.name !== name) return undefined
      done = true
      return when
    }
  }

  test.each(['cut before', 'cut after'] as const)(
    'A-68: %s: a write that is tried again is done once',
    async (when) => {
      const { store, standIn } = await world(by, {}, { prepare: false })
      cutOnce(standIn, 'update', when)
      expect(await store.set('a', record({ userId: 'ada' }), 0)).toBe(true)
      cutOnce(standIn, 'findAndModify', when)
      expect(await store.set('a', record({ userId: 'ada', version: 2 }), 1)).toBe(true)
      cutOnce(standIn, 'delete', when)
      expect(await store.delete('a')).toBe(true)
      expect(await store.delete('a')).toBe(false)
    },
  )

  test('without `retryWrites` nobody is told "no" by a write that may have happened', async () => {
    const { store, standIn } = await world(by, { retryWrites: false }, { prepare: false })
    await store.set('a', record(), 0)
    cutOnce(standIn, 'findAndModify', 'cut after')
    await expect(store.set('a', record({ version: 2 }), 1)).rejects.toThrow()
    expect(await store.get('a')).toMatchObject({ version: 2 })
  })

  test('A-80: a write that no majority acknowledged in time is a fault, in every verb', async () => {
    const { store, standIn } = await world(by, {}, { prepare: false })
    await store.set('a', record({ userId: 'ada' }), 0)
    standIn.fate = ({ name }) => (['update', 'delete', 'findAndModify'].includes(name) ? 'unacknowledged' : undefined)
    await expect(store.set('b', record(), 0)).rejects.toThrow('timed out')
    await expect(store.set('a', record({ userId: 'ada', version: 2 }), 1)).rejects.toThrow('timed out')
    await expect(store.set('a', record({ expiresAt: 0, version: 3 }), 2)).rejects.toThrow('timed out')
    await expect(store.delete('b')).rejects.toThrow('timed out')
    await expect(store.endAll('ada')).rejects.toThrow('timed out')
    await expect(store.sweep(NOW)).rejects.toThrow('timed out')
  })

  test("a unique index of somebody's own is a fault, not somebody faster; what it quotes is not told (A-154)", async () => {
    const { store, standIn } = await world(by, {}, { prepare: false })
    const quoting = 'E11000 duplicate key error dup key: { user: "ada" }'
    standIn.fate = ({ name }) =>
      name === 'update' ? { code: 11000, errmsg: quoting, more: { keyPattern: { user: 1 } } } : undefined
    const failure = (await store.set('a', record({ userId: 'ada' }), 0).then(String, (error: Error) => error)) as Error
    expect(failure.message).toContain('unique index')
    expect(inspect(failure, { depth: 9, showHidden: true })).not.toContain('"ada"')
  })

  test('A-154: marks that others make and take down at the same moment are tried for anew, and no error quotes whose', async () => {
    const { store, standIn } = await world(by, {}, { prepare: false })
    await store.set('a', record({ userId: 'ada' }), 0)
    const quoting = {
      code: 11000,
      errmsg: 'E11000 dup key: { _id: { ending: "ada" } }',
      more: { keyPattern: { _id: 1 } },
    }
    let left = 3
    standIn.fate = ({ name }) => (name === 'update' && left-- > 0 ? quoting : undefined)
    expect(await store.endAll('ada')).toBe(1)
    left = Number.POSITIVE_INFINITY
    const failure = (await store.endAll('ada').then(String, (error: Error) => error)) as Error
    expect(inspect(failure, { depth: 9, showHidden: true })).not.toContain('"ada"')
    expect(failure.message).toContain('mongodb: ')
  })

  test('without the right to make indexes, every verb says what to do, and later ones try again', async () => {
    const { store, standIn } = await world(by)
    standIn.fate = ({ name }) => (name === 'createIndexes' ? { code: 13, errmsg: 'not authorized' } : undefined)
    await expect(store.get('a')).rejects.toThrow('grant `createIndex`')
    standIn.fate = () => undefined
    expect(await store.get('a')).toBeUndefined()
    expect(standIn.engine.indexes('app.sojourn_sessions').map(({ name }) => name)).toEqual([
      'sojourn_expiry',
      'sojourn_user',
    ])
  })

  test('A-79: what is no text gets into no query', async () => {
    const { store, sent } = await world(by, {}, { prepare: false })
    const hostile = [{ $gt: '' }, ['a'], { $ne: null }, 5, null, { replace: () => ({ $gt: '' }) }] as never[]
    for (const id of hostile) {
      await expect(store.get(id)).rejects.toThrow(TypeError)
      await expect(store.set(id, record(), 0)).rejects.toThrow(TypeError)
      await expect(store.set('a', record({ userId: id ?? ({} as never) }), 0)).rejects.toThrow(TypeError)
      await expect(store.delete(id)).rejects.toThrow(TypeError)
      await expect(store.endAll(id)).rejects.toThrow(TypeError)
      await expect(store.endAll('ada', id)).rejects.toThrow(TypeError)
    }
    expect(sent()).toEqual([])
  })
})

describe('what is kept', () => {
  test('A-79: users and ids that differ in what UTF-8 loses stay apart', async () => {
    const { store } = await world(drivers[0]![1])
    const names = ['ada', 'ada\0', 'ada\ud800', 'ada\udc00', 'ada\ufffd', 'ada\x1b', 'ada\x1b001b', 'ada\u{1f600}']
    for (const name of names) expect(await store.set(name, record({ userId: name, data: `"${name}"` }), 0)).toBe(true)
    for (const name of names) {
      expect(await store.get(name)).toMatchObject({ userId: name, data: `"${name}"` })
      expect(await store.endAll(name, name)).toBe(0)
      expect(await store.endAll(name)).toBe(1)
    }
  })

  test('a document that somebody has spoiled is honoured by nobody, and throws nothing unheard of', async () => {
    const { store, db } = await world(drivers[0]![1])
    const raw = db.collection('sojourn_sessions')
    await raw.updateOne({ _id: 'a' }, { $set: { expiresAt: 'soon', data: 5 } }, { upsert: true })
    expect(await store.get('a')).toBeUndefined()
  })

  test('a time that is no number counts as past, and one without end as the last there is', async () => {
    const { store } = await world(drivers[0]![1])
    await store.set('nan', record({ expiresAt: Number.NaN }), 0)
    expect(await store.get('nan')).toBeUndefined()
    await store.set('ever', record({ expiresAt: Number.POSITIVE_INFINITY }), 0)
    expect((await store.get('ever'))?.expiresAt).toBeGreaterThan(END)
  })

  test('neither a Db nor a Collection is misuse, and so is a collection with a name', async () => {
    for (const other of [undefined, null, {}, 'mongodb://localhost'])
      expect(() => mongodb(other as never)).toThrow(TypeError)
    const { db } = await world(drivers[0]![1])
    expect(() => mongodb(db.collection('mine'), { collection: 'yours' })).toThrow(TypeError)
    expect(await mongodb(db.collection('mine')).get('a')).toBeUndefined()
  })

  test('after close every verb rejects, and the client is still open', async () => {
    const { store, db } = await world(drivers[0]![1])
    await store.get('a')
    store.close()
    await expect(store.get('a')).rejects.toThrow('closed')
    await expect(store.set('a', record(), 0)).rejects.toThrow('closed')
    expect(() => store.watch(() => {})).toThrow('closed')
    expect(await db.collection('sojourn_sessions').findOne({ _id: 'a' }, {})).toBeNull()
  })
})
