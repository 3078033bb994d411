/** The breaker before a store: what counts as a failure in a row, and how it finds out that the store is back. */
import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { type App, gated, shop } from './helpers.js'

afterEach(() => void vi.useRealTimers())

/** What becomes of a call: `hang` is for ever. */
type Mood = 'well' | 'cut' | 'hang'

async function scene(asynchronous = true) {
  const clock = manualClock()
  const state = { mood: 'well' as Mood, asked: 0, delay: 10 }
  const store = gated(memory({ clock }), (_, go) => {
    state.asked++
    const { mood } = state
    const act = () => {
      if (mood === 'cut') throw new Error('ECONNRESET')
      return go()
    }
    if (!asynchronous) return act()
    if (mood === 'hang') return new Promise(() => {})
    return new Promise((resolve) => setTimeout(resolve, state.delay)).then(act)
  })
  const app = shop({ clock, store })
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  const signedIn = app.request('', (s) => s.login('ada'))
  await vi.advanceTimersByTimeAsync(100)
  const cookie = (await signedIn).given!
  state.asked = 0
  return { app, state, cookie }
}

/** So many requests at once; gives the status of each once `ms` have gone by, 0 for one that still waits. */
async function crowd(app: App, cookie: string, size: number, ms: number): Promise<number[]> {
  const statuses: number[] = Array(size).fill(0)
  for (let i = 0; i < size; i++)
    void app
      .request(cookie, (s) => s.userId)
      .then(({ status }) => {
        statuses[i] = status
      })
  await vi.advanceTimersByTimeAsync(ms)
  return statuses
}

const count = (all: number[], status: number) => all.filter((one) => one === status).length

describe('A-82: the breaker', () => {
  test('what was under way together when a line broke has failed once: the next request is served at once', async () => {
    const { app, state, cookie } = await scene()
    state.mood = 'cut'
    expect(count(await crowd(app, cookie, 200, 10), 503)).toBe(200)
    state.mood = 'well'
    expect(count(await crowd(app, cookie, 200, 10), 200)).toBe(200)
    expect(state.asked).toBe(400)
  })

  test('five failures that follow each other open it, however many calls each of them was', async () => {
    const { app, state, cookie } = await scene()
    state.mood = 'cut'
    for (let round = 0; round < 5; round++) expect(count(await crowd(app, cookie, 20, 10), 503)).toBe(20)
    expect(state.asked).toBe(100)
    expect(count(await crowd(app, cookie, 1_000, 0), 503)).toBe(1_000)
    expect(state.asked).toBe(100)
  })

  test('calls that nobody answers count each: a store that hangs holds up one crowd, and not five', async () => {
    const { app, state, cookie } = await scene()
    state.mood = 'hang'
    expect(count(await crowd(app, cookie, 300, 2_000), 503)).toBe(300)
    expect(count(await crowd(app, cookie, 300, 0), 503)).toBe(300)
    expect(state.asked).toBe(300)
  })

  test('after its rest one call is let through, alone; the others are answered at once until it is known what it came to', async () => {
    const { app, state, cookie } = await scene()
    state.mood = 'hang'
    await crowd(app, cookie, 10, 2_000)
    state.asked = 0
    await vi.advanceTimersByTimeAsync(1_000)
    const waiting = await crowd(app, cookie, 500, 1_999)
    expect([count(waiting, 0), count(waiting, 503), state.asked]).toEqual([1, 499, 1])
    expect(count(await crowd(app, cookie, 500, 0), 503)).toBe(500)
    await vi.advanceTimersByTimeAsync(1)
    expect(count(waiting, 503)).toBe(500)

    // It failed: another second, then the next one, which succeeds, and everybody is served.
    expect(count(await crowd(app, cookie, 500, 999), 503)).toBe(500)
    expect(state.asked).toBe(1)
    state.mood = 'well'
    await vi.advanceTimersByTimeAsync(1)
    expect(count(await crowd(app, cookie, 500, 10), 200)).toBe(1)
    expect(state.asked).toBe(2)
    expect(count(await crowd(app, cookie, 500, 10), 200)).toBe(500)
  })

  test('what was asked before it opened, and fails later, does not keep it open', async () => {
    const { app, state, cookie } = await scene()
    state.mood = 'hang'
    for (let i = 0; i < 19; i++) await crowd(app, cookie, 10, 100)
    // From 2000 ms on they fail, one crowd each 100 ms, until 3900 ms; it opened with the first.
    await crowd(app, cookie, 10, 100)
    expect(count(await crowd(app, cookie, 10, 0), 503)).toBe(10)
    state.mood = 'well'
    await vi.advanceTimersByTimeAsync(1_010)
    expect(count(await crowd(app, cookie, 1, 10), 200)).toBe(1)
    expect(count(await crowd(app, cookie, 100, 10), 200)).toBe(100)
  })

  test('a "no" is no failure: unknown sessions and lost races do not open it', async () => {
    const { app, state, cookie } = await scene()
    const { store } = app
    const set = vi.spyOn(store, 'set').mockImplementation(() => Promise.resolve(false))
    const writes = Array.from({ length: 20 }, () => app.request(cookie, (s) => s.rotate()))
    await vi.advanceTimersByTimeAsync(20_000)
    expect(new Set((await Promise.all(writes)).map(({ status }) => status))).not.toContain(200)
    set.mockRestore()
    state.asked = 0
    expect(count(await crowd(app, cookie, 50, 10), 200)).toBe(50)
    expect(state.asked).toBe(50)
  })

  test('a synchronous store that fails is left alone too, and asked again by one', async () => {
    const { app, state, cookie } = await scene(false)
    state.mood = 'cut'
    expect(count(await crowd(app, cookie, 50, 0), 503)).toBe(50)
    expect(state.asked).toBe(5)
    state.mood = 'well'
    await vi.advanceTimersByTimeAsync(1_000)
    expect(count(await crowd(app, cookie, 50, 0), 200)).toBe(50)
  })

  test.each([
    ['a login', (app: App) => app.request('', (s) => s.login('eve'))],
    ['a first visit', (app: App) => app.request('', (s) => void s.data.cart.push('pen'))],
  ])('no request waits for a store twice: %s', async (_, request) => {
    const { app, state } = await scene()
    state.mood = 'hang'
    let status = 0
    void request(app).then((answer) => {
      status = answer.status
    })
    await vi.advanceTimersByTimeAsync(1_999)
    expect(status).toBe(0)
    await vi.advanceTimersByTimeAsync(1)
    expect(status).toBe(503)
  })

  test.each([
    ['a rotation', (app: App, cookie: string) => app.request(cookie, (s) => s.rotate())],
    ['a login over a session', (app: App, cookie: string) => app.request(cookie, (s) => s.login('eve'))],
    ['a logout', (app: App, cookie: string) => app.request(cookie, (s) => s.logout())],
  ])('no request waits for a store twice: %s, when it hangs after the read', async (_, request) => {
    const { app, state, cookie } = await scene()
    let status = 0
    void request(app, cookie).then((answer) => {
      status = answer.status
    })
    state.mood = 'hang'
    await vi.advanceTimersByTimeAsync(2_010)
    expect(status).toBe(503)
    // The read, which was answered, and the write.
    expect(state.asked).toBeGreaterThan(1)
  })
})
