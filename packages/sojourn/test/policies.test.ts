/** Which events of an account end its sessions, as docs/bring-your-users.md says to do it, whatever keeps the sessions. */
import fc from 'fast-check'
import { jwt, opaque, type Session, type StrategyFactory, sealed } from 'sojourn'
import { requireRecentLogin } from 'sojourn/guard/access'
import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { revocations } from 'sojourn/token/revocation'
import { describe, expect, test } from 'vitest'
import { type App, MINUTE, type Shop, shop } from './helpers.js'

const CLAIMS = { issuer: 'https://shop.example', audience: 'shop' }

const ways: [name: string, make: (clock: () => number) => StrategyFactory][] = [
  ['opaque', (clock) => opaque({ store: memory({ clock }) })],
  ['sealed', (clock) => sealed({ revocations: revocations({ store: memory({ clock }), clock }) })],
  ['jwt', (clock) => jwt({ ...CLAIMS, revocations: revocations({ store: memory({ clock }), clock }) })],
]

/** The page's own function, word for word. */
async function endOthers(app: App, session: Session<Shop>): Promise<void> {
  await app.sessions.endAll(session.userId!, { except: session.id })
  session.rotate()
}

describe.each(ways)('%s', (_, make) => {
  const world = () => {
    const clock = manualClock()
    return shop({ clock, strategy: make(clock) })
  }
  const signedIn = async (app: App, user = 'ada') => {
    const browser = app.browser()
    await browser.visit((s) => s.login(user, { amr: ['pwd'] }))
    return browser
  }

  test('7.4.3: a changed password, or factor, ends the others and gives this one a new identifier', async () => {
    const app = world()
    const [here, there, hers] = [await signedIn(app), await signedIn(app), await signedIn(app, 'grace')]
    const stolen = here.cookie
    await here.visit((s) => endOthers(app, s))
    expect(await app.userOf(there.cookie)).toBeUndefined()
    expect(await app.userOf(stolen)).toBeUndefined()
    expect(await app.userOf(hers.cookie)).toBe('grace')
    expect((await here.visit((s) => [s.userId, s.amr])).value).toEqual(['ada', ['pwd']])
  })

  test('7.4.2: an account that is disabled or deleted has no session left, and none that was begun before', async () => {
    const app = world()
    const [one, two] = [await signedIn(app), await signedIn(app)]
    await app.sessions.endAll('ada')
    for (const { cookie } of [one, two]) expect(await app.userOf(cookie)).toBeUndefined()
    app.clock.advance(1)
    const again = await signedIn(app)
    expect(await app.userOf(again.cookie)).toBe('ada')
  })

  test('7.5.1: what changes a factor asks for a recent login first', async () => {
    const app = world()
    const rule = requireRecentLogin(app.sessions, { within: 5 * MINUTE, method: 'pwd' })
    const request = { method: 'POST', url: '/', header: () => undefined }
    const asked = async (browser: Awaited<ReturnType<typeof signedIn>>) =>
      (await browser.visit((s) => rule.refuse(s, request)?.status)).value
    const ada = await signedIn(app)
    expect(await asked(ada)).toBeUndefined()
    app.clock.advance(6 * MINUTE)
    expect(await asked(ada)).toBe(401)
    await ada.visit((s) => s.login('ada', { amr: ['pwd'] }))
    expect(await asked(ada)).toBeUndefined()
  })
})

test('7.4.2, 15.4.2: a login that was verified before its account was disabled leaves no session, whichever step is first', () =>
  fc.assert(
    fc.asyncProperty(fc.scheduler(), async (scheduler) => {
      const app = shop()
      const row = { disabled: false }
      const step = async <T>(work: () => T): Promise<T> => {
        await scheduler.schedule(Promise.resolve())
        return work()
      }
      const login = () =>
        app.request('', async (s) => {
          if (await step(() => row.disabled)) return
          s.login('ada')
          await step(() => s.commit())
          if (await step(() => row.disabled)) await step(() => app.sessions.end(s.id!))
        })
      const disable = async () => {
        await step(() => Object.assign(row, { disabled: true }))
        await step(() => app.sessions.endAll('ada'))
      }
      await scheduler.waitFor(Promise.all([login(), disable(), login()]))
      expect(await app.sessions.list('ada')).toEqual([])
    }),
    { numRuns: 200 },
  ))
