/** What an audit hears of a login: every session that begins is told, and every one that ends. */
import { acceptNoRevocation, opaque, type SessionEvent, type SessionsOptions, sealed } from 'sojourn'
import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { describe, expect, test } from 'vitest'
import { gated, type Shop, shop } from './helpers.js'

const sealedSessions = () => sealed({ revocations: acceptNoRevocation })

/** In the order of their kind, since where a session moves the new one is told first. */
const sorted = (events: readonly SessionEvent[]) =>
  events.map(({ at: _, ...event }) => event).toSorted((a, b) => b.type.localeCompare(a.type))

describe.each<[string, Pick<SessionsOptions<Shop>, 'strategy'>]>([
  ['opaque', {}],
  ['sealed', { strategy: sealedSessions() }],
])('%s', (_, options) => {
  test('another user’s login ends the session that was there, and begins one', async () => {
    const app = shop(options)
    const browser = app.browser()
    const ada = (await browser.visit((s) => [s.login('ada'), s.id][1])).value
    app.told()
    const eve = (await browser.visit((s) => [s.login('eve'), s.id][1])).value
    expect(sorted(app.events)).toEqual([
      { type: 'ended', id: ada, userId: 'ada', reason: 'login' },
      { type: 'created', id: eve, userId: 'eve' },
    ])
  })

  test('the same user’s goes on with it, and so does a guest’s', async () => {
    const app = shop(options)
    const browser = app.browser()
    await browser.visit((s) => s.update('count', () => 1))
    for (const user of ['ada', 'ada']) {
      app.told()
      const from = (await browser.visit((s) => s.id)).value
      const id = (await browser.visit((s) => [s.login(user), s.id][1])).value
      expect(sorted(app.events)).toEqual([{ type: 'rotated', id, from, reason: 'login', userId: 'ada' }])
    }
  })
})

test('where the session moves to another strategy at the login, it is told as well', async () => {
  const clock = manualClock()
  const store = memory({ clock })
  const before = shop({ store, clock })
  const { given, value: ada } = await before.request('', (s) => [s.login('ada'), s.id][1])
  const app = shop({ store, clock, strategy: [sealedSessions(), opaque({ store })] })
  const { value: eve } = await app.request(given!, (s) => [s.login('eve'), s.id][1])
  expect(sorted(app.events)).toEqual([
    { type: 'ended', id: ada, userId: 'ada', reason: 'login' },
    { type: 'created', id: eve, userId: 'eve' },
  ])
})

test('a session that was ended meanwhile is told once, by whoever ended it', async () => {
  const clock = manualClock()
  const inner = memory({ clock })
  let meanwhile: (() => unknown) | undefined
  const store = gated(inner, async (verb, go) => {
    if (verb !== 'set') return go()
    const then = meanwhile
    meanwhile = undefined
    await then?.()
    return go()
  })
  const app = shop({ store, clock })
  const { given, value: ada } = await app.request('', (s) => [s.login('ada'), s.id][1])
  app.told()
  meanwhile = () => app.request(given!, (s) => s.logout())
  const { value: eve } = await app.request(given!, (s) => [s.login('eve'), s.id][1])
  expect(sorted(app.events)).toEqual([
    { type: 'ended', id: ada, userId: 'ada', reason: 'logout' },
    { type: 'created', id: eve, userId: 'eve' },
  ])
})
