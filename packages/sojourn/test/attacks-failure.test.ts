/** A store that fails, hangs, or stops halfway: nobody is logged out by it, nothing opens, and nobody waits for ever. */
import { access } from 'node:fs/promises'
import type { Limit } from 'sojourn'
import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type Answer, type App, type Around, type Browser, gated, shop, type Verb } from './helpers.js'

type Fails = (verb: Verb, call: number) => 'before' | 'after' | false

/** A shop whose store fails as `fail` was told: before it does what it is asked, or after, so that only the answer is lost. */
function fragile(asynchronous: boolean, options: { limit?: Limit } = {}) {
  const clock = manualClock()
  let call = 0
  let fails: Fails = () => false
  const around = (verb: Verb, go: () => unknown): unknown => {
    const how = fails(verb, ++call)
    if (how === 'before') throw new Error('ECONNREFUSED 10.0.0.5')
    const result = go()
    if (how === 'after') throw new Error('ECONNRESET 10.0.0.5')
    return result
  }
  const later: Around = async (verb, go) => around(verb, go)
  const store = gated(memory({ clock }), asynchronous ? later : around)
  const fail = (how: Fails) => {
    fails = how
    call = 0
  }
  return { app: shop({ clock, store, ...options }), fail, calls: () => call }
}

/** Rejections that nobody handles end the process: there must be none. */
function watchRejections(): () => Promise<unknown[]> {
  const unhandled: unknown[] = []
  const take = (reason: unknown) => void unhandled.push(reason)
  process.on('unhandledRejection', take)
  onTestFinished(() => void process.off('unhandledRejection', take))
  return async () => {
    await new Promise((resolve) => setImmediate(resolve))
    return unhandled
  }
}

/** 503, when to try again, and the client is left with what it has. */
function expectUnavailable(answer: Answer<unknown>) {
  expect([answer.status, answer.headers.get('retry-after'), answer.headers.getSetCookie()]).toEqual([503, '1', []])
  expect(answer.problem).toEqual({
    type: 'about:blank',
    title: 'Service Unavailable',
    status: 503,
    detail: 'Sessions cannot be reached just now. Nobody was signed out; try again in a moment.',
  })
  expect(answer.headers.get('cache-control')).toBe('no-store')
}

const kinds: [string, boolean][] = [
  ['a synchronous store', false],
  ['an asynchronous store', true],
]

describe.each(kinds)('%s that fails', (_, asynchronous) => {
  test('A-80: at read: 503, nobody is logged out, and when it is back so is everybody', async () => {
    const { app, fail } = fragile(asynchronous)
    const { given } = await app.request('', (s) => s.login('ada'))
    app.told()
    fail(() => 'before')
    for (let i = 0; i < 3; i++) expectUnavailable(await app.request(given!, (s) => s.userId))
    expect(app.events[0]).toMatchObject({ type: 'fault', code: 'ERR_STORE' })
    expect(JSON.stringify(app.events)).not.toContain('10.0.0.5')
    fail(() => false)
    expect(await app.userOf(given!)).toBe('ada')
  })

  test('A-80: whoever brings no credential does not notice', async () => {
    const { app, fail, calls } = fragile(asynchronous)
    fail(() => 'before')
    const answer = await app.request('', (s) => [s.userId, s.data.count])
    expect([answer.status, answer.value, calls()]).toEqual([200, [undefined, 0], 0])
    const forged = await app.request(`__Host-Http-session=k.${'A'.repeat(43)}.${'A'.repeat(43)}`, (s) => s.refused)
    expect([forged.status, forged.value, calls()]).toEqual([200, 'forged', 0])
  })

  test('A-80: two live credentials in one request: 503, and no rejection that nobody handles', async () => {
    const unhandled = watchRejections()
    const { app, fail } = fragile(asynchronous)
    const one = (await app.request('', (s) => s.login('ada'))).given!
    const two = (await app.request('', (s) => s.login('eve'))).given!
    fail(() => 'before')
    expectUnavailable(await app.request(`${one}; ${two}`, (s) => s.userId))
    expect(await unhandled()).toEqual([])
  })

  test.each<[string, (browser: Browser) => Promise<Answer<unknown>>]>([
    ['a change', (browser) => browser.visit((s) => void s.data.cart.push('pen'))],
    ['a login', (browser) => browser.visit((s) => s.login('eve'))],
    ['a rotation', (browser) => browser.visit((s) => s.rotate())],
    ['a logout', (browser) => browser.visit((s) => s.logout())],
    ['a flash', (browser) => browser.visit((s) => s.flash('notice', 'Saved'))],
  ])('A-81: at the write of %s: not answered as success, and all is as before', async (_, visit) => {
    const { app, fail } = fragile(asynchronous)
    const browser = app.browser()
    await browser.visit((s) => {
      s.login('ada')
      s.data.cart.push('book')
    })
    fail((verb) => (verb === 'set' || verb === 'delete') && 'before')
    expectUnavailable(await visit(browser))
    fail(() => false)
    const now = await browser.visit((s) => [s.userId, s.data.cart, s.flashed('notice')])
    expect(now.value).toEqual(['ada', ['book'], undefined])
    expect((await visit(browser)).status).toBe(200)
  })

  test('A-81: a handler that waits for the commit can answer the fault itself; it is not told again', async () => {
    const { app, fail } = fragile(asynchronous)
    fail(() => 'before')
    const answer = await app.request('', async (s) => {
      s.login('ada')
      try {
        await s.commit()
      } catch (fault) {
        return (fault as { code: string }).code
      }
    })
    expect([answer.status, answer.value, answer.given]).toEqual([200, 'ERR_STORE', undefined])
  })

  test('A-81: a store that refuses every write is not asked for ever', async () => {
    const { app } = fragile(asynchronous)
    const { given } = await app.request('', (s) => s.login('ada'))
    const set = vi.spyOn(app.store, 'set').mockImplementation(() => (asynchronous ? Promise.resolve(false) : false))
    onTestFinished(() => set.mockRestore())
    expect((await app.request(given!, (s) => s.update('count', (n) => n + 1))).status).toBe(409)
    expect((await app.request(given!, (s) => s.logout())).status).toBe(409)
    expect((await app.request(given!, (s) => s.rotate())).status).toBe(409)
    expect((await app.request('', (s) => s.login('ada'))).status).toBe(409)
    set.mockRestore()
    expect(await app.userOf(given!)).toBe('ada')
  })
})

describe('A-83: a crash between any two store calls', () => {
  const limit = (policy: Limit['policy']): { limit: Limit } => ({ limit: { sessions: 3, policy } })
  const flows: [string, (browser: Browser) => Promise<Answer<unknown>>, { limit?: Limit }?][] = [
    ['a change', (browser) => browser.visit((s) => s.update('count', (n) => n + 1))],
    ['a rotation', (browser) => browser.visit((s) => s.rotate())],
    ['a rotation with a change', (browser) => browser.visit((s) => [s.rotate(), s.update('count', (n) => n + 1)])],
    ['a login by the same user', (browser) => browser.visit((s) => s.login('ada'))],
    ['a login by another user', (browser) => browser.visit((s) => s.login('eve'))],
    ['a logout', (browser) => browser.visit((s) => s.logout())],
    ['a logout that goes on as a guest', (browser) => browser.visit((s) => [s.logout(), s.flash('notice', 'Bye')])],
    ['a login within the limit', (browser) => browser.visit((s) => s.login('ada')), limit('reject')],
    ['a login at the limit', (browser) => browser.visit((s) => s.login('ada')), limit('evict-oldest')],
  ]

  /** `user` (a guest, if undefined) with a cookie before the flow, and two more devices of ada's. */
  async function scene(asynchronous: boolean, user: string | undefined, options: { limit?: Limit } | undefined) {
    const fragileShop = fragile(asynchronous, options)
    const { app } = fragileShop
    const browser = app.browser()
    await browser.visit((s) => {
      s.data.cart.push('book')
      if (user) s.login(user)
    })
    const devices = [app.browser(), app.browser()]
    for (const device of devices) {
      app.clock.advance(1)
      await device.visit((s) => s.login('ada'))
    }
    return { ...fragileShop, browser, devices, sessions: (await app.sessions.list('ada')).length }
  }

  describe.each(kinds)('%s', (_, asynchronous) => {
    describe.each([undefined, 'ada'])('by %s', (user) => {
      test.each(flows)('A-83: %s: nobody is logged out, and no door is open', async (_, flow, options) => {
        const whole = await scene(asynchronous, user, options)
        whole.fail(() => false)
        expect((await flow(whole.browser)).status).toBe(200)
        const calls = whole.calls()
        expect(calls).toBeGreaterThan(1)

        for (let at = 1; at <= calls; at++) {
          for (const lasting of [false, true]) {
            const { app, fail, browser, devices, sessions } = await scene(asynchronous, user, options)
            const before = browser.cookie
            fail((_, call) => (lasting ? call >= at : call === at) && 'before')
            expectUnavailable(await flow(browser))
            fail(() => false)

            const where = `${lasting ? 'from' : 'at'} call ${at}`
            const here = await app.request(before, (s) => [s.userId, s.data.cart, s.refused])
            expect(here.value, where).toEqual([user, ['book'], undefined])
            for (const device of devices) expect(await app.userOf(device.cookie), where).toBe('ada')
            // What nobody got the credential of is taken back, unless nothing could be: then it expires.
            const left = (await app.sessions.list('ada')).length
            expect(left, where).toBeLessThanOrEqual(sessions + (lasting ? 1 : 0))
            if (!lasting) expect((await flow(browser)).status, where).toBe(200)
          }
        }
      })

      test.each(flows)('A-83: %s whose answer is lost: nothing opens but what did', async (_, flow, options) => {
        const whole = await scene(asynchronous, user, options)
        whole.fail(() => false)
        await flow(whole.browser)

        for (let at = 1; at <= whole.calls(); at++) {
          const { app, fail, browser } = await scene(asynchronous, user, options)
          const before = browser.cookie
          fail((_, call) => call === at && 'after')
          expectUnavailable(await flow(browser))
          fail(() => false)
          const here = await app.request(before, (s) => [s.userId, s.refused])
          // Either nothing has come of it, or the last step, which takes the old identifier away, was done.
          const untouched = here.value?.[0] === user && here.value?.[1] === undefined
          if (!untouched) expect(here.value, `call ${at}`).toEqual([undefined, expect.stringMatching(/replaced|ended/)])
          if (at === 1) expect(untouched).toBe(true)
        }
      })
    })
  })
})

describe('A-82: a store that takes 30 seconds', () => {
  afterEach(() => void vi.useRealTimers())

  /** All calls take 30 s while `slow` says so, and fail then if `fails` does. */
  async function sluggish() {
    const clock = manualClock()
    const state = { slow: false, fails: false, asked: 0 }
    const store = gated(memory({ clock }), async (_, go) => {
      state.asked++
      if (state.slow) await new Promise((resolve) => setTimeout(resolve, 30_000))
      if (state.fails) throw new Error('too late, and wrong')
      return go()
    })
    const app = shop({ clock, store })
    const { given } = await app.request('', (s) => s.login('ada'))
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    Object.assign(state, { slow: true, asked: 0 })
    return { app, state, cookie: given! }
  }

  const within = async (app: App, cookie: string, ms: number) => {
    let answer: Answer<unknown> | undefined
    const done = app
      .request(cookie, (s) => s.userId)
      .then((it) => {
        answer = it
      })
    await vi.advanceTimersByTimeAsync(ms)
    return { answer, done }
  }

  test('A-82: is waited for two seconds, and no longer', async () => {
    const { app, cookie } = await sluggish()
    const early = await within(app, cookie, 1_999)
    expect(early.answer).toBeUndefined()
    await vi.advanceTimersByTimeAsync(1)
    await early.done
    expectUnavailable((await within(app, cookie, 2_000)).answer!)
  })

  test('A-82: after five failures it is left alone for a second: no queue, and an answer at once', async () => {
    const { app, state, cookie } = await sluggish()
    for (let i = 0; i < 5; i++) expectUnavailable((await within(app, cookie, 2_000)).answer!)
    expect(state.asked).toBe(5)
    for (let i = 0; i < 1_000; i++) expectUnavailable(await app.request(cookie, (s) => s.userId))
    expect(state.asked).toBe(5)
    expect((await app.request('', (s) => s.refused)).value).toBe('absent')

    // One more try, which fails, and it is left alone again.
    await vi.advanceTimersByTimeAsync(1_000)
    expectUnavailable((await within(app, cookie, 2_000)).answer!)
    expectUnavailable(await app.request(cookie, (s) => s.userId))
    expect(state.asked).toBe(6)

    await vi.advanceTimersByTimeAsync(1_000)
    state.slow = false
    for (let i = 0; i < 10; i++) expect(await app.userOf(cookie)).toBe('ada')
  })

  test('A-82: what it answers or throws when nobody waits any more disturbs nobody', async () => {
    const unhandled = watchRejections()
    const { app, state, cookie } = await sluggish()
    state.fails = true
    expectUnavailable((await within(app, cookie, 2_000)).answer!)
    Object.assign(state, { slow: false, fails: false })
    expect(await app.userOf(cookie)).toBe('ada')
    state.fails = true
    await vi.advanceTimersByTimeAsync(60_000)
    state.fails = false
    expect(await app.userOf(cookie)).toBe('ada')
    vi.useRealTimers()
    expect(await unhandled()).toEqual([])
  })

  test('A-82: is not mistaken for a process that paused while the answer was on its way', async () => {
    let file = false
    const clock = manualClock()
    const store = gated(memory({ clock }), async (_, go) => {
      if (file) await access(import.meta.filename)
      return go()
    })
    const app = shop({ clock, store })
    const { given } = await app.request('', (s) => s.login('ada'))
    file = true
    const answer = app.request(given!, (s) => s.userId)
    await new Promise((resolve) => process.nextTick(resolve))
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_100)
    expect((await answer).value).toBe('ada')
  })
})
