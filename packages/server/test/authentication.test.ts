/** What the three operations that look at a password do with it, in cases that no client can time. */
import { sqliteAccounts } from '@sojourn/server/accounts/sqlite'
import { openDatabase } from '@sojourn/server/database'
import { createLog } from '@sojourn/server/log'
import { authenticationOperations } from '@sojourn/server/operations/authentication'
import { createPasswords, type Passwords } from '@sojourn/server/password'
import type { ShopData, Visit } from '@sojourn/server/services'
import { createThrottle } from '@sojourn/server/throttle'
import { acceptNoRevocation, createSessions, generateSecret } from 'sojourn'
import { fetch } from 'sojourn/adapter/fetch'
import { memory } from 'sojourn/store/memory'
import { tokenPair } from 'sojourn/token/pair'
import { describe, expect, test } from 'vitest'

const PASSWORD = 'a few words in a row'
const EMPTY = { cart: { id: '', lines: {} } }

/** The operations over real parts; `watch` stands between them and the hashing. */
async function operations(watch: (passwords: Passwords) => Partial<Passwords>) {
  const database = openDatabase(':memory:')
  const accounts = sqliteAccounts(database, Date.now)
  const real = await createPasswords()
  const user = (await accounts.create('ada', await real.hash(PASSWORD)))!
  const keys = generateSecret()
  const sessions = createSessions<ShopData>({ keys, initial: () => EMPTY })
  const access = { issuer: 'https://shop.example', audience: 'https://shop.example' }
  const does = authenticationOperations({
    sessions,
    pair: tokenPair({ keys, store: memory(), revocations: acceptNoRevocation, access }),
    accounts,
    passwords: { ...real, ...watch(real) },
    throttle: createThrottle(memory(), Date.now),
    merge: async () => {},
    passwordMin: 15,
    log: createLog({ write: () => {} }),
  })
  /** Runs the work as a guest's request, and says what came of it and whether a session was given. */
  const visiting = async <T>(work: (visit: Visit) => Promise<T>): Promise<{ result: T; signedIn: boolean }> => {
    let result: T
    const handle = fetch(sessions, async (request) => {
      const session = await sessions.of(request)
      result = await work({ session, notices: session, user: undefined, ip: '192.0.2.1', bearer: false })
      return new Response()
    })
    const response = await handle(new Request('https://shop.example/', { method: 'POST' }))
    return { result: result!, signedIn: response.headers.has('set-cookie') }
  }
  return { does, accounts, real, user, visiting }
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
