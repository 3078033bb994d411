/** How a user proved who they are: said by a login, kept by every strategy, undone and raised by nothing else. */
import fc from 'fast-check'
import {
  acceptNoRevocation,
  header,
  jwt,
  opaque,
  type Session,
  type SessionRecord,
  type StrategyFactory,
  sealed,
} from 'sojourn'
import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { tokenPair } from 'sojourn/token/pair'
import { describe, expect, test } from 'vitest'
import { App, gated, HOUR, KEY, MINUTE, type Shop, shop } from './helpers.js'
import { claimsOf } from './tokens.js'

const issuer = 'https://shop.example'
const audience = 'https://api.shop.example'
const PROOF = { amr: ['pwd', 'otp'], acr: 'urn:example:aal2' }

const store = (clock: () => number) => memory({ clock })
const ways: [name: string, make: (clock: () => number) => readonly StrategyFactory[]][] = [
  ['opaque', (clock) => [opaque({ store: store(clock) })]],
  ['sealed', () => [sealed({ revocations: acceptNoRevocation })]],
  ['jwt', () => [jwt({ issuer, audience, revocations: acceptNoRevocation })]],
  ['jwt, encrypted', () => [jwt({ issuer, audience, encrypt: true, revocations: acceptNoRevocation })]],
]

function world(make: (clock: () => number) => readonly StrategyFactory[]) {
  const clock = manualClock()
  return shop({ clock, strategy: make(clock) })
}

const proofOf = (s: Session<Shop>) => ({ amr: s.amr, acr: s.acr, at: s.authenticatedAt })
const NONE = { amr: undefined, acr: undefined }

describe.each(ways)('%s', (name, make) => {
  test('a login says it at once and for as long as the session lasts, over renewals and rotations', async () => {
    const app = world(make)
    const browser = app.browser()
    const { value: said } = await browser.visit((s) => {
      s.login('ada', PROOF)
      return { amr: s.amr, acr: s.acr }
    })
    expect(said).toEqual(PROOF)
    const at = app.clock()
    for (let i = 0; i < 5; i++) {
      app.clock.advance(20 * MINUTE)
      expect((await browser.visit(proofOf)).value).toEqual({ ...PROOF, at })
    }
    await browser.visit((s) => s.rotate())
    if (name !== 'jwt' && name !== 'jwt, encrypted') await browser.visit((s) => void s.data.cart.push('tea'))
    expect((await browser.visit(proofOf)).value).toEqual({ ...PROOF, at })
  })

  test('a step-up keeps the data, gives a new identifier, and is dated now; a plain login after it proves less', async () => {
    const app = world(make)
    const browser = app.browser()
    const first = await browser.visit((s) => {
      s.login('ada', { amr: ['pwd'] })
      s.data.count = 7
    })
    const id = (await browser.visit((s) => s.id)).value
    app.clock.advance(10 * MINUTE)
    await browser.visit((s) => s.login('ada', PROOF))
    expect((await browser.visit(proofOf)).value).toEqual({ ...PROOF, at: app.clock() })
    expect((await browser.visit((s) => s.id)).value).not.toBe(id)
    // Claims are not data: a signed token that hides nothing carries none.
    if (name !== 'jwt') expect((await browser.visit((s) => s.data.count)).value).toBe(7)
    expect(first.status).toBe(200)

    await browser.visit((s) => s.login('ada'))
    expect((await browser.visit(proofOf)).value).toMatchObject(NONE)
  })

  test('a proof of earlier is dated as the login says, never ahead of it, and moves no timeout', async () => {
    const app = world(make)
    const browser = app.browser()
    const login = (authenticatedAt: number) => browser.visit((s) => s.login('ada', { ...PROOF, authenticatedAt }))
    const times = async () => (await browser.visit((s) => [s.authenticatedAt, s.createdAt, s.expiresAt])).value
    await browser.visit((s) => s.login('ada'))
    const plain = await times()
    const now = app.clock()
    const asOf = (at: number) => [at, ...plain!.slice(1)]
    await login(now - 30 * HOUR)
    expect(await times()).toEqual(asOf(now - 30 * HOUR))
    // The rest is gone for a reader of whole seconds, and never rounded up.
    await login(now - 2 * HOUR + 0.5)
    expect(await times()).toEqual(asOf(now - 2 * HOUR))
    await browser.visit((s) => s.rotate())
    expect((await times())![0]).toBe(now - 2 * HOUR)
    for (const ahead of [now + HOUR, Number.POSITIVE_INFINITY]) {
      await login(ahead)
      expect(await times()).toEqual(asOf(now))
    }
    await login(now - HOUR)
    await browser.visit((s) => s.login('ada'))
    expect(await times()).toEqual(asOf(now))
    await login(now - HOUR)
    await browser.visit((s) => s.logout())
    await browser.visit((s) => s.login('eve'))
    expect(await times()).toEqual(asOf(now))
  })

  test.each([Number.NaN, -1, '1', null, new Date()])('%j is no time', async (authenticatedAt) => {
    const { value } = await world(make)
      .browser()
      .visit((s) => {
        expect(() => s.login('ada', { authenticatedAt: authenticatedAt as number })).toThrow(/epoch milliseconds/)
        return [s.userId]
      })
    expect(value).toEqual([undefined])
  })

  test('another user begins with none, and so does a guest after a logout', async () => {
    const app = world(make)
    const browser = app.browser()
    await browser.visit((s) => s.login('ada', PROOF))
    await browser.visit((s) => s.login('eve'))
    expect((await browser.visit(proofOf)).value).toMatchObject(NONE)
    await browser.visit((s) => s.login('ada', PROOF))
    const { value } = await browser.visit((s) => {
      s.logout()
      return proofOf(s)
    })
    expect(value).toEqual({ ...NONE, at: undefined })
  })

  test('A-75: no key of the data is taken for it', async () => {
    const app = world(make)
    const browser = app.browser()
    await browser.visit((s) => {
      s.login('ada')
      Object.assign(s.data, { auth: PROOF, amr: PROOF.amr, acr: PROOF.acr })
    })
    expect((await browser.visit(proofOf)).value).toMatchObject(NONE)
  })
})

test.each([
  ['opaque', 'sealed'],
  ['sealed', 'opaque'],
  ['sealed', 'jwt, encrypted'],
  ['jwt', 'opaque'],
  ['opaque', 'jwt'],
])('it moves along from %s to %s', async (from, to) => {
  const clock = manualClock()
  const of = (name: string) => ways.find(([way]) => way === name)![1](clock)[0]!
  const [old, next] = [of(from), of(to)]
  const before = shop({ clock, strategy: [old] })
  const { given } = await before.request('', (s) => s.login('ada', PROOF))
  const at = clock()
  clock.advance(MINUTE)
  const browser = shop({ clock, strategy: [next, old] }).browser(given)
  expect((await browser.visit(proofOf)).value).toEqual({ ...PROOF, at })
  expect(browser.cookie).not.toBe(given)
  expect((await browser.visit(proofOf)).value).toEqual({ ...PROOF, at })
})

test('RFC 9068, 2.2.1: tokens carry amr, acr and auth_time, those of a pair too, and are believed where they are accepted', async () => {
  const clock = manualClock()
  const access = { issuer, audience }
  const none = { revocations: acceptNoRevocation } as const
  const strategy = jwt({ ...access, ...none })
  const { given } = await new App({ clock, strategy }).request('', (s) => s.login('ada', PROOF))
  const pair = tokenPair({ keys: KEY, store: memory({ clock }), ...none, access, clock })
  const tokens = await pair.issue({ userId: 'ada', ...PROOF })
  const refreshed = await pair.refresh(tokens.refreshToken)
  if (typeof refreshed === 'string') throw new Error(refreshed)
  const auth_time = Math.floor(clock() / 1000)
  for (const token of [given!.split('=')[1]!, tokens.accessToken, refreshed.accessToken])
    expect(claimsOf(token).claims).toMatchObject({ ...PROOF, auth_time })
  const headers = { authorization: `Bearer ${refreshed.accessToken}` }
  const app = new App({ clock, strategy, transport: header() })
  expect((await app.request('', (s) => ({ amr: s.amr, acr: s.acr }), { headers })).value).toEqual(PROOF)
  expect(() => pair.issue({ userId: 'ada', amr: ['two words'] })).toThrow(TypeError)
})

test.each([
  [{ amr: ['two words'] }],
  [{ amr: 'pwd' }],
  [{ amr: [''] }],
  [{ amr: Array.from({ length: 17 }, () => 'pwd') }],
  [{ acr: '' }],
  [{ acr: 'quote"d' }],
  [{ acr: 2 }],
])('misuse is a TypeError at the login: %j', async (options) => {
  const app = shop()
  await expect(app.request('', (s) => s.login('ada', options as object))).rejects.toThrow(TypeError)
})

test('what is handed out cannot be changed for the next request', async () => {
  const app = shop()
  const browser = app.browser()
  await browser.visit((s) => s.login('ada', { amr: ['pwd'] }))
  await browser.visit((s) => expect(() => (s.amr as string[]).push('otp')).toThrow(TypeError))
  expect((await browser.visit((s) => s.amr)).value).toEqual(['pwd'])
})

test('A-73: a record whose proof is not one proves nothing', async () => {
  const app = shop()
  const { given } = await app.request('', (s) => s.login('ada', PROOF))
  const [[id, record]] = [...(app.store.list('ada') as Iterable<[string, SessionRecord]>)] as [[string, SessionRecord]]
  const { data } = JSON.parse(record.data)
  let { version } = record
  for (const auth of ['otp', ['otp'], { amr: 'otp' }, { amr: [['otp']] }, { acr: {} }, null, 1]) {
    await app.store.set(id, { ...record, data: JSON.stringify({ data, auth }), version: version + 1 }, version++)
    const { value } = await app.request(given!, (s) => [s.userId, s.amr, s.acr])
    expect(value).toEqual(['ada', undefined, undefined])
  }
})

test('A-69, A-71: no request that is under way undoes a step-up, or raises what a login has lowered', () =>
  fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.boolean(), async (scheduler, raises) => {
      const clock = manualClock()
      let racing = false
      const slow = gated(memory({ clock }), (_, go) => (racing ? scheduler.schedule(Promise.resolve()).then(go) : go()))
      const app = shop({ clock, store: slow })
      const before = raises ? { amr: ['pwd'] } : PROOF
      const after = raises ? PROOF : { amr: ['pwd'] }
      const { given } = await app.request('', (s) => s.login('ada', before))
      racing = true
      const [login, ...writers] = await scheduler.waitFor(
        Promise.all([
          app.request(given!, (s) => s.login('ada', after)),
          ...[1, 2, 3].map((i) => app.request(given!, (s) => void Object.assign(s.data, { [`key ${i}`]: i }))),
        ]),
      )
      racing = false
      // What was written in time came along; who came too late was told.
      const { value } = await app.request(login!.given!, (s) => ({ amr: s.amr, acr: s.acr, data: { ...s.data } }))
      expect(value).toMatchObject({ amr: after.amr, acr: (after as { acr?: string }).acr })
      for (const [i, writer] of writers.entries()) {
        expect(writer.given).toBeUndefined()
        expect([200, 409]).toContain(writer.status)
        if (writer.status === 200) expect(value!.data[`key ${i + 1}`]).toBe(i + 1)
      }
      expect(await app.userOf(given!)).toBeUndefined()
    }),
    { numRuns: 150 },
  ))

test('store calls: a login with a proof costs no more', async () => {
  const calls: string[] = []
  const clock = manualClock()
  const app = shop({
    clock,
    store: gated(memory({ clock }), (verb, go) => {
      calls.push(verb)
      return go()
    }),
  })
  const { given } = await app.request('', (s) => s.login('ada', PROOF))
  expect(calls.splice(0)).toEqual(['set'])
  app.clock.advance(HOUR / 60)
  await app.request(given!, proofOf)
  expect(calls).toEqual(['get'])
})
