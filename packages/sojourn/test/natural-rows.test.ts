/** The one journey, over every natural row of strategy, transport and adapter: real sockets, kept alive. */
import { createSessions, generateSecret, type Sessions, type StrategyFactory } from 'sojourn'
import { manualClock } from 'sojourn/testing/clock'
import { describe, expect, test } from 'vitest'
import { type Answer, Visitor } from './natural/client.js'
import { naturalRows, strategies, type Travel, unnaturalRows, type Way } from './natural/rows.js'
import { type Adapter, type Data, type Served, serve } from './natural/servers.js'

const MINUTE = 60_000
const IDLE = 30 * MINUTE
/** A JWT counts whole seconds. */
const ALMOST = IDLE - 1000
const ABSOLUTE = 12 * 60 * MINUTE

interface Row {
  readonly way: Way
  readonly travel: Travel
  readonly adapter: Adapter
}

/** An app as it is now, and as it was before its line was changed: the same keys, stores and clock. */
async function world({ way, travel, adapter }: Row) {
  const clock = manualClock()
  const from = strategies(clock)
  const keys = generateSecret()
  const app = (strategy: readonly StrategyFactory[]) =>
    createSessions<Data>({
      keys,
      clock,
      strategy,
      transport: travel.transport(),
      initial: () => ({ count: 0, marks: {} }),
    })
  const sessions = app(way.now(from))
  const server = await serve(adapter, sessions)
  const former = way.before && (await serve(adapter, app(way.before(from))))
  const visitor = (at: Served = server, credential?: string) => new Visitor(travel, at, credential)
  return { clock, sessions, server, former, visitor }
}

const isTouched = ({ headers }: Answer) =>
  headers.has('set-cookie') || headers.has('session-token') || headers.has('x-session-id')

describe.each(naturalRows.map((row) => [row.title, row] as const))('%s', (_, row) => {
  const { way } = row
  const kept = (count: number) => (way.carries ? count : 0)

  test('the journey', async () => {
    const { clock, sessions, server, former, visitor } = await world(row)
    const bea = visitor()
    await bea.send('/login/bea')
    const ann = visitor()

    // A visit: about whom nothing is written, nothing is kept, and nothing is sent.
    const first = await ann.send('/')
    expect(first.view).toEqual({ refused: 'absent', count: 0, marks: [], link: '/next' })
    expect(isTouched(first)).toBe(false)
    expect(first.headers.get('cache-control')).toBe('private, no-store')

    // A write: now there is a guest.
    await ann.send('/add')
    const guest = await ann.view()
    expect(guest).toMatchObject({ id: expect.any(String), count: 1 })
    expect(guest).not.toHaveProperty('user')
    const asGuest = ann.copy()
    expect((await visitor().view()).count).toBe(0)

    // A login: another identifier, the guest's data, and a former credential that is nobody's.
    const login = await ann.send('/login/ann')
    expect(login.headers.get('cache-control')).toContain('no-store')
    const user = await ann.view()
    expect(user).toMatchObject({ user: 'ann', count: kept(1) })
    expect(user.id).not.toBe(guest.id)
    expect(await asGuest.view()).not.toHaveProperty('user')
    expect((await sessions.list('ann')).map(({ id }) => id)).toEqual([user.id])

    // A line is changed: who signed in before is signed in still, and moves once.
    if (former) {
      const early = visitor(former)
      await early.send('/add')
      await early.send('/login/cay')
      const before = await early.view()
      const moved = early.copy(early.credential, server)
      expect(await moved.view()).toMatchObject({ user: 'cay', count: before.count })
      expect(moved.credential).not.toBe(early.credential)
      expect(isTouched(await moved.send('/'))).toBe(false)
      expect(await early.copy(early.credential, server).view()).not.toHaveProperty('user')
      expect(await sessions.endAll('cay')).toBe(1)
      expect(await moved.view()).toMatchObject({ refused: 'ended' })
    }

    // Parallel writers.
    const at = kept(1)
    const names = ['a', 'b', 'c', 'd']
    const writes = await Promise.all([...names.map((name) => `/mark/${name}`), '/add', '/add'].map((p) => ann.send(p)))
    const written = await ann.view()
    expect(written).toMatchObject({ user: 'ann', id: user.id })
    const status = way.writes === 'none' ? 500 : 200
    expect(writes.map((answer) => answer.status)).toEqual(writes.map(() => status))
    if (way.writes === 'all') {
      expect(written.count).toBe(at + 2)
      expect(written.marks.map((mark) => mark.slice(5)).sort()).toEqual(names)
    } else if (way.writes === 'last') {
      expect([...written.marks, ...Array(written.count - at)]).toHaveLength(1)
    } else {
      expect(written).toMatchObject({ count: at, marks: [] })
      expect(writes.some(isTouched)).toBe(false)
    }

    // A rotation, and a device that is ended from elsewhere.
    await ann.send('/rotate')
    const rotated = await ann.view()
    expect(rotated).toMatchObject({ user: 'ann', count: written.count })
    expect(rotated.id).not.toBe(user.id)
    const other = visitor()
    await other.send('/login/ann')
    const { id } = await other.view()
    expect((await sessions.list('ann')).map((info) => info.id).sort()).toEqual([rotated.id, id].sort())
    expect(await sessions.end(id!)).toBe(true)
    expect(await other.view()).toMatchObject({ refused: 'ended' })

    // It slides, at most once in a tenth of the idle timeout.
    clock.advance(IDLE / 10 - 1000)
    expect(isTouched(await ann.send('/'))).toBe(false)
    clock.advance(1000)
    for (let i = 0; i < 3; i++) {
      expect((await ann.view()).user).toBe('ann')
      clock.advance(ALMOST)
    }
    expect((await ann.view()).user).toBe('ann')

    // It expires: idle, whatever the client still has, and nothing is taken from the client.
    clock.advance(IDLE)
    const late = await ann.send('/')
    expect(late.view).toMatchObject({ refused: expect.stringMatching(/^(?:expired|ended)$/), count: 0 })
    expect(late.view).not.toHaveProperty('user')
    expect(isTouched(late)).toBe(false)

    // It expires: absolute, however busy it was (7.3.2).
    await ann.send('/login/ann')
    let busy = 0
    for (; busy + ALMOST < ABSOLUTE; busy += ALMOST) {
      clock.advance(ALMOST)
      expect((await ann.view()).user, `after ${busy} ms`).toBe('ann')
    }
    clock.advance(ABSOLUTE - busy)
    expect(await ann.view()).not.toHaveProperty('user')

    // A logout: the credential is taken back.
    await bea.send('/login/bea')
    await ann.send('/login/ann')
    expect((await ann.view()).user).toBe('ann')
    const out = await ann.send('/logout')
    expect(out.view).not.toHaveProperty('user')
    expect(ann.credential).toBe('')
    expect((await ann.view()).refused).toBe('absent')
    expect(await sessions.list('ann')).toEqual([])

    // Everything that was ever captured is sent again, as it is and with one character changed.
    expect(ann.captured.size).toBeGreaterThan(4)
    for (const credential of ann.captured) {
      const replay = await ann.copy(credential).send('/')
      expect(replay.view).not.toHaveProperty('user')
      expect(replay.view?.refused).not.toBe('absent')
      expect(isTouched(replay)).toBe(false)
    }
    const live = bea.credential
    for (const place of [3, Math.floor(live.length / 2), live.length - 2]) {
      const changed = live.slice(0, place) + (live[place] === 'A' ? 'B' : 'A') + live.slice(place + 1)
      const forged = await bea.copy(changed).send('/')
      expect(forged.view).not.toHaveProperty('user')
      expect(isTouched(forged)).toBe(false)
    }
    // And another user never noticed any of it.
    expect((await bea.view()).user).toBe('bea')
  })

  test('sockets are kept, and answers do not mix on them', async () => {
    const { server, visitor } = await world(row)
    const users = ['ann', 'bea', 'cay']
    const all = await Promise.all(
      users.map(async (name) => {
        const one = visitor()
        await one.send('/add')
        await one.send(`/login/${name}`)
        return one
      }),
    )
    const seen = await Promise.all(all.flatMap((one) => Array.from({ length: 20 }, () => one.copy().view())))
    expect(seen.map(({ user }) => user)).toEqual(users.flatMap((name) => Array(20).fill(name)))
    const before = server.connections()
    for (let i = 0; i < 10; i++) for (const [at, one] of all.entries()) expect((await one.view()).user).toBe(users[at])
    expect(server.connections() - before).toBeLessThanOrEqual(users.length)
  })
})

describe('what is not natural does not start', () => {
  test.each(unnaturalRows.map((row) => [row.title, row] as const))('%s', (_, { way, travel }) => {
    const clock = manualClock()
    const create = (): Sessions<object> =>
      createSessions({ keys: generateSecret(), strategy: way.now(strategies(clock)), transport: travel.transport() })
    expect(create).toThrow(/^query: only opaque\(\) may travel in URLs.*; use/)
    expect(create).toThrow(TypeError)
  })

  test('not even as the second of two transports', () => {
    const [{ way, travel }] = unnaturalRows as [(typeof unnaturalRows)[number]]
    const other = naturalRows.find((natural) => !natural.travel.exposed)!.travel
    const transport = [other.transport(), travel.transport()]
    const strategy = way.now(strategies(manualClock()))
    expect(() => createSessions({ keys: generateSecret(), strategy, transport })).toThrow(TypeError)
  })

  test('there are as many natural rows as the table of the design has', () => {
    expect(naturalRows).toHaveLength(3 * (12 * 3 + 3))
    expect(unnaturalRows).toHaveLength(9)
  })
})
