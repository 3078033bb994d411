/** What the three operations that look at a password do with it, in cases that no client can time. */
import { join } from 'node:path'
import * as argon2 from '@node-rs/argon2'
import { readConfig, start } from '@sojourn/server'
import { sqliteAccounts } from '@sojourn/server/accounts/sqlite'
import { openDatabase } from '@sojourn/server/database'
import { createLog } from '@sojourn/server/log'
import { authenticationOperations } from '@sojourn/server/operations/authentication'
import { createVisits } from '@sojourn/server/operations/visits'
import { createPasswords, type Passwords } from '@sojourn/server/password'
import type { Refused, ShopData, Visit } from '@sojourn/server/services'
import { createThrottle } from '@sojourn/server/throttle'
import { acceptNoRevocation, createSessions, generateSecret } from 'sojourn'
import { fetch } from 'sojourn/adapter/fetch'
import { memory } from 'sojourn/store/memory'
import { tokenPair } from 'sojourn/token/pair'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Answer, client } from './client.js'
import { folder } from './started.js'

const PASSWORD = 'a few words in a row'
const EMPTY = { cart: { id: '', lines: {} } }

/**
 * The operations over real parts; `watch` stands between them and the hashing, and `meanwhile` happens when the password
 * was proved and there is no session yet.
 */
async function operations(watch: (passwords: Passwords) => Partial<Passwords>, meanwhile = async () => {}) {
  const database = openDatabase(':memory:')
  const accounts = sqliteAccounts(database, Date.now)
  const real = await createPasswords()
  const user = (await accounts.create('ada', await real.hash(PASSWORD)))!
  const keys = generateSecret()
  const sessions = createSessions<ShopData>({ keys, initial: () => EMPTY })
  const access = { issuer: 'https://shop.example', audience: 'https://shop.example' }
  const pairs = memory()
  const merge = async () => meanwhile()
  const visits = createVisits({ sessions, notices: sessions, accounts, merge: async () => {} })
  const does = authenticationOperations({
    sessions,
    pair: tokenPair({ keys, store: pairs, revocations: acceptNoRevocation, access }),
    accounts,
    passwords: { ...real, ...watch(real) },
    throttle: createThrottle(memory(), Date.now),
    merge,
    passwordMin: 15,
    log: createLog({ write: () => {} }),
  })
  /** Runs the work as a guest's request, and says what came of it and whether a session was given. */
  const visiting = async <T>(
    work: (visit: Visit) => Promise<T>,
  ): Promise<{ result: T | Refused; signedIn: boolean }> => {
    let result: T
    const handle = fetch(sessions, async (request) => {
      result = await work(await visits.open(request))
      return new Response()
    })
    const request = new Request('https://shop.example/', { method: 'POST' })
    visits.meet(request, { ip: '192.0.2.1', secure: true })
    const response = await handle(request)
    const refused = await visits.recheck(request)
    return { result: refused ?? result!, signedIn: !refused && response.headers.has('set-cookie') }
  }
  return { does, sessions, pairs, accounts, real, user, visiting }
}

describe('A-91: a hash is computed for every login', () => {
  test.each(['ada', 'nobody', 'not/a name', ''])('as %j', async (username) => {
    const computed: (string | null | undefined)[] = []
    const { does, visiting } = await operations((real) => ({
      verify: (hash, password) => {
        computed.push(hash)
        return real.verify(hash, password)
      },
    }))
    const input = { username, password: 'not the right one', remember: false }
    expect(await visiting((visit) => does.signIn(visit, input))).toEqual({
      result: { ok: false, reason: 'credentials', message: expect.any(String) },
      signedIn: false,
    })
    expect(computed).toHaveLength(1)
    expect(computed[0] === undefined).toBe(username !== 'ada')
  })
})

test('A-93: nothing that breaks a rule is hashed at sign-up', async () => {
  let computed = 0
  const { does, visiting } = await operations((real) => ({
    hash: (password) => {
      computed++
      return real.hash(password)
    },
  }))
  for (const [username, password] of [
    ['a', PASSWORD],
    ['grace', 'short'],
    ['grace', 'x'.repeat(1_000_000)],
  ] as const) {
    const { result } = await visiting((visit) => does.signUp(visit, { username, password }))
    expect(result.ok).toBe(false)
  }
  expect(computed).toBe(0)
})

test('15.4.2: a password that is changed while it is being verified lets nobody in any more', async () => {
  let change = async () => {}
  const { does, accounts, real, user, visiting } = await operations((real) => ({
    verify: async (hash, password) => {
      const fits = await real.verify(hash, password)
      await change()
      return fits
    },
  }))
  const other = await real.hash('some other words here')
  change = async () => {
    await accounts.replacePassword(user.id, (await accounts.credentials('ada'))!.hash, other)
  }
  const stolen = { username: 'ada', password: PASSWORD, remember: false }
  const { result, signedIn } = await visiting((visit) => does.signIn(visit, stolen))
  expect(result).toMatchObject({ ok: false, reason: 'credentials' })
  expect(signedIn).toBe(false)
  const owner = { username: 'ada', password: 'some other words here', remember: false }
  expect(await visiting((visit) => does.signIn(visit, owner))).toMatchObject({ result: { ok: true }, signedIn: true })
})

describe('15.4.2: a password that is changed between its proof and what it opens', () => {
  const next = 'some other words here'
  const stolen = { username: 'ada', password: PASSWORD, remember: false, device: {} }

  /** What `changed` does to the account happens once, in that gap. */
  async function gap(changed: (was: string) => Promise<string>) {
    let change = async () => {}
    const made = await operations(
      // The gap of tokens, which no cart is merged for: an outdated hash is made anew in it.
      (real) => ({
        hash: async (password) => {
          await change()
          return real.hash(password)
        },
      }),
      () => change(),
    )
    const { accounts, sessions, user, pairs } = made
    const arm = () => {
      change = async () => {
        change = async () => {}
        const { hash } = (await accounts.credentials('ada'))!
        expect(await accounts.replacePassword(user.id, hash, await changed(hash))).toBe(true)
        await sessions.endAll(user.id)
        await pairs.endAll(user.id)
      }
    }
    const left = async () => [(await sessions.list(user.id)).length, [...(await pairs.list(user.id))].length]
    return { ...made, arm, left }
  }

  const outdated = () => argon2.hash(PASSWORD, { memoryCost: 8192, timeCost: 1 })

  test.each([false, true])('opens no session; the hash was outdated: %s', async (old) => {
    const { does, accounts, real, user, visiting, arm, left } = await gap(() => real.hash(next))
    if (old) await accounts.replacePassword(user.id, (await accounts.credentials('ada'))!.hash, await outdated())
    arm()
    const { result, signedIn } = await visiting((visit) => does.signIn(visit, stolen))
    expect(result).toMatchObject({ ok: false, reason: 'credentials' })
    expect(signedIn).toBe(false)
    expect(await left()).toEqual([0, 0])
    const owner = { ...stolen, password: next }
    expect(await visiting((visit) => does.signIn(visit, owner))).toMatchObject({ result: { ok: true }, signedIn: true })
  })

  test('gives no tokens', async () => {
    const { does, accounts, real, user, visiting, arm, left } = await gap(() => real.hash(next))
    await accounts.replacePassword(user.id, (await accounts.credentials('ada'))!.hash, await outdated())
    arm()
    const { result } = await visiting((visit) => does.issueTokens(visit, stolen))
    expect(result).toMatchObject({ ok: false, reason: 'credentials' })
    expect(await left()).toEqual([0, 0])
    expect((await visiting((visit) => does.issueTokens(visit, { ...stolen, password: next }))).result.ok).toBe(true)
  })

  test('is no other one where a login beside it has only hashed it anew', async () => {
    const { does, real, visiting, arm } = await gap(() => real.hash(PASSWORD))
    arm()
    expect(await visiting((visit) => does.signIn(visit, stolen))).toMatchObject({
      result: { ok: true },
      signedIn: true,
    })
  })
})

test.each(['opaque', 'sealed', 'jwt'] as const)(
  '15.4.2: over HTTP with %s, what was opened by the former password never leaves the server',
  async (strategy) => {
    const data = folder()
    let changed = () => {}
    const log = createLog({ write: (line) => void (line.includes('authn_login_success') && changed()) })
    const { url, close } = await start({ ...readConfig({}, {}), port: 0, data, strategy }, { log })
    onTestFinished(close)
    const ada = client(url)
    await ada.post('/api/signup', { username: 'ada', password: PASSWORD })
    const database = openDatabase(join(data, 'accounts.db'))
    onTestFinished(() => void database.close())
    const other = await (await createPasswords()).hash('some other words here')
    const keep = database.prepare('UPDATE accounts SET password = ?')
    const { password: first } = database.prepare('SELECT password FROM accounts').get() as { password: string }

    const typed = { username: 'ada', password: PASSWORD }
    const form = {
      body: new URLSearchParams(typed).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    }
    for (const send of [
      () => client(url).post('/api/login', typed),
      () => client(url).post('/api/token', typed),
      () => client(url).send('POST', '/login', form),
    ]) {
      keep.run(first)
      changed = () => void keep.run(other)
      const { status, headers, text } = await send()
      changed = () => {}
      expect(status).toBe(401)
      expect(headers.getSetCookie()).toEqual([])
      expect(headers.get('cache-control')).toContain('no-store')
      expect(text).toContain('Username or password is wrong.')
      expect(text).not.toContain('access_token')
    }
    const refused = await client(url).post('/api/login', { username: 'ada', password: 'not the right one' })
    keep.run(first)
    changed = () => void keep.run(other)
    const late = await client(url).post('/api/login', typed)
    const shown = ({ headers }: Answer) => Object.fromEntries([...headers].filter(([name]) => name !== 'date'))
    expect([late.text, shown(late)]).toEqual([refused.text, shown(refused)])
    expect((await ada.get('/api/sessions')).body.sessions).toHaveLength(1)
  },
)

test('15.4.2: of two changes made with the same old password one has come too late', async () => {
  const { does, user, visiting } = await operations(() => ({}))
  const change = (next: string) =>
    visiting((visit) => {
      visit.session.login(user.id)
      return does.changePassword({ ...visit, user }, { current: PASSWORD, next })
    })
  const outcomes = await Promise.all([change('some other words here'), change('quite different words')])
  expect(outcomes.map(({ result }) => result.ok).sort()).toEqual([false, true])
})
