import { randomBytes } from 'node:crypto'
import { acceptNoRevocation, Fault, generateSecret, type UserStore } from 'sojourn'
import { memory } from 'sojourn/store/memory'
import { signJws } from 'sojourn/token/jws'
import { type TokenPairOptions, tokenPair } from 'sojourn/token/pair'
import { revocations as makeRevocations } from 'sojourn/token/revocation'
import { signingRing } from 'sojourn/token/signing-keys'
import { describe, expect, test } from 'vitest'
import { ACCESS, DAY, granted, KEYS, MINUTE, SECOND, world } from './fixtures/pair.js'
import { counted, gated } from './helpers.js'

describe('rotation', () => {
  test('each refresh gives a new pair of the same family', async () => {
    const { pair, clock, told } = world()
    const first = await pair.issue({ userId: 'ann', scope: 'cart orders' })
    clock.advance(5 * MINUTE)
    const second = granted(await pair.refresh(first.refreshToken))
    expect(second.refreshToken).not.toBe(first.refreshToken)
    expect(second).toMatchObject({ id: first.id, userId: 'ann', scope: 'cart orders', endsAt: first.endsAt })
    expect(second.expiresAt).toBe(clock() + 5 * MINUTE)
    expect(await pair.introspect(first.accessToken)).toEqual({ active: false })
    expect(await pair.introspect(second.accessToken)).toMatchObject({ active: true, sub: 'ann', sid: first.id })
    expect(told()).toEqual(['created', 'renewed'])
  })

  test('A-59, 10.4.5: a rotated token that is used again ends the family, both halves, and says so', async () => {
    const { pair, clock, events, store } = world()
    const first = await pair.issue({ userId: 'ann' })
    const owner = granted(await pair.refresh(first.refreshToken))
    clock.advance(10 * SECOND)
    events.length = 0
    expect(await pair.refresh(first.refreshToken)).toBe('replayed')
    const whose = { id: first.id, userId: 'ann' }
    expect(events).toMatchObject([
      { type: 'refused', reason: 'replayed', ...whose },
      { type: 'ended', reason: 'replayed', ...whose },
    ])
    expect(await pair.refresh(owner.refreshToken)).toBe('ended')
    expect(await pair.introspect(owner.accessToken)).toEqual({ active: false })
    expect([...(store.list('ann') as Iterable<unknown>)]).toEqual([])
  })

  test('A-59: an older generation ends the family once its grace is over, whatever was rotated since', async () => {
    for (const [grace, later] of [
      [10 * SECOND, 5 * SECOND],
      [0, 0],
    ] as const) {
      const { pair, clock } = world({ refresh: { grace } })
      const first = await pair.issue({ userId: 'ann' })
      const second = granted(await pair.refresh(first.refreshToken))
      clock.advance(later)
      const third = granted(await pair.refresh(second.refreshToken))
      clock.advance(later)
      expect(await pair.refresh(first.refreshToken)).toBe('replayed')
      expect(await pair.refresh(third.refreshToken)).toBe('ended')
    }
  })

  test('A-61: a duplicate that comes late, after several rotations in its grace, is refused and ends nothing', async () => {
    const { pair, clock, store, told } = world()
    const first = await pair.issue({ userId: 'ann' })
    clock.advance(500)
    const second = granted(await pair.refresh(first.refreshToken))
    clock.advance(500)
    const third = granted(await pair.refresh(second.refreshToken))
    clock.advance(500)
    told()
    const record = await store.get(first.id)
    expect(await pair.refresh(first.refreshToken)).toBe('replaced')
    expect(await store.get(first.id)).toEqual(record)
    expect(told()).toEqual(['refused replaced'])
    expect(granted(await pair.refresh(second.refreshToken)).refreshToken).toBe(third.refreshToken)
    const fourth = granted(await pair.refresh(third.refreshToken))
    for (const { refreshToken } of [first, second]) expect(await pair.refresh(refreshToken)).toBe('replaced')
    clock.advance(10 * SECOND)
    expect(await pair.refresh(second.refreshToken)).toBe('replayed')
    expect(await pair.refresh(fourth.refreshToken)).toBe('ended')
  })

  test('A-59: what is remembered for it is bounded, and forgotten with the grace', async () => {
    const { pair, clock, store } = world()
    const first = await pair.issue({ userId: 'ann' })
    let token = first.refreshToken
    const next = async () => {
      token = granted(await pair.refresh(token)).refreshToken
    }
    const size = async () => (await store.get(first.id))!.data.length
    await next()
    const usual = await size()
    for (let i = 0; i < 100; i++) await next()
    expect(await size()).toBeLessThan(usual + 32 * 64 + 32)
    clock.advance(10 * SECOND)
    await next()
    clock.advance(10 * SECOND)
    await next()
    expect(await size()).toBeLessThan(usual + 8)
    expect((await store.get(first.id))!.data).not.toContain('recent')
  })

  test('a family that was written before anything was remembered goes on; A-73: one with nonsense in it does not', async () => {
    const { pair, store } = world()
    const keep = async (id: string, recent: unknown) => {
      const record = (await store.get(id))!
      const { family, data } = JSON.parse(record.data) as { family: object; data: object }
      await store.delete(id)
      await store.set(id, { ...record, data: JSON.stringify({ family: { ...family, recent }, data }) }, 0)
    }
    for (const recent of [undefined, 'x', [1], [['x']], [[1, 1]], { length: 0 }]) {
      const first = await pair.issue({ userId: 'ann' })
      const second = granted(await pair.refresh(first.refreshToken))
      const third = granted(await pair.refresh(second.refreshToken))
      await keep(first.id, recent)
      const answer = await pair.refresh(third.refreshToken)
      if (recent === undefined) granted(answer)
      else expect(answer).toBe('ended')
    }
  })

  test('A-59: a token from after a rotation that the store has lost ends the family', async () => {
    const { pair, store } = world()
    const first = await pair.issue({ userId: 'ann' })
    const before = (await store.get(first.id))!
    const second = granted(await pair.refresh(first.refreshToken))
    const third = granted(await pair.refresh(second.refreshToken))
    await store.delete(first.id)
    await store.set(first.id, before, 0)
    expect(await pair.refresh(third.refreshToken)).toBe('replayed')
    expect(await pair.refresh(first.refreshToken)).toBe('ended')
  })

  test('A-61: a retry within the grace gets the same successor, and nothing is written', async () => {
    const { pair, clock, store, told } = world()
    const first = await pair.issue({ userId: 'ann' })
    const second = granted(await pair.refresh(first.refreshToken))
    const record = await store.get(first.id)
    told()
    clock.advance(10 * SECOND - 1)
    const retried = granted(await pair.refresh(first.refreshToken))
    expect(retried.refreshToken).toBe(second.refreshToken)
    expect(await store.get(first.id)).toEqual(record)
    expect(told()).toEqual([])
    expect(granted(await pair.refresh(second.refreshToken)).id).toBe(first.id)
  })

  test('A-62: within the grace thief and owner have one successor; the next use of it by both is noticed', async () => {
    const { pair, clock } = world()
    const first = await pair.issue({ userId: 'ann' })
    const owner = granted(await pair.refresh(first.refreshToken))
    const thief = granted(await pair.refresh(first.refreshToken))
    expect(thief.refreshToken).toBe(owner.refreshToken)
    clock.advance(5 * MINUTE)
    const next = granted(await pair.refresh(owner.refreshToken))
    clock.advance(5 * MINUTE)
    expect(await pair.refresh(thief.refreshToken)).toBe('replayed')
    expect(await pair.refresh(next.refreshToken)).toBe('ended')
  })

  test('A-62: a clock that is put back does not lengthen the grace', async () => {
    const { pair, clock } = world()
    const first = await pair.issue({ userId: 'ann' })
    clock.advance(MINUTE)
    await pair.refresh(first.refreshToken)
    clock.advance(-10 * SECOND)
    expect(await pair.refresh(first.refreshToken)).toBe('replayed')
  })

  test('grace 0 switches it off: the second use is a replay at once', async () => {
    const { pair } = world({ refresh: { grace: 0 } })
    const first = await pair.issue({ userId: 'ann' })
    const second = granted(await pair.refresh(first.refreshToken))
    expect(await pair.refresh(first.refreshToken)).toBe('replayed')
    expect(await pair.refresh(second.refreshToken)).toBe('ended')
  })
})

describe('its time', () => {
  test('A-64, 10.4.8: however often it is refreshed, the family ends at its absolute end', async () => {
    const { pair, clock, told } = world({ refresh: { idle: 2 * DAY, absolute: 7 * DAY } })
    let tokens = await pair.issue({ userId: 'ann' })
    const end = clock() + 7 * DAY
    for (let i = 0; i < 6; i++) {
      clock.advance(DAY)
      tokens = granted(await pair.refresh(tokens.refreshToken))
      expect(tokens.endsAt).toBe(end)
    }
    clock.set(end - 2 * SECOND)
    tokens = granted(await pair.refresh(tokens.refreshToken))
    expect(tokens.expiresAt).toBe(end)
    told()
    clock.set(end)
    expect(await pair.refresh(tokens.refreshToken)).toBe('ended')
    expect(await pair.introspect(tokens.accessToken)).toEqual({ active: false })
    expect(told()).toEqual(['refused ended'])
  })

  test('the idle end holds, and a timeout that was shortened holds for families that there are', async () => {
    const { pair, clock, again } = world({ refresh: { idle: 2 * DAY, absolute: 7 * DAY } })
    const [one, two] = [await pair.issue({ userId: 'ann' }), await pair.issue({ userId: 'bea' })]
    clock.advance(DAY)
    expect(await again({ refresh: { idle: DAY, absolute: DAY } }).refresh(one.refreshToken)).toBe('expired')
    granted(await pair.refresh(one.refreshToken))
    clock.advance(DAY)
    expect(await pair.refresh(two.refreshToken)).toBe('ended')
  })

  test('an access token lives for its lifetime, and never past the family', async () => {
    const { pair, clock } = world({ access: { ...ACCESS, lifetime: 90 * SECOND } })
    const { accessToken, expiresIn } = await pair.issue({ userId: 'ann' })
    expect(expiresIn).toBe(90 * SECOND)
    clock.advance(90 * SECOND - 1)
    expect(await pair.introspect(accessToken)).toMatchObject({ active: true })
    clock.advance(1)
    expect(await pair.introspect(accessToken)).toEqual({ active: false })
  })
})

describe('ending', () => {
  test('A-63: after a revoke by either half, and by a rotated one, nothing is refreshed', async () => {
    const { pair, clock } = world()
    for (const which of ['access', 'refresh', 'rotated']) {
      const first = await pair.issue({ userId: 'ann' })
      clock.advance(MINUTE)
      const tokens = granted(await pair.refresh(first.refreshToken))
      const text = { access: tokens.accessToken, refresh: tokens.refreshToken, rotated: first.refreshToken }[which]!
      expect(await pair.revoke(text), which).toBe(true)
      expect(await pair.refresh(tokens.refreshToken), which).toBe('ended')
      expect(await pair.introspect(tokens.accessToken), which).toEqual({ active: false })
      expect(await pair.revoke(text), which).toBe(false)
    }
  })

  test('A-63: what was ended for a user or for everybody is not refreshed, though the record is there', async () => {
    const { pair, clock, revocations, store } = world()
    const [one, two] = [await pair.issue({ userId: 'ann' }), await pair.issue({ userId: 'bea' })]
    await revocations.endAll('ann', clock() + DAY)
    expect(await pair.refresh(one.refreshToken)).toBe('ended')
    await revocations.endEverybody(clock() + DAY)
    expect(await pair.refresh(two.refreshToken)).toBe('ended')
    // Neither comes back when the note of it has run out.
    clock.advance(2 * DAY)
    for (const { id, refreshToken } of [one, two]) {
      expect(await pair.refresh(refreshToken)).toBe('ended')
      expect(await store.get(id)).toBeUndefined()
    }
    granted(await pair.refresh((await pair.issue({ userId: 'ann' })).refreshToken))
  })

  test('a failure half way leaves no refresh token that works, and the next try finishes it', async () => {
    const { pair, clock, again, revocations } = world()
    const tokens = await pair.issue({ userId: 'ann' })
    const cut = gated(memory({ clock }), (verb, go) => {
      if (verb === 'set') throw new Error('cut off')
      return go()
    })
    const broken = again({ revocations: makeRevocations({ store: cut, clock }) })
    expect(() => broken.revoke(tokens.refreshToken)).toThrow(Fault)
    expect(await pair.refresh(tokens.refreshToken)).toBe('ended')
    await pair.revoke(tokens.refreshToken)
    const token = { id: tokens.id, userId: 'ann', issuedAt: clock() }
    expect(await revocations.fresh(token)).toBe(true)
  })

  test.each(['evict-oldest', 'reject'] as const)('7.1.2: a limit holds with %s', async (policy) => {
    const { pair, clock } = world({ limit: { sessions: 2, policy } })
    const tokens = [await pair.issue({ userId: 'ann' })]
    clock.advance(1)
    tokens.push(await pair.issue({ userId: 'ann' }))
    clock.advance(1)
    if (policy === 'reject') return expect(() => pair.issue({ userId: 'ann' })).toThrow(/limit/)
    tokens.push(await pair.issue({ userId: 'ann' }))
    const active = await Promise.all(tokens.map(async (each) => (await pair.introspect(each.accessToken)).active))
    expect(active).toEqual([false, true, true])
  })
})

describe('scope', () => {
  test('A-65: never widens, may narrow, and a narrowed access token narrows nothing else', async () => {
    const { pair } = world()
    const first = await pair.issue({ userId: 'ann', scope: 'cart orders' })
    for (const scope of ['admin', 'cart admin', 'Cart', 'cart orders x'])
      expect(await pair.refresh(first.refreshToken, { scope })).toBe('scope')
    const second = granted(await pair.refresh(first.refreshToken, { scope: 'cart' }))
    expect(second.scope).toBe('cart')
    expect(await pair.introspect(second.accessToken)).toMatchObject({ scope: 'cart' })
    expect(granted(await pair.refresh(second.refreshToken)).scope).toBe('cart orders')
  })

  test('A-65: without one, none can be had', async () => {
    const { pair } = world()
    const { refreshToken, scope } = await pair.issue({ userId: 'ann' })
    expect(scope).toBeUndefined()
    expect(await pair.refresh(refreshToken, { scope: 'admin' })).toBe('scope')
  })

  test('A-65: a token of another audience, issuer or client is forged here', async () => {
    const { pair, again } = world()
    const { refreshToken } = await pair.issue({ userId: 'ann' })
    for (const more of [{ audience: 'admin api' }, { issuer: 'https://other.example' }, { clientId: 'tv' }])
      expect(await again({ access: { ...ACCESS, ...more } }).refresh(refreshToken)).toBe('forged')
    granted(await pair.refresh(refreshToken))
  })
})

describe('forgeries', () => {
  test('cost no store call, and are refused whatever is changed', async () => {
    const { store, calls } = counted(memory())
    const pair = tokenPair({ keys: KEYS, store, revocations: acceptNoRevocation, access: ACCESS })
    const { refreshToken } = await pair.issue({ userId: 'ann' })
    calls()
    for (let i = 0; i < refreshToken.length; i++) {
      const other = refreshToken[i] === 'A' ? 'B' : 'A'
      const changed = refreshToken.slice(0, i) + other + refreshToken.slice(i + 1)
      expect(['forged', 'malformed']).toContain(await pair.refresh(changed))
    }
    for (const text of ['', '.', refreshToken.slice(1), `${refreshToken}A`, `${refreshToken}.`, 'x'.repeat(65_536)])
      expect(await pair.refresh(text)).toMatch(/forged|malformed/)
    expect(calls()).toEqual([])
    expect(await pair.refresh(refreshToken)).toMatchObject({ userId: 'ann' })
    expect(calls()).toEqual(['get', 'set'])
  })

  test('A-38, 9.2.2: neither half is taken for the other, and the handle for neither', async () => {
    const { pair } = world()
    const { accessToken, refreshToken, id } = await pair.issue({ userId: 'ann' })
    for (const text of [accessToken, id]) expect(await pair.refresh(text)).toBe('malformed')
    for (const text of [refreshToken, id]) expect(await pair.introspect(text)).toEqual({ active: false })
    expect(await pair.revoke(id)).toBe(false)
  })

  test('RV-01: a token that another issuer signed with the same key ends no family by its name', async () => {
    const key = { algorithm: 'HS256', key: new Uint8Array(randomBytes(32)) } as const
    const { pair, clock } = world({ access: { ...ACCESS, keys: key } })
    const tokens = await pair.issue({ userId: 'ann' })
    const iat = Math.floor(clock() / 1000)
    const { issuer: iss, audience: aud } = ACCESS
    const claims = { iss, aud, sub: 'mallory', iat, exp: iat + 60, jti: 'x', sid: tokens.id }
    const foreign = signJws(signingRing(key).current, 'at+jwt', claims)
    expect(await pair.introspect(foreign)).toMatchObject({ active: true, sub: 'mallory' })
    expect(await pair.revoke(foreign)).toBe(false)
    granted(await pair.refresh(tokens.refreshToken))
  })

  test('a stolen database opens nothing, nor do the keys without it', async () => {
    const { pair, store, again } = world()
    const tokens = await pair.issue({ userId: 'ann' })
    const next = granted(await pair.refresh(tokens.refreshToken))
    const stolen = JSON.stringify([...(store.list() as Iterable<unknown>)])
    for (const { refreshToken } of [tokens, next])
      for (const part of refreshToken.split('.').slice(3)) expect(stolen).not.toContain(part)
    // Who has the database has no key …
    const thief = again({ keys: generateSecret() })
    expect(await thief.refresh(next.refreshToken)).toBe('forged')
    // … and who has the key has another seed: a token of the same generation, well signed, and not this family's.
    const made = tokenPair({ keys: KEYS, store: memory(), revocations: acceptNoRevocation, access: ACCESS })
    const own = await made.issue({ userId: 'ann' })
    const second = granted(await made.refresh(own.refreshToken))
    await store.set(own.id, { ...(await store.get(tokens.id))!, version: 1 }, 0)
    expect(await pair.refresh(second.refreshToken)).toBe('forged')
    expect(await pair.refresh(own.refreshToken)).toBe('forged')
    expect(await store.get(own.id)).toBeDefined()
  })

  test('A-73: a record that is no family opens nothing and breaks nothing', async () => {
    const { pair, store } = world()
    const tokens = await pair.issue({ userId: 'ann' })
    const record = (await store.get(tokens.id))!
    const { family, data } = JSON.parse(record.data)
    const changed = (more: object) => JSON.stringify({ family: { ...family, ...more }, data })
    const texts = [
      JSON.stringify({ family }),
      '-',
      '',
      '{}',
      '{"family":{}}',
      '{"family":null}',
      '[]',
      'null',
      record.data.slice(0, -9),
      changed({ scope: 1 }),
      changed({ previous: {} }),
      changed({ generation: '1' }),
    ]
    for (const [i, data] of texts.entries()) {
      await store.delete(tokens.id)
      await store.set(tokens.id, { ...record, data, version: i + 1 }, 0)
      expect(await pair.refresh(tokens.refreshToken), data).toBe('ended')
    }
  })
})

describe('keys', () => {
  test('A-54: a rotated key logs nobody out, and its tokens are made anew at the next refresh', async () => {
    const { pair, again, clock } = world()
    const [old, young] = [KEYS, generateSecret()]
    const first = await pair.issue({ userId: 'ann' })
    const both = again({ keys: [young, old] })
    const second = granted(await both.refresh(first.refreshToken))
    expect(granted(await both.refresh(first.refreshToken)).refreshToken).toBe(second.refreshToken)
    clock.advance(MINUTE)
    granted(await again({ keys: young }).refresh(second.refreshToken))
    expect(await again({ keys: young }).refresh(first.refreshToken)).toBe('forged')
  })

  test('within the grace, a server that does not know the new key yet says so and ends nothing', async () => {
    const { pair, again } = world()
    const young = generateSecret()
    const first = await pair.issue({ userId: 'ann' })
    const second = granted(await again({ keys: [young, KEYS] }).refresh(first.refreshToken))
    expect(() => pair.refresh(first.refreshToken)).toThrow(Fault)
    granted(await again({ keys: [young, KEYS] }).refresh(second.refreshToken))
  })
})

describe('what is refused', () => {
  const options: TokenPairOptions = { keys: KEYS, store: memory(), revocations: acceptNoRevocation, access: ACCESS }
  test.each<[string, object, RegExp]>([
    ['a store that is none', { store: {} }, /store/],
    ['7.4.1: no revocations', { revocations: undefined }, /acceptNoRevocation/],
    ['no issuer', { access: { audience: 'a' } }, /issuer/],
    ['a lifetime of two hours', { access: { ...ACCESS, lifetime: 2 * 3600_000 } }, /lifetime/],
    ['a lifetime that is no number', { access: { ...ACCESS, lifetime: Number.NaN } }, /lifetime/],
    ['A-62: a grace over 10 seconds', { refresh: { grace: 10_001 } }, /grace/],
    ['a negative grace', { refresh: { grace: -1 } }, /grace/],
    ['idle longer than absolute', { refresh: { idle: 2 * DAY, absolute: DAY } }, /idle/],
    ['a guessable key', { keys: 'password' }, /keys/],
  ])('%s', (_, wrong, why) => {
    expect(() => tokenPair({ ...options, ...wrong } as TokenPairOptions)).toThrow(why)
  })

  test('a user id and a scope that are none', () => {
    const pair = tokenPair(options)
    expect(() => pair.issue({ userId: '' })).toThrow(TypeError)
    for (const scope of ['', ' ', 'a  b', 'a"b', 'a\\b', 'a\nb', 'ä'])
      expect(() => pair.issue({ userId: 'ann', scope }), scope).toThrow(TypeError)
  })

  test('A-80, A-151: a store that fails is a fault, and ends nothing', async () => {
    const { store, pair, again, told } = world()
    const tokens = await pair.issue({ userId: 'ann' })
    const broken: UserStore = gated(store, () => {
      throw new Error('cut off')
    })
    told()
    expect(() => again({ store: broken }).refresh(tokens.refreshToken)).toThrow(Fault)
    expect(told()).toEqual(['fault'])
    granted(await pair.refresh(tokens.refreshToken))
  })

  test('nothing that is told can be used: no token, no part of one', async () => {
    const { pair, events, clock } = world()
    const first = await pair.issue({ userId: 'ann' })
    const second = granted(await pair.refresh(first.refreshToken))
    clock.advance(MINUTE)
    await pair.refresh(first.refreshToken)
    const told = JSON.stringify(events)
    expect(told).toContain('replayed')
    for (const { accessToken, refreshToken } of [first, second])
      for (const secret of [accessToken, ...refreshToken.split('.').slice(3)]) expect(told).not.toContain(secret)
  })
})
