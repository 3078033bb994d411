/** The store suite, third part: what many who write, list and end at once may do to each other. */
import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import type { SessionRecord, Store } from '../types.js'
import { type Case, check, fresh, holds, listed, type Trial, winners } from './store-trial.js'

const CHAINS = 4
const ROUNDS = 12
/** Other sessions of the same user, in every third round: a store that ends in pages needs several. */
const OTHERS = 250

/** What races owe: that no order of the steps loses, brings back or spares what the contract speaks of. */
export const races: readonly Case[] = [
  check('A-68: loses nothing of forty writers who change keys of their own', [], async (trial) => {
    await trial.store.set('id', fresh(trial, { data: '{}' }), 0)
    await winners(trial, 40, async (store, i) => {
      for (;;) {
        const { data, version, ...rest } = (await now(store, 'id'))!
        const next = JSON.stringify({ ...(JSON.parse(data) as object), [`k${i}`]: i })
        if (await store.set('id', { ...rest, data: next, version: version + 1 }, version)) return true
      }
    })
    const { data, version } = (await now(trial.store, 'id'))!
    const keys = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`k${i}`, i]))
    assert.deepEqual([JSON.parse(data), version], [keys, 41])
  }),
  check('A-68: lets one of create, overwrite and delete win at a time', [], async (trial) => {
    // Each success of one makes room for the next; what was said must add up to what is there.
    let [made, gone] = [0, 0]
    const life = async (store: Store) => {
      for (let i = 0; i < 10; i++) {
        if (await store.set('id', fresh(trial), 0)) made++
        await store.set('id', fresh(trial, { version: 2 }), 1)
        if (await store.delete('id')) gone++
      }
      return true
    }
    await winners(trial, 6, life)
    const there = (await now(trial.store, 'id')) !== undefined
    assert.equal(made - gone, there ? 1 : 0, 'as many were deleted as were created, but for one that is there')
  }),
  check('A-69, 7.4.3: no chain of rotations slips past an endAll', ['endAll'], async (trial) => {
    for (let round = 0; round < ROUNDS; round++) {
      const userId = `user-${round}`
      const chain = chainOf(trial, userId)
      const ids = Array.from({ length: CHAINS }, (_, i) => `${userId}-${i}`)
      // Before and after in every order that a store may walk in.
      for (let i = 0; round % 3 === 2 && i < OTHERS; i++) ids.push(`${i % 2 ? 'a' : 'z'}-${userId}-${i}`)
      await Promise.all(ids.map(async (id) => assert.equal(await trial.store.set(id, chain.link, 0), true)))
      const running = Array.from({ length: CHAINS }, (_, i) => chain.run(i % 2 ? trial.store : trial.other, i))
      for (let i = 0; i < round; i++) await turn()
      await trial.store.endAll(userId)
      chain.stop()
      for (const [id, alive] of await Promise.all(running)) {
        assert.equal(alive, false, 'a session that was there before endAll rotates on after it')
        await holds(trial.store, id, undefined, 'after an endAll that raced with a rotation')
      }
    }
  }),
  check('lists and ends a user’s, and nobody else’s, while others write', ['list', 'endAll'], async (trial) => {
    const { store } = trial
    const [still, moving] = [Array.from({ length: 8 }, (_, i) => `still-${i}`), 12]
    for (const id of still) await store.set(id, fresh(trial, { userId: 'a' }), 0)
    let over = false
    const write = async (store: Store, i: number) => {
      for (let n = 0; !over; n++) {
        await store.set(`moving-${i}`, fresh(trial, { userId: 'a' }), 0)
        await store.set(`moving-${i}`, fresh(trial, { userId: 'b', version: 2 }), 1)
        if (n % 2) await store.delete(`moving-${i}`)
        else await store.set(`moving-${i}`, fresh(trial, { userId: 'b', data: '', version: 3 }), 2)
        if (n % 2 === 0) await store.delete(`moving-${i}`)
        await turn()
      }
      return true
    }
    const writing = winners(trial, moving, write)
    try {
      for (let round = 0; round < 5; round++) {
        const seen: string[] = []
        for await (const [id, record] of store.list('a')) {
          assert.deepEqual(
            [record.userId, record.data === ''],
            ['a', false],
            'a listed record is a live one of the user',
          )
          seen.push(id)
        }
        assert.deepEqual(
          seen.filter((id) => id.startsWith('still')).sort(),
          still,
          'what nobody touches is listed once',
        )
        await store.endAll('b')
      }
      assert.ok((await store.endAll('a')) >= still.length)
    } finally {
      over = true
      await writing
    }
    for (const id of still) await holds(store, id, undefined)
    await store.endAll('a')
    await store.endAll('b')
    assert.deepEqual(await listed(store), [])
  }),
]

function now(store: Store, id: string): ReturnType<Store['get']> {
  return store.fresh ? store.fresh(id) : store.get(id)
}

/** Sessions that rotate as the library has them do it: the successor is created, and then its predecessor replaced. */
function chainOf(trial: Trial, userId: string) {
  const link: SessionRecord = fresh(trial, { userId })
  let over = false
  return {
    link,
    stop: () => {
      over = true
    },
    /** Rotates until it is refused, or `stop` was called; says what came last, and whether it lives. */
    async run(store: Store, i: number): Promise<[id: string, alive: boolean]> {
      let id = `${userId}-${i}`
      // The last one begins after `stop`: it finds out whether the chain still lives.
      for (let n = 1, last = false; ; n++) {
        const next = `${userId}-${i}-${n}`
        if (!(await store.set(next, link, 0))) return [id, false]
        if (!(await store.set(id, { ...link, data: '', version: 2 }, 1))) {
          await store.delete(next)
          return [id, false]
        }
        id = next
        if (last) return [id, true]
        last = over
        await turn()
      }
    },
  }
}
