/** Stores of ours under real apps on express-session: its own rules, and what it gets wrong on its own stores. */
import { createServer } from 'node:http'
import express, { type Request, type Response } from 'express'
import session, { type Store as ExpressStore, type SessionOptions } from 'express-session'
import type { Store, UserStore } from 'sojourn'
import { cached } from 'sojourn/store/cached'
import { toExpressStore } from 'sojourn/store/express-session'
import { memory } from 'sojourn/store/memory'
import { sqlite } from 'sojourn/store/sqlite'
import { manualClock } from 'sojourn/testing/clock'
import { describe, expect, onTestFinished, test } from 'vitest'
import { listening } from './fixtures/servers.js'
import { counted, gated } from './helpers.js'

declare module 'express-session' {
  interface SessionData {
    user: string
    cart: string[]
    count: number
  }
}

type Work = (request: Request, response: Response) => unknown

/** An app whose handler is whatever the test does next, and a browser that keeps its cookie. */
async function app(store: ExpressStore, options: Partial<SessionOptions> = {}) {
  let work: Work = () => undefined
  const app = express()
  app.use(session({ secret: 'a secret of some length', resave: false, saveUninitialized: false, store, ...options }))
  app.use(async (req, res) => {
    const said = await work(req, res)
    if (!res.headersSent) res.json(said ?? null)
  })
  const { port, close } = await listening(createServer(app))
  onTestFinished(close)
  return function browser(cookie = '') {
    const self = {
      cookie,
      /** Whether the last answer set a cookie. */
      given: false,
      async visit(next: Work): Promise<unknown> {
        work = next
        const response = await fetch(`http://127.0.0.1:${port}/`, {
          headers: self.cookie ? { cookie: self.cookie } : {},
        })
        const line = response.headers.getSetCookie()[0]
        self.given = line !== undefined
        if (line) self.cookie = line.split(';')[0]!
        return response.status === 200 ? response.json() : response.status
      },
    }
    return self
  }
}

const later: (store: UserStore) => UserStore = (store) =>
  gated(store, async (_, go) => {
    await new Promise(setImmediate)
    const value = go()
    await new Promise(setImmediate)
    return value
  })

const kinds: Record<string, () => Store> = {
  memory: () => memory(),
  sqlite: () => sqlite(':memory:'),
  'sqlite, durable': () => sqlite(':memory:', { durability: 'full' }),
  'a store that answers later': () => later(memory()),
  'a cached store': () => cached(later(memory())),
}

describe.each(Object.entries(kinds))('express-session on %s', (_, open) => {
  const make = (options = {}) => app(toExpressStore(open(), session.Store), options)

  test('keeps a session from request to request, with every kind of value that JSON has', async () => {
    const browser = (await make())()
    await browser.visit((req) => {
      req.session.user = 'ada\u0000\u2028😀'
      req.session.cart = ['tea']
    })
    expect(await browser.visit((req) => ({ ...req.session, cookie: undefined }))).toEqual({
      user: 'ada\u0000\u2028😀',
      cart: ['tea'],
    })
  })

  test('saveUninitialized: false writes nothing for a visitor whom nobody wrote about', async () => {
    const browser = (await make())()
    await browser.visit(() => 'hello')
    expect(browser.given).toBe(false)
    const saving = (await make({ saveUninitialized: true }))()
    await saving.visit(() => 'hello')
    expect(saving.given).toBe(true)
  })

  test('resave and rolling do what they say', async () => {
    const browser = (await make({ resave: true, rolling: true, cookie: { maxAge: 60_000 } }))()
    await browser.visit((req) => void Object.assign(req.session, { count: 1 }))
    expect(await browser.visit((req) => req.session.count)).toBe(1)
    expect(browser.given).toBe(true)
    const still = (await make({ cookie: { maxAge: 60_000 } }))()
    await still.visit((req) => void Object.assign(req.session, { count: 1 }))
    await still.visit((req) => req.session.count)
    expect(still.given).toBe(false)
  })

  test('7.2.4: regenerate gives a new identifier, and the old one opens nothing', async () => {
    const open = await make()
    const browser = open()
    await browser.visit((req) => void Object.assign(req.session, { count: 1 }))
    const thief = open(browser.cookie)
    await browser.visit(
      (req) =>
        new Promise<void>((resolve, reject) => {
          req.session.regenerate((error) => {
            if (error) return reject(error)
            req.session.user = 'ada'
            resolve()
          })
        }),
    )
    expect(browser.cookie).not.toBe(thief.cookie)
    expect(await browser.visit((req) => [req.session.user ?? null, req.session.count ?? null])).toEqual(['ada', null])
    expect(await thief.visit((req) => [req.session.user ?? null, req.session.count ?? null])).toEqual([null, null])
  })

  test('destroy ends it, reload reads it anew, save keeps it before the answer', async () => {
    const open = await make()
    const browser = open()
    await browser.visit((req) => void Object.assign(req.session, { count: 1 }))
    const other = open(browser.cookie)
    const seen = await browser.visit(async (req) => {
      req.session.count = 2
      expect(await new Promise((resolve) => req.session.save(resolve))).toBeNull()
      req.session.count = 3
      await new Promise((resolve) => req.session.reload(resolve))
      return req.session.count
    })
    expect(seen).toBe(2)
    await browser.visit((req) => new Promise<void>((resolve) => req.session.destroy(() => resolve())))
    expect(await other.visit((req) => req.session.count ?? null)).toBeNull()
  })
})

/** What a late save does on a store of express-session's kind: a request loads, another destroys, the first one saves. */
async function lateSave(store: ExpressStore): Promise<unknown> {
  const browser = (await app(store))()
  await browser.visit((req) => void Object.assign(req.session, { user: 'ada' }))
  await browser.visit(async (req) => {
    await new Promise<void>((resolve) => void store.destroy(req.sessionID, () => resolve()))
    req.session.count = 2
  })
  return browser.visit((req) => req.session.user ?? null)
}

describe('what express-session gets wrong on its own stores', () => {
  test('A-69: a late save brings back what was destroyed; here it does not', async () => {
    expect(await lateSave(new session.MemoryStore())).toBe('ada')
    for (const open of Object.values(kinds)) expect(await lateSave(toExpressStore(open(), session.Store))).toBeNull()
  })

  test('A-69: nor does a touch, or the second save of a session made in this request', async () => {
    const ours = memory()
    const store = toExpressStore(ours, session.Store)
    const browser = (await app(store, { cookie: { maxAge: 60_000 } }))()
    const destroy = (req: Request) => new Promise<void>((resolve) => store.destroy(req.sessionID, () => resolve()))
    await browser.visit((req) => void Object.assign(req.session, { user: 'ada' }))
    await browser.visit(async (req) => {
      await destroy(req)
    })
    expect(ours.size).toBe(0)
    await browser.visit(async (req) => {
      req.session.user = 'ada'
      await new Promise((resolve) => req.session.save(resolve))
      await destroy(req)
      req.session.count = 2
    })
    expect(ours.size).toBe(0)
  })

  test('A-68: two requests at once change different keys, and both survive', async () => {
    const both = async (store: ExpressStore) => {
      const browser = (await app(store))()
      await browser.visit((req) => void Object.assign(req.session, { user: 'ada', count: 1 }))
      await browser.visit(async (req) => {
        const inner = await new Promise<session.SessionData>((resolve, reject) =>
          store.get(req.sessionID, (error, found) => (found ? resolve(found) : reject(error))),
        )
        inner.cart = ['tea']
        Reflect.deleteProperty(inner, 'count')
        await new Promise((resolve) => store.set(req.sessionID, inner, resolve))
        req.session.user = 'ada l.'
        await new Promise((resolve) => req.session.save(resolve))
        // And a second time, from a session that knows nothing of the other's change.
        req.session.user = 'ada lovelace'
      })
      return browser.visit((req) => ({ ...req.session, cookie: undefined }))
    }
    expect(await both(new session.MemoryStore())).toEqual({ user: 'ada lovelace', count: 1 })
    for (const open of Object.values(kinds))
      expect(await both(toExpressStore(open(), session.Store))).toEqual({ user: 'ada lovelace', cart: ['tea'] })
  })

  test('A-05: nothing in the store works as a cookie', async () => {
    const ours = memory()
    let sid = ''
    const browser = (await app(toExpressStore(ours, session.Store)))()
    await browser.visit((req) => {
      req.session.user = 'ada'
      sid = req.sessionID
    })
    expect(sid.length).toBeGreaterThan(20)
    expect(JSON.stringify([...ours.list()])).not.toContain(sid)
  })
})

describe('lives', () => {
  /** A session as a caller of the store has it. */
  const content = (maxAge: number | null, more: object = {}) => ({
    cookie: { originalMaxAge: maxAge, ...(maxAge !== null && { expires: new Date(Date.now() + maxAge) }) },
    ...more,
  })
  const calling = (store: ReturnType<typeof toExpressStore<ExpressStore>>) => ({
    get: (sid: string) =>
      new Promise((resolve, reject) => store.get(sid, (e, found) => (e ? reject(e) : resolve(found)))),
    set: (sid: string, value: object) => new Promise((resolve) => store.set(sid, value, resolve)),
    touch: (sid: string, value: object) => new Promise((resolve) => store.touch(sid, value, resolve)),
  })

  test('a session ends with its cookie, or after `idle` where that has no end', async () => {
    const clock = manualClock()
    const store = calling(toExpressStore(memory({ clock }), session.Store, { clock, idle: 5000 }))
    await store.set('short', content(1000))
    await store.set('idle', content(null))
    clock.advance(990)
    expect(await store.get('short')).toMatchObject({ cookie: { originalMaxAge: 1000 } })
    clock.advance(10)
    expect(await store.get('short')).toBeNull()
    clock.advance(3999)
    expect(await store.get('idle')).toBeTruthy()
    clock.advance(1)
    expect(await store.get('idle')).toBeNull()
  })

  test('a cookie whose time has passed ends the session', async () => {
    const ours = memory()
    const store = calling(toExpressStore(ours, session.Store))
    await store.set('a', content(1000))
    const found = (await store.get('a')) as { cookie: { expires: unknown } }
    found.cookie.expires = new Date(Date.now() - 1)
    await store.set('a', found)
    expect(ours.size).toBe(0)
  })

  test('touch moves the end by tenths, keeps the contents, and makes nothing', async () => {
    const clock = manualClock()
    const { store: ours, calls } = counted(memory({ clock }))
    const store = calling(toExpressStore(ours, session.Store, { clock }))
    await store.set('a', content(10_000, { user: 'ada' }))
    const found = (await store.get('a')) as object
    calls()
    clock.advance(500)
    await store.touch('a', { ...found, ...content(10_000) })
    expect(calls()).toEqual(['get'])
    clock.advance(600)
    await store.touch('a', content(10_000, { user: 'not written by a touch' }))
    expect(calls()).toEqual(['get', 'set'])
    clock.advance(9_900)
    expect(await store.get('a')).toMatchObject({ user: 'ada' })
    await store.touch('nobody', content(10_000))
    expect(await store.get('nobody')).toBeNull()
  })

  test('a request costs one store call to read, and one to write', async () => {
    const { store: ours, calls } = counted(memory())
    const browser = (await app(toExpressStore(ours, session.Store)))()
    await browser.visit((req) => void Object.assign(req.session, { count: 1 }))
    expect(calls()).toEqual(['set'])
    await browser.visit((req) => void Object.assign(req.session, { count: 2 }))
    expect(calls()).toEqual(['get', 'set'])
    await browser.visit((req) => req.session.count)
    expect(calls()).toEqual(['get'])
  })

  test('all, length and clear are about these sessions alone', async () => {
    const ours = memory()
    const now = Date.now()
    ours.set('of another kind', { data: '{}', createdAt: now, seenAt: now, expiresAt: now + 1e6, version: 1 }, 0)
    const store = toExpressStore(later(ours), session.Store)
    for (const sid of ['a', 'b']) await calling(store).set(sid, content(null, { user: sid }))
    const all = await new Promise((resolve) => store.all!((_, found) => resolve(found)))
    expect((all as object[]).map((each) => (each as { user: string }).user).toSorted()).toEqual(['a', 'b'])
    expect(await new Promise((resolve) => store.length!((_, found) => resolve(found)))).toBe(2)
    await new Promise((resolve) => store.clear!(resolve))
    expect(ours.size).toBe(1)
    const { get, set, delete: remove } = ours
    const bare = toExpressStore({ get, set, delete: remove }, session.Store)
    expect([bare.all, bare.length, bare.clear]).toEqual([undefined, undefined, undefined])
  })
})

describe('faults', () => {
  test('A-80: a store that fails is an error of the request, and nobody is logged out', async () => {
    const ours = memory()
    let down = false
    const failing = gated(ours, (_, go) => {
      if (down) throw new Error('down')
      return go()
    })
    const browser = (await app(toExpressStore(failing, session.Store)))()
    await browser.visit((req) => void Object.assign(req.session, { user: 'ada' }))
    down = true
    expect(await browser.visit(() => 'never')).toBe(500)
    expect(browser.given).toBe(false)
    down = false
    expect(await browser.visit((req) => req.session.user)).toBe('ada')
  })

  test('A-73: a record that cannot be read is no session, and its text is in no message', async () => {
    const ours = memory()
    const store = toExpressStore(ours, session.Store)
    await new Promise((resolve) => store.set('a', { cookie: {} }, resolve))
    const [[id, was]] = [...ours.list()] as [[string, ReturnType<typeof ours.get> & object]]
    ours.set(id, { ...was, data: `${was.data.slice(0, -1)}secret`, version: 2 }, 1)
    expect(await new Promise((resolve) => store.get('a', (...said) => resolve(said)))).toEqual([null, null])
  })

  test('what somebody keeps there by hand, without a cookie, is kept as it is, and not touched', async () => {
    const store = toExpressStore(memory(), session.Store)
    const bare = { user: 'ada' } as session.SessionData
    await new Promise((resolve) => store.set('a', bare, resolve))
    await new Promise((resolve) => store.touch('a', bare, () => resolve(undefined)))
    expect(await new Promise((resolve) => store.get('a', (_, found) => resolve(found)))).toEqual({ user: 'ada' })
  })

  test('misuse says what to do', () => {
    // @ts-expect-error: the class, not the module
    expect(() => toExpressStore(memory(), session)).toThrow('toExpressStore: the second argument is express-session')
    expect(() => toExpressStore(memory(), session.Store, { idle: 0 })).toThrow(TypeError)
  })
})
