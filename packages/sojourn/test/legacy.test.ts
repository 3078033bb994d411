/**
 * Moving from express-session: its cookies and its sessions, written by the real express-session with the real connect-mongo
 * and connect-mongodb-session (over a STAND-IN for MongoDB), go on in `opaque` over `mongodb`, and nobody is logged out.
 */
import { once } from 'node:events'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import MongoStore from 'connect-mongo'
import express from 'express'
import expressSession, { type Store as ExpressStore, MemoryStore } from 'express-session'
import { MongoClient } from 'mongodb'
import { cookie, generateSecret, opaque, type Sessions, type SessionsOptions, type UserStore } from 'sojourn'
import { fetch as sessionFetch } from 'sojourn/adapter/fetch'
import { requireUser } from 'sojourn/guard/access'
import { memory } from 'sojourn/store/memory'
import { mongodb } from 'sojourn/store/mongodb'
import { type LegacyOptions, type LegacySession, type LegacyStore, legacy } from 'sojourn/strategy/legacy'
import { moved } from 'sojourn/transport/moved'
import { describe, expect, onTestFinished, test } from 'vitest'
import { connect, useStandIn } from './engines/mongodb.js'
import { gated } from './helpers.js'
import { Client } from './jar.js'
import { type Data, type Place, place, type View } from './journey.js'

/** It comes without types. */
const connectMongodbSession = createRequire(import.meta.url)('connect-mongodb-session') as (
  session: unknown,
) => new (
  options: object,
  done: (error?: unknown) => void,
) => ExpressStore & { readonly client: MongoClient }

const SECRET = 'keyboard cat'
const keys = generateSecret()

/** The app as it was: `/login/NAME` and `/add`. Answers with its address. */
async function oldApp(store: ExpressStore | undefined, secret: string | string[] = SECRET, maxAge = 3_600_000) {
  const app = express()
  app.use(
    expressSession({
      secret,
      resave: false,
      saveUninitialized: false,
      cookie: { maxAge },
      ...(store ? { store } : {}),
    }),
  )
  app.get('/login/:name', (req, res, next) => {
    req.session.regenerate((error) => {
      if (error) return next(error)
      Object.assign(req.session, { userId: req.params.name, cart: { count: 3 } })
      res.end('in')
    })
  })
  app.get('/guest', (req, res) => {
    Object.assign(req.session, { cart: { count: 7 } })
    res.end('guest')
  })
  app.get('/who', (req, res) => void res.json({ user: (req.session as unknown as { userId?: string }).userId ?? null }))
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** The value of `connect.sid`, as a browser has it after that request. */
async function cookieFrom(url: string): Promise<string> {
  const response = await fetch(url)
  const value = /^connect\.sid=([^;]+)/.exec(response.headers.getSetCookie()[0] ?? '')?.[1]
  expect(value).toMatch(/^s%3A/)
  return value!
}

/** As stores fail: with the id in the message. */
function fail(sid: string): never {
  throw new RangeError(`no such shard for ${sid}`)
}

/** What goes on of an old session. */
function read(old: LegacySession) {
  const { userId, cart } = old as { userId?: string; cart?: { count: number } }
  return { userId, data: { count: cart?.count ?? 0, text: '' } }
}

interface World extends Place {
  readonly store: UserStore
  /** A browser that the old app gave that cookie. */
  browser(value: string): Client
}

function newApp(
  from: LegacyStore,
  { store = memory(), ...more }: Partial<LegacyOptions & SessionsOptions<Data>> & { store?: UserStore } = {},
): World {
  const session = cookie()
  const old = cookie({ name: 'connect.sid', prefix: '' })
  const { secrets = SECRET, read: readOld = read, ...options } = more
  const strategy = [opaque({ store }), legacy({ from, secrets, read: readOld, store })]
  const app = place({ keys, strategy, transport: [session, moved({ from: old, to: session })], ...options })
  return { ...app, store, browser: (value) => new Client(app.handler, new Map([['connect.sid', value]])) }
}

async function records(store: UserStore, user: string): Promise<number> {
  let count = 0
  for await (const _ of store.list(user)) count++
  return count
}

describe('what the stores on MongoDB have written', () => {
  type Make = (url: string) => ExpressStore | Promise<ExpressStore>
  const client = async (url: string) => {
    const connected = await new MongoClient(url).connect()
    onTestFinished(() => connected.close())
    return connected
  }
  const stores: readonly (readonly [string, Make])[] = [
    ['connect-mongo', async (url) => MongoStore.create({ client: await client(url), dbName: 'app' })],
    [
      'connect-mongo, stringify: false',
      async (url) => MongoStore.create({ client: await client(url), stringify: false }),
    ],
    [
      'connect-mongo, crypto',
      async (url) => MongoStore.create({ client: await client(url), crypto: { secret: 'squirrel' } }),
    ],
    [
      'connect-mongo, touchAfter and timestamps',
      async (url) => MongoStore.create({ client: await client(url), touchAfter: 60, timestamps: true }),
    ],
    [
      'connect-mongodb-session',
      async (uri) => {
        const Store = connectMongodbSession(expressSession)
        const store = await new Promise<InstanceType<typeof Store>>((resolve, reject) => {
          const made = new Store({ uri, databaseName: 'app', collection: 'mySessions' }, (error) =>
            error ? reject(error) : resolve(made),
          )
        })
        onTestFinished(() => store.client.close())
        return store
      },
    ],
  ]

  test.each(stores)('%s: the user stays signed in, with the data, once and under a new cookie', async (_, make) => {
    const standIn = await useStandIn()
    const old = await make(standIn.url)
    const value = await cookieFrom(`${await oldApp(old)}/login/ann`)
    const store = mongodb(connect(standIn.url).db('app'))
    const app = newApp(old, { store })
    const browser = app.browser(value)
    expect(await browser.get<View>('/')).toMatchObject({ user: 'ann', count: 3 })
    expect([...browser.cookies.keys()]).toEqual(['__Host-Http-session'])
    expect(await browser.get<View>('/add')).toMatchObject({ user: 'ann', count: 4 })
    expect(await records(store, 'ann')).toBe(1)
    // From now on the old store is not asked for it, nor needed.
    const alone = browser.at(place({ keys, strategy: opaque({ store }) }).handler)
    expect(await alone.get<View>('/add')).toMatchObject({ user: 'ann', count: 5 })
    expect(await app.browser(value).get<View>('/')).toMatchObject({ refused: 'replaced' })
  })

  test('the old documents are left as they were', async () => {
    const standIn = await useStandIn()
    const old = MongoStore.create({ client: await client(standIn.url), dbName: 'app' })
    const address = await oldApp(old)
    const value = await cookieFrom(`${address}/login/ann`)
    const before = standIn.engine.documents('app.sessions')
    expect(before).toHaveLength(1)
    await newApp(old).browser(value).get('/add')
    expect(standIn.engine.documents('app.sessions')).toEqual(before)
  })
})

describe('moving', () => {
  async function world(more: Parameters<typeof newApp>[1] = {}, path = '/login/ann') {
    const old = new MemoryStore()
    const address = await oldApp(old)
    const value = await cookieFrom(address + path)
    return { old, address, value, app: newApp(old, more) }
  }

  test('a guest moves too, and signs in with what the guest had', async () => {
    const { app, value } = await world({}, '/guest')
    expect(await app.browser(value).get<View>('/add')).toMatchObject({ count: 8 })
    const other = await world({}, '/guest')
    const browser = other.app.browser(other.value)
    expect(await browser.get<View>('/login/bea')).toMatchObject({ user: 'bea', count: 7 })
    expect(await other.app.browser(other.value).get<View>('/')).toMatchObject({ refused: 'replaced' })
  })

  test('the form of the page that moves it works', async () => {
    const { app, value } = await world()
    const handler = sessionFetch(app.sessions, async (request) => {
      const session = await app.sessions.of(request)
      const sent = new URL(request.url).searchParams.get('token')
      return Response.json(sent === null ? { token: session.csrfToken() } : { verified: session.verifyCsrf(sent) })
    })
    const browser = app.browser(value).at(handler)
    const { token } = await browser.get('/')
    expect(await browser.get(`/?token=${token}`)).toEqual({ verified: true })
  })

  test('A-68: of parallel requests with the old cookie one moves it, all are answered, and one session is left', async () => {
    const { app, value, old } = await world()
    const slow = newApp({ get: (sid, done) => void setTimeout(() => old.get(sid, done), 20) }, { store: app.store })
    const views = await Promise.all(Array.from({ length: 8 }, () => slow.browser(value).get<View>('/')))
    expect(views.map(({ user }) => user)).toEqual(Array(8).fill('ann'))
    expect(await records(app.store, 'ann')).toBe(1)
  })

  test('A-68: of parallel changes none vanishes: it is kept, or its request is told', async () => {
    const { app, value, old } = await world()
    const slow = newApp({ get: (sid, done) => void setTimeout(() => old.get(sid, done), 20) }, { store: app.store })
    const clients = Array.from({ length: 5 }, () => slow.browser(value))
    const statuses = await Promise.all(clients.map(async (client) => (await client.send('/add')).status))
    const kept = statuses.filter((status) => status === 200)
    expect(kept).toHaveLength(1)
    expect(statuses.filter((status) => status === 409)).toHaveLength(4)
    const winner = clients[statuses.indexOf(200)]!
    expect(await winner.get<View>('/')).toMatchObject({ user: 'ann', count: 4 })
  })

  test('a logout ends it, and the old cookie opens nothing afterwards', async () => {
    const { app, value } = await world()
    const browser = app.browser(value)
    await browser.send('/logout')
    expect(browser.cookies.size).toBe(0)
    expect(await app.browser(value).get<View>('/')).toMatchObject({ refused: 'ended' })
    expect(app.events).toContain('ended logout')
  })

  test('7.4.3: ending all of a user’s sessions ends what has not moved yet, and nobody else’s', async () => {
    const { app, value, address } = await world()
    const bea = await cookieFrom(`${address}/login/bea`)
    await app.sessions.endAll('ann')
    expect(await app.browser(value).get<View>('/')).toMatchObject({ refused: 'ended' })
    expect(await app.browser(bea).get<View>('/')).toMatchObject({ user: 'bea' })
  })

  test('A-69: an ending of all that races with the move leaves nothing', async () => {
    for (const verb of ['get', 'set'] as const) {
      for (let at = 1; at <= 4; at++) {
        const bare = memory()
        let calls = 0
        let app: World | undefined
        const store = gated(bare, async (name, go) => {
          if (name === verb && ++calls === at) await app!.sessions.endAll('ann')
          return go()
        })
        const { old, value } = await world()
        const other = newApp(old, { store: bare })
        app = other
        const racing = newApp(old, { store })
        const browser = racing.browser(value)
        await browser.send('/add')
        if (calls < at) continue
        expect(await records(bare, 'ann'), `${verb} ${at}`).toBe(0)
        expect((await browser.at(other.handler).get<View>('/')).user).toBeUndefined()
      }
    }
  })

  test('7.4.3: who ends all others keeps the session, also when it is just moving', async () => {
    const { app, value, address } = await world()
    const another = await cookieFrom(`${address}/login/ann`)
    const handler = sessionFetch(app.sessions, async (request) => {
      const session = await app.sessions.of(request)
      await app.sessions.endAll('ann', { except: session.id })
      return new Response('ended all others')
    })
    const mine = app.browser(value).at(handler)
    await mine.send('/')
    expect(await mine.at(app.handler).get<View>('/')).toMatchObject({ user: 'ann' })
    expect(await app.browser(another).get<View>('/')).toMatchObject({ refused: 'ended' })
  })

  test('A-05: a cookie that others signed, or that was altered, is refused, and the old store is not asked', async () => {
    const { value, old } = await world()
    let asked = 0
    const app = newApp({
      get(sid, done) {
        asked++
        old.get(sid, done)
      },
    })
    const [sid] = decodeURIComponent(value).slice(2).split('.') as [string]
    const signature = value.slice(value.lastIndexOf('.') + 1)
    const forged = [`s%3A${sid}x.${signature}`, `s%3A${sid}.${'A'.repeat(43)}`, `s:${sid}.${'A'.repeat(43)}`]
    for (const bad of forged) expect(await app.browser(bad).get<View>('/')).toMatchObject({ refused: 'forged' })
    const malformed = [
      's%3A',
      's%3A.',
      `s%3A${sid}`,
      `s%3A${sid}.`,
      `s%3A${sid}.%ZZ`,
      `s%3A${'x'.repeat(2000)}.${signature}`,
      sid,
      `j%3A{}`,
    ]
    for (const bad of malformed) expect(await app.browser(bad).get<View>('/')).toMatchObject({ refused: 'malformed' })
    expect(asked).toBe(0)
  })

  test('all secrets that express-session accepted are', async () => {
    const old = new MemoryStore()
    const before = await cookieFrom(`${await oldApp(old, 'old one')}/login/ann`)
    const after = await cookieFrom(`${await oldApp(old, ['new one', 'old one'])}/login/bea`)
    const app = newApp(old, { secrets: ['new one', 'old one'] })
    expect(await app.browser(before).get<View>('/')).toMatchObject({ user: 'ann' })
    expect(await app.browser(after).get<View>('/')).toMatchObject({ user: 'bea' })
  })

  test('what has expired, is gone, or is not to go on, is ended; it never outlives its old cookie', async () => {
    const { old, value, app } = await world()
    const nothing = newApp(old, { read: () => undefined })
    expect(await nothing.browser(value).get<View>('/')).toMatchObject({ refused: 'ended' })
    const spoiled = newApp({ get: (_, done) => done(null, { cookie: { expires: new Date(Date.now() - 1) } }) })
    expect(await spoiled.browser(value).get<View>('/')).toMatchObject({ refused: 'expired' })
    const strange = newApp({ get: (_, done) => done(null, { cookie: { expires: 'never' } }) })
    expect(await strange.browser(value).get<View>('/')).toMatchObject({ refused: 'expired' })
    await new Promise((resolve) => old.clear(resolve))
    expect(await app.browser(value).get<View>('/')).toMatchObject({ refused: 'ended' })
    const gone = newApp({ get: (_, done) => done(Object.assign(new Error('no file'), { code: 'ENOENT' })) })
    expect(await gone.browser(value).get<View>('/')).toMatchObject({ refused: 'ended' })
  })

  test('A-80: an old store that fails is a 503, logs nobody out, and its message loses the id', async () => {
    const { value } = await world()
    const [sid] = decodeURIComponent(value).slice(2).split('.') as [string]
    const causes: unknown[] = []
    const app = newApp({ get: (asked, done) => done(new Error(`Error finding ${asked}`)) })
    app.sessions.on((event) => void causes.push(JSON.stringify(event)))
    const browser = app.browser(value)
    expect((await browser.send('/')).status).toBe(503)
    expect(browser.cookies.get('connect.sid')).toBe(value)
    expect(causes.join()).not.toContain(sid)
  })

  const failing: readonly (readonly [string, LegacyStore['get']])[] = [
    ['throws', (sid) => fail(sid)],
    ['rejects', async (sid) => fail(sid)],
  ]
  test.each(failing)('A-80, A-154: an old store that %s in place of calling back is no other case', async (_, get) => {
    const { value } = await world()
    const [sid] = decodeURIComponent(value).slice(2).split('.') as [string]
    const app = newApp({ get })
    let told = ''
    const handler = sessionFetch(app.sessions, async (request) => {
      const fault: unknown = await new Promise((done) => done(app.sessions.of(request))).catch((error) => error)
      told = inspect(fault, { depth: 9 })
      throw fault
    })
    expect((await app.browser(value).at(handler).send('/')).status).toBe(503)
    expect(told).toContain('the old store failed: RangeError')
    expect(told).not.toContain(sid)
  })

  test('A-75: whoever was nobody is a guest, and a user whose id is no text is nobody’s session', async () => {
    const { old, value } = await world()
    const as = (userId: unknown) => newApp(old, { read: () => ({ userId: userId as string, data: { count: 1 } }) })
    const app = as(null)
    const rule = requireUser(app.sessions as Sessions<object>)
    const handler = sessionFetch(app.sessions, async (request) => (await rule.fetch(request)) ?? new Response('in'))
    expect((await app.browser(value).at(handler).send('/')).status).toBe(401)
    for (const userId of [42, '', false, {}])
      await expect(as(userId).browser(value).send('/')).rejects.toThrow(/^legacy: the `userId`/)
  })

  test('data that would not come back as it is fails loudly', async () => {
    const { old, value } = await world()
    const app = newApp(old, { read: () => ({ userId: 'ann', data: { since: new Date() } }) })
    expect((await app.browser(value).send('/')).status).toBeGreaterThanOrEqual(500)
  })

  test('misuse is told when the server starts, or at the first login', async () => {
    const store = memory()
    const from = new MemoryStore()
    const good: LegacyOptions = { from, secrets: SECRET, read, store }
    for (const bad of [{ from: {} }, { secrets: [] }, { secrets: '' }, { read: undefined }, { store: undefined }])
      expect(() => legacy({ ...good, ...bad } as never)).toThrow(TypeError)
    expect(() => moved({ from: cookie(), to: cookie() })).toThrow(TypeError)
    const first = place({ keys, strategy: [legacy(good), opaque({ store })] })
    await expect(new Client(first.handler).send('/login/ann')).rejects.toThrow('after the strategy that issues')
  })
})
