import { createHash } from 'node:crypto'
import fc from 'fast-check'
import {
  acceptNoRevocation,
  generateSecret,
  jwt,
  opaque,
  type Refusal,
  type SessionRecord,
  type StrategyFactory,
  sealed,
  type UserStore,
} from 'sojourn'
import { memory } from 'sojourn/store/memory'
import { type ManualClock, manualClock } from 'sojourn/testing/clock'
import { revocations } from 'sojourn/token/revocation'
import { type Redeemed, tickets } from 'sojourn/token/ticket'
import { describe, expect, test } from 'vitest'
import { HOSTILE_PATHS } from './fixtures/hostile-paths.js'
import { PATH, PLAIN, userOf, world } from './fixtures/tickets.js'
import { App, counted, gated } from './helpers.js'

describe('a ticket', () => {
  test('opens the session that it was issued for, as it is when it is used', async () => {
    const { app, login, issue, redeem } = world()
    const cookie = await login()
    const [info] = await app.sessions.list('ann')
    const found = await redeem(await issue(cookie))
    const { id, createdAt, expiresAt, authenticatedAt } = info!
    expect(found).toMatchObject({ id, createdAt, expiresAt, authenticatedAt, userId: 'ann', persistent: false })
  })

  test('A-118: works once', async () => {
    const { login, issue, redeem, app } = world()
    const ticket = await issue(await login())
    expect(userOf(await redeem(ticket))).toBe('ann')
    app.told()
    expect(await redeem(ticket)).toBe('replayed')
    expect(app.events).toMatchObject([{ type: 'refused', reason: 'replayed' }])
  })

  test.each([2, 5, 50])('A-118: works for exactly one of %i who present it at once', async (count) => {
    const clock = manualClock()
    const inner = memory({ clock })
    // Everybody has read that it is there before anybody deletes it.
    const reading: (() => void)[] = []
    const store = gated(inner, async (verb, go) => {
      if (verb === 'get' && waiting) {
        await new Promise<void>((resolve) => {
          reading.push(resolve)
          if (reading.length === count) for (const release of reading) release()
        })
      }
      return go()
    })
    let waiting = false
    const { ticket, login, issue } = (() => {
      const made = world({ clock, store: inner })
      return { ...made, ticket: tickets({ sessions: made.app.sessions, store }) }
    })()
    const text = await issue(await login())
    waiting = true
    const found = await Promise.all(Array.from({ length: count }, () => ticket.redeem(text, PATH, PLAIN)))
    expect(found.filter((one) => typeof one !== 'string')).toHaveLength(1)
    expect(found.filter((one) => one === 'replayed')).toHaveLength(count - 1)
  })

  test.each(['/other', '/live/', '/LIVE', '/live?a=1', '/', ''])(
    'is for its path alone: %j costs no store call and does not use it up',
    async (path) => {
      const { login, issue, app, clock, store } = world()
      const watched = counted(store)
      const ticket = tickets({ sessions: app.sessions, store: watched.store })
      const text = await issue(await login())
      expect(await ticket.redeem(text, path, PLAIN)).toBe('forged')
      expect(watched.calls()).toEqual([])
      clock.advance(1)
      expect(userOf(await ticket.redeem(text, PATH, PLAIN))).toBe('ann')
    },
  )

  test('may be for a path and its query', async () => {
    const { login, issue, redeem } = world()
    const cookie = await login()
    expect(userOf(await redeem(await issue(cookie, '/file?id=1'), '/file?id=1'))).toBe('ann')
    expect(await redeem(await issue(cookie, '/file?id=1'), '/file?id=2')).toBe('forged')
  })

  test('lives 30 seconds, to the millisecond, and a minute at most', async () => {
    const { login, issue, redeem, clock, app, store } = world()
    const cookie = await login()
    const [early, late] = [await issue(cookie), await issue(cookie)]
    clock.advance(29_999)
    expect(userOf(await redeem(early))).toBe('ann')
    clock.advance(1)
    expect(await redeem(late)).toBe('expired')
    for (const lifetime of [999, 60_001, Number.NaN, Number.POSITIVE_INFINITY, -1])
      expect(() => tickets({ sessions: app.sessions, store, lifetime })).toThrow(TypeError)
  })

  test('whatever the store forgets: a late ticket is refused without it', async () => {
    const clock = manualClock()
    // Its own clock stands still, so that it forgets nothing.
    const store = memory({ clock: manualClock() })
    const { login, issue, redeem } = world({ clock, store, lifetime: 60_000 })
    const text = await issue(await login())
    clock.advance(60_000)
    expect(await redeem(text)).toBe('expired')
  })

  test.each<[string, Record<string, string>]>([
    ['Sec-Purpose', { 'sec-purpose': 'prefetch' }],
    ['a prerender', { 'sec-purpose': 'prefetch;prerender' }],
    ['Purpose', { purpose: 'prefetch' }],
    ['X-Purpose', { 'x-purpose': 'preview' }],
    ['X-Moz', { 'x-moz': 'prefetch' }],
  ])('A-146: a prefetch does not use it up: %s', async (_, headers) => {
    const { login, issue, redeem, app } = world()
    const text = await issue(await login())
    app.told()
    expect(await redeem(text, PATH, { headers })).toBe('absent')
    expect(await redeem(text, PATH, { headers: new Headers(headers) })).toBe('absent')
    expect(app.told()).toEqual([])
    expect(userOf(await redeem(text, PATH, { headers: new Headers() }))).toBe('ann')
  })

  test('is for guests too, and nobody is written about for one', async () => {
    const { app, issue, redeem, ticket } = world()
    const first = await app.request('', (session) => ticket.issue(session, PATH))
    expect(first.value).toBeUndefined()
    expect(first.given).toBeUndefined()
    const { given } = await app.request('', (session) => {
      session.data.count = 1
    })
    const found = await redeem(await issue(given!))
    expect(found).toMatchObject({ userId: undefined, id: expect.any(String) })
  })

  test('of the very request that signs in works once that is done', async () => {
    const { app, ticket, redeem } = world()
    const { value } = await app.request('', (session) => {
      session.login('ann')
      return ticket.issue(session, PATH)
    })
    expect(userOf(await redeem(value))).toBe('ann')
  })

  test.each([...HOSTILE_PATHS, 'live'])('A-96: is for no place like %j', async (path) => {
    const { app, ticket, login } = world()
    await expect(app.request(await login(), (session) => ticket.issue(session, path))).rejects.toThrow(TypeError)
  })
})

async function rows(store: UserStore): Promise<[id: string, record: SessionRecord][]> {
  const all: [string, SessionRecord][] = []
  for await (const row of store.list()) all.push(row)
  return all
}

describe('what is no ticket', () => {
  test('A-05 A-06: is refused before the store is asked', async () => {
    const { app, store, login, issue } = world()
    const watched = counted(store)
    const ticket = tickets({ sessions: app.sessions, store: watched.store })
    const good = await issue(await login())
    const [key, random, ends, mac] = good.split('.') as [string, string, string, string]
    const later = (Number.parseInt(ends, 36) + 1000).toString(36)
    const bad: [unknown, Refusal][] = [
      [undefined, 'absent'],
      ['', 'absent'],
      ['a', 'malformed'],
      [[good], 'malformed'],
      [{ ticket: good }, 'malformed'],
      ['x'.repeat(65_536), 'malformed'],
      [`${good}=`, 'malformed'],
      [good.slice(0, -1), 'malformed'],
      [` ${good}`, 'malformed'],
      [[key, random, later, mac].join('.'), 'forged'],
      [[key, random, ends, 'A'.repeat(43)].join('.'), 'forged'],
      [['other', random, ends, mac].join('.'), 'forged'],
    ]
    for (const [text, refusal] of bad) expect(await ticket.redeem(text, PATH, PLAIN)).toBe(refusal)
    expect(watched.calls()).toEqual([])
    expect(userOf(await ticket.redeem(good, PATH, PLAIN))).toBe('ann')
  })

  test('A-05: nor is one with any character changed, or anything else a stranger sends', async () => {
    const { app, store, login, issue } = world()
    const watched = counted(store)
    const ticket = tickets({ sessions: app.sessions, store: watched.store })
    const good = await issue(await login())
    const changed = fc
      .tuple(fc.nat(good.length - 1), fc.constantFrom(...'Aa0-_.=~ é'))
      .map(([at, by]) => good.slice(0, at) + by + good.slice(at + 1))
      .filter((text) => text !== good)
    fc.assert(
      fc.property(fc.oneof(changed, fc.string({ unit: 'binary', minLength: 1 }), fc.anything()), (text) => {
        expect(['absent', 'malformed', 'forged']).toContain(ticket.redeem(text, PATH, PLAIN))
      }),
      { numRuns: 1000 },
    )
    expect(watched.calls()).toEqual([])
  })

  test('A-118: a credential is no ticket, a ticket no credential, nor the handle either', async () => {
    const { app, login, issue, redeem } = world()
    const cookie = await login()
    const [name, credential] = cookie.split('=') as [string, string]
    const ticket = await issue(cookie)
    const id = (await app.sessions.list('ann'))[0]!.id
    expect(await redeem(credential)).toBe('malformed')
    expect(await redeem(id)).toBe('malformed')
    expect((await app.request(`${name}=${ticket}`, (session) => session.refused)).value).toBe('malformed')
  })

  test('A-10: a stolen store opens nothing, and shows nobody', async () => {
    const { store, login, issue, redeem, app } = world()
    const cookie = await login()
    const before = new Set((await rows(store)).map(([id]) => id))
    const text = await issue(cookie)
    const [row] = (await rows(store)).filter(([id]) => !before.has(id))
    const dump = JSON.stringify(row)
    for (const secret of [text, ...text.split('.').filter((part) => part.length > 20), cookie.split('=')[1]!, 'ann'])
      expect(dump).not.toContain(secret)
    expect(await redeem(row![0])).toBe('malformed')
    expect(await app.sessions.end(row![0])).toBe(false)
    expect(await app.sessions.list('ann')).toHaveLength(1)
  })

  test('A-10: nor can who writes to it put one session in the place of another', async () => {
    const { store, login, issue, redeem } = world()
    const [eve, ann] = [await issue(await login('eve')), await issue(await login('ann'))]
    const row = (text: string) => `ticket ${createHash('sha256').update(text).digest('base64url')}`
    const [ofEve, ofAnn] = [(await store.get(row(eve)))!, (await store.get(row(ann)))!]
    expect(await store.set(row(eve), { ...ofEve, data: ofAnn.data, version: 2 }, 1)).toBe(true)
    expect(await redeem(eve)).toBe('forged')
  })

  test('A-90: a store that fails is a fault, and the ticket is as good as before', async () => {
    let broken = false
    const clock = manualClock()
    const store = gated(memory({ clock }), (_, go) => {
      if (broken) throw new Error('down')
      return go()
    })
    const { login, issue, redeem } = world({ clock, store })
    const text = await issue(await login())
    broken = true
    expect(() => redeem(text)).toThrow(expect.objectContaining({ code: 'ERR_STORE' }))
    broken = false
    expect(userOf(await redeem(text))).toBe('ann')
  })
})

const KINDS: Record<string, (clock: ManualClock, store: UserStore) => StrategyFactory | StrategyFactory[]> = {
  opaque: (_, store) => opaque({ store }),
  sealed: (clock) => sealed({ revocations: revocations({ store: memory({ clock }), clock }) }),
  jwt: (clock) => jwt({ issuer: 'i', audience: 'a', revocations: revocations({ store: memory({ clock }), clock }) }),
  'opaque and sealed': (clock, store) => [
    opaque({ store }),
    sealed({ revocations: revocations({ store: memory({ clock }), clock }) }),
  ],
}

describe.each(Object.keys(KINDS))('the ticket of a session that has ended, %s', (kind) => {
  const made = () => {
    const clock = manualClock()
    const store = memory({ clock })
    return world({ clock, store, strategy: KINDS[kind]!(clock, store) })
  }

  test.each<[string, (app: App, cookie: string) => unknown]>([
    ['A-123: logout', (app, cookie) => app.request(cookie, (session) => session.logout())],
    ['A-123: rotation', (app, cookie) => app.request(cookie, (session) => session.rotate())],
    ['A-123: another login', (app, cookie) => app.request(cookie, (session) => session.login('bea'))],
    ['A-123: endAll', (app) => app.sessions.endAll('ann')],
    [
      '7.4.2: end',
      async (app, cookie) => {
        const { value } = await app.request(cookie, (session) => session.id)
        await app.sessions.end(value!)
      },
    ],
  ])('%s: it opens nothing, and what it opened is alive no more', async (_, finish) => {
    const { app, login, issue, redeem } = made()
    const cookie = await login()
    const [text, used] = [await issue(cookie), await issue(cookie)]
    const open = (await redeem(used)) as Redeemed
    expect(open.userId).toBe('ann')
    expect(await open.alive()).toBe(true)
    await finish(app, cookie)
    expect(await redeem(text)).toMatch(/^(ended|replaced)$/)
    expect(await open.alive()).toBe(false)
  })

  test('7.3.2: its absolute end', async () => {
    const { login, issue, redeem, clock, app } = made()
    const cookie = await login()
    const open = (await redeem(await issue(cookie))) as Redeemed
    clock.advance(29 * 60_000)
    expect(await open.alive()).toBe(true)
    clock.advance(60_000)
    expect(await open.alive()).toBe(false)
    expect(app.told()).toContain('created')
  })
})

describe('rotated keys', () => {
  test('a ticket of the older one is redeemed, one of a key that is gone is not', async () => {
    const clock = manualClock()
    const store = memory({ clock })
    const [older, newer] = [generateSecret(), generateSecret()]
    const at = (keys: string | string[]) => {
      const app = new App({ clock, store, keys, strategy: opaque({ store }) })
      return { app, ticket: tickets({ sessions: app.sessions, store }) }
    }
    const first = at(older)
    const { given } = await first.app.request('', (session) => session.login('ann'))
    const issue = async () => (await first.app.request(given!, (s) => first.ticket.issue(s, PATH))).value
    expect(userOf(await at([newer, older]).ticket.redeem(await issue(), PATH, PLAIN))).toBe('ann')
    expect(await at(newer).ticket.redeem(await issue(), PATH, PLAIN)).toBe('forged')
  })
})

test('a strategy that cannot end sessions still ends them in time', async () => {
  const { login, issue, redeem } = world({ strategy: sealed({ revocations: acceptNoRevocation }) })
  expect(userOf(await redeem(await issue(await login())))).toBe('ann')
})
