/** Data encrypted at rest: with the server's keys, or with what only the credential holds. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import session from 'express-session'
import {
  acceptLostUpdates,
  acceptNoRevocation,
  type Encrypt,
  generateSecret,
  opaque,
  type SessionRecord,
  type StrategyFactory,
  sealed,
  type UserStore,
} from 'sojourn'
import { cached } from 'sojourn/store/cached'
import { fromExpressStore } from 'sojourn/store/express-session'
import { memory } from 'sojourn/store/memory'
import { sqlite } from 'sojourn/store/sqlite'
import { type ManualClock, manualClock } from 'sojourn/testing/clock'
import { describe, expect, onTestFinished, test } from 'vitest'
import { folder } from './fixtures/sqlite.js'
import { App, gated, KEY, MINUTE, type Shop } from './helpers.js'

const WAYS = ['keys', 'credential'] as const
const CANARY = 'canary-4711'

interface World {
  encrypt?: Encrypt | undefined
  keys?: string | readonly string[]
  store?: UserStore
  clock?: ManualClock
  limit?: number
}

/** An app whose store is at hand. */
function world({
  encrypt,
  keys = KEY,
  clock = manualClock(),
  store = memory({ clock }),
  limit,
}: World = {}): App<Shop> {
  return new App<Shop>({
    clock,
    store,
    keys: keys as string[],
    strategy: opaque({ store, ...(encrypt && { encrypt }) }),
    initial: () => ({ cart: [], count: 0 }),
    ...(limit && { limit: { sessions: limit, policy: 'evict-oldest' } }),
  })
}

/** All that stands in the store. */
async function atRest(store: UserStore): Promise<[id: string, record: SessionRecord][]> {
  const found: [string, SessionRecord][] = []
  for await (const each of store.list()) found.push(each)
  return found
}

async function one(store: UserStore): Promise<[id: string, record: SessionRecord]> {
  const found = await atRest(store)
  expect(found).toHaveLength(1)
  return found[0]!
}

const agent = { headers: { 'user-agent': 'Secret-Browser/1.0' } }

describe.each(WAYS)('encrypted with %s', (encrypt) => {
  test('13.3, A-10: a stolen database tells nothing of the data and the device, and the session has them', async () => {
    const { path, remove } = folder()
    onTestFinished(remove)
    const store = sqlite(join(path, 'sessions.db'))
    onTestFinished(() => store.close())
    const app = world({ encrypt, store, clock: manualClock(Date.now()) })
    const ann = app.browser()
    await ann.visit((session) => {
      session.data.cart.push(CANARY)
      session.flash('note', `${CANARY}-flash`)
    }, agent)
    await ann.visit((session) => session.login('ann'), agent)
    const bytes = ['sessions.db', 'sessions.db-wal'].map((name) => readFileSync(join(path, name), 'latin1')).join()
    expect(bytes.length).toBeGreaterThan(4096)
    for (const secret of [
      CANARY,
      'Secret-Browser',
      ...ann.cookie
        .slice(ann.cookie.indexOf('=') + 1)
        .split('.')
        .slice(1),
    ])
      expect(bytes).not.toContain(secret)
    expect(bytes, 'the user stays in clear').toContain('ann')
    const seen = await ann.visit((session) => [session.data.cart, session.device?.userAgent, session.flashed('note')])
    expect(seen.value).toEqual([[CANARY], 'Secret-Browser/1.0', `${CANARY}-flash`])
    // The device list needs no credential.
    expect((await app.sessions.list('ann')).map(({ device }) => device?.userAgent)).toEqual(['Secret-Browser/1.0'])
  })

  test('a login, a rotation and a logout carry the data along, and leave none behind', async () => {
    const app = world({ encrypt })
    const ann = app.browser()
    await ann.visit((session) => void session.data.cart.push('a'))
    await ann.visit((session) => session.login('ann'))
    await ann.visit((session) => {
      session.data.cart.push('b')
      session.rotate()
    })
    await ann.visit((session) => session.login('ann'))
    expect((await ann.visit((session) => session.data.cart)).value).toEqual(['a', 'b'])
    await ann.visit((session) => {
      session.logout()
      session.data.cart.push('guest again')
    })
    expect((await ann.visit((session) => [session.userId, session.data.cart])).value).toEqual([
      undefined,
      ['guest again'],
    ])
    for (const [, { data }] of await atRest(app.store)) expect(data).toMatch(/^~[kc]/)
  })

  test('A-68: writers that collide are done again over what is opened anew, and all are kept', async () => {
    const clock = manualClock()
    // A store that answers later, so that all have read before the first has written.
    const store = gated(memory({ clock }), async (_, go) => {
      await new Promise((resolve) => setImmediate(resolve))
      return go()
    })
    const app = world({ encrypt, store, clock })
    const ann = app.browser()
    await ann.visit((session) => session.login('ann'))
    await Promise.all(
      Array.from({ length: 12 }, () => app.request(ann.cookie, (session) => session.update('count', (n) => n + 1))),
    )
    expect((await ann.visit((session) => session.data.count)).value).toBe(12)
  })

  test('it slides, ends by its handle, and gives way to a limit, though nobody who does that can read it', async () => {
    const app = world({ encrypt, limit: 2 })
    const [a, b, c] = [app.browser(), app.browser(), app.browser()]
    for (const each of [a, b, c]) {
      await each.visit((session) => session.login('ann'))
      app.clock.advance(MINUTE)
    }
    expect(await app.userOf(a.cookie)).toBeUndefined()
    app.clock.advance(20 * MINUTE)
    expect(await app.userOf(b.cookie)).toBe('ann')
    app.clock.advance(20 * MINUTE)
    expect(await app.userOf(b.cookie), 'slid').toBe('ann')
    const [info] = await app.sessions.list('ann')
    expect(await app.sessions.end(info!.id)).toBe(true)
    expect(await app.userOf(b.cookie)).toBeUndefined()
    const left = app.browser()
    await left.visit((session) => session.login('ann'))
    expect(await app.sessions.endAll('ann')).toBe(1)
    expect(await app.userOf(left.cookie)).toBeUndefined()
  })

  test('behind cached(): copies are encrypted too, and fresh() tells what was ended', async () => {
    const clock = manualClock()
    const inner = memory({ clock })
    const app = world({ encrypt, clock, store: cached(inner, { staleness: 60_000, clock }) })
    const ann = app.browser()
    await ann.visit((session) => {
      session.login('ann')
      session.data.cart.push(CANARY)
    })
    expect((await ann.visit((session) => session.data.cart)).value).toEqual([CANARY])
    const fresh = await ann.visit(async (session) => {
      const before = await session.fresh()
      await inner.endAll('ann')
      return [session.userId, before, await session.fresh()]
    })
    expect(fresh.value).toEqual(['ann', true, false])
  })

  test.each([
    ['a byte of its data', (record: SessionRecord) => ({ ...record, data: flip(record.data) })],
    ['all of its data', (record: SessionRecord) => ({ ...record, data: '~k' })],
    ['of another way', (record: SessionRecord) => ({ ...record, data: `~x${record.data.slice(2)}` })],
    ['its user', (record: SessionRecord) => ({ ...record, userId: 'admin' })],
    ['when it began', (record: SessionRecord) => ({ ...record, createdAt: record.createdAt + 1 })],
    ['when its user signed in', (record: SessionRecord) => ({ ...record, authenticatedAt: record.createdAt + 1 })],
    ['that it is remembered', (record: SessionRecord) => ({ ...record, persistent: true })],
  ])(
    'A-73: who alters %s in the store gets a record that nobody honours, and the user signs in again',
    async (_, alter) => {
      const app = world({ encrypt })
      const ann = app.browser()
      await ann.visit((session) => session.login('ann'))
      const [id, record] = await one(app.store)
      await app.store.set(id, { ...alter(record), version: record.version + 1 }, record.version)
      await app.store.set(id, { ...alter(record), version: record.version }, record.version + 1)
      app.told()
      const answer = await ann.visit((session) => [session.userId, session.refused, session.data.count])
      expect(answer).toMatchObject({ status: 200, value: [undefined, 'malformed', 0] })
      expect(answer.cleared).toBe(false)
      expect(app.told()).toContain('refused')
      await ann.visit((session) => session.login('ann'))
      expect(await app.userOf(ann.cookie)).toBe('ann')
    },
  )

  test('A-73: two sessions whose rows were swapped, and one whose former data was brought back, open neither', async () => {
    const app = world({ encrypt })
    const [ann, bea] = [app.browser(), app.browser()]
    await ann.visit((session) => session.login('ann'))
    await bea.visit((session) => session.login('bea'))
    const [[a, first], [b, second]] = (await atRest(app.store)) as [[string, SessionRecord], [string, SessionRecord]]
    await app.store.delete(a)
    await app.store.delete(b)
    await app.store.set(a, second, 0)
    await app.store.set(b, first, 0)
    expect([await app.userOf(ann.cookie), await app.userOf(bea.cookie)]).toEqual([undefined, undefined])

    const cay = app.browser()
    await cay.visit((session) => session.login('cay'))
    const before = (await atRest(app.store)).find(([, { userId }]) => userId === 'cay')!
    await cay.visit((session) => void session.data.cart.push('bought'))
    const now = (await app.store.get(before[0]))!
    await app.store.delete(before[0])
    await app.store.set(before[0], { ...now, data: before[1].data }, 0)
    expect(await app.userOf(cay.cookie)).toBeUndefined()
  })

  test('A-73: a device that was altered is not shown', async () => {
    const app = world({ encrypt })
    const ann = app.browser()
    await ann.visit((session) => session.login('ann'), agent)
    const [id, record] = await one(app.store)
    await app.store.delete(id)
    await app.store.set(id, { ...record, device: { userAgent: flip(record.device!.userAgent!) } }, 0)
    expect((await app.sessions.list('ann')).map(({ device }) => device)).toEqual([undefined])
    expect(await app.userOf(ann.cookie)).toBe('ann')
  })

  test('in a store of express-session, too', async () => {
    const clock = manualClock()
    const express = new session.MemoryStore()
    const store = fromExpressStore(express as never, { clock })
    const strategy = opaque({ store, weak: acceptLostUpdates, encrypt })
    const app = new App<Shop>({ clock, strategy, initial: () => ({ cart: [], count: 0 }) })
    const ann = app.browser()
    await ann.visit((session) => void session.data.cart.push(CANARY), agent)
    await ann.visit((session) => session.login('ann', { persistent: true }), agent)
    const seen = await ann.visit((session) => [session.userId, session.data.cart, session.device?.userAgent])
    expect(seen.value).toEqual(['ann', [CANARY], 'Secret-Browser/1.0'])
    expect(JSON.stringify((express as unknown as { sessions: object }).sessions)).not.toMatch(/canary|Secret-Browser/)
  })

  test('a key is rotated: nobody is logged out, and each record is written under the new key when it is next written', async () => {
    const [older, newer] = [generateSecret(), generateSecret()]
    const before = world({ encrypt, keys: older })
    const ann = before.browser()
    await ann.visit((session) => {
      session.login('ann')
      session.data.cart.push(CANARY)
    }, agent)
    const [, old] = await one(before.store)
    const { store, clock } = before
    const between = world({ encrypt, keys: [newer, older], store, clock })
    const moved = between.browser(ann.cookie)
    expect((await moved.visit((session) => session.data.cart)).value).toEqual([CANARY])
    expect(moved.cookie).not.toBe(ann.cookie)
    expect((await one(store))[1].data).not.toBe(old.data)
    const after = world({ encrypt, keys: newer, store, clock })
    expect((await after.request(moved.cookie, (session) => session.data.cart)).value).toEqual([CANARY])
    expect((await after.sessions.list('ann'))[0]?.device?.userAgent).toBe('Secret-Browser/1.0')
    expect(await after.userOf(ann.cookie)).toBeUndefined()
  })

  test('from and to sealed(): nobody is logged out, and the data comes along', async () => {
    const clock = manualClock()
    const store = memory({ clock })
    const byId = opaque({ store, encrypt })
    const bySeal = sealed({ revocations: acceptNoRevocation })
    const app = (strategy: readonly StrategyFactory[]) =>
      new App<Shop>({ clock, store, strategy, initial: () => ({ cart: [], count: 0 }) })
    const ann = app([bySeal]).browser()
    await ann.visit((session) => {
      session.login('ann')
      session.data.cart.push(CANARY)
    })
    const second = app([byId, bySeal]).browser(ann.cookie)
    expect((await second.visit((session) => session.data.cart)).value).toEqual([CANARY])
    expect((await one(store))[1].data).toMatch(/^~/)
    const third = app([bySeal, byId]).browser(second.cookie)
    expect((await third.visit((session) => [session.userId, session.data.cart])).value).toEqual(['ann', [CANARY]])
    expect((await third.visit((session) => [session.userId, session.data.cart])).value).toEqual(['ann', [CANARY]])
  })
})

describe('what only the credential opens', () => {
  test('the operator, with the store and the keys, cannot read it', async () => {
    const app = world({ encrypt: 'credential' })
    const ann = app.browser()
    await ann.visit((session) => {
      session.login('ann')
      session.data.cart.push(CANARY)
    })
    const [id, record] = await one(app.store)
    expect(record.data).toMatch(/^~c/)
    // All that the server can ask for, without the cookie, by every way of keeping records.
    for (const encrypt of [undefined, ...WAYS]) {
      const own = world({ encrypt, store: app.store, clock: app.clock })
      expect(JSON.stringify(await own.sessions.list('ann'))).not.toContain(CANARY)
      const other = own.browser()
      await other.visit((session) => session.login('eve'))
      const eve = (await atRest(app.store)).find(([, { userId }]) => userId === 'eve')!
      // Under an identifier whose credential the operator holds.
      await app.store.delete(eve[0])
      await app.store.set(eve[0], record, 0)
      const seen = await own.request(other.cookie, (session) => [session.userId, session.data.cart])
      expect(seen.value).toEqual([undefined, []])
      await app.store.delete(eve[0])
    }
    expect(await app.store.get(id)).toEqual(record)
    expect((await ann.visit((session) => session.data.cart)).value).toEqual([CANARY])
  })
})

describe('the option is changed with live sessions', () => {
  const all = [undefined, 'keys', 'credential'] as const
  const changes = all.flatMap((from) => all.filter((to) => to !== from).map((to) => [from, to] as const))

  test.each(changes)(
    'from %s to %s: nobody is logged out, and a record is converted when it is next written',
    async (from, to) => {
      const before = world({ encrypt: from })
      const ann = before.browser()
      await ann.visit((session) => {
        session.login('ann')
        session.data.cart.push(CANARY)
      }, agent)
      const { store, clock } = before
      const after = world({ encrypt: to, store, clock })
      const moved = after.browser(ann.cookie)
      const [, kept] = await one(store)
      expect((await moved.visit((session) => session.data.cart)).value).toEqual([CANARY])
      expect((await one(store))[1], 'reading writes nothing').toEqual(kept)
      await moved.visit((session) => session.update('count', (n) => n + 1))
      const [, { data, device }] = await one(store)
      const marks = { keys: '~k', credential: '~c', none: '{' }
      expect(data.startsWith(marks[to ?? 'none'])).toBe(true)
      expect(device?.userAgent === 'Secret-Browser/1.0').toBe(to === undefined)
      // The former release is still running beside the new one.
      await before.request(moved.cookie, (session) => session.update('count', (n) => n + 1))
      const seen = await moved.visit((session) => [session.userId, session.data.count, session.device?.userAgent])
      expect(seen.value).toEqual(['ann', 2, 'Secret-Browser/1.0'])
    },
  )

  test.each(changes)('from %s to %s: releases that write at once lose nothing', async (from, to) => {
    const clock = manualClock()
    const store = gated(memory({ clock }), async (_, go) => {
      await new Promise((resolve) => setImmediate(resolve))
      return go()
    })
    const [before, after] = [world({ encrypt: from, store, clock }), world({ encrypt: to, store, clock })]
    const ann = before.browser()
    await ann.visit((session) => session.login('ann'))
    await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        (i % 2 ? before : after).request(ann.cookie, (session) => session.update('count', (n) => n + 1)),
      ),
    )
    expect((await after.request(ann.cookie, (session) => session.data.count)).value).toBe(8)
    expect(await before.sessions.end((await before.sessions.list('ann'))[0]!.id)).toBe(true)
    expect(await after.userOf(ann.cookie)).toBeUndefined()
  })
})

test('anything else than keys and credential is misuse', () => {
  for (const encrypt of ['yes', true, '', null] as never[])
    expect(() => opaque({ store: memory(), encrypt })).toThrow(TypeError)
})

test('A-80: a session shows nothing of its key', async () => {
  const { inspect } = await import('node:util')
  const app = world({ encrypt: 'credential' })
  const ann = app.browser()
  await ann.visit((session) => session.login('ann'))
  const identifier = ann.cookie.split('.')[1]!
  const text = await ann.visit((session) => inspect(session, { depth: 9, showHidden: true }) + JSON.stringify(session))
  expect(identifier).toHaveLength(43)
  expect(text.value).not.toContain(identifier)
})

/** Text with one character changed, well inside. */
function flip(text: string): string {
  const at = text.length - 10
  return text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1)
}
