/** The session as an app meets it: the whole journey, what becomes of its data, and what it costs. */
import type { Session } from 'sojourn'
import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { exchange } from './exchange.js'
import { App, counted, HOUR, MINUTE, ORIGIN, shop, type Verb } from './helpers.js'

test('the journey: a visit, a write, a login, parallel writers, a slide, an end, a logout, and a replay of it all', async () => {
  const app = shop()
  const browser = app.browser()
  const captured: string[] = []
  const start = app.clock()

  const first = await browser.visit((s) => [s.id, s.userId, s.refused, s.data.count, s.createdAt])
  expect([first.value, first.given]).toEqual([[undefined, undefined, 'absent', 0, undefined], undefined])

  await browser.visit((s) => {
    s.data.cart.push('book')
    s.flash('notice', 'One book')
  })
  captured.push(browser.cookie)
  expect((await browser.visit((s) => [s.userId, s.data.cart, s.createdAt])).value).toEqual([undefined, ['book'], start])

  app.clock.advance(MINUTE)
  const login = await browser.visit((s) => {
    s.login('ada')
    return [s.userId, s.data.cart, s.flashed('notice')]
  })
  captured.push(browser.cookie)
  expect(login.value).toEqual(['ada', ['book'], 'One book'])

  const cookie = browser.cookie
  await Promise.all(
    ['pen', 'ink', 'nib'].map((item) =>
      app.request(cookie, async (s) => {
        s.update('cart', (cart) => [...cart, item])
        s.data[`bought ${item}`] = true
        await Promise.resolve()
      }),
    ),
  )
  const after = await browser.visit((s) => ({ ...s.data, flash: s.flashed('notice') }))
  const bought = { 'bought pen': true, 'bought ink': true, 'bought nib': true }
  expect(after.value).toEqual({ cart: ['book', 'pen', 'ink', 'nib'], count: 0, ...bought, flash: undefined })

  for (let hour = 0; hour < 11; hour++) {
    for (let i = 0; i < 3; i++) {
      app.clock.advance(20 * MINUTE)
      expect((await browser.visit((s) => s.userId)).value).toBe('ada')
    }
  }
  const times = await browser.visit((s) => [s.createdAt, s.authenticatedAt, s.seenAt, s.expiresAt])
  expect(times.value).toEqual([start + MINUTE, start + MINUTE, app.clock(), app.clock() + 30 * MINUTE])

  await browser.visit((s) => s.rotate())
  captured.push(browser.cookie)
  expect((await browser.visit((s) => s.logout())).cleared).toBe(true)

  for (const replayed of captured) {
    const { value, given, cleared } = await app.request(replayed, (s) => [s.userId, s.data.cart])
    expect([value, given, cleared]).toEqual([[undefined, []], undefined, false])
  }
  expect([...(app.store.list() as Iterable<unknown>)]).toEqual([])
})

describe('what was shown is what is kept', () => {
  test('without a conflict, neither `initial` nor an update is run a second time', async () => {
    let made = 0
    const app = new App({ initial: () => ({ visitor: ++made, token: '' }) })
    let drawn = 0
    const { value, given } = await app.request('', (s) => {
      const token = s.update('token', (token) => token || `token ${++drawn}`)
      return [s.data.visitor, token]
    })
    const kept = await app.request(given!, (s) => [s.data.visitor, s.data.token])
    expect(kept.value).toEqual(value)
    expect(drawn).toBe(1)
  })

  test('on a conflict an update is run again, over what the other request left', async () => {
    const app = shop()
    const { given } = await app.request('', (s) => s.update('count', () => 1))
    await app.request(given!, async (slow) => {
      slow.update('count', (n) => n * 10)
      await app.request(given!, (fast) => fast.update('count', (n) => n + 1))
    })
    expect((await app.request(given!, (s) => s.data.count)).value).toBe(20)
  })

  test('of one key the last assignment wins; what is deleted is gone; new keys of `initial` appear', async () => {
    const app = shop()
    const { given } = await app.request('', (s) => Object.assign(s.data, { a: 1, b: 1, c: 1 }))
    await app.request(given!, async (slow) => {
      slow.data.a = 'slow'
      delete slow.data.b
      slow.data.c = undefined
      await app.request(given!, (fast) => Object.assign(fast.data, { a: 'fast', b: 'fast', c: 'fast' }))
    })
    expect((await app.request(given!, (s) => ({ ...s.data }))).value).toEqual({ cart: [], count: 0, a: 'slow' })

    const next = shop({ store: app.store, clock: app.clock, initial: () => ({ cart: [], count: 0, theme: 'dark' }) })
    expect((await next.request(given!, (s) => s.data.theme)).value).toBe('dark')
  })

  test('a change after the commit is an error and not silence, however it is made', async () => {
    const app = shop()
    const { given } = await app.request('', (s) => void s.data.cart.push('book'))
    await app.request(given!, async (s) => {
      const { cart } = s.data
      s.update('count', (n) => n + 1)
      await s.commit()
      const late = expect.objectContaining({ name: 'SessionCommittedError', code: 'ERR_LATE', status: 500 })
      const changes: (() => unknown)[] = [
        () => Object.assign(s.data, { count: 5 }),
        () => s.update('count', (n) => n + 1),
        () => s.flash('notice', 'late'),
        () => Reflect.deleteProperty(s.data, 'count'),
        () => s.login('ada'),
        () => s.logout(),
        () => s.rotate(),
      ]
      for (const change of changes) expect(change).toThrow(late)
      expect(() => cart.push('late')).toThrow(TypeError)
      expect(() => s.data.cart.push('late')).toThrow(TypeError)
      expect([s.data.count, s.data.cart]).toEqual([1, ['book']])
      await s.commit()
    })
    expect((await app.request(given!, (s) => [s.data.count, s.data.cart])).value).toEqual([1, ['book']])
  })
})

describe('flash', () => {
  test('is kept until it is read once, over a login too', async () => {
    const browser = shop().browser()
    await browser.visit((s) => s.flash('notice', { text: 'Saved' }))
    await browser.visit((s) => s.data.count)
    await browser.visit((s) => s.login('ada'))
    expect((await browser.visit((s) => [s.flashed('notice'), s.flashed('notice')])).value).toEqual([
      { text: 'Saved' },
      undefined,
    ])
    expect((await browser.visit((s) => s.flashed('notice'))).value).toBeUndefined()
  })

  test('asking for one that is not there writes nothing', async () => {
    const { store, calls } = counted(shop().store)
    const app = shop({ store })
    const { given } = await app.request('', (s) => s.login('ada'))
    calls()
    await app.request(given!, (s) => s.flashed('notice'))
    expect(calls()).toEqual(['get'])
  })
})

describe('login', () => {
  test.each<[string, { keep?: ('cart' | 'theme')[] } | undefined, object]>([
    ['all of a guest’s data comes along', undefined, { cart: ['book'], count: 3, theme: 'dark' }],
    ['or only what is named', { keep: ['cart'] }, { cart: ['book'], count: 0 }],
    ['or nothing', { keep: [] }, { cart: [], count: 0 }],
  ])('%s', async (_, options, expected) => {
    const browser = shop().browser()
    await browser.visit((s) => Object.assign(s.data, { cart: ['book'], count: 3, theme: 'dark' }))
    await browser.visit((s) => s.login('ada', options))
    expect((await browser.visit((s) => ({ ...s.data }))).value).toEqual(expected)
  })

  test('what the request itself wrote comes along whatever is named', async () => {
    const browser = shop().browser()
    await browser.visit((s) => Object.assign(s.data, { count: 3, theme: 'dark' }))
    await browser.visit((s) => {
      s.login('ada', { keep: [] })
      s.data.theme = 'light'
    })
    expect((await browser.visit((s) => ({ ...s.data }))).value).toEqual({ cart: [], count: 0, theme: 'light' })
  })

  test('N-09: "remember me" is asked for, and outlives the browser by as much as it may', async () => {
    const app = shop()
    const plain = await app.request('', (s) => s.login('ada'))
    expect(plain.headers.getSetCookie()[0]).not.toMatch(/Max-Age|Expires/)
    const kept = await app.request('', (s) => {
      s.login('ada', { persistent: true })
      return s.persistent
    })
    expect([kept.value, kept.headers.getSetCookie()[0]]).toEqual([true, expect.stringContaining('; Max-Age=2592000;')])
    app.clock.advance(14 * 24 * HOUR - 1)
    expect((await app.request(kept.given!, (s) => [s.userId, s.persistent])).value).toEqual(['ada', true])
    expect(await app.userOf(plain.given!)).toBeUndefined()
  })

  test('where it was begun is kept, cut to size and without what would break a line', async () => {
    const app = shop()
    const agent = `Mozilla\t${'x'.repeat(300)}`
    const { given } = await app.request('', (s) => s.login('ada'), { headers: { 'user-agent': agent } })
    const { value } = await app.request(given!, (s) => s.device)
    expect(value).toEqual({ userAgent: `Mozilla ${'x'.repeat(248)}` })
  })
})

describe('what it costs, in store calls', () => {
  const work: Record<string, (s: Parameters<Parameters<App['request']>[1]>[0]) => unknown> = {
    read: (s) => [s.userId, s.data.count, s.data.cart, s.flashed('x')],
    write: (s) => s.update('count', (n) => n + 1),
    login: (s) => s.login('ada'),
    'login and read': (s) => [s.login('ada'), s.data.cart, s.csrfToken()],
    rotate: (s) => s.rotate(),
    logout: (s) => s.logout(),
    'logout and write': (s) => [s.logout(), s.flash('notice', 'Bye')],
    'form token': (s) => s.csrfToken(),
  }
  test.each<[string, 'nobody' | 'guest' | 'user' | 'forged', keyof typeof work | undefined, Verb[]]>([
    ['an untouched request', 'user', undefined, []],
    ['a first visit, nothing written', 'nobody', 'read', []],
    ['a forged credential', 'forged', 'read', []],
    ['a read', 'user', 'read', ['get']],
    ['a write', 'user', 'write', ['get', 'set']],
    ['a first write', 'nobody', 'write', ['set']],
    ['a login from nowhere', 'nobody', 'login', ['set']],
    ['a login of a guest', 'guest', 'login', ['get', 'set', 'set']],
    ['a login of a user again', 'user', 'login and read', ['get', 'set', 'set']],
    ['a rotation', 'user', 'rotate', ['get', 'set', 'set']],
    ['a logout', 'user', 'logout', ['get', 'set']],
    ['a logout of nobody', 'nobody', 'logout', []],
    ['a logout that goes on as a guest', 'user', 'logout and write', ['get', 'set', 'set']],
    ['a form of a visitor', 'nobody', 'form token', ['set']],
    ['a form of a user', 'user', 'form token', ['get']],
  ])('%s: %s, %s', async (_, who, what, expected) => {
    const { store, calls } = counted(shop().store)
    const app = shop({ store })
    const cookies = {
      nobody: '',
      forged: `__Host-Http-session=k.${'A'.repeat(43)}.${'A'.repeat(43)}`,
      guest: (await app.request('', work.write!)).given!,
      user: (await app.request('', work.login!)).given!,
    }
    calls()
    if (what === undefined) {
      const { fetch } = await import('sojourn/adapter/fetch')
      await fetch(
        app.sessions,
        () => new Response('static'),
      )(new Request(ORIGIN, { headers: { cookie: cookies[who] } }))
    } else expect((await app.request(cookies[who], work[what]!)).status).toBe(200)
    expect(calls()).toEqual(expected)
  })

  test('a conflict costs two more for each writer that was faster', async () => {
    const { store, calls } = counted(shop().store)
    const app = shop({ store })
    const { given } = await app.request('', (s) => s.login('ada'))
    await app.request(given!, async (s) => {
      s.update('count', (n) => n + 1)
      for (let i = 0; i < 3; i++) {
        await app.request(given!, (other) => other.update('count', (n) => n + 1))
        calls()
      }
    })
    expect(calls()).toEqual(['set', 'get', 'set'])
  })

  test('asking twice in one request asks the store once; the list, one end and all ends are one or two', async () => {
    const { store, calls } = counted(shop().store)
    const app = shop({ store })
    const { given, value: id } = await app.request('', (s) => [s.login('ada'), s.id][1])
    calls()
    await app.request(given!, async (s, request) => {
      expect(await app.sessions.of(request)).toBe(s)
    })
    expect(calls()).toEqual(['get'])
    await app.sessions.list('ada')
    await app.sessions.end(id!)
    await app.sessions.endAll('ada')
    expect(calls()).toEqual(['list', 'get', 'set', 'endAll'])
  })

  test('over a synchronous store nothing is a promise', () => {
    const clock = manualClock()
    const app = shop({ clock, store: memory({ clock }) })
    const carried = (cookie?: string) => {
      const x = exchange(cookie ? { headers: { cookie } } : {})
      const request = {}
      const visit = app.sessions.begin(x, request)
      return {
        x,
        visit,
        session: app.sessions.of(request) as Exclude<ReturnType<typeof app.sessions.of>, Promise<unknown>>,
      }
    }
    const begin = carried()
    begin.session.login('ada')
    expect(begin.visit.commit()).toBeUndefined()
    const again = carried(begin.x.lines[0]!.split(';')[0])
    expect(again.session.userId).toBe('ada')
    again.session.rotate()
    again.session.data.note = 1
    expect([again.visit.commit(), again.x.lines.length]).toEqual([undefined, 1])
    expect(app.sessions.list('ada')).toHaveLength(1)
    expect(app.sessions.endAll('ada')).toBe(1)
  })
})

test('data is parsed once and not with each read, however much the data of many sessions is alike', async () => {
  const app = new App({ initial: () => ({ text: '' }) })
  const cookies: string[] = []
  for (let n = 100; n < 400; n++) {
    const write = (session: Session<{ text: string }>) => {
      session.data.text = `${'before '.repeat(20)}${n}${' after'.repeat(20)}`
    }
    cookies.push((await app.request('', write)).given!)
  }
  const read = async () => {
    for (const [n, cookie] of cookies.entries())
      expect((await app.request(cookie, (session) => session.data.text)).value).toContain(` ${n + 100} `)
  }
  await read()
  await read()
  const parse = vi.spyOn(JSON, 'parse')
  onTestFinished(() => parse.mockRestore())
  await read()
  expect(parse).not.toHaveBeenCalled()
})

test('the events of a journey, in full', async () => {
  const app = shop()
  const browser = app.browser()
  const at = app.clock()
  const guest = (await browser.visit((s) => [s.csrfToken(), s.id][1])).value as string
  const visited = (await browser.visit((s) => [s.login('ada'), s.id][1])).value as string
  app.clock.advance(3 * MINUTE)
  await browser.visit((s) => s.verifyCsrf('forged'))
  const rotated = (await browser.visit((s) => [s.rotate(), s.id][1])).value as string
  await browser.visit(() => {}, { method: 'POST', headers: { 'sec-fetch-site': 'cross-site' } })
  await app.request(`${browser.cookie}x`, () => {})
  await browser.visit((s) => s.logout())
  const other = await app.request('', (s) => [s.login('ada'), s.id][1])
  await app.sessions.end(other.value as string)
  await app.request('', (s) => s.login('ada'))
  await app.sessions.endAll('ada')

  const later = at + 3 * MINUTE
  expect(app.events).toEqual([
    { type: 'created', id: guest, at },
    {
      type: 'rotated',
      id: visited,
      from: guest,
      reason: 'login',
      userId: 'ada',
      at,
    },
    { type: 'refused', reason: 'csrf-token', ip: undefined, at: later },
    { type: 'renewed', id: visited, userId: 'ada', at: later },
    { type: 'rotated', id: rotated, from: visited, reason: 'rotate', userId: 'ada', at: later },
    { type: 'refused', reason: 'cross-origin', ip: undefined, at: later },
    { type: 'refused', reason: 'malformed', ip: undefined, at: later },
    { type: 'ended', id: rotated, userId: 'ada', reason: 'logout', at: later },
    { type: 'created', id: other.value, userId: 'ada', at: later },
    { type: 'ended', id: other.value, reason: 'revoked', at: later },
    { type: 'created', id: expect.any(String), userId: 'ada', at: later },
    { type: 'ended', userId: 'ada', reason: 'revoked-all', count: 1, at: later },
  ])
})
