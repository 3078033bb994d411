/**
 * The row of the token pair: the refresh half in a path-scoped cookie or in the body, the access half in a header, under
 * each adapter on real sockets. It has no guests and no data that changes, and it slides by a refresh.
 */
import { createSessions, header, jwt } from 'sojourn'
import { tokenEndpoints } from 'sojourn/token/endpoints'
import { expect, test } from 'vitest'
import { ACCESS, DAY, KEYS, MINUTE, SECOND, world } from './fixtures/pair.js'
import { type Adapter, adapters, type Data, serve, type View } from './natural/servers.js'

const ORIGIN = 'https://shop.example'
const LIFETIME = 5 * MINUTE
const IDLE = 2 * DAY
const ABSOLUTE = 7 * DAY
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

type Half = 'cookie' | 'body'

/** What came back, and the `Set-Cookie` lines with it. */
interface Answer {
  readonly status: number
  readonly body: View & { access_token?: string; refresh_token?: string; error?: string }
  readonly lines: readonly string[]
}

/** A client with both halves, which remembers every one that it ever had. */
class Holder {
  access = ''
  refresh = ''
  readonly captured = { access: new Set<string>(), refresh: new Set<string>() }
  readonly #base: string
  readonly #half: Half

  constructor(base: string, half: Half) {
    this.#base = base
    this.#half = half
  }

  /** A request to the app, with the access half. */
  send(path: string, access: string = this.access): Promise<Answer> {
    const headers = access === '' ? {} : { authorization: `Bearer ${access}` }
    return this.#ask(path, { method: path === '/' ? 'GET' : 'POST', headers })
  }

  async login(user: string): Promise<Answer> {
    return this.#keep(await this.#ask(`/api/login/${user}`, { method: 'POST' }))
  }

  /** Asks for the next pair, and keeps it. */
  async renew(refresh: string = this.refresh): Promise<Answer> {
    return this.#keep(await this.#present('/api/token', 'refresh_token', refresh))
  }

  revoke(): Promise<Answer> {
    return this.#present('/api/token/revoke', 'token', this.refresh)
  }

  #present(path: string, name: string, refresh: string): Promise<Answer> {
    const [headers, body] =
      this.#half === 'cookie'
        ? [{ ...FORM, cookie: `__Secure-refresh=${refresh}`, 'sec-fetch-site': 'same-origin' }, '']
        : [FORM, new URLSearchParams({ [name]: refresh }).toString()]
    return this.#ask(path, { method: 'POST', headers, body })
  }

  async #ask(path: string, init: RequestInit): Promise<Answer> {
    const response = await fetch(this.#base + path, init)
    const text = await response.text()
    const body = text.startsWith('{') ? (JSON.parse(text) as Answer['body']) : ({} as Answer['body'])
    return { status: response.status, body, lines: response.headers.getSetCookie() }
  }

  #keep(answer: Answer): Answer {
    if (answer.status !== 200) return answer
    const { access_token: access, refresh_token: inBody } = answer.body
    const inCookie = /^__Secure-refresh=([^;]+)/.exec(answer.lines[0] ?? '')?.[1]
    expect([inBody === undefined, inCookie === undefined]).toEqual([this.#half === 'cookie', this.#half === 'body'])
    this.access = access!
    this.refresh = (inBody ?? inCookie)!
    this.captured.access.add(this.access)
    this.captured.refresh.add(this.refresh)
    return answer
  }
}

async function place(adapter: Adapter, half: Half) {
  const one = world({ access: { ...ACCESS, lifetime: LIFETIME }, refresh: { idle: IDLE, absolute: ABSOLUTE } })
  const { pair, clock, store, revocations } = one
  const sessions = createSessions<Data>({
    keys: KEYS,
    clock,
    transport: header(),
    strategy: jwt({ ...ACCESS, revocations, devices: store }),
    initial: () => ({ count: 0, marks: {} }),
  })
  const endpoints = tokenEndpoints(pair, {
    origin: ORIGIN,
    ...(half === 'cookie' ? { cookie: { path: '/api/token' } } : {}),
  })
  const { port } = await serve(adapter, sessions, (path) => {
    if (path === '/api/token') return endpoints.token
    if (path === '/api/token/revoke') return endpoints.revoke
    const userId = /^\/api\/login\/(\w+)$/.exec(path)?.[1]
    return userId === undefined
      ? undefined
      : async (request) => endpoints.granted(request, await pair.issue({ userId }))
  })
  return { ...one, sessions, holder: () => new Holder(`http://127.0.0.1:${port}`, half) }
}

const rows = adapters.flatMap((adapter) => (['cookie', 'body'] as const).map((half) => ({ adapter, half })))

test.each(rows.map((row) => [`refresh half in the ${row.half} · ${row.adapter.name}`, row] as const))(
  'token pair · %s',
  async (_, { adapter, half }) => {
    const { clock, sessions, holder } = await place(adapter, half)
    const refused = { status: 400, body: { error: 'invalid_grant' }, lines: [] }
    const userOf = async (one: Holder, access?: string) => (await one.send('/', access)).body.user
    const bea = holder()
    await bea.login('bea')
    const ann = holder()

    // A visit, and a write: nothing is kept of a guest, who is told so.
    expect(await ann.send('/')).toMatchObject({ status: 200, body: { refused: 'absent', count: 0 }, lines: [] })
    expect(await ann.send('/add')).toMatchObject({ status: 500, lines: [] })

    // A login: the refresh half goes nowhere but to the endpoints, and no script reads it.
    const login = await ann.login('ann')
    if (half === 'cookie')
      expect(login.lines).toEqual([expect.stringMatching(/; Path=\/api\/token; HttpOnly; Secure; SameSite=Strict$/)])
    const { id } = (await ann.send('/')).body
    expect(await ann.send('/')).toMatchObject({ status: 200, body: { user: 'ann', id }, lines: [] })
    expect((await sessions.list('ann')).map((info) => info.id)).toEqual([id])

    // Parallel writers: what is in it is fixed, which is said, and nobody is signed out by it.
    const writes = await Promise.all(['/add', '/mark/a', '/rotate'].map((path) => ann.send(path)))
    expect(writes.map(({ status }) => status)).toEqual([500, 500, 500])
    expect(await userOf(ann)).toBe('ann')

    // It slides by a refresh, of which several at once come to one.
    const first = ann.refresh
    for (let i = 0; i < 3; i++) {
      clock.advance(LIFETIME)
      expect(await ann.send('/')).toMatchObject({ body: { refused: 'expired' }, lines: [] })
      const before = ann.refresh
      const answers = await Promise.all(Array.from({ length: 4 }, () => ann.renew(before)))
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
      expect(ann.captured.refresh.size).toBe(i + 2)
      expect((await ann.send('/')).body).toMatchObject({ user: 'ann', id })
    }

    // A device that is ended from elsewhere: both halves.
    const other = holder()
    await other.login('ann')
    expect(await sessions.end((await other.send('/')).body.id!)).toBe(true)
    expect((await other.send('/')).body).toMatchObject({ refused: 'ended' })
    expect(await other.renew()).toEqual(refused)

    // A token of before, used again: it is over for whoever holds one of this login's.
    expect(await ann.renew(first)).toEqual(refused)
    expect(await ann.renew()).toEqual(refused)
    expect((await ann.send('/')).body).toMatchObject({ refused: 'ended' })

    // It expires: idle, and absolute, however busy it was (7.3.2).
    await ann.login('ann')
    clock.advance(IDLE)
    expect(await ann.renew()).toEqual(refused)
    await bea.login('bea')
    await ann.login('ann')
    for (let busy = 0; busy < ABSOLUTE; busy += DAY) {
      expect((await ann.renew()).status, `after ${busy} ms`).toBe(200)
      expect((await bea.renew()).status).toBe(200)
      clock.advance(DAY)
    }
    expect(await ann.renew()).toEqual(refused)
    expect((await ann.send('/')).body).toMatchObject({ refused: 'expired' })

    // A logout, by either half: the cookie is taken back, and both are over.
    await bea.login('bea')
    await ann.login('ann')
    const out = await ann.revoke()
    expect([out.status, out.lines.length]).toEqual([200, half === 'cookie' ? 1 : 0])
    if (half === 'cookie') expect(out.lines[0]).toMatch(/^__Secure-refresh=; .*Max-Age=0/)
    expect((await ann.send('/')).body).toMatchObject({ refused: 'ended' })
    await ann.login('ann')
    expect((await ann.send('/logout')).status).toBe(200)
    expect(await ann.renew()).toEqual(refused)
    expect(await sessions.list('ann')).toEqual([])

    // Everything that was ever captured is sent again: as it is, as the other half, and with one character changed.
    const { access, refresh } = ann.captured
    expect(Math.min(access.size, refresh.size)).toBeGreaterThan(10)
    for (const token of [...access, ...refresh]) {
      const replay = await ann.send('/', token)
      expect(replay.body).not.toHaveProperty('user')
      expect(replay.body.refused).not.toBe('absent')
      expect(replay.lines).toEqual([])
      expect(await ann.renew(token)).toEqual(refused)
    }
    for (const place of [3, Math.floor(bea.refresh.length / 2), bea.refresh.length - 2]) {
      const changed = (text: string) => text.slice(0, place) + (text[place] === 'A' ? 'B' : 'A') + text.slice(place + 1)
      expect(await userOf(bea, changed(bea.access))).toBeUndefined()
      expect(await ann.renew(changed(bea.refresh))).toEqual(refused)
    }
    // And another user never noticed any of it.
    expect(await userOf(bea)).toBe('bea')
    clock.advance(10 * SECOND)
    expect((await bea.renew()).status).toBe(200)
    expect(await userOf(bea)).toBe('bea')
  },
)
