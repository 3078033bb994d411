/**
 * What must hold whichever request is faster. The store's every call waits until fast-check lets it happen, so that the
 * order of all calls of all requests is drawn at random, shrunk when it breaks something, and repeatable by its seed.
 */
import fc from 'fast-check'
import type { Limit, Session } from 'sojourn'
import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Answer, type App, gated, MINUTE, type Shop, shop } from './helpers.js'

type S = Session<Shop>

// A busy machine must not look like a slow store: time passes by the turns of the event loop.
beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

/** A shop whose store is asked freely while it is set up, and in the scheduler's order once `race` has begun. */
function controlled(scheduler: fc.Scheduler, options: { limit?: Limit } = {}) {
  const clock = manualClock()
  let racing = false
  const store = gated(memory({ clock }), (_, go) => (racing ? scheduler.scheduleFunction(async () => go())() : go()))
  const app = shop({ clock, store, ...options })
  async function race<T>(...starts: (() => Promise<T>)[]): Promise<T[]> {
    racing = true
    const tick = () => {
      if (!racing) return
      vi.advanceTimersByTime(1)
      setImmediate(tick)
    }
    tick()
    try {
      // Even who comes first is drawn.
      const entered = starts.map((start) => scheduler.schedule(Promise.resolve()).then(start))
      return await scheduler.waitFor(Promise.all(entered))
    } finally {
      racing = false
    }
  }
  return { app, race }
}

/** After each call everybody gets as far as their next one, so that the next to happen is drawn from among all of them. */
const act = async (call: () => Promise<unknown>) => {
  await call()
  await new Promise((resolve) => setImmediate(resolve))
}

/** Runs the body under many orders. */
function underAnyOrder(body: (scheduler: fc.Scheduler, draw: fc.GeneratorValue) => Promise<void>, runs = 150) {
  return fc.assert(fc.asyncProperty(fc.scheduler({ act }), fc.gen(), body), { numRuns: runs })
}

const times = (draw: fc.GeneratorValue, min: number, max: number) => draw(fc.integer, { min, max })
const told = ({ status }: Answer<unknown>) => status === 409

/** What a live credential opens. */
async function contents(app: App, cookies: (string | undefined)[]) {
  const found: { userId: string | undefined; data: Shop; id: string | undefined }[] = []
  for (const cookie of cookies) {
    if (cookie === undefined) continue
    const { value } = await app.request(cookie, (s) =>
      s.refused ? undefined : { userId: s.userId, data: { ...s.data }, id: s.id },
    )
    if (value) found.push(value)
  }
  return found
}

test('the harness: every order of two requests’ calls is drawn', async () => {
  const orders = new Set<string>()
  await underAnyOrder(async (scheduler) => {
    const { app, race } = controlled(scheduler)
    const { given } = await app.request('', (s) => s.login('ada'))
    let order = ''
    const calls = (name: string, count: number) => async () => {
      for (let i = 0; i < count; i++) {
        await app.store.get(given!)
        order += name
      }
    }
    await race(calls('a', 2), calls('b', 3))
    orders.add(order)
  }, 400)
  expect(orders.size).toBe(10)
})

describe('A-68: parallel writers of one session', () => {
  test('A-68: of different keys, none is lost, however each writes', () =>
    underAnyOrder(async (scheduler, draw) => {
      const { app, race } = controlled(scheduler)
      const writers = Array.from({ length: times(draw, 2, 6) }, (_, i) => i)
      const { given } = await app.request('', (s) => {
        for (const i of writers) Object.assign(s.data, { [`old ${i}`]: true, [`list ${i}`]: ['old'] })
      })
      const kinds: ((s: S, i: number) => void)[] = [
        (s, i) => Object.assign(s.data, { [`new ${i}`]: i }),
        (s, i) => void (s.data[`list ${i}`] as string[]).push('new'),
        (s, i) => Reflect.deleteProperty(s.data, `old ${i}`),
        (s, i) => void s.update(`list ${i}`, (list) => [...(list as string[]), 'new']),
        (s, i) => s.flash(`flash ${i}`, i),
      ]
      const chosen = writers.map(() => draw(fc.nat, kinds.length - 1))

      const answers = await race(...writers.map((i) => () => app.request(given!, (s) => kinds[chosen[i]!]!(s, i))))
      expect(answers.map(({ status }) => status)).toEqual(writers.map(() => 200))

      await app.request(given!, (s) => {
        for (const i of writers) {
          const kind = chosen[i]
          expect(s.data[`new ${i}`]).toBe(kind === 0 ? i : undefined)
          expect(s.data[`list ${i}`]).toEqual(kind === 1 || kind === 3 ? ['old', 'new'] : ['old'])
          expect(s.data[`old ${i}`]).toBe(kind === 2 ? undefined : true)
          expect(s.flashed(`flash ${i}`)).toBe(kind === 4 ? i : undefined)
        }
      })
    }))

  test('A-68: updates of one counter are exact', () =>
    underAnyOrder(async (scheduler, draw) => {
      const { app, race } = controlled(scheduler)
      const { given } = await app.request('', (s) => s.login('ada'))
      const amounts = Array.from({ length: times(draw, 2, 7) }, () => times(draw, 1, 3))
      await race(
        ...amounts.map((amount) => () => {
          return app.request(given!, (s) => {
            for (let i = 0; i < amount; i++) s.update('count', (n) => n + 1)
          })
        }),
      )
      const { value } = await app.request(given!, (s) => s.data.count)
      expect(value).toBe(amounts.reduce((a, b) => a + b))
    }))
})

describe('A-69: what races with a logout', () => {
  test('A-69: writers and sliding writes that end after it bring nothing back', () =>
    underAnyOrder(async (scheduler, draw) => {
      const { app, race } = controlled(scheduler)
      const { given } = await app.request('', (s) => s.login('ada'))
      // A tenth of the idle timeout: everybody who comes now has a sliding write to do.
      app.clock.advance(4 * MINUTE)
      const leaves = draw(fc.boolean)
      const writers = Array.from({ length: times(draw, 1, 5) }, () => draw(fc.boolean))
      const [logout, ...answers] = await race(
        () =>
          app.request(given!, (s) => {
            s.logout()
            if (leaves) s.flash('notice', 'Bye')
          }),
        ...writers.map((writes) => () => app.request(given!, (s) => void (writes && s.update('count', (n) => n + 1)))),
      )
      expect([logout!.status, logout!.cleared]).toEqual([200, !leaves])
      for (const answer of answers) expect([answer.status === 200 || told(answer), answer.given]).toContain(true)

      expect(await app.userOf(given!)).toBeUndefined()
      expect(await app.sessions.list('ada')).toEqual([])
      const everywhere = await contents(app, [given, logout!.given, ...answers.map((a) => a.given)])
      expect(everywhere.map(({ userId }) => userId)).not.toContain('ada')
    }))

  test('A-69: a rotation that races with it does not carry the session past it', () =>
    underAnyOrder(async (scheduler, draw) => {
      const { app, race } = controlled(scheduler)
      const { given } = await app.request('', (s) => s.login('ada'))
      const rotations = Array.from({ length: times(draw, 1, 3) }, () => draw(fc.boolean))
      const logouts = Array.from({ length: times(draw, 1, 2) }, () => (s: S) => s.logout())
      const rotates = rotations.map((writes) => (s: S) => {
        s.rotate()
        if (writes) s.update('count', (n) => n + 1)
      })
      const answers = await race(...[...logouts, ...rotates].map((work) => () => app.request(given!, work)))

      const ended = answers.slice(0, logouts.length).some(({ status }) => status === 200)
      const living = await contents(app, [given, ...answers.map((answer) => answer.given)])
      const users = living.filter(({ userId }) => userId === 'ada').length
      expect(users).toBe(ended ? 0 : 1)
      expect(await app.sessions.list('ada')).toHaveLength(users)
      // Who was not logged out was told to do it again.
      if (!ended) expect(answers.slice(0, logouts.length).every(told)).toBe(true)
    }))
})

describe('what races with a login or a rotation', () => {
  test('A-01: two logins at once from one guest take the data along exactly once', () =>
    underAnyOrder(async (scheduler, draw) => {
      const { app, race } = controlled(scheduler)
      const { given } = await app.request('', (s) => void s.data.cart.push('book'))
      const users = draw(fc.boolean) ? ['ada', 'ada'] : ['ada', 'eve']
      const writes = draw(fc.boolean)
      const answers = await race(...users.map((user) => () => app.request(given!, (s) => s.login(user))), () =>
        app.request(given!, (s) => void (writes && s.update('cart', (cart) => [...cart, 'pen']))),
      )
      const writer = answers.pop()!
      expect(answers.map(({ status }) => status)).toEqual([200, 200])
      expect(answers[0]!.given).not.toBe(answers[1]!.given)

      const living = await contents(app, [given, writer.given, ...answers.map((answer) => answer.given)])
      expect(living.map(({ userId }) => userId).sort()).toEqual(users)
      const carts = living.flatMap(({ data }) => data.cart)
      expect(carts.filter((item) => item === 'book')).toHaveLength(1)
      expect(carts.filter((item) => item === 'pen')).toHaveLength(writes && writer.status === 200 ? 1 : 0)
      if (writes && writer.status !== 200) expect(told(writer)).toBe(true)
    }))

  test('A-71, CK-18: no write in flight is lost without its request being told', () =>
    underAnyOrder(async (scheduler, draw) => {
      const { app, race } = controlled(scheduler)
      const first = draw(fc.boolean) ? 'ada' : undefined
      const { given } = await app.request('', (s) => {
        s.data.note = 1
        if (first) s.login(first)
      })
      const kinds: ((s: S) => void)[] = [() => {}, (s) => s.rotate(), (s) => s.login('ada')]
      const requests = Array.from({ length: times(draw, 2, 5) }, (_, i) => ({ i, kind: draw(fc.nat, 2) }))
      const answers = await race(
        ...requests.map(({ i, kind }) => () => {
          return app.request(given!, (s) => {
            kinds[kind]!(s)
            s.data[`key ${i}`] = i
          })
        }),
      )
      const living = await contents(app, [given, ...answers.map((answer) => answer.given)])
      for (const [i, answer] of answers.entries()) {
        const keepers = living.filter(({ data }) => data[`key ${i}`] === i)
        if (answer.status === 200) expect(keepers, `request ${i} was told that it is kept`).toHaveLength(1)
        else expect([told(answer), answer.given, keepers.length]).toEqual([true, undefined, 0])
      }
      // However many rotated at once, one session went on, and not two.
      const logins = requests.filter(({ kind }, i) => kind === 2 && answers[i]!.status === 200).length
      expect([logins, logins + 1]).toContain(living.length)
      if (logins === 0) expect(living).toHaveLength(1)
    }, 300))

  test('7.2.4: a credential from before is honoured by nobody after', () =>
    underAnyOrder(async (scheduler, draw) => {
      const { app, race } = controlled(scheduler)
      const { given } = await app.request('', (s) => s.login('ada'))
      const kinds: ((s: S) => void)[] = [(s) => s.rotate(), (s) => s.login('ada'), (s) => s.login('eve')]
      const chosen = Array.from({ length: times(draw, 1, 4) }, () => draw(fc.nat, 2))
      const answers = await race(...chosen.map((kind) => () => app.request(given!, (s) => kinds[kind]!(s))))
      expect(answers.every(({ status }) => status === 200)).toBe(true)
      expect(await contents(app, [given])).toEqual([])
    }))
})

describe('7.4.2: what races with the end of all sessions', () => {
  test('7.4.2: nothing that was issued before it is honoured after it', () =>
    underAnyOrder(async (scheduler, draw) => {
      const { app, race } = controlled(scheduler)
      const cookies: string[] = []
      for (let i = times(draw, 1, 3); i > 0; i--) cookies.push((await app.request('', (s) => s.login('ada'))).given!)
      app.clock.advance(4 * MINUTE)
      const kinds: ((s: S) => void)[] = [
        () => {},
        (s) => s.rotate(),
        (s) => void s.update('count', (n) => n + 1),
        (s) => {
          s.rotate()
          s.data.note = 1
        },
      ]
      const requests = Array.from({ length: times(draw, 1, 5) }, () => {
        return { cookie: cookies[draw(fc.nat, cookies.length - 1)]!, work: kinds[draw(fc.nat, 3)]! }
      })
      const answers = await race<Answer<unknown> | number>(
        async () => app.sessions.endAll('ada'),
        ...requests.map(
          ({ cookie, work }) =>
            () =>
              app.request(cookie, work),
        ),
      )
      const given = answers.map((answer) => (typeof answer === 'number' ? undefined : answer.given))
      expect((await contents(app, [...cookies, ...given])).map(({ userId }) => userId)).not.toContain('ada')
      expect(await app.sessions.list('ada')).toEqual([])
    }, 300))

  test('7.4.3: all but the current one: of the others nothing is left, whatever they were doing', () =>
    underAnyOrder(async (scheduler, draw) => {
      const { app, race } = controlled(scheduler)
      const mine = await app.request('', (s) => s.login('ada'))
      const other = await app.request('', (s) => s.login('ada'))
      const { value: id } = await app.request(mine.given!, (s) => s.id)
      const rotates = Array.from({ length: times(draw, 1, 3) }, () => draw(fc.boolean))
      const answers = await race<Answer<unknown> | number>(
        async () => app.sessions.endAll('ada', { except: id }),
        () => app.request(mine.given!, (s) => s.update('count', (n) => n + 1)),
        ...rotates.map((rotate) => () => {
          return app.request(other.given!, (s) => (rotate ? s.rotate() : void s.data.cart.push('x')))
        }),
      )
      const given = answers.map((answer) => (typeof answer === 'number' ? undefined : answer.given))
      expect((await contents(app, [other.given, ...given])).map(({ userId }) => userId)).not.toContain('ada')
      expect((await contents(app, [mine.given])).map(({ data }) => data.count)).toEqual([1])
    }))

  test('7.5.2: ending one session from another device: once it says so, no rotation has saved it', () =>
    underAnyOrder(async (scheduler, draw) => {
      const { app, race } = controlled(scheduler)
      const { given } = await app.request('', (s) => s.login('ada'))
      const id = (await app.sessions.list('ada'))[0]!.id
      const work: (() => Promise<Answer<void> | string>)[] = Array.from({ length: times(draw, 1, 3) }, () => () => {
        return app.request(given!, (s) => s.rotate())
      })
      const [ended, ...answers] = await race<Answer<void> | string>(
        async () => {
          try {
            return String(await app.sessions.end(id))
          } catch (fault) {
            return (fault as { code: string }).code
          }
        },
        ...work,
      )
      const living = await contents(app, [given, ...answers.map((answer) => (answer as Answer<void>).given)])
      expect([ended, living.length]).toEqual(living.length === 0 ? ['true', 0] : ['ERR_CONFLICT', 1])
    }))
})

describe('A-70: parallel logins over the limit of sessions', () => {
  const limited = (policy: Limit['policy']) => async (scheduler: fc.Scheduler, draw: fc.GeneratorValue) => {
    const sessions = times(draw, 1, 3)
    const { app, race } = controlled(scheduler, { limit: { sessions, policy } })
    // Some from nowhere, some over a guest's session or one of the user's own.
    const starts: { cookie: string; own: boolean }[] = []
    for (let i = times(draw, 2, 5); i > 0; i--) {
      const kind = draw(fc.nat, 2)
      const full = starts.filter(({ own }) => own).length === sessions
      const start = kind === 0 || (kind === 2 && full) ? undefined : kind
      const work = (s: S) => (start === 1 ? void s.data.cart.push('book') : s.login('ada'))
      app.clock.advance(1)
      const cookie = start === undefined ? '' : (await app.request('', work)).given!
      starts.push({ cookie, own: start === 2 })
    }
    const login = (s: S) => {
      app.clock.advance(1)
      s.login('ada')
    }
    const answers = await race(
      ...starts.map(
        ({ cookie }) =>
          () =>
            app.request(cookie, login),
      ),
    )
    const list = await app.sessions.list('ada')
    expect(list.length).toBeLessThanOrEqual(sessions)
    return { app, answers, list, sessions, starts }
  }

  test('A-70: evict-oldest: never over, and the last ones to come are in', () =>
    underAnyOrder(async (scheduler, draw) => {
      const { app, answers, list, sessions, starts } = await limited('evict-oldest')(scheduler, draw)
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
      const living = await contents(app, [...answers.map(({ given }) => given), ...starts.map(({ cookie }) => cookie)])
      expect(
        living
          .filter(({ userId }) => userId)
          .map(({ id }) => id)
          .sort(),
      ).toEqual(list.map(({ id }) => id).sort())
      if (starts.every(({ own }) => !own)) expect(list).toHaveLength(Math.min(sessions, starts.length))
    }))

  test('A-70: reject: never over; who is let in stays in, who is not keeps what they had, and nothing else counts', () =>
    underAnyOrder(async (scheduler, draw) => {
      const { app, answers, list, sessions, starts } = await limited('reject')(scheduler, draw)
      for (const [i, { status, given, problem }] of answers.entries()) {
        const { cookie, own } = starts[i]!
        if (status === 200) {
          expect(await app.userOf(given!)).toBe('ada')
          expect(await contents(app, [cookie])).toEqual([])
        } else {
          expect([status, problem?.title, given]).toEqual([409, 'Conflict', undefined])
          expect((await contents(app, [cookie])).map(({ userId }) => userId)).toEqual(
            cookie === '' ? [] : [own ? 'ada' : undefined],
          )
        }
      }
      const admitted = answers.filter(({ status }) => status === 200).length
      const stayed = starts.filter(({ own }, i) => own && answers[i]!.status !== 200).length
      expect(list).toHaveLength(admitted + stayed)
      const next = await app.request('', (s) => s.login('ada'))
      expect(next.status).toBe(list.length < sessions ? 200 : 409)
    }, 60))

  test('7.1.2: evict-oldest does not let a session slip through by rotating', () =>
    underAnyOrder(async (scheduler, draw) => {
      const { app, race } = controlled(scheduler, { limit: { sessions: 1, policy: 'evict-oldest' } })
      const { given } = await app.request('', (s) => s.login('ada'))
      app.clock.advance(1)
      const rotations = Array.from({ length: times(draw, 1, 3) }, () => () => app.request(given!, (s) => s.rotate()))
      const [login, ...answers] = await race(() => app.request('', (s) => s.login('ada')), ...rotations)
      expect(await app.sessions.list('ada')).toHaveLength(1)
      expect(await app.userOf(login!.given!)).toBe('ada')
      expect(await contents(app, [given, ...answers.map((answer) => answer.given)])).toEqual([])
    }))
})
