/** What a guest gathered and what the app has kept of the user become one at a login: by the rules, and once. */
import fc from 'fast-check'
import { acceptNoRevocation, createSessions, type MergeRules, sealed } from 'sojourn'
import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { describe, expect, test } from 'vitest'
import { App, gated } from './helpers.js'

interface Basket {
  lines: Record<string, number>
  wishes: string[]
  count: number
  theme: string
  note: string
}

const initial = (): Basket => ({ lines: {}, wishes: [], count: 0, theme: 'light', note: '' })
const merge: MergeRules<Basket> = {
  lines: 'sum',
  wishes: 'union',
  count: 'sum',
  theme: 'newest',
  note: (guest, kept) => `${kept}, then ${guest}`,
}
const GUEST = { lines: { tea: 2, jam: 1 }, wishes: ['pen', 'ink'], count: 3, theme: 'dark', note: 'now' }
const KEPT = { lines: { tea: 1, rye: 4 }, wishes: ['ink', 'oak'], count: 10, theme: 'blue', note: 'then' }
const BOTH = {
  lines: { tea: 3, jam: 1, rye: 4 },
  wishes: ['ink', 'oak', 'pen'],
  count: 13,
  theme: 'dark',
  note: 'then, then now',
}

const ways = [
  ['opaque', {}],
  ['sealed', { strategy: sealed({ revocations: acceptNoRevocation }) }],
] as const

describe.each(ways)('%s', (_, options) => {
  const app = () => new App<Basket>({ initial, merge, ...options })

  test('each key by its rule, seen at once and kept', async () => {
    const browser = app().browser()
    await browser.visit((s) => void Object.assign(s.data, GUEST))
    const { value: seen } = await browser.visit((s) => {
      s.login('ada', { data: KEPT })
      return { ...s.data }
    })
    expect(seen).toEqual(BOTH)
    expect((await browser.visit((s) => ({ ...s.data }))).value).toEqual(BOTH)
  })

  test('a visitor who did nothing has what was kept', async () => {
    const browser = app().browser()
    await browser.visit((s) => s.login('ada', { data: KEPT }))
    expect((await browser.visit((s) => ({ ...s.data }))).value).toEqual(KEPT)
    const other = app().browser()
    await other.visit((s) => void s.data.wishes.push('pen'))
    await other.visit((s) => s.login('ada', { data: KEPT }))
    expect((await other.visit((s) => ({ ...s.data }))).value).toEqual({ ...KEPT, wishes: ['ink', 'oak', 'pen'] })
  })

  test('nothing handed over, nothing merged; a key without a rule is what was handed over', async () => {
    const browser = new App<Basket>({ initial, ...options }).browser()
    await browser.visit((s) => void Object.assign(s.data, GUEST))
    await browser.visit((s) => s.login('ada', { data: { theme: 'blue' } }))
    expect((await browser.visit((s) => ({ ...s.data }))).value).toEqual({ ...GUEST, theme: 'blue' })
  })

  test('signing in again merges nothing a second time: the session is the user’s own already', async () => {
    const browser = app().browser()
    await browser.visit((s) => void Object.assign(s.data, GUEST))
    await browser.visit((s) => s.login('ada', { data: KEPT }))
    await browser.visit((s) => s.login('ada', { data: KEPT, amr: ['otp'] }))
    expect((await browser.visit((s) => ({ ...s.data }))).value).toEqual(BOTH)
  })

  test('A-12: another user’s data is merged with nothing', async () => {
    const browser = app().browser()
    await browser.visit((s) => {
      s.login('eve')
      Object.assign(s.data, GUEST)
    })
    await browser.visit((s) => s.login('ada', { data: KEPT }))
    expect((await browser.visit((s) => ({ ...s.data }))).value).toEqual(KEPT)
  })

  test('with `keep`, only those keys of the guest count', async () => {
    const browser = app().browser()
    await browser.visit((s) => void Object.assign(s.data, GUEST))
    await browser.visit((s) => s.login('ada', { keep: ['wishes'], data: KEPT }))
    expect((await browser.visit((s) => ({ ...s.data }))).value).toEqual({ ...KEPT, wishes: BOTH.wishes })
  })

  test('what does not fit its rule changes nothing that was kept', async () => {
    const browser = app().browser()
    await browser.visit((s) => void Object.assign(s.data, { lines: [1], wishes: 'x', count: 'many' }))
    await browser.visit((s) => s.login('ada', { data: KEPT }))
    expect((await browser.visit((s) => ({ ...s.data }))).value).toEqual(KEPT)
  })

  test('A-72: a key that is called __proto__ is a key', async () => {
    const browser = app().browser()
    await browser.visit((s) => void Object.assign(s.data, JSON.parse('{"lines":{"__proto__":5}}')))
    const kept = JSON.parse('{"lines":{"__proto__":2,"tea":1}}')
    await browser.visit((s) => s.login('ada', { data: kept }))
    const { value } = await browser.visit((s) => JSON.stringify(s.data.lines))
    expect(value).toBe('{"__proto__":7,"tea":1}')
    expect(({} as Record<string, unknown>).tea).toBeUndefined()
  })

  test('A-71: several tabs sign in at once while the guest still writes: what the guest put in is there once', () =>
    fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.integer({ min: 2, max: 4 }),
        fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 3 }),
        async (scheduler, tabs, writes) => {
          const clock = manualClock()
          let racing = false
          const draw = () => scheduler.schedule(Promise.resolve())
          const store = gated(memory({ clock }), (_, go) => (racing ? draw().then(go) : go()))
          const app = new App<Basket>({ initial, merge, clock, store, ...options })
          const { given } = await app.request('', (s) => void Object.assign(s.data, { count: 1000, wishes: ['pen'] }))
          racing = true
          const kept = { count: 7, wishes: ['oak'] }
          const logins = Array.from({ length: tabs }, () => async () => {
            await draw()
            return app.request(given!, (s) => s.login('ada', { data: kept }))
          })
          const writers = writes.map((amount) => async () => {
            await draw()
            return app.request(given!, (s) => void s.update('count', (n) => n + amount))
          })
          const answers = await scheduler.waitFor(Promise.all([...logins, ...writers].map((start) => start())))
          racing = false
          const signedIn = answers.slice(0, tabs)
          expect(signedIn.map(({ status }) => status)).toEqual(signedIn.map(() => 200))
          const carts: { count: number; wishes: string[] }[] = []
          for (const { given } of signedIn) {
            const { value } = await app.request(given!, (s) => ({ count: s.data.count, wishes: [...s.data.wishes] }))
            carts.push(value!)
          }
          // Twice in one session, never; what was kept, always.
          for (const { count, wishes } of carts) {
            expect(count % 1000).toBeGreaterThanOrEqual(7)
            expect(count).toBeLessThan(2000)
            expect(wishes).toEqual(count >= 1000 ? ['oak', 'pen'] : ['oak'])
          }
          const carriers = carts.filter(({ count }) => count >= 1000)
          if ('strategy' in options) {
            // Whichever answer the browser keeps is the one cookie that it has: each must have brought the guest along.
            expect(carriers).toHaveLength(tabs)
          } else {
            expect(carriers).toHaveLength(1)
            // Whoever wrote in time is in it; whoever came too late was told, and wrote nowhere.
            const told = answers.slice(tabs).map(({ status }, i) => (status === 200 ? writes[i]! : 0))
            expect(carriers[0]!.count).toBe(1007 + told.reduce((a, b) => a + b, 0))
          }
        },
      ),
      { numRuns: 200 },
    ))
})

test.each(['add', null, 1, {}])('a rule that is none is a TypeError: %j', (rule) => {
  expect(() => createSessions({ keys: undefined!, merge: { cart: rule as never } })).toThrow(/merge: a rule is/)
})
