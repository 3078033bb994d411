/** A provider's tokens in every way of keeping them: who gets at them, how long, and where they are never seen. */
import { inspect } from 'node:util'
import { acceptNoRevocation, createSessions, generateSecret, jwt, opaque, sealed } from 'sojourn'
import { vault } from 'sojourn/identity/vault'
import { memory } from 'sojourn/store/memory'
import { describe, expect, test } from 'vitest'
import { providersAt } from './fixtures/provider.mjs'
import { VAULT_KEY, WAYS, world } from './fixtures/vault.js'
import { counted, gated, KEY } from './helpers.js'

/** A browser whose user has signed in and connected. */
async function connected(w: Awaited<ReturnType<typeof world>>, userId = 'ada', lifetime?: number, renewable?: boolean) {
  const browser = w.app.browser()
  const tokens = w.tokens(lifetime, renewable)
  const { status } = await browser.visit(async (s) => {
    s.login(userId)
    await w.vault.keep(s, tokens)
  })
  expect(status).toBe(200)
  return { browser, tokens }
}

describe.each(WAYS)('%s', (_, strategy, way) => {
  test('10.1.1: the app calls the provider for the user, and the token is the provider’s alone to see', async () => {
    const w = await world(strategy, way)
    const { browser, tokens } = await connected(w)
    const { value } = await browser.visit(async (s) => {
      const answer = await w.vault.fetch(s, 'github', '/user')
      return answer.kind === 'answer' ? { status: answer.response.status, body: await answer.response.json() } : answer
    })
    expect(value).toEqual({ status: 200, body: { login: 'ada' } })
    expect(w.provider.state.calls).toMatchObject([
      { method: 'GET', url: '/api/user', headers: { authorization: `Bearer ${tokens.accessToken}` } },
    ])
    expect(await w.vault.fetch((await nobody(w))!, 'github', '/user')).toEqual({
      kind: 'reconnect',
      provider: 'github',
      why: 'absent',
    })
  })

  test('A-154: no token in a record, a row, a cookie, an event, a log of the vault, of its answers or of the session', async () => {
    const w = await world(strategy, way)
    const { browser } = await connected(w, 'ada', 0)
    const seen = [browser.cookie]
    const { value } = await browser.visit(async (s) => {
      const answer = await w.vault.fetch(s, 'github', '/user')
      const connections = await w.vault.connections(s)
      const things = [w.vault, answer, connections, s, s.data, w.app.sessions]
      return things
        .map((thing) => `${inspect(thing, { depth: 9, showHidden: true })} ${JSON.stringify(thing)}`)
        .join('\n')
    })
    seen.push(value!, browser.cookie, JSON.stringify(w.app.events))
    for (const store of [w.rows, w.app.store])
      for (const [id, record] of store.list() as Iterable<[string, object]>) seen.push(id + JSON.stringify(record))
    expect(w.provider.state.refreshes).toBe(1)
    expect(seen.join('\n').length).toBeGreaterThan(300)
    for (const text of seen) {
      expect(text).not.toContain('canary')
      expect(Buffer.from(text.replace(/.*[=.]/s, ''), 'base64url').includes('canary')).toBe(false)
    }
  })

  test('connections are listed without a token, and gone once disconnected, here and at the provider', async () => {
    const w = await world(strategy, way)
    const { browser, tokens } = await connected(w)
    const list = await browser.visit((s) => w.vault.connections(s))
    expect(list.value).toEqual([
      {
        provider: 'github',
        sub: '1',
        issuer: w.provider.url,
        scope: ['repo'],
        connectedAt: expect.any(Number),
        endsAt: undefined,
      },
    ])
    expect((await browser.visit((s) => w.vault.disconnect(s, 'github'))).value).toBe('revoked')
    expect(w.provider.state.revoked).toEqual([tokens.accessToken])
    expect((await browser.visit((s) => w.vault.connections(s))).value).toEqual([])
    expect((await browser.visit((s) => w.vault.disconnect(s, 'github'))).value).toBe('absent')
    expect([...(w.rows.list() as Iterable<unknown>)]).toEqual([])
  })

  test('a provider that cannot be reached keeps nobody connected here, and is said to know nothing of it', async () => {
    const w = await world(strategy, way)
    const { browser } = await connected(w)
    w.provider.state.mode = 'down'
    expect((await browser.visit((s) => w.vault.disconnect(s, 'github'))).value).toBe('forgotten')
    expect((await browser.visit((s) => w.vault.connections(s))).value).toEqual([])
  })

  test('A-116: fifty calls at once with an expired token are one renewal, and all are answered', async () => {
    const w = await world(strategy, way)
    const { browser } = await connected(w, 'ada', 0)
    const other = w.again()
    const handover = way === 'carried' ? memory() : undefined
    const [one, two] = handover ? [w.again({ handover }), w.again({ handover })] : [w.vault, other]
    const before = browser.cookie
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        w.app.request(before, async (s) => (await (i % 2 ? one : two).fetch(s, 'github', '/user')).kind),
      ),
    )
    expect(answers.map(({ value }) => value)).toEqual(Array(50).fill('answer'))
    expect(w.provider.state.refreshes).toBe(1)
    // What was renewed is what is kept: for whichever answer the browser heard last.
    browser.cookie = answers.findLast(({ given }) => given)?.given ?? before
    expect((await browser.visit(async (s) => (await w.vault.fetch(s, 'github', '/user')).kind)).value).toBe('answer')
    expect(w.provider.state.refreshes).toBe(1)
  })

  test('a token that the provider refuses is renewed once; a grant that is over says to connect again, and is gone', async () => {
    const w = await world(strategy, way)
    const { browser } = await connected(w)
    const call = async () => (await browser.visit((s) => w.vault.fetch(s, 'github', '/user'))).value
    w.provider.state.access.clear()
    expect(await call()).toMatchObject({ kind: 'answer' })
    expect(w.provider.state.refreshes).toBe(1)
    w.provider.state.access.clear()
    w.provider.state.refresh.clear()
    expect(await call()).toEqual({ kind: 'reconnect', provider: 'github', why: 'revoked' })
    expect((await browser.visit((s) => w.vault.connections(s))).value).toEqual([])
    expect(await call()).toEqual({ kind: 'reconnect', provider: 'github', why: 'absent' })
    expect(w.provider.state.refreshes).toBe(2)
    await browser.visit((s) => w.vault.keep(s, w.tokens()))
    expect(await call()).toMatchObject({ kind: 'answer' })
  })

  test('a token without a successor is used until it runs out or is refused', async () => {
    const w = await world(strategy, way)
    const { browser } = await connected(w, 'ada', 1, false)
    const call = async () => (await browser.visit((s) => w.vault.fetch(s, 'github', '/user'))).value
    expect(await call()).toMatchObject({ kind: 'answer' })
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    expect(await call()).toEqual({ kind: 'reconnect', provider: 'github', why: 'expired' })
    await browser.visit((s) => w.vault.keep(s, w.tokens(3600, false)))
    expect(await call()).toMatchObject({ kind: 'answer' })
    w.provider.state.access.clear()
    expect(await call()).toEqual({ kind: 'reconnect', provider: 'github', why: 'revoked' })
    expect((await browser.visit((s) => w.vault.connections(s))).value).toEqual([])
  })

  test('a provider that is down costs nobody the connection, and is left alone for a second', async () => {
    const w = await world(strategy, way)
    const { browser } = await connected(w, 'ada', 0)
    const call = async () => (await browser.visit((s) => w.vault.fetch(s, 'github', '/user'))).value
    w.provider.state.mode = 'down'
    expect(await call()).toMatchObject({ kind: 'unavailable', retryAfter: expect.any(Number) })
    expect(await call()).toMatchObject({ kind: 'unavailable', retryAfter: expect.any(Number) })
    expect(w.provider.state.refreshes).toBe(1)
    w.provider.state.mode = 'well'
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    expect(await call()).toMatchObject({ kind: 'answer' })
  })

  test('11.2.2: another key seals and the older one still opens; once it is out of the ring, nothing is lost', async () => {
    const w = await world(strategy, way)
    const { browser } = await connected(w)
    const next = generateSecret()
    const call = async (vault: typeof w.vault) =>
      (await browser.visit(async (s) => (await vault.fetch(s, 'github', '/user')).kind)).value
    expect(await call(w.again({ keys: [next] }))).toBe('reconnect')
    expect(await call(w.again({ keys: [next, VAULT_KEY] }))).toBe('answer')
    expect(await call(w.again({ keys: [next] }))).toBe('answer')
    expect(await call(w.again({ keys: [VAULT_KEY] }))).toBe('reconnect')
  })

  test('logout and forget: what is a session’s goes with it, what is a user’s stays until it is forgotten', async () => {
    const w = await world(strategy, way)
    const { browser } = await connected(w)
    const stolen = browser.cookie
    await browser.visit((s) => s.logout())
    expect([...(w.rows.list() as Iterable<unknown>)]).toHaveLength(way === 'user' ? 1 : 0)
    if (strategy === 'opaque') expect((await w.app.request(stolen, (s) => w.vault.connections(s))).value).toEqual([])
    await browser.visit((s) => s.login('ada'))
    expect((await browser.visit((s) => w.vault.connections(s))).value).toHaveLength(way === 'user' ? 1 : 0)
    await browser.visit((s) => w.vault.keep(s, w.tokens()))
    await browser.visit((s) => w.vault.forget(s))
    expect((await browser.visit((s) => w.vault.connections(s))).value).toEqual([])
    expect([...(w.rows.list() as Iterable<unknown>)]).toEqual([])
    expect(w.provider.state.revoked).toEqual([])
  })

  test('A-12: another user who signs in over a session has nothing of the one before', async () => {
    const w = await world(strategy, way)
    const { browser } = await connected(w)
    const { value } = await browser.visit((s) => {
      s.login('eve')
      return w.vault.connections(s)
    })
    expect(value).toEqual([])
    expect((await browser.visit((s) => w.vault.fetch(s, 'github', '/user'))).value).toMatchObject({ why: 'absent' })
  })

  test('a step-up login and a rotation keep what is connected', async () => {
    const w = await world(strategy, way)
    const { browser } = await connected(w)
    await browser.visit((s) => s.login('ada'))
    await browser.visit((s) => s.rotate())
    expect((await browser.visit((s) => w.vault.connections(s))).value).toHaveLength(1)
  })

  async function nobody(w: Awaited<ReturnType<typeof world>>) {
    return (await w.app.request('', (s) => s)).value
  }
})

test('a renewal that is committed late does not undo the sign-in that came between, where the session carries it', async () => {
  const w = await world('opaque', 'carried')
  const { browser } = await connected(w, 'ada', 0)
  const brought = w.tokens()
  const { cookie } = browser
  const late = await w.app.request(cookie, async (s) => {
    const { kind } = await w.vault.fetch(s, 'github', '/user')
    await w.app.request(cookie, (other) => w.vault.keep(other, brought))
    return kind
  })
  expect([late.status, late.value]).toEqual([200, 'answer'])
  expect(w.provider.state.refreshes).toBe(1)
  await browser.visit((s) => w.vault.fetch(s, 'github', '/user'))
  expect(w.provider.state.calls.at(-1)!.headers.authorization).toBe(`Bearer ${brought.accessToken}`)
})

describe('what nobody wrote about', () => {
  test.each(WAYS)('%s: nothing is written for a guest who asks for what is not there', async (_, strategy, way) => {
    const w = await world(strategy, way)
    const { value, given } = await w.app.request('', async (s) => [
      await w.vault.connections(s),
      await w.vault.disconnect(s, 'github'),
      await w.vault.idToken(s, 'github'),
      await w.vault.forget(s),
    ])
    expect(value).toEqual([[], 'absent', undefined, undefined])
    expect(given).toBeUndefined()
    expect([...(w.app.store.list() as Iterable<unknown>)]).toEqual([])
  })

  test.each(WAYS)('%s: the identity token is there for the logout at the provider', async (_, strategy, way) => {
    const w = await world(strategy, way)
    const { value } = await w.app.request('', async (s) => {
      s.login('ada')
      await w.vault.keep(s, { ...w.tokens(), idToken: 'who.it.is' })
      return w.vault.idToken(s, 'github')
    })
    expect(value).toBe('who.it.is')
  })

  test('a disconnection after the headers have left is refused before anything has happened', async () => {
    const w = await world('opaque', 'session')
    const { browser } = await connected(w)
    const { value } = await browser.visit(async (s) => {
      await s.commit()
      return w.vault.disconnect(s, 'github').catch((error) => error.code)
    })
    expect(value).toBe('ERR_LATE')
    expect(w.provider.state.revoked).toEqual([])
    expect((await browser.visit((s) => w.vault.connections(s))).value).toHaveLength(1)
  })

  test('a handover that was sealed by a newer key than ours costs nobody the connection', async () => {
    const handover = memory()
    const w = await world('sealed', 'carried', { handover })
    const { browser } = await connected(w, 'ada', 0)
    const newer = w.again({ handover, keys: [generateSecret(), VAULT_KEY] })
    const parallel = await w.app.request(browser.cookie, async (s) => (await newer.fetch(s, 'github', '/user')).kind)
    expect(parallel.value).toBe('answer')
    const { value } = await browser.visit(async (s) => (await w.vault.fetch(s, 'github', '/user')).kind)
    expect(value).toBe('unavailable')
    expect((await browser.visit((s) => w.vault.connections(s))).value).toHaveLength(1)
    expect(w.provider.state.refreshes).toBe(1)
  })
})

describe('what is moved to another place does not open there', () => {
  test('rows of two users, and of two providers of one user', async () => {
    const w = await world('opaque', 'user')
    await connected(w, 'ada')
    await connected(w, 'eve')
    await w.vault.keep('eve', { ...w.tokens(), provider: 'google' })
    const rows = [...(w.rows.list() as Iterable<[string, never]>)]
    expect(rows).toHaveLength(3)
    expect(await w.vault.connections('eve')).toHaveLength(2)
    for (const [id, record] of rows)
      for (const [, other] of rows) {
        w.rows.delete(id)
        w.rows.set(id, { ...(other as object), version: 1 } as never, 0)
        const seen = [await w.vault.connections('ada'), await w.vault.connections('eve')].flat().length
        expect(seen).toBeLessThanOrEqual(record === other ? 3 : 2)
        w.rows.delete(id)
        w.rows.set(id, { ...(record as object), version: 1 } as never, 0)
      }
  })

  test('the sealed text of one user’s session in another’s', async () => {
    const w = await world('opaque', 'carried')
    const ada = await connected(w, 'ada')
    const eve = await connected(w, 'eve')
    const [first, second] = [
      ...(w.app.store.list() as Iterable<[string, { userId: string; data: string; version: number }]>),
    ]
    const [from, to] = first![1].userId === 'ada' ? [first!, second!] : [second!, first!]
    w.app.store.set(to[0], { ...to[1], data: from[1].data, version: to[1].version + 1 } as never, to[1].version)
    expect((await eve.browser.visit((s) => w.vault.connections(s))).value).toEqual([])
    expect((await ada.browser.visit((s) => w.vault.connections(s))).value).toHaveLength(1)
  })

  test('with the vault’s keys and its rows, but without the session, nothing opens', async () => {
    const w = await world('opaque', 'session')
    await connected(w)
    const [[, row]] = [...(w.rows.list() as Iterable<[string, { data: string }]>)] as never as [
      [string, { data: string }],
    ]
    const thief = await connected(w, 'eve')
    for (const [id, mine] of [...(w.rows.list() as Iterable<[string, { data: string; version: number }]>)])
      if (mine.data !== row.data)
        w.rows.set(id, { ...mine, data: row.data, version: mine.version + 1 } as never, mine.version)
    expect((await thief.browser.visit((s) => w.vault.connections(s))).value).toEqual([])
  })

  test('what a guest connected does not pass to the user who signs in', async () => {
    const w = await world('opaque', 'carried')
    const browser = w.app.browser()
    await browser.visit((s) => w.vault.keep(s, w.tokens()))
    expect((await browser.visit((s) => w.vault.connections(s))).value).toHaveLength(1)
    await browser.visit((s) => s.login('ada'))
    expect((await browser.visit((s) => w.vault.connections(s))).value).toEqual([])
  })
})

describe('store calls', () => {
  test.each(['session', 'user'] as const)('of a valid token: one read (%s)', async (way) => {
    const { store, calls } = counted(memory())
    const w = await world('opaque', way, { rows: store })
    const { browser } = await connected(w)
    expect(calls()).toEqual(['get', 'set'])
    await browser.visit((s) => w.vault.fetch(s, 'github', '/user'))
    expect(calls()).toEqual(['get'])
    await browser.visit((s) => w.vault.keep(s, w.tokens(0)))
    calls()
    await browser.visit((s) => w.vault.fetch(s, 'github', '/user'))
    expect(calls()).toEqual(['get', 'get', 'set', 'get', 'set'])
  })

  test('carried: none, and of the handover where it is renewed', async () => {
    const { store, calls } = counted(memory())
    const w = await world('sealed', 'carried', { handover: store })
    const { browser } = await connected(w)
    await browser.visit((s) => w.vault.fetch(s, 'github', '/user'))
    expect(calls()).toEqual([])
    await browser.visit((s) => w.vault.keep(s, w.tokens(0)))
    await browser.visit((s) => w.vault.fetch(s, 'github', '/user'))
    expect(calls()).toEqual(['get', 'set', 'get', 'set'])
  })
})

describe('what cannot be right is a TypeError that says what to do', () => {
  const sessions = createSessions({ keys: KEY })
  const providers = providersAt('http://127.0.0.1:1')
  const readable = (strategy: NonNullable<Parameters<typeof createSessions>[0]>['strategy']) =>
    createSessions({ keys: KEY, strategy: strategy! })
  const signed = jwt({ issuer: 'https://shop.example', audience: 'shop', revocations: acceptNoRevocation } as never)

  test.each([
    [
      'RFC 6750 5.3: jwt, which can be read',
      () => vault({ sessions: readable(signed), keys: VAULT_KEY, providers }),
      /jwt/,
    ],
    [
      'RFC 6750 5.3: jwt, where sealed overflows into it',
      () =>
        vault({
          sessions: readable([sealed({ revocations: acceptNoRevocation, onTooLarge: 'next' }), signed]),
          keys: VAULT_KEY,
          providers,
        }),
      /jwt/,
    ],
    ['a user without a store', () => vault({ sessions, keys: VAULT_KEY, providers, owner: 'user' }), /store/],
    [
      'a handover beside a store',
      () => vault({ sessions, keys: VAULT_KEY, providers, store: memory(), handover: memory() }),
      /handover/,
    ],
    ['another owner', () => vault({ sessions, keys: VAULT_KEY, providers, owner: 'all' as never }), /owner/],
    ['a weak key', () => vault({ sessions, keys: 'secret', providers }), /keys/],
    ['no providers', () => vault({ sessions, keys: VAULT_KEY, providers: {} as never }), /apiOf/],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(TypeError)
    expect(make).toThrow(message)
  })

  test('jwt that is only read any more, and jwt where the tokens are a user’s, are fine', () => {
    const both = readable([opaque({ store: memory() }), signed])
    expect(() => vault({ sessions: both, keys: VAULT_KEY, providers })).not.toThrow()
    const users = { sessions: readable(signed), keys: VAULT_KEY, providers, store: memory(), owner: 'user' as const }
    expect(() => vault(users)).not.toThrow()
  })

  test.each([
    ['a line break in a token', { accessToken: 'a\r\nx: y' }],
    ['no token', { accessToken: '' }],
    ['another type', { tokenType: 'mac' }],
    ['a provider that is no name', { provider: '__proto__' }],
    ['a refresh token that is none', { refreshToken: 7 }],
  ])('A-110: %s is not kept', async (_, wrong) => {
    const w = await world('opaque', 'session')
    const { value } = await w.app.request('', async (s) => {
      const error = await w.vault.keep(s, { ...w.tokens(), ...wrong } as never).catch((error) => error)
      return { type: error instanceof TypeError, text: String(error) }
    })
    expect(value?.type).toBe(true)
    expect(value?.text).not.toContain('canary')
    expect([...(w.rows.list() as Iterable<unknown>)]).toEqual([])
  })

  test.each([
    ['an access token', { accessToken: 'canary\r\nx: y' }],
    ['an access token beyond ASCII', { accessToken: 'canary…' }],
    ['an access token of a megabyte', { accessToken: 'canary'.repeat(200_000) }],
    ['a refresh token', { accessToken: 'new', refreshToken: 'canary\n' }],
    ['a time', { accessToken: 'new', expiresAt: Number.NaN }],
  ])(
    'A-110, A-154: a renewal that brings %s that is none is a provider that failed, and nothing of it is told',
    async (_, wrong) => {
      const w = await world('opaque', 'session')
      const renewing = w.again({
        providers: { ...providersAt(w.provider.url), refresh: async () => ({ ...w.tokens(), ...wrong }) },
      })
      const { browser } = await connected(w, 'ada', 0)
      const { value } = await browser.visit(async (s) => renewing.fetch(s, 'github', '/user').catch((error) => error))
      expect(inspect(value)).not.toContain('canary')
      expect(value).toMatchObject({ kind: 'unavailable' })
      expect((await browser.visit((s) => w.vault.connections(s))).value).toHaveLength(1)
    },
  )

  test.each(['keep', 'fetch'])(
    'A-82: a store that refuses every write is a fault of %s, and not a loop',
    async (verb) => {
      const rows = memory()
      const w = await world('opaque', 'session', { rows })
      const { browser } = await connected(w, 'ada', 0)
      let writes = 0
      const refusing = gated(rows, async (name, go) => {
        if (name !== 'set') return go()
        // Enough to tell that it never ends.
        if (++writes > 5000) throw new Error('a loop')
        return false
      })
      const other = w.again({ store: refusing })
      const { value } = await browser.visit((s) =>
        (verb === 'keep' ? other.keep(s, w.tokens()) : other.fetch(s, 'github', '/user')).catch((error) => error),
      )
      expect(writes).toBeLessThan(2000)
      if (verb === 'keep') expect(value).toMatchObject({ code: 'ERR_STORE' })
      else expect(value).toMatchObject({ kind: 'unavailable' })
    },
  )

  test('a token that must be renewed after the headers have left, where the session carries it', async () => {
    const w = await world('sealed', 'carried')
    const { browser } = await connected(w, 'ada', 0)
    const { value } = await browser.visit(async (s) => {
      await s.commit()
      return w.vault.fetch(s, 'github', '/user').catch((error) => error.code)
    })
    expect(value).toBe('ERR_LATE')
    expect(w.provider.state.refreshes).toBe(0)
  })
})
