/** What ends up in logs, traces and answers: nothing that opens a session, nothing of what is in it, nothing that confuses. */
import { format, inspect } from 'node:util'
import { cookie, createSessions, opaque, type Session } from 'sojourn'
import { fetch } from 'sojourn/adapter/fetch'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type App, counted, gated, KEY, MINUTE, ORIGIN, type Shop, shop } from './helpers.js'

const DATA = 'canary-in-the-data'
const FLASH = 'canary-in-a-flash'
const USER = 'canary-who-signed-in'
const CAUSE = 'canary-of-the-store'
const KEYED = 'canary@keys.example'

/** Everything that must not be found, once there is a session: its credential in parts, its tokens, its content, the keys. */
async function canaries(app: App) {
  const { given, value } = await app.request('', (s) => {
    s.login(USER)
    s.data.note = DATA
    s.data[KEYED] = [1]
    s.flash('notice', FLASH)
    return s.csrfToken()
  })
  const [, , identifier, signature] = given!.split(/[=.]/) as [string, string, string, string]
  const key = Buffer.from(KEY, 'base64url')
  const secret = [given!, identifier, signature, value!, KEY, key.toString('hex'), key.toString('base64')]
  return { cookie: given!, secrets: [...secret, DATA, FLASH, KEYED, CAUSE] }
}

/** However a careless logger writes it down. */
const written = (value: unknown) =>
  [
    inspect(value, { depth: Number.POSITIVE_INFINITY, showHidden: true, maxArrayLength: null, maxStringLength: null }),
    inspect(value),
    format('%o %O %j %s', value, value, value, value),
    JSON.stringify(value),
    String(value),
  ].join('\n')

function expectNone(text: string, secrets: readonly string[]) {
  for (const secret of secrets) expect(text.includes(secret), `a canary in: ${text.slice(0, 200)}`).toBe(false)
}

function warnings(): unknown[] {
  const seen: unknown[] = []
  const take = (warning: Error) => void seen.push(warning)
  process.on('warning', take)
  onTestFinished(() => void process.off('warning', take))
  return seen
}

describe('A-154: what is logged by mistake', () => {
  test('A-154: a session, before and after its commit, says whether somebody is signed in, and no more', async () => {
    const app = shop()
    const { cookie, secrets } = await canaries(app)
    const seen: string[] = []
    await app.request(cookie, async (s) => {
      s.data.note = `${DATA} again`
      s.flashed('notice')
      s.rotate()
      seen.push(written(s), written({ nested: [s] }))
      await s.commit()
      seen.push(written(s))
    })
    for (const text of seen) expectNone(text, [...secrets, USER, 'cart'])
    let guest = ''
    await app.request('', (s) => {
      guest = `${inspect(s)} ${JSON.stringify(s)}`
    })
    expect([seen[0]!.includes('Session { user }'), guest]).toEqual([true, 'Session { guest } {"session":"guest"}'])
  })

  test('A-154: the sessions, the store, and what hangs on a request show nothing', async () => {
    const app = shop()
    const { cookie, secrets } = await canaries(app)
    let visit: unknown
    const handle = fetch(app.sessions, async (request) => {
      const s = await app.sessions.of(request)
      s.data.cart.push('book')
      const [symbol] = Object.getOwnPropertySymbols(request).filter(({ description }) => description === 'sojourn')
      visit = (request as unknown as Record<symbol, unknown>)[symbol!]
      return new Response()
    })
    await handle(new Request(ORIGIN, { headers: { cookie } }))
    expect(visit).toBeDefined()
    for (const thing of [app.sessions, app.store, visit]) expectNone(written(thing), [...secrets, USER])
  })

  test('A-154, A-157: no event of any kind tells more than handles, users and reasons', async () => {
    const seen = warnings()
    const app = shop({ limit: { sessions: 1, policy: 'evict-oldest' } })
    const { cookie, secrets } = await canaries(app)
    await everyKindOfEvent(app, cookie)
    const types = new Set(app.events.map((event) => ('reason' in event ? `${event.type} ${event.reason}` : event.type)))
    expect([...types].sort()).toEqual([
      'created',
      'ended limit',
      'ended logout',
      'ended revoked',
      'ended revoked-all',
      'fault',
      'refused cross-origin',
      'refused csrf-token',
      'refused ended',
      'refused forged',
      'refused malformed',
      'refused replaced',
      'renewed',
      'rotated login',
      'rotated rotate',
    ])
    const allowed = ['type', 'id', 'from', 'userId', 'reason', 'count', 'ip', 'code', 'message', 'at']
    for (const event of app.events) for (const field of Object.keys(event)) expect(allowed).toContain(field)
    expectNone(written(app.events), secrets)
    expectNone(written(seen), secrets)
  })

  test.each<[string, (s: Session<Shop>) => unknown]>([
    ['what cannot be kept', (s) => Object.assign(s.data, { [KEYED]: new Map([[DATA, DATA]]) })],
    ['what cannot be kept, found at the commit', (s) => void (s.data[KEYED] as unknown[]).push(1n, DATA)],
    ['what is too large', (s) => Object.assign(s.data, { note: DATA.repeat(100_000) })],
    [
      'a change that comes too late',
      async (s) => {
        await s.commit()
        Object.assign(s.data, { [KEYED]: DATA })
      },
    ],
  ])('A-154: the fault of %s', async (_, work) => {
    const app = shop()
    const { cookie, secrets } = await canaries(app)
    app.told()
    const answer = await app.request(cookie, work)
    expect(answer.status).toBe(500)
    expectNone(written([app.events, answer.problem, [...answer.headers]]), [...secrets, USER])
  })

  test.each(['ERR_STORE', 'ERR_CONFLICT', 'ERR_LIMIT'])('A-154: the fault and the answer of %s', async (code) => {
    let broken = false
    const inner = shop().store
    const store = gated(inner, (_, go) => {
      if (broken) throw new Error(`${CAUSE}: could not write ${DATA}`)
      return go()
    })
    const app = shop({ store, limit: { sessions: 1, policy: 'reject' } })
    const { cookie, secrets } = await canaries(app)
    let caught: unknown
    const answer = await app.request(code === 'ERR_LIMIT' ? '' : cookie, async (s) => {
      s.data.note = DATA
      if (code === 'ERR_STORE') broken = true
      if (code === 'ERR_CONFLICT') await app.request(cookie, (other) => other.rotate())
      if (code === 'ERR_LIMIT') s.login(USER)
      try {
        await s.commit()
      } catch (fault) {
        caught = fault
        throw fault
      }
    })
    expect(caught).toMatchObject({ code })
    const { message, name, headers, status } = caught as Error & { headers: object; status: number }
    expectNone(written([message, name, headers, status, answer.problem, [...answer.headers]]), [...secrets, USER])
    expectNone(written(app.events), secrets)
    // What the store threw is kept for whoever debugs it, as its cause, and nowhere else.
    if (code === 'ERR_STORE') expect(((caught as Error).cause as Error).message).toContain(CAUSE)
    else expectNone(written(caught), [...secrets, USER])
  })
})

/** Makes every kind of event happen at least once. */
async function everyKindOfEvent(app: App, first: string): Promise<void> {
  const browser = app.browser(first)
  app.clock.advance(4 * MINUTE)
  await browser.visit((s) => s.verifyCsrf(`${DATA}.token`))
  await browser.visit((s) => s.rotate())
  await app.request(first, (s) => s.data)
  await browser.visit((s) => s.login(USER))
  await browser.visit(() => {}, {
    method: 'POST',
    headers: { 'sec-fetch-site': 'cross-site', origin: 'https://x.example' },
  })
  await app.request(`${browser.cookie}x`, () => {})
  await app.request(`${browser.cookie.slice(0, -2)}AA`, () => {})
  app.clock.advance(1)
  await app.request('', (s) => s.login(USER))
  await browser.visit(() => {})
  await browser.visit((s) => void (s.data.cart as unknown[]).push(new Date()))
  const guest = await app.request('', (s) => [s.update('count', (n) => n + 1), s.id][1])
  await app.sessions.end(guest.given ? ((await app.request(guest.given, (s) => s.id)).value as string) : '')
  app.clock.advance(1)
  const last = await app.request('', (s) => s.login(USER))
  await app.request(last.given!, (s) => s.logout())
  await app.request('', (s) => s.login(USER))
  await app.sessions.endAll(USER)
}

describe('A-155: what a client may have put there to confuse', () => {
  test.each([
    ['a tab', 'Mozilla\tevil'],
    ['an escape of a terminal, as Latin-1', 'Mozilla\u009b31m evil'],
    ['a next line, as Latin-1', 'Mozilla\u0085evil'],
  ])('A-155: %s in the name of the browser is kept as a blank', async (_, agent) => {
    const app = shop()
    const { given } = await app.request('', (s) => s.login('ada'), { headers: { 'user-agent': agent } })
    const { value } = await app.request(given!, (s) => s.device?.userAgent)
    expect(value).toMatch(/^Mozilla .*evil$/)
    expect(value).not.toMatch(/\p{Cc}/u)
    expect((await app.sessions.list('ada'))[0]!.device).toEqual({ userAgent: value })
  })

  test('A-155: keys of the data with line breaks are not in messages', async () => {
    const app = shop()
    await app.request('', (s) => {
      for (const key of ['a\nlevel=fatal', 'a\u001b[31m', '\u2028', 'x'.repeat(10_000), USER.replaceAll('-', ' ')]) {
        const change = () => Object.assign(s.data, { [key]: new Map() })
        expect(change).toThrow(/^a field of session\.data cannot be kept: it holds a Map/)
      }
    })
  })
})

test('A-156: whatever is wrong with a credential, the answer is the same', async () => {
  const app = shop()
  const login = async () => (await app.request('', (s) => s.login('ada'))).given!
  const [replaced, ended, revoked, expired] = [await login(), await login(), await login(), await login()]
  const [cookieName, value] = expired.split('=') as [string, string]
  app.clock.advance(31 * MINUTE)
  const [rotating, leaving, ending] = [await login(), await login(), await login()]
  await app.request(rotating, (s) => s.rotate())
  await app.request(leaving, (s) => s.logout())
  await app.sessions.end((await app.request(ending, (s) => s.id)).value!)
  const kinds = [
    '',
    `${cookieName}=x`,
    `${cookieName}=${value.slice(0, -1)}${value.endsWith('A') ? 'B' : 'A'}`,
    `${cookieName}=${value}; ${cookieName}=x; ${cookieName}=y`,
    ...[replaced, ended, revoked, expired, rotating, leaving, ending],
  ]
  const answers = await Promise.all(
    kinds.map(async (cookie) => {
      const { status, headers, value } = await app.request(cookie, (s) => [s.userId, s.id, { ...s.data }])
      return JSON.stringify([status, [...headers], value])
    }),
  )
  expect(new Set(answers).size).toBe(1)
  // The difference is told to whoever listens.
  const reasons = app.events.flatMap((event) => (event.type === 'refused' ? [event.reason] : []))
  expect(new Set(reasons)).toEqual(new Set(['malformed', 'forged', 'ended', 'replaced']))
})

describe('A-158: what takes long to look at', () => {
  const MEGABYTE = 1_048_576
  test.each<[string, string]>([
    ['names that begin like ours', '__Host-Http-session'.repeat(MEGABYTE / 19)],
    ['our name, over and over', '__Host-Http-session=;'.repeat(MEGABYTE / 21)],
    ['blanks', ` ${' '.repeat(MEGABYTE)};`],
    ['quotes', `__Host-Http-session=${'"'.repeat(MEGABYTE)}`],
    ['dots', `__Host-Http-session=${'.'.repeat(MEGABYTE)}`],
    ['semicolons', ';'.repeat(MEGABYTE)],
    ['equals signs', `__Host-Http-session${'='.repeat(MEGABYTE)}`],
  ])('A-158: a megabyte of %s is read in time that grows with its length, not with its square', async (_, header) => {
    const { store, calls } = counted(shop().store)
    const sessions = createSessions({ keys: KEY, strategy: opaque({ store }), transport: cookie() })
    const handle = fetch(sessions, async (request) => new Response(String((await sessions.of(request)).userId)))
    const request = new Request(ORIGIN, { headers: { cookie: header, 'user-agent': header.slice(0, 65_536) } })
    const before = performance.now()
    expect(await (await handle(request)).text()).toBe('undefined')
    // The square of a megabyte would take minutes.
    expect(performance.now() - before).toBeLessThan(2_000)
    expect(calls()).toEqual([])
  })

  test('A-158: a megabyte as a form’s token, a handle or a user’s agent', async () => {
    const app = shop()
    const { given } = await app.request('', (s) => s.login('ada'))
    for (const unit of ['A', '.', 'A.', '-', '\u00e9', '\t']) {
      const long = unit.repeat(MEGABYTE / unit.length)
      const before = performance.now()
      const { value } = await app.request(given!, (s) => s.verifyCsrf(long))
      expect([value, await app.sessions.end(long)]).toEqual([false, false])
      await app.request('', (s) => s.login('eve'), { headers: { 'user-agent': `x${long}x` } })
      expect(performance.now() - before).toBeLessThan(2_000)
    }
  })
})
