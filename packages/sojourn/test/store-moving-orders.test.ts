/**
 * Every order in which the store calls of two servers and of whoever moves can meet, and drawn ones of longer stories;
 * with a mover that dies or stands still after each of its calls. Four things hold in all of them: no update is lost, what
 * ended stays ended, `endAll` leaves nothing, and nobody is logged out.
 */
import type { SessionRecord, UserStore } from 'sojourn'
import { type MemoryStore, memory } from 'sojourn/store/memory'
import { type MovingStore, moving } from 'sojourn/store/moving'
import { manualClock } from 'sojourn/testing/clock'
import { describe, expect, test } from 'vitest'
import { drawn, everyOrder, inOrder, type Turn } from './engines/orders.js'
import { gated } from './helpers.js'

const clock = manualClock()
const ID = 'session'

function record(more: Partial<SessionRecord> = {}): SessionRecord {
  const now = clock()
  return { userId: 'ada', data: '0', createdAt: now, seenAt: now, expiresAt: now + 60_000, version: 1, ...more }
}

class Died extends Error {}

/** Both stores, as the world that several processes share. */
class World {
  readonly from: MemoryStore = memory({ clock })
  readonly to: MemoryStore = memory({ clock })

  /** Whether all calls are put in order, or those about a session alone. */
  readonly all: boolean

  constructor({ all = false } = {}) {
    this.all = all
  }

  /** A process: each of its calls waits for its turn, and after `calls` of them it is dead. */
  process(turn: Turn, calls = Number.POSITIVE_INFINITY): MovingStore {
    let left = calls
    const view = (store: UserStore) =>
      gated(store, async (verb, go, [id]) => {
        // What a walk does between sessions can be at any time.
        if (!this.all && (verb === 'list' || id === 'sojourn-move-begun')) return go()
        await turn()
        if (left-- <= 0) throw new Died()
        return go()
      })
    return moving({ from: view(this.from), to: view(this.to), clock })
  }

  /** One that nobody interrupts. */
  get now(): MovingStore {
    return moving({ from: this.from, to: this.to, clock })
  }

  close(): void {
    this.from.close()
    this.to.close()
  }
}

/** As `write` of the ledger: done again over what is there now. `false`: there is no session any more. */
async function increment(store: MovingStore, id = ID): Promise<boolean> {
  for (;;) {
    const found = await store.get(id)
    if (!found || found.data === '') return false
    const next = { ...found, data: String(Number(found.data) + 1), version: found.version + 1 }
    if (await store.set(id, next, found.version)) return true
  }
}

const die = (error: unknown) => {
  if (!(error instanceof Died)) throw error
}

/** A world whose move has begun, with one session that has not moved yet. */
async function begun(): Promise<World> {
  const world = new World()
  await world.now.move()
  world.from.set(ID, record(), 0)
  return world
}

/** What is true at the end, whatever the order: a last walk finds everything, and the new store alone has it. */
async function finished(world: World): Promise<SessionRecord | undefined> {
  const before = await world.now.get(ID)
  await world.now.move()
  expect([...world.from.list()]).toEqual([])
  const found = world.to.get(ID)
  expect(found).toEqual(before)
  expect([...world.to.list()].filter(([, { data }]) => data.startsWith('moving'))).toEqual([])
  world.close()
  return found
}

describe('every order of calls', () => {
  test('A-68: a write and a move lose nothing, and the writer need not try again', async () => {
    const orders = await everyOrder(async (choose) => {
      const world = await begun()
      let set = false
      await inOrder(
        [
          async (turn) => {
            const store = world.process(turn)
            const found = (await store.get(ID))!
            expect(found).toEqual(record())
            set = await store.set(ID, { ...found, data: '1', version: 2 }, 1)
          },
          (turn) => world.process(turn).move({ parallel: 1 }),
        ],
        choose,
      )
      // A move is no other writer: a login that was just made must not take it for one.
      expect(set).toBe(true)
      expect(await finished(world)).toEqual(record({ data: '1', version: 2 }))
    })
    console.log(`${orders} orders of a write and a move`)
    expect(orders).toBeGreaterThan(20)
  })

  test('A-69: what is ended while it moves stays ended', async () => {
    const orders = await everyOrder(async (choose) => {
      const world = await begun()
      let ended = false
      await inOrder(
        [
          async (turn) => {
            const store = world.process(turn)
            ended = await store.delete(ID)
            expect(await store.get(ID)).toBeUndefined()
          },
          (turn) => world.process(turn).move({ parallel: 1 }),
        ],
        choose,
      )
      expect(ended).toBe(true)
      expect(await finished(world)).toBeUndefined()
    })
    console.log(`${orders} orders of an end and a move`)
    expect(orders).toBeGreaterThan(20)
  })

  test('7.4.3: endAll ends what moves', async () => {
    const orders = await everyOrder(async (choose) => {
      const world = await begun()
      await inOrder(
        [
          async (turn) => {
            const store = world.process(turn)
            expect(await store.endAll('ada')).toBeGreaterThan(0)
            expect(await store.get(ID)).toBeUndefined()
          },
          (turn) => world.process(turn).move({ parallel: 1 }),
        ],
        choose,
      )
      expect(await finished(world)).toBeUndefined()
    })
    console.log(`${orders} orders of an endAll and a move`)
    expect(orders).toBeGreaterThan(10)
  })

  test('nobody who asks is told that there is no session', async () => {
    const orders = await everyOrder(async (choose) => {
      const world = await begun()
      await inOrder(
        [
          async (turn) => expect(await world.process(turn).get(ID)).toEqual(record()),
          async (turn) => {
            const listed: string[] = []
            for await (const [id] of world.process(turn).list('ada')) listed.push(id)
            expect(listed).toEqual([ID])
          },
          (turn) => world.process(turn).move({ parallel: 1 }),
        ],
        choose,
      )
      expect(await finished(world)).toEqual(record())
    }, 60_000)
    console.log(`${orders} orders of a read, a list and a move`)
  }, 60_000)

  test('of two who make a session of one name one does, also where another has moved and was ended', async () => {
    let orders = 0
    for (const state of ['none', 'moved and ended', 'knows'])
      orders += await everyOrder(async (choose) => {
        const world = new World()
        await world.now.move()
        if (state === 'moved and ended') {
          world.from.set(ID, record(), 0)
          await world.now.move()
          await world.now.delete(ID)
        }
        const won: string[] = []
        const maker = (data: string, knows: boolean) => async (turn: Turn) => {
          const store = world.process(turn)
          if (knows) await store.move()
          if (await store.set(ID, record({ data }), 0)) won.push(data)
        }
        await inOrder([maker('1', state === 'knows'), maker('2', false)], choose)
        expect(won.length).toBe(1)
        expect((await finished(world))?.data).toBe(won[0])
      }, 100_000)
    console.log(`${orders} orders of two that make one`)
    expect(orders).toBeGreaterThan(100)
  }, 60_000)
})

describe('a mover that dies or stands still after any of its calls', () => {
  for (const calls of Array.from({ length: 7 }, (_, i) => i))
    test(`after ${calls}: no update is lost, and nothing comes back`, async () => {
      for (const end of [false, true])
        await everyOrder(async (choose) => {
          const world = await begun()
          let written = 0
          await inOrder(
            [
              (turn) => world.process(turn, calls).move({ parallel: 1 }).catch(die),
              async (turn) => {
                const store = world.process(turn)
                if (await increment(store)) written++
                if (end) expect(await store.delete(ID)).toBe(true)
              },
            ],
            choose,
          )
          expect(written).toBe(1)
          expect((await finished(world))?.data).toBe(end ? undefined : '1')
        })
    })
})

/** Who takes part in a drawn story; each knows what the world owes to it. */
interface Story {
  readonly world: World
  acknowledged: number
  ended: boolean
}

const server = (story: Story, steps: number) => async (turn: Turn) => {
  const store = story.world.process(turn)
  for (let i = 0; i < steps; i++) {
    const endedBefore = story.ended
    if (await increment(store)) {
      expect(endedBefore, 'written after it had ended').toBe(false)
      story.acknowledged++
    } else expect(story.ended, 'logged out').toBe(true)
  }
}

describe('drawn orders', () => {
  const RUNS = 4000
  test(`A-68: two servers, two movers and one that dies: ${RUNS} stories lose no update`, async () => {
    for (let seed = 0; seed < RUNS; seed++) {
      const story: Story = { world: await begun(), acknowledged: 0, ended: false }
      await inOrder(
        [
          server(story, 3),
          server(story, 3),
          (turn) => story.world.process(turn).move({ parallel: 1 }),
          (turn) => story.world.process(turn).move({ parallel: 2 }),
          (turn) =>
            story.world
              .process(turn, seed % 13)
              .move()
              .catch(die),
        ],
        drawn(seed),
      )
      expect(Number((await finished(story.world))!.data), `seed ${seed}`).toBe(story.acknowledged)
      expect(story.acknowledged).toBe(6)
    }
  }, 60_000)

  for (const way of ['delete', 'endAll'] as const)
    test(`A-69: ${RUNS} stories in which it is ended (${way}) never see it again`, async () => {
      for (let seed = 0; seed < RUNS; seed++) {
        const story: Story = { world: await begun(), acknowledged: 0, ended: false }
        const watcher = async (turn: Turn) => {
          const store = story.world.process(turn)
          for (let i = 0; i < 4; i++) {
            const endedBefore = story.ended
            const found = await store.get(ID)
            if (endedBefore) expect(found, `seed ${seed}: it came back`).toBeUndefined()
          }
        }
        const ender = async (turn: Turn) => {
          const store = story.world.process(turn)
          // From here on nobody may be surprised to find it gone.
          const done = way === 'delete' ? store.delete(ID) : store.endAll('ada')
          expect(Number(await done)).toBeGreaterThan(0)
          story.ended = true
        }
        const writer = async (turn: Turn) => {
          const store = story.world.process(turn)
          for (let i = 0; i < 3; i++) {
            const endedBefore = story.ended
            if (await increment(store)) expect(endedBefore, `seed ${seed}: written after its end`).toBe(false)
          }
        }
        await inOrder(
          [
            watcher,
            ender,
            writer,
            (turn) => story.world.process(turn).move({ parallel: 1 }),
            (turn) =>
              story.world
                .process(turn, seed % 13)
                .move()
                .catch(die),
          ],
          drawn(seed),
        )
        expect(await finished(story.world), `seed ${seed}`).toBeUndefined()
      }
    }, 60_000)

  test(`7.4.3: ${RUNS} stories in which a session is made while the move begins: one of two, and it is found`, async () => {
    for (let seed = 0; seed < RUNS; seed++) {
      const world = new World({ all: true })
      const won: string[] = []
      const maker = (data: string) => async (turn: Turn) => {
        const store = world.process(turn)
        if (await store.set(ID, record({ data }), 0)) won.push(data)
        expect(await store.get(ID), `seed ${seed}`).toBeDefined()
      }
      const mover = (turn: Turn) => world.process(turn).move({ parallel: 1 }).catch(refusedToBegin)
      await inOrder([maker('1'), maker('2'), mover, mover], drawn(seed))
      expect(won.length, `seed ${seed}`).toBe(1)
      expect((await finished(world))?.data).toBe(won[0])
    }
  }, 60_000)

  test(`7.4.3: ${RUNS} stories of sessions that get new identifiers while all of them are ended leave none`, async () => {
    for (let seed = 0; seed < RUNS; seed++) {
      const world = new World({ all: seed % 3 === 0 })
      world.from.set(ID, record(), 0)
      if (seed % 2) await world.now.move()
      // As the ledger does: the new one first, then the old one replaced, or the new one taken back.
      const rotates = (name: string) => async (turn: Turn) => {
        const store = world.process(turn)
        let id = ID
        for (let i = 0; i < 2; i++) {
          const found = await store.get(id)
          if (!found || found.data === '') return
          const next = `${name}-${i}`
          expect(await store.set(next, { ...found, version: 1 }, 0)).toBe(true)
          const mark = {
            data: '',
            createdAt: clock(),
            seenAt: clock(),
            expiresAt: clock() + 30_000,
            version: found.version + 1,
          }
          if (!(await store.set(id, mark, found.version))) {
            await store.delete(next)
            return
          }
          id = next
        }
      }
      const ends = async (turn: Turn) => void (await world.process(turn).endAll('ada'))
      await inOrder(
        [rotates('a'), rotates('b'), ends, (turn) => world.process(turn).move({ parallel: 1 }).catch(refusedToBegin)],
        drawn(seed),
      )
      const left: string[] = []
      for await (const [id] of world.now.list('ada')) left.push(id)
      expect(left, `seed ${seed}`).toEqual([])
      await world.now.move()
      expect([...world.to.list()], `seed ${seed}`).toEqual([])
      world.close()
    }
  }, 60_000)
})

const refusedToBegin = (error: unknown) => {
  if (!String(error).includes('has sessions already')) throw error
}
