/** One credential for all tabs: renewed once, whatever is lost on the way. */
import type { Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { useBrowser } from '../../server/test/browser.js'
import { type ClientServer, clientServer, type Seen } from './fixtures/client-server.js'
import {
  BODY,
  COOKIE,
  get,
  heard,
  kept,
  later,
  login,
  makeClient,
  runOut,
  signedIn,
  tab,
  tabs,
  untilSignedIn,
} from './fixtures/client-tabs.js'

const REFRESH = '/api/token/refresh'
const LOCAL = { ...BODY, storage: 'localStorage' } as const

const pause = (ms: number) => new Promise((done) => setTimeout(done, ms))
const bodies = (all: Seen[]) => all.map(({ answer }) => JSON.parse(answer ?? '{}') as Record<string, unknown>)
const told = (server: ClientServer) => server.events.map((event) => ('reason' in event ? event.reason : event.type))

describe('with a browser', () => {
  const open = useBrowser()

  test('A-122: five tabs with an expired token cause one refresh (localStorage)', async () => {
    const server = await clientServer()
    const all = await tabs(open, server, 5, LOCAL)
    expect(await login(all[0]!)).toBe(200)
    await untilSignedIn(all, true)
    await runOut(all[0]!)
    // What one tab writes, the others see a little later.
    for (const page of all) await expect.poll(async () => JSON.stringify(await kept(page))).toContain('"expiresAt\\":1')
    expect(await Promise.all(all.map((page) => get(page)))).toEqual([200, 200, 200, 200, 200])
    expect(server.to(REFRESH)).toHaveLength(1)
    const [{ access_token }] = bodies(server.to(REFRESH)) as [Record<string, unknown>]
    expect(server.to('/api/me').map(({ headers }) => headers.authorization)).toEqual(
      Array(5).fill(`Bearer ${access_token}`),
    )
  })

  test('A-122: five tabs with an expired token cause one refresh (memory, refresh token in its cookie)', async () => {
    const server = await clientServer()
    const all = await tabs(open, server, 5, COOKIE)
    await login(all[0]!, '/cookie/token')
    await untilSignedIn(all, true)
    await later(all, 61_000)
    expect(await Promise.all(all.map((page) => get(page)))).toEqual([200, 200, 200, 200, 200])
    expect(server.to('/cookie/token/refresh')).toHaveLength(1)
    expect(server.to('/cookie/token/refresh')[0]!.body).toBe('{}')
  })

  test('five tabs that are opened with nothing but the refresh cookie cause one refresh', async () => {
    const server = await clientServer()
    const first = await tab(open, server, COOKIE)
    await login(first, '/cookie/token')
    const all = []
    for (let i = 0; i < 5; i++) all.push(await tab(open, server, COOKIE, first))
    await first.close()
    expect(await Promise.all(all.map((page) => get(page)))).toEqual([200, 200, 200, 200, 200])
    expect(server.to('/cookie/token/refresh')).toHaveLength(1)
  })

  test('a visitor without a refresh cookie asks for one once, and is a guest', async () => {
    const server = await clientServer()
    const page = await tab(open, server, COOKIE)
    expect([await get(page), await get(page), await get(page)]).toEqual([401, 401, 401])
    expect(server.to('/cookie/token/refresh')).toHaveLength(1)
    expect(await heard(page), 'nothing has ended').toEqual([])
  })

  test('A-61: a lost refresh response is asked for again, and brings the same successor', async () => {
    const server = await clientServer()
    const page = await tab(open, server, LOCAL)
    await login(page)
    await runOut(page)
    let lost = 2
    server.fate = ({ path }) => (path === REFRESH && lost-- > 0 ? 'lost' : undefined)
    expect(await get(page)).toBe(200)
    const answers = bodies(server.to(REFRESH))
    expect(answers).toHaveLength(3)
    expect(new Set(answers.map(({ refresh_token }) => refresh_token)).size).toBe(1)
    expect(told(server).filter((what) => what === 'replayed')).toEqual([])
  })

  test('A-61: responses are lost every other time, in five tabs, and nobody is logged out', async () => {
    const server = await clientServer({ lifetime: 1_500 })
    const all = await tabs(open, server, 5, LOCAL)
    await login(all[0]!)
    let random = 7
    server.fate = ({ path }) => {
      random = (random * 1_103_515_245 + 12_345) % 2 ** 31
      return path === REFRESH && random > 2 ** 30 ? 'lost' : undefined
    }
    for (let round = 0; round < 4; round++) {
      const answers = await Promise.all(all.map((page) => get(page)))
      expect(answers.filter((answer) => answer !== 200 && answer !== 'RenewalError')).toEqual([])
      await pause(1_050)
    }
    expect(server.to(REFRESH).length).toBeGreaterThan(4)
    server.fate = () => undefined
    expect(await Promise.all(all.map((page) => get(page)))).toEqual([200, 200, 200, 200, 200])
    expect(told(server).filter((what) => what === 'replayed')).toEqual([])
  })

  test('is renewed in the background before it runs out', async () => {
    const server = await clientServer()
    const page = await tab(open, server, BODY)
    await login(page)
    expect(await get(page)).toBe(200)
    expect(server.to(REFRESH)).toHaveLength(0)
    await later([page], 50_000)
    let release = () => {}
    const gate = new Promise<void>((done) => {
      release = done
    })
    server.fate = ({ path }) => (path === REFRESH ? gate : undefined)
    expect(await get(page), 'sent with the old one, and waits for nothing').toBe(200)
    await expect.poll(() => server.to(REFRESH).length).toBe(1)
    release()
    await pause(300)
    expect(await get(page)).toBe(200)
    const used = server.to('/api/me').map(({ headers }) => headers.authorization)
    expect(used[1]).toBe(used[0])
    expect(used[2]).not.toBe(used[0])
    expect(server.to(REFRESH)).toHaveLength(1)
  })

  test('a 401 is answered with a renewal and one more try, with the body', async () => {
    const server = await clientServer()
    const page = await tab(open, server, BODY)
    await login(page)
    let refused = 1
    server.fate = ({ path }) => (path === '/api/me' && refused-- > 0 ? 401 : undefined)
    expect(await get(page, '/api/me', { method: 'POST', body: 'three words here' })).toBe(200)
    expect(server.to(REFRESH)).toHaveLength(1)
    expect(server.to('/api/me').map(({ body }) => body)).toEqual(['three words here', 'three words here'])
    const [first, second] = server.to('/api/me').map(({ headers }) => headers.authorization)
    expect(second).not.toBe(first)
  })

  test('a 401 that stays is answered to the app: one renewal, two requests, no loop', async () => {
    const server = await clientServer()
    const page = await tab(open, server, BODY)
    await login(page)
    server.fate = ({ path }) => (path === '/api/me' ? 401 : undefined)
    expect(await get(page)).toBe(401)
    expect([server.to(REFRESH).length, server.to('/api/me').length]).toEqual([1, 2])
    expect(await signedIn(page), 'the server has not said that the login is over').toBe(true)
  })

  test('a refresh endpoint that fails logs nobody out', async () => {
    const server = await clientServer()
    const page = await tab(open, server, LOCAL)
    await login(page)
    await runOut(page)
    server.fate = ({ path }) => (path === REFRESH ? 503 : undefined)
    expect(await get(page)).toBe('RenewalError')
    expect(server.to(REFRESH)).toHaveLength(3)
    expect(server.to('/api/me'), 'nothing was sent with what is of no use').toHaveLength(0)
    server.fate = ({ path }) => (path === REFRESH ? 429 : undefined)
    expect(await get(page)).toBe('RenewalError')
    expect(server.to(REFRESH), 'who asks for less is not asked again').toHaveLength(4)
    server.fate = () => undefined
    expect(await get(page)).toBe(200)
    expect(await heard(page)).toEqual(['login'])
  })

  test('A-69: a login that the server has ended is over in all tabs, and nothing of it is kept', async () => {
    const server = await clientServer()
    const all = await tabs(open, server, 3, LOCAL)
    await login(all[0]!)
    await untilSignedIn(all, true)
    await server.endAll('marguerite')
    expect(await get(all[1]!)).toBe(401)
    await untilSignedIn(all, false)
    for (const page of all) await expect.poll(() => heard(page)).toEqual(['login', 'logout'])
    expect((await kept(all[2]!)).local).toEqual({})
  })

  test('A-59: a duplicated tab is handed the next refresh token, and whoever listens learns nothing', async () => {
    const server = await clientServer()
    const options = { ...BODY, storage: 'sessionStorage' } as const
    const page = await tab(open, server, options)
    await login(page)
    const opening = page.context().waitForEvent('page')
    await page.evaluate(() => void window.open('/'))
    const copy = await opening
    await copy.waitForLoadState()
    await makeClient(copy, server, options)
    expect(await signedIn(copy), 'the browser has copied it').toBe(true)
    const listener = await page.context().newPage()
    await listener.goto(`${server.url}/`)
    await listener.evaluate(() => {
      window.heard = []
      new BroadcastChannel('sojourn:default').onmessage = ({ data }) => {
        window.heard.push(
          `${Object.keys(data)} ${new TextDecoder('latin1').decode(data.sealed)} ${JSON.stringify(data)}`,
        )
      }
    })
    for (const one of [page, copy, page]) {
      await runOut(one, 'sessionStorage')
      expect(await get(one)).toBe(200)
      const [{ refresh_token }] = bodies(server.to(REFRESH).slice(-1)) as [Record<string, string>]
      for (const each of [page, copy]) {
        await expect
          .poll(() => each.evaluate(() => JSON.parse(sessionStorage.getItem('sojourn:default')!).refresh))
          .toBe(refresh_token)
      }
    }
    expect(told(server).filter((what) => what === 'replayed')).toEqual([])
    const overheard = await heard(listener)
    expect(overheard).toHaveLength(3)
    for (const { access_token, refresh_token } of bodies(server.to(REFRESH))) {
      expect(overheard.filter((text) => text.includes(`${access_token}`) || text.includes(`${refresh_token}`))).toEqual(
        [],
      )
    }
  })

  test.each(['at the same time', 'right after it'])(
    'a tab that sees late what another has written, and asks %s, still does not refresh again',
    async (when) => {
      const server = await clientServer()
      const [page, other] = (await tabs(open, server, 2, LOCAL)) as [never, never]
      await login(page)
      await untilSignedIn([page, other], true)
      await runOut(page)
      await lagging(other, 300)
      await expect.poll(async () => JSON.stringify(await kept(other))).toContain('"expiresAt\\":1')
      await pause(400)
      await signedIn(other)
      const [answer] = await Promise.all([go(page, false), go(other, when === 'right after it')])
      await expect.poll(() => heard(other)).toContain('200')
      expect(answer).toBe(200)
      expect(server.to(REFRESH)).toHaveLength(1)
    },
  )

  test('without Web Locks, requests of one page still share one refresh', async () => {
    const server = await clientServer()
    const { page } = await open(server.url, { javaScriptEnabled: true })
    await page.addInitScript(() => Object.defineProperty(navigator, 'locks', { value: undefined }))
    await page.goto('/')
    await makeClient(page, server, LOCAL)
    await makeClient(page, server, LOCAL)
    await login(page)
    await runOut(page)
    const answers = await page.evaluate(async () => {
      const all = await Promise.all(Array.from({ length: 10 }, () => window.client.fetch('/api/me')))
      return all.map(({ status }) => status)
    })
    expect(answers).toEqual(Array(10).fill(200))
    expect(server.to(REFRESH)).toHaveLength(1)
  })
})

/** What is written to storage is seen so many milliseconds later in this tab. */
async function lagging(page: Page, ms: number): Promise<void> {
  await page.evaluate((ms) => {
    const read = Storage.prototype.getItem
    let [old, latest, since] = [null, read.call(localStorage, 'sojourn:default'), Number.NEGATIVE_INFINITY]
    Storage.prototype.getItem = function (key) {
      const value = read.call(this, key)
      if (value !== latest) [old, latest, since] = [latest as never, value, performance.now()]
      return performance.now() - since < ms ? old : latest
    }
  }, ms)
}

/** Asks now and tells the other tabs when it has an answer; or asks when another tab has told so. */
function go(page: Page, whenTold: boolean): Promise<number> {
  return page.evaluate(async (whenTold) => {
    const channel = new BroadcastChannel('test')
    const ask = async () => {
      const { status } = await window.client.fetch('/api/me')
      window.heard.push(`${status}`)
      channel.postMessage('answered')
      return status
    }
    if (!whenTold) return ask()
    channel.onmessage = ask
    return 0
  }, whenTold)
}
