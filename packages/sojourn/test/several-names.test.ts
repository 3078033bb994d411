/** What a page was given to name its session by is good in the next request, whatever becomes of the session meanwhile. */
import { acceptNoRevocation, jwt, opaque, type StrategyFactory, sealed } from 'sojourn'
import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { revocations } from 'sojourn/token/revocation'
import { tickets } from 'sojourn/token/ticket'
import { describe, expect, test } from 'vitest'
import { PATH, PLAIN, userOf } from './fixtures/tickets.js'
import { type App, type Browser, type Shop, shop } from './helpers.js'

const ISSUED = { issuer: 'https://shop.example', audience: 'shop' }
const LARGE = 'x'.repeat(6000)

/** Every way, over stores that the apps of one test share. */
function world() {
  const clock = manualClock()
  const ends = { revocations: revocations({ store: memory({ clock }), clock }), devices: memory({ clock }) }
  const store = memory({ clock })
  const ways = {
    opaque: opaque({ store }),
    sealed: sealed(ends),
    jwt: jwt({ ...ISSUED, ...ends }),
    hidden: jwt({ ...ISSUED, ...ends, encrypt: true }),
    fitting: sealed({ ...ends, onTooLarge: 'next' }),
  }
  const app = (...strategy: StrategyFactory[]) => shop({ clock, store, strategy })
  return { clock, store, ways, app }
}

type Way = keyof ReturnType<typeof world>['ways']

/** Somebody who signed in under `from`, before an app that keeps sessions as `to` now. */
async function moving(from: Way, to: Way) {
  const { ways, app, ...rest } = world()
  const before = app(ways[from]).browser()
  await before.visit((session) => {
    session.login('ann')
    session.data.count = 1
  })
  const now = app(ways[to], ways[from])
  return { ...rest, now, browser: now.browser(before.cookie), alone: app(ways[to]) }
}

const form = (browser: Browser<Shop>) => browser.visit((session) => session.csrfToken())
const posts = async (browser: Browser<Shop>, token: unknown) =>
  (await browser.visit((session) => [session.userId, session.verifyCsrf(token)], { method: 'POST' })).value
const keptBy = async (app: App<Shop>, { cookie }: Browser<Shop>) => (await app.userOf(cookie)) !== undefined

const moves: [from: Way, to: Way][] = [
  ['opaque', 'sealed'],
  ['sealed', 'opaque'],
  ['opaque', 'jwt'],
  ['jwt', 'opaque'],
  ['sealed', 'hidden'],
]

describe.each(moves)('in the request that moves a session from %s to %s', (from, to) => {
  test('the form of the page works, after other requests too', async () => {
    const { browser, alone } = await moving(from, to)
    const token = (await form(browser)).value
    expect(await keptBy(alone, browser)).toBe(true)
    await browser.visit((session) => session.data.count)
    expect(await posts(browser, token)).toEqual(['ann', true])
  })

  test('a form of the page before works', async () => {
    const { ways, app } = world()
    const before = app(ways[from])
    const old = before.browser()
    await old.visit((session) => session.login('ann'))
    const token = (await form(old)).value
    const browser = app(ways[to], ways[from]).browser(old.cookie)
    expect(await posts(browser, token)).toEqual(['ann', true])
  })

  test('a ticket is redeemed, and the session moves all the same', async () => {
    const { now, browser, store, alone } = await moving(from, to)
    const ticket = tickets({ sessions: now.sessions, store })
    const { value } = await browser.visit((session) => ticket.issue(session, PATH))
    expect(userOf(await ticket.redeem(value, PATH, PLAIN))).toBe('ann')
    await browser.visit((session) => session.data.count)
    expect(await keptBy(alone, browser)).toBe(true)
  })

  test('what a page was told first holds, be it by a form or by a ticket', async () => {
    const { now, browser, store } = await moving(from, to)
    const ticket = tickets({ sessions: now.sessions, store })
    const both = async (browser: Browser<Shop>) =>
      (await browser.visit(async (session) => [await ticket.issue(session, PATH), session.csrfToken()])).value!
    const [text, token] = await both(browser)
    expect(userOf(await ticket.redeem(text, PATH, PLAIN))).toBe('ann')
    expect(await posts(browser, token)).toEqual(['ann', true])

    const other = await moving(from, to)
    const late = tickets({ sessions: other.now.sessions, store: other.store })
    const { value } = await other.browser.visit(async (session) => {
      const token = session.csrfToken()
      return [token, await late.issue(session, PATH)]
    })
    expect(await posts(other.browser, value![0])).toEqual(['ann', true])
    if (value![1] !== undefined) expect(userOf(await late.redeem(value![1], PATH, PLAIN))).toBe('ann')
  })

  test('ending all others spares it', async () => {
    const { browser, now } = await moving(from, to)
    await browser.visit((session) => now.sessions.endAll('ann', { except: session.id }))
    expect(await now.userOf(browser.cookie)).toBe('ann')
  })
})

describe('what does not fit', () => {
  const grown = (session: { data: Shop }) => {
    session.data.text = LARGE
  }

  test.each(['login', 'rotate', 'guest'] as const)('%s: is found under the name that the page had', async (what) => {
    const { ways, app, store } = world()
    const now = app(ways.fitting, ways.opaque)
    const browser = now.browser()
    if (what === 'rotate') await browser.visit((session) => session.login('ann'))
    const { value } = await browser.visit((session) => {
      if (what === 'login') session.login('ann')
      if (what === 'rotate') session.rotate()
      grown(session)
      return { token: session.csrfToken(), id: session.id }
    })
    expect((await browser.visit((session) => [session.id, session.data.text])).value).toEqual([value!.id, LARGE])
    expect((await posts(browser, value!.token))![1]).toBe(true)
    expect(store.size).toBeGreaterThan(0)
  })

  test('and fits again: is taken back by a request that has given away no name', async () => {
    const { ways, app } = world()
    const browser = app(ways.fitting, ways.opaque).browser()
    const alone = app(ways.fitting)
    await browser.visit((session) => {
      session.login('ann')
      grown(session)
    })
    const { value } = await browser.visit((session) => {
      session.data.text = ''
      return session.csrfToken()
    })
    expect(await keptBy(alone, browser)).toBe(false)
    expect(await posts(browser, value)).toEqual(['ann', true])
    await browser.visit((session) => session.update('count', (n) => n + 1))
    expect(await keptBy(alone, browser)).toBe(true)
  })

  test('a logout is one, also where what the guest is left with does not fit', async () => {
    const { clock, store } = world()
    const strategy = [sealed({ revocations: acceptNoRevocation, onTooLarge: 'next' }), opaque({ store })]
    for (const large of [false, true]) {
      const browser = shop({ clock, store, strategy }).browser()
      await browser.visit((session) => {
        session.login('ann')
        if (large) grown(session)
      })
      const { value } = await browser.visit((session) => {
        session.logout()
        grown(session)
        return session.csrfToken()
      })
      expect((await browser.visit(({ userId, data }) => [userId, data.text])).value).toEqual([undefined, LARGE])
      expect(await posts(browser, value)).toEqual([undefined, true])
    }
  })
})

describe('a change, where nothing can be changed after the move', () => {
  test('of the request that would move it is kept, and comes along with the next', async () => {
    const { browser, alone, now } = await moving('opaque', 'hidden')
    const add = () => browser.visit((session) => session.update('count', (n) => n + 1))
    expect((await add()).status).toBe(200)
    expect(await keptBy(alone, browser)).toBe(false)
    expect((await browser.visit((session) => session.data.count)).value).toBe(2)
    expect(await keptBy(alone, browser)).toBe(true)
    now.events.length = 0
    expect((await add()).status).toBe(500)
    expect(now.events).toMatchObject([{ type: 'fault', code: 'ERR_DATA' }])
    expect((await browser.visit((session) => session.data.count)).value).toBe(2)
  })

  test.each(['jwt', 'hidden'] as const)('with a rotation is refused as it is without: %s', async (to) => {
    for (const from of ['opaque', to] as const) {
      const { browser, now, store } = await moving(from, to)
      const before = [browser.cookie, store.size]
      const answer = await browser.visit((session) => {
        session.data.count = 5
        session.rotate()
      })
      expect(answer.problem).toMatchObject({ status: 500 })
      expect([browser.cookie, store.size]).toEqual(before)
      expect(await now.userOf(browser.cookie)).toBe('ann')
    }
  })
})
