/** The store suite, second half: many records, whose they are, and the store itself. */
import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import type { Store } from '../types.js'
import { type Case, check, fresh, HOSTILE, holds, LIFE, listed, winners } from './store-trial.js'

/** What a store of many owes: to know whose a record is, to end them together, to sweep, to fail loudly. */
export const users: readonly Case[] = [
  check("lists a user's sessions and nobody else's", ['list'], async (trial) => {
    for (const [id, userId] of Object.entries({ a1: 'a', a2: 'a', b1: 'b' }))
      await trial.store.set(id, fresh(trial, { userId }), 0)
    await trial.store.set('guest', fresh(trial), 0)
    assert.deepEqual(await listed(trial.store, 'a'), ['a1', 'a2'])
    assert.deepEqual(await listed(trial.store, 'nobody'), [])
    for await (const [id, record] of trial.store.list('b')) await holds(trial.store, id, record)
  }),
  check('lists everybody, guests too', ['list'], async (trial) => {
    await trial.store.set('a1', fresh(trial, { userId: 'a' }), 0)
    await trial.store.set('b1', fresh(trial, { userId: 'b' }), 0)
    await trial.store.set('guest', fresh(trial), 0)
    assert.deepEqual(await listed(trial.store), ['a1', 'b1', 'guest'])
  }),
  check('leaves deleted, replaced and conditionally deleted records out of lists', ['list'], async (trial) => {
    const users = fresh(trial, { userId: 'a' })
    for (const id of ['deleted', 'replaced', 'past', 'live']) await trial.store.set(id, users, 0)
    await trial.store.delete('deleted')
    await trial.store.set('replaced', { ...users, data: '', version: 2 }, 1)
    await trial.store.set('past', { ...users, expiresAt: trial.now(), version: 2 }, 1)
    assert.deepEqual(await listed(trial.store, 'a'), ['live'])
    assert.deepEqual(await listed(trial.store), ['live'])
    await holds(trial.store, 'replaced', { ...users, data: '', version: 2 }, 'a replaced one can still be read')
  }),
  check(
    'leaves expired records out of lists, and does not count their end',
    ['list', 'endAll', 'clock'],
    async (trial) => {
      await trial.store.set('early', fresh(trial, { userId: 'a' }), 0)
      await trial.store.set('late', fresh(trial, { userId: 'a', expiresAt: trial.now() + 2 * LIFE }), 0)
      trial.advance(LIFE)
      assert.deepEqual(await listed(trial.store, 'a'), ['late'])
      assert.deepEqual(await listed(trial.store), ['late'])
      assert.equal(await trial.store.endAll('a'), 1)
    },
  ),
  check('lets records be ended and begun while they are listed', ['list'], async (trial) => {
    for (let i = 0; i < 50; i++) await trial.store.set(`old-${i}`, fresh(trial, { userId: 'a' }), 0)
    for (const userId of ['a', undefined]) {
      let seen = 0
      for await (const [id] of trial.store.list(userId)) {
        assert.ok(++seen < 5000, 'the list does not end while its records are replaced')
        assert.equal(await trial.store.delete(id), true, 'what was listed was there')
        await trial.store.set(`${userId}-${seen}`, fresh(trial, { userId: 'a' }), 0)
      }
      assert.ok(seen >= 50)
    }
    assert.equal((await listed(trial.store, 'a')).length, 50)
  }),
  check('follows a record to the user whose it becomes', ['list', 'endAll'], async (trial) => {
    await trial.store.set('id', fresh(trial), 0)
    await trial.store.set('id', fresh(trial, { userId: 'a', version: 2 }), 1)
    assert.deepEqual(await listed(trial.store, 'a'), ['id'])
    await trial.store.set('id', fresh(trial, { userId: 'b', version: 3 }), 2)
    assert.deepEqual([await listed(trial.store, 'a'), await listed(trial.store, 'b')], [[], ['id']])
    assert.equal(await trial.store.endAll('a'), 0)
    await trial.store.set('id', fresh(trial, { version: 4 }), 3)
    assert.deepEqual(await listed(trial.store, 'b'), [])
    assert.equal(await trial.store.endAll('b'), 0)
    await holds(trial.store, 'id', fresh(trial, { version: 4 }))
  }),
  check('A-79: keeps hostile user ids apart', ['list', 'endAll'], async (trial) => {
    await trial.store.set('guest', fresh(trial), 0)
    for (const [i, userId] of HOSTILE.entries()) await trial.store.set(`id-${i}`, fresh(trial, { userId }), 0)
    for (const [i, userId] of HOSTILE.entries())
      assert.deepEqual(await listed(trial.store, userId), [`id-${i}`], JSON.stringify(userId))
    for (const userId of HOSTILE) assert.equal(await trial.store.endAll(userId), 1, JSON.stringify(userId))
    assert.deepEqual(await listed(trial.store), ['guest'])
  }),
  check(
    'A-79: lists hostile ids as they are, and spares one of them as well as any',
    ['list', 'endAll'],
    async (trial) => {
      const ids = HOSTILE.toSorted()
      const record = fresh(trial, { userId: 'a' })
      for (const id of ids) await trial.store.set(id, record, 0)
      assert.deepEqual([await listed(trial.store, 'a'), await listed(trial.store)], [ids, ids])
      for (const except of ['', '*', '%', '__proto__', "a' OR '1'='1", 'a\0', 'é']) {
        assert.equal(await trial.store.endAll('a', except), ids.length - 1, JSON.stringify(except))
        assert.deepEqual(await listed(trial.store, 'a'), [except])
        for (const id of ids) if (id !== except) assert.equal(await trial.store.set(id, record, 0), true)
      }
      assert.equal(await trial.store.endAll('a', 'no such id'), ids.length)
    },
  ),
  check('ends what a rotation has replaced as well, and does not count it', ['endAll'], async (trial) => {
    for (const id of ['replaced', 'live']) await trial.store.set(id, fresh(trial, { userId: 'a' }), 0)
    assert.equal(await trial.store.set('replaced', fresh(trial, { userId: 'a', data: '', version: 2 }), 1), true)
    assert.equal(await trial.store.endAll('a'), 1)
    for (const id of ['replaced', 'live']) await holds(trial.other, id, undefined)
  }),
  check("7.4.3: ends all of a user's sessions, says how many, and leaves the others", ['endAll'], async (trial) => {
    for (const [id, userId] of Object.entries({ a1: 'a', a2: 'a', a3: 'a', b1: 'b' }))
      await trial.store.set(id, fresh(trial, { userId }), 0)
    await trial.store.set('guest', fresh(trial), 0)
    assert.equal(await trial.store.endAll('a'), 3)
    assert.equal(await trial.store.endAll('a'), 0)
    for (const id of ['a1', 'a2', 'a3']) await holds(trial.other, id, undefined)
    await holds(trial.other, 'b1', fresh(trial, { userId: 'b' }))
    await holds(trial.other, 'guest', fresh(trial))
  }),
  check('7.4.3: spares the session that is excepted, if it is the user’s', ['endAll'], async (trial) => {
    for (const [id, userId] of Object.entries({ a1: 'a', a2: 'a', b1: 'b' }))
      await trial.store.set(id, fresh(trial, { userId }), 0)
    assert.equal(await trial.store.endAll('a', 'a1'), 1)
    await holds(trial.store, 'a1', fresh(trial, { userId: 'a' }))
    await holds(trial.store, 'a2', undefined)
    assert.equal(await trial.store.endAll('a', 'b1'), 1)
    await holds(trial.store, 'b1', fresh(trial, { userId: 'b' }))
  }),
  check('A-69: nothing outlives an endAll that raced with writes', ['endAll', 'list'], async (trial) => {
    for (let i = 0; i < 10; i++) await trial.store.set(`id-${i}`, fresh(trial, { userId: 'a' }), 0)
    let ended = 0
    const write = (store: Store, i: number) => store.set(`id-${i % 10}`, fresh(trial, { userId: 'a', version: 2 }), 1)
    await winners(trial, 21, async (store, i) => {
      if (i !== 10) return write(store, i)
      ended = await trial.store.endAll('a')
      return true
    })
    assert.equal(ended, 10)
    assert.deepEqual(await listed(trial.store), [])
  }),
  check('A-78: sweeps what has expired, counts it, and spares the living', ['sweep', 'clock'], async (trial) => {
    const past = trial.now()
    for (let i = 0; i < 1200; i++)
      await trial.store.set(
        `id-${i}`,
        fresh(trial, { ...(i % 2 && { userId: 'a' }), expiresAt: trial.now() + (i < 1100 ? 1000 : LIFE) }),
        0,
      )
    assert.equal(await trial.store.sweep(past + 999), 0)
    trial.advance(1000)
    assert.equal(await trial.store.sweep(trial.now()), 1100)
    assert.equal(await trial.store.sweep(trial.now()), 0)
    let living = 0
    for (let i = 0; i < 1200; i++) if (await trial.store.get(`id-${i}`)) living++
    assert.equal(living, 100)
  }),
  check(
    'A-80: throws when the backend fails, and never says that there is no session',
    ['breakBackend'],
    async (trial) => {
      await trial.store.set('id', fresh(trial, { userId: 'a' }), 0)
      await trial.breakBackend()
      const { store } = trial
      // A copy may be handed out, within its bound; what there is no copy of must be asked for, and fails.
      await assert.rejects(async () => (store.fresh ? store.fresh('id') : store.get('id')), 'get')
      await assert.rejects(async () => store.get('unseen'), 'get what was never there')
      await assert.rejects(async () => store.set('id', fresh(trial, { version: 2 }), 1), 'set')
      await assert.rejects(async () => store.set('new', fresh(trial), 0), 'create')
      await assert.rejects(async () => store.set('user', fresh(trial, { userId: 'b' }), 0), "create a user's")
      const past = fresh(trial, { version: 2, expiresAt: 0 })
      await assert.rejects(async () => store.set('id', past, 1), 'delete on condition')
      await assert.rejects(async () => store.set('unseen', past, 0), 'create what is dead')
      await assert.rejects(async () => store.delete('id'), 'delete')
      await assert.rejects(async () => store.delete('unseen'), 'delete what was never there')
      if (typeof store.list === 'function') {
        await assert.rejects(() => listed(store, 'a'), "list a user's")
        await assert.rejects(() => listed(store, 'nobody'), 'list those of a user who has none')
        await assert.rejects(() => listed(store), "list everybody's")
      }
      if (typeof store.endAll === 'function') {
        await assert.rejects(async () => store.endAll('a'), 'endAll')
        await assert.rejects(async () => store.endAll('nobody', 'id'), 'endAll of a user who has none')
      }
      if (typeof store.sweep === 'function') await assert.rejects(async () => store.sweep(trial.now()), 'sweep')
    },
  ),
  check(
    'A-85: tells who watches of every write and end, also through another handle, until it stops',
    ['watch'],
    async (trial) => {
      const { store, other } = trial
      const told = new Set<string>()
      let cuts = 0
      const stop = store.watch(
        (id) => void told.add(id),
        () => void cuts++,
      )
      const heard = async (id: string, what: string, change: () => unknown) => {
        told.clear()
        cuts = 0
        assert.ok(await change(), what)
        const until = performance.now() + trial.tells
        while (!told.has(id) && cuts === 0 && performance.now() < until) await pause(1)
        assert.ok(told.has(id) || cuts > 0, `${what} was not told`)
      }
      for (const [where, handle] of Object.entries({ here: store, elsewhere: other })) {
        await handle.set(where, fresh(trial), 0)
        await heard(where, `a record written ${where}`, () => handle.set(where, fresh(trial, { version: 2 }), 1))
        const past = fresh(trial, { version: 3, expiresAt: 0 })
        await heard(where, `a record ended by a write ${where}`, () => handle.set(where, past, 2))
        await handle.set(where, fresh(trial, { userId: where }), 0)
        await heard(where, `a record deleted ${where}`, () => handle.delete(where))
        if (!handle.endAll) continue
        await handle.set(where, fresh(trial, { userId: where }), 0)
        await heard(where, `the end of a user's sessions ${where}`, () => handle.endAll!(where))
      }
      stop()
      told.clear()
      cuts = 0
      await other.set('late', fresh(trial), 0)
      await pause(trial.tells)
      assert.deepEqual([[...told], cuts], [[], 0], 'told after the watch was over')
    },
  ),
  check('may be closed twice', [], async ({ store }) => {
    await store.close?.()
    await store.close?.()
  }),
]
