/** What ends a stateless session ends it for good: two processes, of which the other does not know yet, and every order. */
import { generateSecret, jwt, opaque, type StrategyFactory, sealed, type UserStore } from 'sojourn'
import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { type Revocations, revocations } from 'sojourn/token/revocation'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { gated } from './helpers.js'
import { Client } from './jar.js'
import { type Place, place, type View } from './journey.js'

const keys = generateSecret()
const WITHIN = 5_000
const open: Revocations[] = []
afterEach(() => {
  for (const one of open.splice(0)) one.close()
})

type Make = (shared: { revocations: Revocations; devices: UserStore }) => StrategyFactory
const ways: [string, Make][] = [
  ['sealed', (shared) => sealed(shared)],
  ['jwt', (shared) => jwt({ ...shared, issuer: 'https://id.example', audience: 'shop' })],
]

/** Two processes on the same stores, each with a copy of its own of what was ended. */
function world(make: Make, around: (store: UserStore) => UserStore = (store) => store) {
  const clock = manualClock()
  const [ended, devices, records] = [1, 2, 3].map(() => around(memory({ clock }))) as [UserStore, UserStore, UserStore]
  const started = (before: (byId: StrategyFactory, own: StrategyFactory) => StrategyFactory[]): Place => {
    const own = revocations({ store: ended, clock, within: WITHIN })
    open.push(own)
    return place({ keys, clock, strategy: before(opaque({ store: records }), make({ revocations: own, devices })) })
  }
  return { clock, ended, started }
}

const alone = (_: StrategyFactory, own: StrategyFactory) => [own]
const converting = (byId: StrategyFactory, own: StrategyFactory) => [byId, own]

describe.each(ways)('%s: while another process has not heard of it', (_, make) => {
  const ends: [string, (app: Place, id: string, client: Client) => Promise<unknown>][] = [
    ['a logout', (app, _, client) => client.at(app.handler).send('/logout')],
    ['end', async (app, id) => app.sessions.end(id)],
    ['endAll', async (app) => app.sessions.endAll('ann')],
  ]

  test.each(ends)('A-67 A-69: %s ends a session that is given a new identifier elsewhere', async (_, end) => {
    const { clock, started } = world(make)
    const [here, there] = [started(alone), started(alone)]
    const client = new Client(here.handler)
    const { id } = await client.get<View>('/login/ann')
    const thief = client.at(there.handler)
    expect(await thief.get<View>('/')).toMatchObject({ user: 'ann' })
    await end(here, id!, client)
    // Still within the bound, and the thief knows it.
    await thief.send('/rotate')
    clock.advance(WITHIN + 1)
    expect((await thief.get<View>('/')).user).toBeUndefined()
  })

  test.each(ends)('A-67 A-69: %s ends a session that is converted elsewhere', async (_, end) => {
    const { clock, started } = world(make)
    const [here, there, before] = [started(alone), started(converting), started(converting)]
    const client = new Client(here.handler)
    const { id } = await client.get<View>('/login/ann')
    // The other process has looked at the list a moment ago.
    await new Client(here.handler).send('/login/bea')
    const other = new Client(here.handler)
    await other.send('/login/cid')
    expect(await other.at(there.handler).get<View>('/')).toMatchObject({ user: 'cid' })
    await end(before, id!, client)
    const thief = client.at(there.handler)
    await thief.send('/')
    clock.advance(WITHIN + 1)
    expect((await thief.get<View>('/')).user).toBeUndefined()
  })

  test('a slide does not help either', async () => {
    const { clock, started } = world(make)
    const [here, there] = [started(alone), started(alone)]
    const client = new Client(here.handler)
    await client.send('/login/ann')
    clock.advance(5 * 60_000)
    const thief = client.at(there.handler)
    await new Client(there.handler).send('/login/bea')
    await here.sessions.endAll('ann')
    await thief.send('/')
    clock.advance(WITHIN + 1)
    expect(await thief.get<View>('/')).toMatchObject({ refused: 'ended' })
  })

  test('many conversions of one session at once: one is given, and no late answer undoes it', async () => {
    const { clock, started } = world(make, (store) => gated(store, (_, go) => Promise.resolve().then(go)))
    const [here, there] = [started(alone), started(converting)]
    const client = new Client(here.handler)
    await client.send('/login/ann')
    const copies = Array.from({ length: 8 }, () => client.at(there.handler))
    const answers = await Promise.all(copies.map((copy) => copy.send('/')))
    expect(answers.filter((answer) => answer.headers.getSetCookie().length > 0)).toHaveLength(1)
    clock.advance(WITHIN + 1)
    const living = copies.filter((copy) => [...copy.cookies.values()][0] !== [...client.cookies.values()][0])
    expect(living).toHaveLength(1)
    expect(await living[0]!.get<View>('/')).toMatchObject({ user: 'ann' })
    expect(await there.sessions.list('ann')).toHaveLength(1)
  })

  test('A-69: a logout that comes while an answer is on its way: the answer gives nothing back', async () => {
    const { clock, started } = world(make)
    const here = started(alone)
    const client = new Client(here.handler)
    await client.send('/login/ann')
    clock.advance(5 * 60_000)
    const late = client.at(async (request) => {
      await client.send('/logout')
      return here.handler(request)
    })
    expect((await late.send('/')).headers.getSetCookie()).toEqual([])
  })
})

describe('every order of ending all and going on under another identifier', () => {
  test.each(ways)('%s: nothing issued before is honoured after', async (_, make) => {
    for (let lag = 0; lag < 14; lag++) {
      for (const [work, strategies] of [
        ['/rotate', alone],
        ['/', converting],
      ] as const) {
        const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
        const { clock, started } = world(make, (store) => gated(store, (_, go) => turn().then(go)))
        const [here, there] = [started(strategies), started(strategies)]
        const owner = new Client(started(alone).handler)
        await owner.send('/login/ann')
        const thief = owner.at(there.handler)
        const moving = thief.send(work)
        for (let i = 0; i < lag; i++) await turn()
        // A millisecond, which is what tells before from after.
        clock.advance(1)
        await here.sessions.endAll('ann')
        await moving
        clock.advance(WITHIN + 1)
        expect((await thief.get<View>('/')).user, `${work} ${lag} turns before`).toBeUndefined()
      }
    }
  })
})

describe('what is written about a logout', () => {
  test.each(ways)(
    'A-56: %s: is kept for as long as a credential of it can live, and not for a month',
    async (_, make) => {
      const { clock, started, ended } = world(make)
      const here = started(alone)
      const client = new Client(here.handler)
      await client.send('/login/ann')
      clock.advance(20 * 60_000)
      const captured = client.at(here.handler)
      await client.send('/')
      await client.send('/logout')
      const kept = [...(ended.list() as Iterable<[string, { expiresAt: number }]>)].filter(([id]) =>
        id.startsWith('revoked'),
      )
      expect(kept).toHaveLength(1)
      const [[, { expiresAt }]] = kept as [[string, { expiresAt: number }]]
      expect(expiresAt - clock()).toBeGreaterThan(30 * 60_000 + WITHIN)
      expect(expiresAt - clock()).toBeLessThan(32 * 60_000)
      clock.advance(expiresAt - clock() + 10_000)
      expect((await captured.get<View>('/')).user).toBeUndefined()
    },
  )
})

describe('several enders', () => {
  const made = (options: Parameters<typeof revocations>[0]) => {
    const one = revocations(options)
    open.push(one)
    return one
  }
  const token = (id: string, issuedAt: number) => ({ id, userId: 'ann', issuedAt })

  test('the second does not make an exception of what the first ended, in either order', async () => {
    const clock = manualClock()
    const store = memory({ clock })
    const [one, two] = [made({ store, clock }), made({ store, clock })]
    const spared = token('spared', clock())
    clock.advance(10)
    await one.endAll('ann', clock() + 1000)
    await two.endAll('ann', clock() + 1000, 'spared')
    for (const each of [one, two]) expect(await each.fresh(spared)).toBe(true)
    // One that began afterwards is spared indeed.
    const later = token('later', clock() + 1)
    clock.advance(10)
    await two.endAll('ann', clock() + 1000, 'later')
    for (const each of [one, two]) expect(await each.fresh(later)).toBe(false)
    await one.endAll('ann', clock() + 1000, 'later')
    for (const each of [one, two]) expect(await each.fresh(later)).toBe(false)
    for (const each of [one, two]) expect(await each.fresh(spared)).toBe(true)
  })

  test('a slow clock brings nothing back that a fast one ended', async () => {
    const clock = manualClock()
    const store = memory({ clock })
    const [fast, slow] = [made({ store, clock: () => clock() + 1000 }), made({ store, clock })]
    const issued = token('x', clock() + 500)
    await fast.endAll('ann', clock() + 10_000)
    await slow.endAll('ann', clock() + 10_000)
    for (const each of [fast, slow]) expect(await each.fresh(issued)).toBe(true)
  })

  test('exactly one of many ends a token', async () => {
    const clock = manualClock()
    const store = gated(memory({ clock }), (_, go) => Promise.resolve().then(go))
    const enders = Array.from({ length: 8 }, () => made({ store, clock }))
    const first = await Promise.all(enders.map((each) => each.end('x', clock() + 1000)))
    expect(first.filter(Boolean)).toHaveLength(1)
  })

  test('what was ended here stays ended here while an older reading comes in', async () => {
    const clock = manualClock()
    const inner = memory({ clock })
    let hold: Promise<void> | undefined
    const store = gated(inner, async (verb, go) => {
      const result = go()
      if (verb === 'list') await hold
      return result
    })
    const here = made({ store, clock })
    const other = made({ store: inner, clock })
    await here.fresh(token('x', 0))
    await other.end('y', clock() + 1000)
    let release = () => {}
    hold = new Promise((resolve) => {
      release = resolve
    })
    const reading = here.fresh(token('y', 0))
    await new Promise((resolve) => setTimeout(resolve, 10))
    await here.end('x', clock() + 1000)
    release()
    await reading
    expect(here.check(token('x', 0))).toBe(true)
  })
})

test('A-41: a clock that was put back makes no copy young', async () => {
  const clock = manualClock()
  let step = 0
  const store = memory({ clock })
  const here = revocations({ store, clock: () => clock() - step })
  const there = revocations({ store, clock })
  open.push(here, there)
  const token = { id: 'x', userId: 'ann', issuedAt: 0 }
  expect(await here.check(token)).toBe(false)
  step = 3_600_000
  await there.end('x', clock() + 10_000)
  expect(await here.check(token)).toBe(true)
})

test('a store that pushes, and fails to be read then, ends no process', async () => {
  const clock = manualClock()
  const rejected = vi.fn()
  process.on('unhandledRejection', rejected)
  let push = (_: string) => {}
  const failing = gated(memory({ clock }), async () => {
    throw new Error('cut off')
  })
  const watch = (tell: (id: string) => void) => {
    push = tell
    return () => {}
  }
  open.push(revocations({ store: { ...failing, watch }, clock }))
  push('revocations')
  await new Promise((resolve) => setTimeout(resolve, 20))
  process.off('unhandledRejection', rejected)
  expect(rejected).not.toHaveBeenCalled()
})
