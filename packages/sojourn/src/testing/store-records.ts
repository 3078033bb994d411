/** The store suite, first half: one record, its versions and its end. */
import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import type { SessionRecord, Store } from '../types.js'
import { type Case, check, fresh, HOSTILE, holds, LIFE, winners } from './store-trial.js'

/** What one record owes: to be as it was written, to be written by one of several, and to end in time. */
export const records: readonly Case[] = [
  check('gives back every field as it was written', [], async (trial) => {
    const device = { userAgent: 'Mozilla/5.0 (X11; Linux x86_64)', ip: '2001:db8::1' }
    const times = { createdAt: trial.now() - 5, seenAt: trial.now() - 3, authenticatedAt: trial.now() - 4 }
    const record = fresh(trial, { ...times, userId: 'u', version: 7, persistent: true, device })
    assert.equal(await trial.store.set('id', record, 0), true)
    await holds(trial.store, 'id', record)
    await holds(trial.other, 'id', record, 'through the other handle')
  }),
  check('keeps absent fields absent, also when they were there before', [], async (trial) => {
    const full = fresh(trial, {
      userId: 'u',
      authenticatedAt: trial.now(),
      persistent: true,
      device: { ip: '192.0.2.1' },
    })
    const bare = fresh(trial, { version: 2, device: { userAgent: 'curl' } })
    await trial.store.set('id', full, 0)
    assert.equal(await trial.store.set('id', bare, 1), true)
    await holds(trial.store, 'id', bare)
  }),
  check('knows nothing of an id that was never written', [], async (trial) => {
    for (const id of ['id', ...HOSTILE]) {
      await holds(trial.store, id, undefined)
      assert.equal(await trial.store.delete(id), false)
      assert.equal(await trial.store.set(id, fresh(trial, { version: 2 }), 1), false)
      await holds(trial.store, id, undefined)
    }
  }),
  check('A-79: keeps hostile ids apart, and leaves prototypes alone', [], async (trial) => {
    for (const [i, id] of HOSTILE.entries())
      assert.equal(
        await trial.store.set(id, fresh(trial, { data: `{"n":${i}}` }), 0),
        true,
        `create ${JSON.stringify(id)}`,
      )
    for (const [i, id] of HOSTILE.entries()) await holds(trial.store, id, fresh(trial, { data: `{"n":${i}}` }))
    for (const [i, id] of HOSTILE.entries()) {
      assert.equal(await trial.store.delete(id), true, `delete ${JSON.stringify(id)}`)
      const next = HOSTILE[i + 1]
      if (next !== undefined) await holds(trial.store, next, fresh(trial, { data: `{"n":${i + 1}}` }))
    }
    assert.deepEqual([...Object.keys({}), ...Object.keys(Object.prototype)], [])
  }),
  check('keeps any text: astral, U+2028, NUL, quotes, and a megabyte of it', [], async (trial) => {
    const texts = ['😀 \u2028\u2029 \0 \' " \\ % $1 \r\n\t\u007f \ufeff e\u0301', 'é😀\0'.repeat(250_000), ' ', '\0']
    for (const [i, data] of texts.entries()) {
      const record = fresh(trial, { data, userId: `ü\0${i}`, device: { userAgent: '\u2028😀' } })
      assert.equal(await trial.store.set(`id-${i}`, record, 0), true)
      await holds(trial.store, `id-${i}`, record)
    }
  }),
  check('keeps what was written, whatever becomes of the objects handed in and out', [], async (trial) => {
    const given = { ...fresh(trial, { userId: 'u' }), device: { ip: '192.0.2.1' } }
    const written = structuredClone(given)
    await trial.store.set('id', given, 0)
    const alter = (record: SessionRecord | undefined) => {
      // A store may answer with something frozen; then the attempt throws, and that is as good.
      const tries = [
        () => Object.assign(record!, { userId: 'thief', version: 9 }),
        () => Object.assign(record!.device!, { ip: '' }),
      ]
      for (const attempt of tries)
        try {
          attempt()
        } catch (error) {
          assert.ok(error instanceof TypeError)
        }
    }
    alter(given)
    await holds(trial.store, 'id', written, 'after the record handed in was altered')
    alter(await trial.store.get('id'))
    await holds(trial.store, 'id', written, 'after a record handed out was altered')
  }),
  check('creates only where nothing is', [], async (trial) => {
    const first = fresh(trial, { data: '"first"' })
    assert.equal(await trial.store.set('id', first, 0), true)
    assert.equal(await trial.store.set('id', fresh(trial, { data: '"second"' }), 0), false)
    assert.equal(await trial.other.set('id', fresh(trial, { data: '"third"' }), 0), false)
    await holds(trial.store, 'id', first)
  }),
  check('overwrites at the version that was read, and at no other', [], async (trial) => {
    const second = fresh(trial, { data: '"second"', version: 2 })
    await trial.store.set('id', fresh(trial), 0)
    assert.equal(await trial.store.set('id', second, 1), true)
    for (const was of [0, 1, 3, -1]) assert.equal(await trial.other.set('id', fresh(trial, { version: 3 }), was), false)
    await holds(trial.store, 'id', second)
    assert.equal(await trial.other.set('id', fresh(trial, { version: 3 }), 2), true)
  }),
  check('A-69: never inserts by overwriting, so that nothing deleted comes back', [], async (trial) => {
    await trial.store.set('id', fresh(trial), 0)
    assert.equal(await trial.other.delete('id'), true)
    assert.equal(await trial.store.set('id', fresh(trial, { version: 2 }), 1), false)
    await holds(trial.store, 'id', undefined)
    assert.equal(await trial.store.set('id', fresh(trial), 0), true, 'but may be created anew')
  }),
  check('lets one of several parallel creates win', [], async (trial) => {
    assert.equal(await winners(trial, 10, (store, i) => store.set('id', fresh(trial, { data: `{"n":${i}}` }), 0)), 1)
  }),
  check('A-68: lets one of several writers with the same version win, and keeps what it wrote', [], async (trial) => {
    await trial.store.set('id', fresh(trial), 0)
    let winner = ''
    const write = async (store: Store, i: number) => {
      const won = await store.set('id', fresh(trial, { data: `{"n":${i}}`, version: 2 }), 1)
      if (won) winner = `{"n":${i}}`
      return won
    }
    assert.equal(await winners(trial, 10, write), 1)
    await holds(trial.store, 'id', fresh(trial, { data: winner, version: 2 }))
  }),
  check('A-68: loses no increment of parallel writers that try again', [], async (trial) => {
    await trial.store.set('id', fresh(trial, { data: '0' }), 0)
    const increment = async (store: Store) => {
      for (;;) {
        const record = (await store.get('id'))!
        const next = { ...record, data: String(Number(record.data) + 1), version: record.version + 1 }
        if (await store.set('id', next, record.version)) return true
      }
    }
    await winners(trial, 20, increment)
    await holds(trial.store, 'id', fresh(trial, { data: '20', version: 21 }))
  }),
  check('deletes once, however many ask', [], async (trial) => {
    await trial.store.set('id', fresh(trial), 0)
    assert.equal(await winners(trial, 10, (store) => store.delete('id')), 1)
    assert.equal(await trial.store.delete('id'), false)
  }),
  check('A-69: is empty after a delete that raced with writes', [], async (trial) => {
    await trial.store.set('id', fresh(trial), 0)
    const write = (store: Store) => store.set('id', fresh(trial, { version: 2 }), 1)
    await winners(trial, 9, (store, i) => (i === 4 ? store.delete('id') : write(store)))
    await holds(trial.store, 'id', undefined)
  }),
  check('deletes on condition: a record whose time has passed', [], async (trial) => {
    const past = fresh(trial, { expiresAt: trial.now() - 1, version: 2 })
    await trial.store.set('id', fresh(trial), 0)
    for (const was of [0, 2]) assert.equal(await trial.store.set('id', past, was), false)
    await holds(trial.store, 'id', fresh(trial), 'still there after the wrong version')
    assert.equal(await winners(trial, 10, (store) => store.set('id', past, 1)), 1)
    await holds(trial.store, 'id', undefined)
    assert.equal(await trial.store.delete('id'), false)
    assert.equal(await trial.store.set('id', fresh(trial), 0), true, 'but may be created anew')
  }),
  check('keeps nothing that is created dead, or with an end that is no time', [], async (trial) => {
    for (const expiresAt of [trial.now(), 0, -1, Number.NaN]) {
      await trial.store.set('id', fresh(trial, { expiresAt }), 0)
      await holds(trial.store, 'id', undefined, `created with the end ${expiresAt}`)
    }
    assert.equal(await trial.store.set('id', fresh(trial), 0), true)
    assert.equal(await trial.store.set('id', fresh(trial, { expiresAt: Number.NaN, version: 2 }), 1), true)
    await holds(trial.store, 'id', undefined, 'written with an end that is no time')
  }),
  check('forgets by the engine’s own time what has expired', ['real time'], async (trial) => {
    const life = 300
    const ids = ['guest', 'user', 'slid']
    for (const id of ids) {
      const record = fresh(trial, { expiresAt: trial.now() + life, ...(id !== 'guest' && { userId: 'a' }) })
      assert.equal(await trial.store.set(id, record, 0), true)
    }
    const slid = fresh(trial, { userId: 'a', expiresAt: trial.now() + LIFE, version: 2 })
    const began = performance.now()
    // Slow machines may be too late to slide it; then there is nothing to be seen here.
    if (!(await trial.other.set('slid', slid, 1))) return assert.ok(performance.now() - began > life / 2)
    await pause(life + 50)
    for (const id of ['guest', 'user']) {
      await holds(trial.store, id, undefined)
      assert.equal(await trial.other.delete(id), false)
      assert.equal(await trial.other.set(id, fresh(trial, { version: 2 }), 1), false)
    }
    await holds(trial.store, 'slid', slid)
    assert.equal(await trial.store.set('guest', fresh(trial), 0), true, 'but may be created anew')
  }),
  check('expires to the millisecond', ['clock'], async (trial) => {
    const record = fresh(trial, { expiresAt: trial.now() + 1000 })
    await trial.store.set('id', record, 0)
    trial.advance(999)
    await holds(trial.store, 'id', record)
    trial.advance(1)
    await holds(trial.store, 'id', undefined)
    await holds(trial.other, 'id', undefined)
    assert.equal(await trial.store.delete('id'), false)
  }),
  check('A-86: neither rounds a short life down to nothing nor a long one up to for ever', ['clock'], async (trial) => {
    const DAY = 86_400_000
    const short = fresh(trial, { expiresAt: trial.now() + 1 })
    const long = fresh(trial, { expiresAt: trial.now() + 400 * DAY })
    await trial.store.set('short', short, 0)
    await trial.store.set('long', long, 0)
    await holds(trial.store, 'short', short)
    trial.advance(1)
    await holds(trial.store, 'short', undefined)
    trial.advance(400 * DAY - 2)
    await holds(trial.store, 'long', long)
    trial.advance(1)
    await holds(trial.store, 'long', undefined)
  }),
  check('follows an expiry that is moved, later or sooner', ['clock'], async (trial) => {
    const later = fresh(trial, { expiresAt: trial.now() + 2 * LIFE, version: 2 })
    const sooner = fresh(trial, { expiresAt: trial.now() + LIFE / 2, version: 2 })
    await trial.store.set('later', fresh(trial), 0)
    await trial.store.set('sooner', fresh(trial), 0)
    await trial.store.set('later', later, 1)
    await trial.store.set('sooner', sooner, 1)
    trial.advance(LIFE / 2)
    await holds(trial.store, 'sooner', undefined)
    trial.advance(LIFE)
    await holds(trial.store, 'later', later)
  }),
  check(
    'A-69: takes an expired record for none: no overwriting it, but creating in its place',
    ['clock'],
    async (trial) => {
      await trial.store.set('id', fresh(trial, { userId: 'old' }), 0)
      trial.advance(LIFE)
      assert.equal(await trial.store.set('id', fresh(trial, { version: 2 }), 1), false)
      await holds(trial.store, 'id', undefined)
      const anew = fresh(trial, { userId: 'new' })
      assert.equal(await winners(trial, 10, (store) => store.set('id', anew, 0)), 1)
      await holds(trial.store, 'id', anew)
    },
  ),
]
