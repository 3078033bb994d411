/** What an app is made to keep, and what a store may answer: nothing of it becomes anything but data. */
import type { SessionRecord } from 'sojourn'
import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { describe, expect, test } from 'vitest'
import { type App, counted, shop } from './helpers.js'

/** What a client sends and an app merges without a look: own keys, as `JSON.parse` makes them. */
const parsed = (text: string) => JSON.parse(text) as Record<string, unknown>

describe('A-72: prototype pollution', () => {
  test.each([
    ['__proto__', '{"__proto__":{"isAdmin":true}}'],
    ['constructor', '{"constructor":{"prototype":{"isAdmin":true}}}'],
    ['a nested __proto__', '{"cart":{"__proto__":{"isAdmin":true}}}'],
    ['prototype', '{"prototype":{"isAdmin":true}}'],
  ])('A-72: %s from a client is data of this session alone', async (_, body) => {
    const browser = shop().browser()
    await browser.visit((s) => {
      for (const [key, value] of Object.entries(parsed(body))) s.data[key] = value
      s.flash('body', parsed(body))
    })
    const read = await browser.visit((s) => {
      const { isAdmin } = s.data
      return { isAdmin, keys: Object.keys(s.data), text: JSON.stringify(s.data), flash: s.flashed('body') }
    })

    expect(read.value!.isAdmin).toBeUndefined()
    expect(JSON.parse(read.value!.text)).toEqual({ cart: [], count: 0, ...parsed(body) })
    expect(read.value!.keys).toEqual(expect.arrayContaining(Object.keys(parsed(body))))
    expect(JSON.stringify(read.value!.flash)).toBe(body)
    expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined()
    expect(([] as { isAdmin?: boolean }).isAdmin).toBeUndefined()
  })

  test('A-72: a conflict, a login and a login that keeps some keys leave it where it is', async () => {
    const app = shop()
    const { given } = await app.request('', (s) => Object.assign(s.data, { note: 1 }))
    const body = parsed('{"__proto__":{"isAdmin":true}}')
    await app.request(given!, async (slow) => {
      for (const key of Object.keys(body)) slow.data[key] = body[key]
      await app.request(given!, (fast) => {
        fast.data.note = 2
      })
    })
    const { given: user } = await app.request(given!, (s) => s.login('ada', { keep: ['__proto__'] }))
    const read = await app.request(user!, (s) => [JSON.stringify(s.data), s.data.isAdmin])

    expect(read.value).toEqual(['{"cart":[],"count":0,"__proto__":{"isAdmin":true}}', undefined])
    expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined()
  })

  test('A-72: inherited names are no data, and the data has no other prototype', async () => {
    const { value } = await shop().request('', ({ data }) => {
      expect(() => Object.setPrototypeOf(data, { isAdmin: true })).toThrow(TypeError)
      return ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'isAdmin'].map((key) => data[key])
    })
    expect(value).toEqual([undefined, undefined, undefined, undefined, undefined])
  })

  test('A-72: a record that holds such keys opens as data', async () => {
    const app = shop()
    const { given } = await app.request('', (s) => s.login('ada'))
    tamper(app, 'ada', (r) => ({ ...r, data: '{"data":{"__proto__":{"isAdmin":true}},"__proto__":{"flash":{}}}' }))

    const read = await app.request(given!, (s) => [s.data.isAdmin, Object.keys(s.data), s.flashed('isAdmin')])
    expect(read.value).toEqual([undefined, ['cart', 'count', '__proto__'], undefined])
  })
})

describe('A-73: a record that is not as we wrote it', () => {
  test.each([
    ['truncated', '{"data":{"cart":["boo'],
    ['of another type', '[]'],
    ['of a data that is none', '{"data":[1]}'],
    ['of a flash that is none', '{"data":{},"flash":[1]}'],
    ['of an older version', '{"version":1,"session":{}}'],
    ['no JSON', 'O:8:"stdClass":0:{}'],
    ['null', 'null'],
  ])('A-73: data %s: the data begins anew, who is signed in stays, and it is told', async (_, data) => {
    const app = shop()
    const { given } = await app.request('', (s) => s.login('ada'))
    tamper(app, 'ada', (record) => ({ ...record, data }))
    app.told()

    const read = await app.request(given!, (s) => [s.userId, { ...s.data }, s.flashed('x')])
    expect([read.status, read.value]).toEqual([200, ['ada', { cart: [], count: 0 }, undefined]])
    expect(app.events).toEqual([expect.objectContaining({ type: 'fault', code: 'ERR_DATA' })])

    await app.request(given!, (s) => s.update('count', (n) => n + 1))
    app.told()
    expect((await app.request(given!, (s) => s.data.count)).value).toBe(1)
    expect(app.told()).toEqual([])
  })

  test.each<[string, object]>([
    ['no data', { data: undefined }],
    ['data that is no text', { data: { cart: [] } }],
    ['a user who is no text', { userId: { $ne: null } }],
    ['a time that is no number', { createdAt: '2026-01-01' }],
    ['no end', { expiresAt: undefined }],
    ['an end that is no number', { expiresAt: Number.NaN }],
    ['no activity', { seenAt: undefined }],
    ['no version', { version: '1' }],
  ])('A-73: a record with %s is refused, and the visitor is a guest', async (_, wrong) => {
    const { app, given } = await withRecord((record) => ({ ...record, ...wrong }) as SessionRecord)
    const read = await app.request(given, (s) => [s.userId, s.refused])
    expect([read.status, read.value, read.cleared, read.given]).toEqual([
      200,
      [undefined, 'malformed'],
      false,
      undefined,
    ])
    expect(app.told()).toEqual(['refused'])
  })
})

describe('A-74: what cannot be kept', () => {
  class Point {
    x = 1
  }
  const cycle: Record<string, unknown> = {}
  cycle.self = cycle
  const kinds: [string, unknown][] = [
    ['a cycle', cycle],
    ['a BigInt', 1n],
    ['a Date', new Date(0)],
    ['a Map', new Map([[1, 2]])],
    ['a Set', new Set([1])],
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['a class instance', new Point()],
    ['NaN', Number.NaN],
    ['Infinity', Number.POSITIVE_INFINITY],
    ['a toJSON', { toJSON: () => ({ role: 'admin' }) }],
    ['an array with a hole', [1, undefined]],
    ['bytes', new Uint8Array(4)],
  ]

  test.each(kinds)('A-74: %s: refused where it is put, with a typed error that does not show it', async (_, value) => {
    const app = shop()
    const answer = await app.request('', (s) => {
      for (const put of [
        () => {
          s.data.thing = value
        },
        () => {
          s.data.thing = { deep: [value] }
        },
        () => s.update('thing', () => value),
        () => s.flash('thing', value),
        () => Object.defineProperty(s.data, 'thing', { value }),
      ])
        expect(put).toThrow(expect.objectContaining({ code: 'ERR_DATA', status: 500 }))
      return Object.keys(s.data)
    })
    expect(answer.value).toEqual(['cart', 'count'])
  })

  test.each(kinds)('A-74: %s: put inside an object that was read, it is refused at the commit', async (_, value) => {
    const app = shop()
    const { given } = await app.request('', (s) => s.login('ada'))
    app.told()
    const answer = await app.request(given!, (s) => void (s.data.cart as unknown[]).push(value))

    expect([answer.status, answer.given, answer.cleared]).toEqual([500, undefined, false])
    expect(answer.problem).toEqual({ type: 'about:blank', title: 'Internal Server Error', status: 500 })
    expect(app.events).toEqual([expect.objectContaining({ type: 'fault', code: 'ERR_DATA' })])
    expect((await app.request(given!, (s) => [s.userId, s.data.cart])).value).toEqual(['ada', []])
  })

  test.each([
    ['in one text', (n: number) => 'x'.repeat(n)],
    ['in characters of three bytes', (n: number) => '\u20ac'.repeat(n / 3)],
    [
      'in many keys',
      (n: number) => Object.fromEntries(Array.from({ length: n / 20 }, (_, i) => [`key${i}`, 'x'.repeat(10)])),
    ],
  ])('A-74: more than 1 MB %s is refused, and what was kept stays', async (_, make) => {
    const app = shop()
    const { given } = await app.request('', (s) => {
      s.data.note = 'small'
    })
    app.told()
    for (const bytes of [1_100_000, 10_000_000]) {
      const answer = await app.request(given!, (s) => {
        s.data.note = make(bytes)
      })
      expect([answer.status, answer.given]).toEqual([500, undefined])
    }
    expect(app.told()).toEqual(['fault', 'fault'])
    expect((await app.request(given!, (s) => s.data.note)).value).toBe('small')
  })

  test('A-74: what is nested too deep for JSON is refused, not a crash', async () => {
    let deep: unknown = 1
    for (let i = 0; i < 100_000; i++) deep = [deep]
    const app = shop()
    const { given } = await app.request('', (s) => {
      expect(() => {
        s.data.note = deep
      }).toThrow(expect.objectContaining({ code: 'ERR_DATA' }))
      s.data.note = []
    })
    const inside = await app.request(given!, (s) => void (s.data.note as unknown[]).push(deep))
    expect([inside.status, app.told().at(-1)]).toEqual([500, 'fault'])
  })

  test('A-74: what can be kept comes back as it was', async () => {
    const kept = { text: 'a\u0000\u2028\ud83d\ude00\ud800', n: [0, -1.5, 1e300], t: [true, false, null], o: { p: {} } }
    const browser = shop().browser()
    await browser.visit((s) => {
      s.data.note = kept
    })
    expect((await browser.visit((s) => s.data.note)).value).toEqual(kept)
  })

  test('A-74: freezing the data, or hiding a getter in it, is refused and harms nothing', async () => {
    const browser = shop().browser()
    await browser.visit((s) => void s.data.cart.push('book'))
    const after = await browser.visit((s) => {
      expect(() => Object.freeze(s.data)).toThrow(TypeError)
      expect(() => Object.seal(s.data)).toThrow(TypeError)
      expect(() => Object.defineProperty(s.data, 'cart', { get: () => ['bomb'], configurable: true })).toThrow(
        TypeError,
      )
      s.data.note = 'still open'
      return { ...s.data }
    })
    expect(after.value).toEqual({ cart: ['book'], count: 0, note: 'still open' })
    expect((await browser.visit((s) => ({ ...s.data }))).value).toEqual(after.value)
  })
})

describe('A-75: keys that mean something to us', () => {
  const claims = {
    userId: 'root',
    id: 'x',
    version: 99,
    expiresAt: 9e15,
    createdAt: 0,
    authenticatedAt: 1,
    persistent: true,
    device: {},
    data: {},
    flash: {},
    cookie: { maxAge: 1e9 },
    aal: 3,
  }

  test('A-75: are data of the app when the app is made to keep them, and nothing else', async () => {
    const app = shop()
    const honest = await app.request('', (s) => s.login('ada'))
    const { given } = await app.request(honest.given!, (s) => Object.assign(s.data, claims))
    expect(given).toBeUndefined()

    const read = await app.request(honest.given!, (s) => {
      const { userId, createdAt, expiresAt, authenticatedAt, persistent } = s
      return { userId, createdAt, expiresAt, authenticatedAt, persistent, data: { ...s.data } }
    })
    const now = app.clock()
    expect(read.value).toEqual({
      userId: 'ada',
      createdAt: now,
      expiresAt: now + 30 * 60_000,
      authenticatedAt: now,
      persistent: false,
      data: { cart: [], count: 0, ...claims },
    })
  })

  test('A-75: a guest stays a guest, whatever the data says', async () => {
    const browser = shop().browser()
    await browser.visit((s) => Object.assign(s.data, claims))
    expect((await browser.visit((s) => s.userId)).value).toBeUndefined()
    expect((await browser.visit((s) => Reflect.set(s, 'userId', 'root'))).value).toBe(false)
    expect((await browser.visit((s) => s.userId)).value).toBeUndefined()
  })

  test('A-75: flash values and data do not meet', async () => {
    const browser = shop().browser()
    await browser.visit((s) => {
      s.flash('cart', 'flash')
      s.flash('userId', 'root')
    })
    const read = await browser.visit((s) => [s.data.cart, s.flashed('cart'), s.userId, s.flashed('userId')])
    expect(read.value).toEqual([[], 'flash', undefined, 'root'])
  })
})

test.each([[undefined], [null], [''], [0], [{ $gt: '' }], [['ada']], [true]])(
  'A-76: login(%j), as a parser may hand it over, is misuse and not a user',
  async (userId) => {
    const app = shop()
    const { given } = await app.request('', (s) => {
      expect(() => s.login(userId as never)).toThrow(TypeError)
      return s.userId
    })
    expect(given).toBeUndefined()
  },
)

describe('A-77: visitors that nobody wrote about', () => {
  test('A-77: 10,000 of them that read leave nothing behind and are sent nothing', async () => {
    const { store, calls } = counted(shop().store)
    const app = shop({ store })
    for (let i = 0; i < 10_000; i++) {
      const { given } = await app.request('', (s) => [s.data.count, s.userId, s.flashed('x'), s.verifyCsrf('x'), s.id])
      if (given !== undefined) expect.fail('a visitor who only read was given a session')
    }
    expect(calls()).toEqual([])
  })

  test('A-77: a flood of guests who write pushes out guests, never a user', async () => {
    const clock = manualClock()
    const app = shop({ clock, store: memory({ clock, max: 100 }) })
    const { given } = await app.request('', (s) => s.login('ada'))
    for (let i = 0; i < 500; i++) await app.request('', (s) => s.update('count', (n) => n + 1))
    expect(await app.userOf(given!)).toBe('ada')
    expect([...(app.store.list() as Iterable<unknown>)].length).toBeLessThanOrEqual(100)
  })
})

test('A-79: users whose ids begin alike, or look like patterns, are kept apart', async () => {
  const app = shop()
  const users = ['1', '10', '1:0', '1%', '_', '*', 'a\u0000b', 'a', 'A', '__proto__', 'constructor', "' OR 1=1 --"]
  const cookies = await Promise.all(users.map(async (user) => (await app.request('', (s) => s.login(user))).given!))

  for (const user of users) expect(await app.sessions.list(user), user).toHaveLength(1)
  expect(await app.sessions.endAll('1')).toBe(1)
  expect(await app.sessions.endAll('*')).toBe(1)
  const left = await Promise.all(cookies.map((cookie) => app.userOf(cookie)))
  expect(left).toEqual(users.map((user) => (user === '1' || user === '*' ? undefined : user)))
})

/** Changes the one record of `userId` behind the library's back. */
function tamper(app: App, userId: string, change: (record: SessionRecord) => SessionRecord): void {
  const [[id, record]] = [...(app.store.list(userId) as Iterable<[string, SessionRecord]>)] as [[string, SessionRecord]]
  expect(app.store.set(id, { ...change(record), version: record.version + 1 }, record.version)).toBe(true)
}

/** A session whose store answers with another record than the one it was given. */
async function withRecord(change: (record: SessionRecord) => SessionRecord) {
  const { store } = shop()
  let tampered = false
  const app = shop({
    store: {
      ...store,
      get(id) {
        const record = store.get(id) as SessionRecord | undefined
        return tampered && record ? change(record) : record
      },
      set: (...args) => store.set(...args),
      delete: (...args) => store.delete(...args),
      list: (...args) => store.list(...args),
      endAll: (...args) => store.endAll(...args),
    },
  })
  const { given } = await app.request('', (s) => s.login('ada'))
  tampered = true
  app.told()
  return { app, given: given! }
}
