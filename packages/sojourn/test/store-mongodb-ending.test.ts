/**
 * `endAll` of the MongoDB store against what races with it, in every order of their commands. The commands are carried out
 * by a STAND-IN, whose delete of many is made as weak as MongoDB's may be: it looks first, and deletes one by one.
 */
import type { SessionRecord } from 'sojourn'
import { type MongodbCollection, type MongodbStore, mongodb } from 'sojourn/store/mongodb'
import { describe, expect, test } from 'vitest'
import { gatedCollection } from './engines/mongodb.js'
import { inProcess } from './engines/mongodb-in-process.js'
import { Engine } from './engines/mongodb-stand-in-engine.js'
import { drawn, everyOrder, inOrder, type Turn } from './engines/orders.js'

const NOW = Date.UTC(2026, 0)
const record = (more: Partial<SessionRecord> = {}): SessionRecord => ({
  userId: 'ada',
  data: '{}',
  createdAt: NOW,
  seenAt: NOW,
  expiresAt: NOW + 60_000,
  version: 1,
  ...more,
})

class World {
  readonly engine = new Engine()
  readonly bare: MongodbCollection = inProcess(this.engine)
  /** Sees no marks: a store without this protection. */
  readonly blind: boolean

  constructor(blind = false) {
    this.blind = blind
  }

  /** A store in a process of its own, each of whose commands waits for a turn. */
  store(turn: Turn = async () => {}): MongodbStore {
    const collection = gatedCollection(this.bare, (verb, go, args) => {
      const [filter] = args as [Record<string, unknown>]
      if (verb === 'find') return { toArray: () => turn().then(() => (go() as { toArray(): unknown }).toArray()) }
      if (verb === 'deleteMany') return this.#walk(filter, turn)
      if (verb === 'findOne' && this.blind && typeof filter._id === 'object') return null
      return turn().then(go)
    })
    return mongodb(collection, { prepare: false, clock: () => NOW })
  }

  /** Looks, and then deletes one at a time what still is as it was looked for. */
  async #walk(filter: object, turn: Turn): Promise<{ deletedCount: number }> {
    await turn()
    const found = (await this.bare.find(filter, {}).toArray()) as { _id: string }[]
    let deletedCount = 0
    for (const { _id } of found) {
      await turn()
      const still = { $and: [filter, { _id }] }
      deletedCount += (await this.bare.deleteMany(still, {})).deletedCount
    }
    return { deletedCount }
  }

  async alive(): Promise<string[]> {
    const ids: string[] = []
    for await (const [id] of this.store().list('ada')) ids.push(id)
    return ids
  }

  /** What stands of marks; an empty one says that nothing is under way. */
  marks(): unknown[] {
    return this.engine.documents('app.sessions').filter(({ endings }) => endings?.length > 0)
  }
}

/** A session under a new identifier, as the library does it: the new record first, then the old one, else the new one goes. */
async function rotate(store: MongodbStore, from: string, to: string): Promise<void> {
  const begun = await store.set(to, record(), 0)
  if (begun && (await store.set(from, record({ userId: undefined, data: '', version: 2 }), 1))) return
  await store.delete(to)
}

describe('A-69: nothing issued before endAll is honoured after it', () => {
  /** How many of the orders let a session live. */
  async function raced(orders: number, blind: boolean): Promise<number> {
    let lived = 0
    for (let seed = 0; seed < orders; seed++) {
      const world = new World(blind)
      await world.store().set('a', record(), 0)
      const rotations = async (turn: Turn) => {
        const store = world.store(turn)
        await rotate(store, 'a', 'b')
        await rotate(store, 'b', 'c')
      }
      await inOrder([(turn) => world.store(turn).endAll('ada'), rotations], drawn(seed))
      if ((await world.alive()).length > 0) lived++
      if (!blind) expect(world.marks()).toEqual([])
    }
    return lived
  }

  test('in drawn orders of an ending and two rotations', { timeout: 120_000 }, async () => {
    expect(await raced(800, false)).toBe(0)
  })

  test('a store that looks for no marks is caught by this', { timeout: 120_000 }, async () => {
    expect(await raced(800, true)).toBeGreaterThan(0)
  })

  test('in drawn orders of an ending and a login: the login is there, or it was ended, and nothing else is', async () => {
    for (let seed = 0; seed < 500; seed++) {
      const world = new World()
      let ended = false
      await world.store().set('a', record(), 0)
      let after = false
      await inOrder(
        [
          async (turn) => {
            await world.store(turn).endAll('ada')
            ended = true
          },
          async (turn) => {
            await turn()
            after = ended
            expect(await world.store(turn).set('login', record(), 0)).toBe(true)
          },
        ],
        drawn(seed),
      )
      const alive = await world.alive()
      if (after) expect(alive).toEqual(['login'])
      expect(alive.filter((id) => id !== 'login')).toEqual([])
    }
  })

  test('in drawn orders of two endings, a chain of rotations and logins', { timeout: 120_000 }, async () => {
    for (let seed = 0; seed < 600; seed++) {
      const world = new World()
      for (const id of ['a', 'x', 'y']) await world.store().set(id, record(), 0)
      await inOrder(
        [
          (turn) => world.store(turn).endAll('ada', 'x'),
          (turn) => world.store(turn).endAll('ada', 'y'),
          async (turn) => {
            await rotate(world.store(turn), 'a', 'b')
            await rotate(world.store(turn), 'b', 'c')
          },
          (turn) => world.store(turn).set('login', record(), 0),
        ],
        drawn(seed),
      )
      // Each of them was spared by one, and ended by the other.
      const alive = await world.alive()
      expect(
        alive.filter((id) => id !== 'login'),
        `seed ${seed}`,
      ).toEqual([])
      expect(world.marks()).toEqual([])
    }
  })

  test('a login that begins when the ending is done stays, whoever else is still at it', {
    timeout: 120_000,
  }, async () => {
    for (let seed = 0; seed < 600; seed++) {
      const world = new World()
      await world.store().set('a', record(), 0)
      await inOrder(
        [
          async (turn) => {
            await world.store(turn).endAll('ada')
            expect(await world.store(turn).set('after', record(), 0)).toBe(true)
          },
          // Finds the mark, and may still be ending when all is over.
          (turn) => world.store(turn).set('helper', record(), 0),
          (turn) => world.store(turn).set('other', record(), 0),
        ],
        drawn(seed),
      )
      expect(await world.alive(), `seed ${seed}`).toContain('after')
    }
  })

  test('the session that is spared is spared', { timeout: 120_000 }, async () => {
    for (let seed = 0; seed < 600; seed++) {
      const world = new World()
      for (const id of ['mine', 'a']) await world.store().set(id, record(), 0)
      await inOrder(
        [(turn) => world.store(turn).endAll('ada', 'mine'), (turn) => world.store(turn).set('login', record(), 0)],
        drawn(seed),
      )
      expect((await world.alive()).filter((id) => id !== 'login')).toEqual(['mine'])
    }
  })

  test('a record that is made over to the user while all are ended is ended or not written', {
    timeout: 120_000,
  }, async () => {
    await everyOrder(async (choose) => {
      const world = new World()
      await world.store().set('g', record({ userId: undefined }), 0)
      let written: boolean | undefined
      await inOrder(
        [
          (turn) => world.store(turn).endAll('ada'),
          async (turn) => {
            written = await world.store(turn).set('g', record({ version: 2 }), 1)
          },
        ],
        choose,
      )
      if (!written) expect(await world.alive()).toEqual([])
    })
  })
})

describe('a process that dies while it ends', () => {
  test('locks nobody out: after any number of its commands the user can sign in', async () => {
    let died = 0
    for (let steps = 0; steps < 12; steps++) {
      const world = new World()
      for (const id of ['a', 'b']) await world.store().set(id, record(), 0)
      let left = steps
      const dying = () => (left-- > 0 ? Promise.resolve() : Promise.reject(new Error('the process died')))
      const ended = await world
        .store(dying)
        .endAll('ada')
        .catch(() => 'died')
      if (ended === 'died') died++
      const hadBegun = world.marks().length > 0
      expect(await world.store().set('login', record(), 0)).toBe(true)
      // The login has carried out what was begun.
      expect(await world.alive()).toEqual(hadBegun || ended !== 'died' ? ['login'] : ['a', 'b', 'login'])
      expect(world.marks()).toEqual([])
    }
    expect(died).toBeGreaterThan(5)
    expect(died).toBeLessThan(12)
  })

  test('a mark that nobody took down is found by no list, no sweep of records and no other user', async () => {
    const world = new World()
    let left = 1
    const dying = () => (left-- > 0 ? Promise.resolve() : Promise.reject(new Error('the process died')))
    await world
      .store(dying)
      .endAll('ada')
      .catch(() => {})
    expect(world.marks()).toHaveLength(1)
    const all: string[] = []
    for await (const [id] of world.store().list()) all.push(id)
    expect(all).toEqual([])
    expect(await world.store().sweep(NOW + 10 * 3_600_000)).toBe(0)
    expect(await world.store().set('bob', record({ userId: 'bob' }), 0)).toBe(true)
    expect(world.marks()).toMatchObject([{ expiresAt: new Date(NOW + 86_400_000) }])
  })
})
