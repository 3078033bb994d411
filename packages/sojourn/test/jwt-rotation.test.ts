import { acceptNoRevocation, generateSecret, jwt } from 'sojourn'
import { manualClock } from 'sojourn/testing/clock'
import { jwks } from 'sojourn/token/jwks'
import { type Algorithm, openJws, signJws } from 'sojourn/token/jws'
import { type KeptKeys, type RotatingKeys, type RotationOptions, rotatingKeys } from 'sojourn/token/rotation'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { Client } from './jar.js'
import { place, type View } from './journey.js'
import { claimsOf } from './tokens.js'

const HOUR = 3_600_000
const DAY = 24 * HOUR

const running: RotatingKeys[] = []
afterEach(() => {
  for (const ring of running.splice(0)) ring.close()
  vi.restoreAllMocks()
  vi.useRealTimers()
})

/** Where keys are kept: as text, by compare-and-set, a moment later. */
function shelf() {
  const state = { text: '', saves: 0, broken: false }
  const load = async (): Promise<KeptKeys | undefined> => {
    if (state.broken) throw new Error('the vault is closed')
    return state.text === '' ? undefined : JSON.parse(state.text)
  }
  const save = async (next: KeptKeys, was: number) => {
    await load()
    const version = state.text === '' ? 0 : (JSON.parse(state.text) as KeptKeys).version
    if (version !== was) return false
    state.text = JSON.stringify(next)
    state.saves++
    return true
  }
  return { state, load, save }
}

async function made(options: RotationOptions): Promise<RotatingKeys> {
  const ring = await rotatingKeys(options)
  running.push(ring)
  return ring
}

const names = (ring: RotatingKeys, now: number) => ring.accepted(now).map(({ id }) => id)

describe('a ring that renews itself', () => {
  const options = { every: 10 * DAY, accept: 3 * DAY }

  test('begins with the key that signs and the one that will', async () => {
    const clock = manualClock()
    const { load, save, state } = shelf()
    const ring = await made({ load, save, clock, ...options })
    const [next, current] = ring.accepted(clock())
    expect(ring.current).toBe(current)
    expect(next).toBeDefined()
    expect(state.saves).toBe(1)
    await ring.turn()
    expect(state.saves).toBe(1)
    expect(ring.current).toBe(current)
  })

  test('11.1.1 A-54: each key is published a whole period before it signs, and accepted for a while after', async () => {
    const clock = manualClock()
    const { load, save } = shelf()
    const ring = await made({ load, save, clock, ...options })
    const first = ring.current.id
    const second = names(ring, clock()).find((id) => id !== first)!
    clock.advance(10 * DAY - 1)
    expect(ring.current.id).toBe(first)
    clock.advance(1)
    // The schedule is in the keys: nobody had to turn it.
    expect(ring.current.id).toBe(second)
    await ring.turn()
    expect(ring.current.id).toBe(second)
    const third = names(ring, clock())[0]!
    expect(names(ring, clock())).toEqual([third, second, first])
    clock.advance(3 * DAY - 1)
    expect(names(ring, clock())).toContain(first)
    clock.advance(1)
    expect(names(ring, clock())).toEqual([third, second])
    await ring.turn()
    expect(JSON.stringify(await load())).not.toContain(first)
    clock.advance(7 * DAY)
    expect(ring.current.id).toBe(third)
  })

  test('a process that slept for long goes on', async () => {
    const clock = manualClock()
    const { load, save } = shelf()
    const ring = await made({ load, save, clock, ...options })
    clock.advance(100 * DAY)
    await ring.turn()
    expect(names(ring, clock())).toHaveLength(2)
    expect((await load())!.keys[0]!.from).toBe(clock() + 10 * DAY)
  })

  test('several processes agree, however many begin at once, and sign what the others open', async () => {
    const clock = manualClock()
    const { load, save, state } = shelf()
    const rings = await Promise.all(Array.from({ length: 6 }, () => made({ load, save, clock, ...options })))
    expect(state.saves).toBe(1)
    for (let day = 0; day < 40; day++) {
      clock.advance(DAY)
      // One of them at a time; the others have what they read before, up to five days ago.
      await rings[day % 6]!.turn()
      const tokens = rings.map((ring) => signJws(ring.current, 'at+jwt', {}))
      for (const ring of rings) {
        for (const token of tokens) expect(openJws(token, ring.accepted(clock()), 'at+jwt')).toBeTypeOf('object')
      }
    }
  })

  test('keys that cannot be read or kept leave those at hand in use, with a warning', async () => {
    vi.useFakeTimers()
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const { load, save, state } = shelf()
    const ring = await made({ load, save, ...options })
    const { current } = ring
    state.broken = true
    await vi.advanceTimersByTimeAsync(DAY)
    expect(warned.mock.calls[0]![0]).toMatch(/those at hand stay in use/)
    expect(ring.current).toBe(current)
    state.broken = false
    await vi.advanceTimersByTimeAsync(9 * DAY)
    expect(state.saves).toBe(2)
    expect(ring.current).not.toBe(current)
  })

  test('a key that was taken out is gone at the next turn', async () => {
    const clock = manualClock()
    const { load, save } = shelf()
    const ring = await made({ load, save, clock, ...options })
    const stolen = ring.current.id
    const kept = (await load())!
    await save({ version: kept.version + 1, keys: kept.keys.filter(({ id }) => id !== stolen) }, kept.version)
    await ring.turn()
    expect(names(ring, clock())).not.toContain(stolen)
    expect(ring.current.private).toBeDefined()
  })

  test.each(['ES256', 'Ed25519', 'HS256', 'HS512', 'PS256'] as Algorithm[])('makes keys for %s', async (algorithm) => {
    const clock = manualClock()
    const { load, save } = shelf()
    const ring = await made({ load, save, clock, algorithm, ...options })
    const token = signJws(ring.current, 'at+jwt', {})
    const again = await made({ load, save, clock, algorithm, ...options })
    expect(openJws(token, again.accepted(clock()), 'at+jwt')).toBeTypeOf('object')
    if (algorithm.startsWith('HS')) return
    const published = jwks(ring, clock())
    expect(published.keys).toHaveLength(2)
    expect(JSON.stringify(published)).not.toContain('"d"')
  })

  test('does not start with times that cannot hold, or a `save` that never does', async () => {
    const { load, save } = shelf()
    for (const every of [0, 1000, Number.NaN, Number.POSITIVE_INFINITY])
      await expect(rotatingKeys({ load, save, every })).rejects.toThrow(TypeError)
    await expect(rotatingKeys({ load, save, accept: -1 })).rejects.toThrow(TypeError)
    await expect(rotatingKeys({ load, save: () => false })).rejects.toThrow(/compare-and-set/)
  })
})

test('sessions go through a rotation, and are signed anew with the key of the day', async () => {
  const clock = manualClock()
  const { load, save } = shelf()
  const ring = await made({ load, save, clock, every: HOUR, accept: HOUR })
  const strategy = jwt({ issuer: 'https://id.example', audience: 'shop', keys: ring, revocations: acceptNoRevocation })
  const client = new Client(place({ keys: generateSecret(), clock, strategy }).handler)
  await client.send('/login/ann')
  const kids = new Set<unknown>()
  for (let minutes = 0; minutes < 11 * 60; minutes += 10) {
    clock.advance(HOUR / 6)
    await ring.turn()
    const copy = new Map(client.cookies)
    expect(await client.get<View>('/')).toMatchObject({ user: 'ann' })
    // Seen before the key changed, and again after it.
    client.cookies = copy
    expect(await client.get<View>('/')).toMatchObject({ user: 'ann' })
    const { header } = claimsOf([...client.cookies.values()].join(''))
    expect(header.kid).toBe(ring.current.id)
    kids.add(header.kid)
  }
  expect(kids.size).toBeGreaterThan(9)
})
