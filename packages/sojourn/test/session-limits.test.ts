/** How many sessions a user may have, and what happens at the limit (ASVS 7.1.2). */
import type { Limit } from 'sojourn'
import { describe, expect, test } from 'vitest'
import { type App, type Browser, MINUTE, shop } from './helpers.js'

async function devices(app: App, count: number, userId = 'ada'): Promise<Browser[]> {
  const browsers: Browser[] = []
  for (let i = 0; i < count; i++) {
    app.clock.advance(MINUTE)
    const browser = app.browser()
    expect((await browser.visit((s) => s.login(userId))).status).toBe(200)
    browsers.push(browser)
  }
  return browsers
}

const users = (app: App, browsers: Browser[]) => Promise.all(browsers.map(({ cookie }) => app.userOf(cookie)))
const limit = (sessions: number, policy: Limit['policy']) => ({ limit: { sessions, policy } })

describe('7.1.2: evict-oldest', () => {
  test.each([1, 2, 5])('7.1.2: of %d and one more, the longest-running one is ended, and it is told', async (n) => {
    const app = shop(limit(n, 'evict-oldest'))
    const browsers = await devices(app, n + 1)
    expect(await users(app, browsers)).toEqual([undefined, ...Array(n).fill('ada')])
    expect(await app.sessions.list('ada')).toHaveLength(n)
    const ended = app.events.filter((event) => event.type === 'ended')
    expect(ended).toEqual([expect.objectContaining({ userId: 'ada', reason: 'limit' })])
  })

  test('7.1.2: how long it runs counts, not how lately it was used, nor under which identifier', async () => {
    const app = shop(limit(2, 'evict-oldest'))
    const [first, second] = (await devices(app, 2)) as [Browser, Browser]
    await first.visit((s) => [s.rotate(), s.update('count', (n) => n + 1)])
    const [third] = (await devices(app, 1)) as [Browser]
    expect(await users(app, [first, second, third])).toEqual([undefined, 'ada', 'ada'])
  })

  test('7.1.2: signing in again takes no more room, and makes it the youngest', async () => {
    const app = shop(limit(2, 'evict-oldest'))
    const [first, second] = (await devices(app, 2)) as [Browser, Browser]
    app.clock.advance(1)
    await first.visit((s) => s.login('ada'))
    expect(await users(app, [first, second])).toEqual(['ada', 'ada'])
    const [third] = (await devices(app, 1)) as [Browser]
    expect(await users(app, [first, second, third])).toEqual(['ada', undefined, 'ada'])
  })
})

describe('7.1.2: reject', () => {
  test.each([1, 2, 5])('7.1.2: of %d and one more, the one more is told, and keeps what it had', async (n) => {
    const app = shop(limit(n, 'reject'))
    const browsers = await devices(app, n)
    const late = app.browser()
    await late.visit((s) => void s.data.cart.push('book'))
    const guest = late.cookie
    const refused = await late.visit((s) => s.login('ada'))
    expect([refused.status, refused.given, refused.headers.get('retry-after')]).toEqual([409, undefined, null])
    expect(refused.problem?.detail).toMatch(/signed in on as many devices as are allowed/)
    expect((await app.request(guest, (s) => [s.userId, s.data.cart])).value).toEqual([undefined, ['book']])
    expect(await users(app, browsers)).toEqual(Array(n).fill('ada'))

    await browsers[0]!.visit((s) => s.logout())
    await late.visit((s) => s.login('ada'))
    expect((await late.visit((s) => [s.userId, s.data.cart])).value).toEqual(['ada', ['book']])
  })

  test('7.1.2: signing in again takes no more room; an expired session takes none', async () => {
    const app = shop(limit(1, 'reject'))
    const [only] = (await devices(app, 1)) as [Browser]
    expect((await only.visit((s) => s.login('ada'))).status).toBe(200)
    app.clock.advance(30 * MINUTE)
    const [next] = (await devices(app, 1)) as [Browser]
    expect(await users(app, [only, next])).toEqual([undefined, 'ada'])
  })

  test('7.1.2: a rejected change of user leaves the one who is signed in', async () => {
    const app = shop(limit(1, 'reject'))
    await devices(app, 1, 'eve')
    const [ada] = (await devices(app, 1)) as [Browser]
    expect((await ada.visit((s) => s.login('eve'))).status).toBe(409)
    expect((await ada.visit((s) => s.userId)).value).toBe('ada')
  })
})

test.each(['evict-oldest', 'reject'] as const)(
  '7.1.2: %s counts users alone, and each by themselves',
  async (policy) => {
    const app = shop(limit(1, policy))
    const everybody = [...(await devices(app, 1, 'ada')), ...(await devices(app, 1, 'eve'))]
    for (let i = 0; i < 5; i++) await app.request('', (s) => s.update('count', (n) => n + 1))
    expect(await users(app, everybody)).toEqual(['ada', 'eve'])
  },
)
