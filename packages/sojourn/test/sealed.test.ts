import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import {
  acceptNoRevocation,
  cookie,
  generateSecret,
  header,
  opaque,
  type SealedOptions,
  type SessionRecord,
  sealed,
  type Transport,
} from 'sojourn'
import { fetch } from 'sojourn/adapter/fetch'
import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { revocations } from 'sojourn/token/revocation'
import { tickets } from 'sojourn/token/ticket'
import { describe, expect, onTestFinished, test } from 'vitest'
import { gated } from './helpers.js'
import { Client } from './jar.js'
import { place, type View } from './journey.js'

const MINUTE = 60_000
const keys = generateSecret()

function sealedPlace(options: Partial<SealedOptions> = {}) {
  const clock = manualClock()
  const ended = revocations({ store: memory({ clock }), clock })
  const devices = memory({ clock })
  const strategy = sealed({ revocations: ended, devices, ...options })
  return { clock, ended, devices, ...place({ keys, clock, strategy }) }
}

describe('sealed sessions', () => {
  test('keep their data in the client, and ask no store for it', async () => {
    const app = sealedPlace({ revocations: acceptNoRevocation })
    const client = new Client(app.handler)
    await client.send('/add')
    await client.send('/add')
    expect(await client.get<View>('/')).toMatchObject({ count: 2 })
    expect([...app.devices.list()]).toEqual([])
  })

  test('show nothing of it', async () => {
    const app = sealedPlace()
    const client = new Client(app.handler)
    await client.send('/login/a-telling-name')
    const [value] = client.cookies.values()
    const shown = Buffer.from(value!.split('.')[1]!, 'base64url').toString('latin1')
    expect(shown).not.toContain('a-telling-name')
    expect(shown).not.toContain('count')
  })

  test('7.3.1 7.3.2: idle and absolute timeouts hold, whatever the cookie says', async () => {
    const app = sealedPlace()
    const client = new Client(app.handler)
    await client.send('/login/ann')
    app.clock.advance(30 * MINUTE - 1)
    expect(await client.get<View>('/')).toMatchObject({ user: 'ann' })
    app.clock.advance(30 * MINUTE)
    expect(await client.get<View>('/')).toMatchObject({ refused: 'expired' })

    await client.send('/login/ann')
    for (let passed = 0; passed < 12 * 60 - 20; passed += 20) {
      app.clock.advance(20 * MINUTE)
      expect(await client.get<View>('/')).toMatchObject({ user: 'ann' })
    }
    app.clock.advance(20 * MINUTE)
    expect(await client.get<View>('/')).toMatchObject({ refused: 'expired' })
  })

  test('are opened a few times at most, however many come in turn', async () => {
    const app = sealedPlace({ revocations: acceptNoRevocation })
    const clients = Array.from({ length: 1000 }, () => new Client(app.handler))
    for (const client of clients) await client.send('/add')
    let opened = 0
    const { createDecipheriv } = crypto
    onTestFinished(() => {
      crypto.createDecipheriv = createDecipheriv
      syncBuiltinESMExports()
    })
    crypto.createDecipheriv = ((...args: Parameters<typeof createDecipheriv>) => {
      opened++
      return createDecipheriv(...args)
    }) as typeof createDecipheriv
    syncBuiltinESMExports()
    const round = async () => {
      opened = 0
      for (const client of clients) await client.get('/')
      return opened
    }
    expect(await round()).toBe(1000)
    for (let n = 0; n < 4; n++) await round()
    expect(await round()).toBeLessThan(20)
  })

  test('slide at most once in a tenth of the idle timeout', async () => {
    const app = sealedPlace()
    const client = new Client(app.handler)
    await client.send('/login/ann')
    app.clock.advance(3 * MINUTE - 1)
    expect((await client.send('/')).headers.getSetCookie()).toEqual([])
    app.clock.advance(1)
    expect((await client.send('/')).headers.getSetCookie()).toHaveLength(1)
    expect((await client.send('/')).headers.getSetCookie()).toEqual([])
  })

  test('7.4.1: everything captured before the logout is refused after it', async () => {
    const app = sealedPlace()
    const client = new Client(app.handler)
    await client.send('/login/ann')
    const captured = [client.at(app.handler)]
    await client.send('/add')
    captured.push(client.at(app.handler))
    await client.send('/rotate')
    captured.push(client.at(app.handler))
    await client.send('/logout')
    expect(client.cookies.size).toBe(0)
    for (const copy of captured) {
      const view = await copy.get<View>('/')
      expect(view).toMatchObject({ refused: 'ended', count: 0 })
      expect(view.user).toBeUndefined()
    }
  })

  test('A-01: a login changes the identifier, and the old state stays a guest', async () => {
    const app = sealedPlace()
    const client = new Client(app.handler)
    await client.send('/add')
    const before = client.at(app.handler)
    const { id } = await client.get<View>('/')
    expect(await client.get<View>('/login/ann')).toMatchObject({ user: 'ann', count: 1 })
    expect((await client.get<View>('/')).id).not.toBe(id)
    expect((await before.get<View>('/')).user).toBeUndefined()
  })

  test('an older state brings back older data and no other identity', async () => {
    const app = sealedPlace()
    const client = new Client(app.handler)
    await client.send('/login/ann')
    const older = client.at(app.handler)
    await client.send('/add')
    expect(await older.get<View>('/')).toMatchObject({ user: 'ann', count: 0 })
    await client.send('/login/bea')
    expect(await older.get<View>('/')).toMatchObject({ refused: 'ended' })
  })

  test('devices are listed and ended, one or all but one', async () => {
    const app = sealedPlace()
    const [one, two, three] = [1, 2, 3].map(() => new Client(app.handler)) as [Client, Client, Client]
    for (const client of [one, two, three]) await client.send('/login/ann')
    const { id } = await one.get<View>('/')
    const listed = await app.sessions.list('ann')
    expect(listed).toHaveLength(3)
    expect(listed.map((session) => session.id)).toContain(id)

    expect(await app.sessions.end((await two.get<View>('/')).id!)).toBe(true)
    expect(await two.get<View>('/')).toMatchObject({ refused: 'ended' })
    expect(await app.sessions.endAll('ann', { except: id })).toBe(1)
    expect(await three.get<View>('/')).toMatchObject({ refused: 'ended' })
    expect(await one.get<View>('/')).toMatchObject({ user: 'ann' })

    await new Client(app.handler).send('/login/ann')
    expect(await app.sessions.list('ann')).toHaveLength(2)
  })

  test('7.1.2: the limit of sessions holds', async () => {
    const clock = manualClock()
    const strategy = sealed({
      revocations: revocations({ store: memory({ clock }), clock }),
      devices: memory({ clock }),
    })
    const app = place({ keys, clock, strategy, limit: { sessions: 2, policy: 'evict-oldest' } })
    const clients: Client[] = []
    for (let i = 0; i < 3; i++) {
      clock.advance(1000)
      clients.push(new Client(app.handler))
      await clients[i]!.send('/login/ann')
    }
    const views = await Promise.all(clients.map((client) => client.get<View>('/')))
    expect(views.map((view) => view.user)).toEqual([undefined, 'ann', 'ann'])
  })
})

test('a route that asks for fresh knows at once what another process ended; the others know within the bound', async () => {
  const clock = manualClock()
  // As one without a push: the news is asked for, not told.
  const store = gated(memory({ clock }), (_, go) => go())
  const app = () => {
    const strategy = sealed({ revocations: revocations({ store, clock }), devices: memory({ clock }) })
    return place({ keys, clock, strategy })
  }
  const [here, there] = [app(), app()]
  const client = new Client(here.handler)
  await client.send('/login/ann')
  const abroad = client.at(there.handler)
  expect(await abroad.get<View>('/fresh')).toMatchObject({ user: 'ann', fresh: true })
  await client.send('/logout')
  expect(await abroad.get<View>('/')).toMatchObject({ user: 'ann' })
  expect(await abroad.get<View>('/fresh')).toMatchObject({ fresh: false })
  expect(await abroad.get<View>('/')).toMatchObject({ refused: 'ended' })
  expect(await new Client(here.handler).get<View>('/fresh')).toMatchObject({ fresh: true })
})

describe('a session of any size', () => {
  test('CK-03: is chunked over several cookies, and back', async () => {
    const app = sealedPlace()
    const client = new Client(app.handler)
    await client.send('/text/6000')
    expect([...client.cookies.keys()]).toEqual(['', '.1', '.2'].map((part) => `__Host-Http-session${part}`))
    for (const [name, value] of client.cookies) expect(name.length + value.length).toBeLessThanOrEqual(4096)
    expect(await client.get<View>('/')).toMatchObject({ text: 6000 })
    await client.send('/text/10')
    expect(client.cookies.size).toBe(1)
    await client.send('/text/6000')
    await client.send('/logout')
    expect(client.cookies.size).toBe(0)
  })

  test('CK-13: of which the browser dropped one opens nothing, and what is left is taken back with the next write', async () => {
    const app = sealedPlace()
    const client = new Client(app.handler)
    await client.send('/login/ann')
    await client.send('/text/6000')
    const whole = [...client.cookies.keys()]
    expect(whole).toHaveLength(3)
    for (const evicted of whole) {
      const left = new Client(app.handler, client.cookies)
      left.cookies.delete(evicted)
      expect((await left.get<View>('/')).user).toBeUndefined()
      await left.send('/add')
      expect([...left.cookies.keys()]).toEqual([whole[0]])
      expect(await left.get<View>('/')).toMatchObject({ count: 1, text: 0 })
    }
  })

  test('3.3.5 A-23: has a boundary to the byte: what fits is one cookie, one more is refused whole', async () => {
    const app = sealedPlace({ onTooLarge: 'error' })
    const client = new Client(app.handler)
    let fits = 2000
    for (let step = 1024; step >= 1; step /= 2) {
      const sent = await client.send(`/text/${fits + step}`)
      if (sent.status === 200) fits += step
      else expect(await sent.json()).toMatchObject({ status: 500 })
    }
    await client.send(`/text/${fits}`)
    const [[name, value]] = [...client.cookies] as [[string, string]]
    // base64url goes in steps of one or two characters.
    expect(name.length + 2 + value.length).toBeGreaterThanOrEqual(4094)
    expect(name.length + value.length).toBeLessThanOrEqual(4096)
    const refused = await client.send(`/text/${fits + 3}`)
    expect(refused.status).toBe(500)
    expect(refused.headers.getSetCookie()).toEqual([])
    expect(app.events).toContain('fault')
    expect(await client.get<View>('/')).toMatchObject({ text: fits })
  })

  test('A-24: missing, reordered, doubled and mixed chunks are refused, all or nothing', async () => {
    const app = sealedPlace()
    const client = new Client(app.handler)
    await client.send('/text/6000')
    const older = client.at(app.handler)
    await client.send('/text/6001')
    const name = '__Host-Http-session'
    const change = async (edit: (cookies: Map<string, string>) => void) => {
      const copy = client.at(app.handler)
      edit(copy.cookies)
      return (await copy.get<View>('/')).refused
    }
    expect(await change(() => {})).toBeUndefined()
    expect(await change((jar) => void jar.delete(`${name}.1`))).toBe('forged')
    expect(await change((jar) => void jar.delete(name))).toBe('absent')
    expect(await change((jar) => void jar.set(`${name}.1`, older.cookies.get(`${name}.1`)!))).toBe('forged')
    expect(
      await change((jar) => {
        const [one, two] = [jar.get(`${name}.1`)!, jar.get(`${name}.2`)!]
        jar.set(`${name}.1`, two).set(`${name}.2`, one)
      }),
    ).toBe('forged')
    expect(await change((jar) => void jar.set(name, jar.get(name)!.replace('3~', '2~')))).toMatch(/malformed|forged/)
    expect(await change((jar) => void jar.set(name, jar.get(name)!.replace('3~', '9~')))).toBe('forged')
  })
})

describe('what opens nothing', () => {
  const app = sealedPlace()

  test('A-53: one bit changed anywhere, or what an app with another key has sealed', async () => {
    const client = new Client(app.handler)
    await client.send('/login/ann')
    const [[name, value]] = [...client.cookies] as [[string, string]]
    const refusedFor = async (changed: string, handler = app.handler) =>
      (await new Client(handler, new Map([[name, changed]])).get<View>('/')).refused
    const bytes = Buffer.from(value.split('.')[1]!, 'base64url')
    for (let at = 0; at < bytes.length; at++) {
      const flipped = Buffer.from(bytes)
      flipped[at]! ^= 1
      expect(await refusedFor(`${value.split('.')[0]}.${flipped.toString('base64url')}`)).toBe('forged')
    }
    const strategy = sealed({ revocations: acceptNoRevocation })
    expect(await refusedFor(value, place({ keys: generateSecret(), strategy }).handler)).toBe('forged')
    expect(await refusedFor(value, place({ keys, strategy, clock: app.clock }).handler)).toBeUndefined()
  })

  test('A-53: one cookie’s state under another name, or in a header, of the same key', async () => {
    const strategy = sealed({ revocations: acceptNoRevocation })
    const { clock } = app
    const at = (transport: Transport) => place({ keys, clock, strategy, transport }).handler
    const client = new Client(app.handler)
    await client.send('/login/ann')
    const [value] = client.cookies.values()
    const inCookie = (name: string) =>
      new Client(at(cookie({ name })), new Map([[`__Host-Http-${name}`, value!]])).get<View>('/')
    const inHeader = async (name: string, sent: string) => {
      const request = new Request('https://shop.example/', { headers: { [name]: sent } })
      return (await (await at(header({ name }))(request)).json()) as View
    }
    expect(await inCookie('session')).toMatchObject({ user: 'ann' })
    for (const view of [
      await inCookie('admin'),
      await inCookie('session2'),
      await inHeader('authorization', `Bearer ${value}`),
      await inHeader('x-session-id', value!),
    ]) {
      expect(view.refused).toBe('forged')
      expect(view.user).toBeUndefined()
    }
  })

  test('A-53: what the same key has sealed for another purpose', async () => {
    const { clock } = app
    const store = memory({ clock })
    const kept = place({ keys, clock, strategy: opaque({ store, encrypt: 'keys' }) })
    await new Client(kept.handler).send('/login/ann')
    const [[, { data: record }]] = [...store.list('ann')] as [[string, SessionRecord]]
    const waiting = memory({ clock })
    const all = tickets({ sessions: app.sessions, store: waiting })
    const client = new Client(
      fetch(app.sessions, async (request) => {
        const session = await app.sessions.of(request)
        session.login('ann')
        await session.commit()
        return new Response(await all.issue(session, '/live'))
      }),
    )
    const ticket = await (await client.send('/')).text()
    const [[, { data: content }]] = [...waiting.list()] as [[string, SessionRecord]]
    const [[name, own]] = [...client.cookies] as [[string, string]]
    const keyId = own.slice(0, own.indexOf('.'))
    const visit = (value: string) => new Client(app.handler, new Map([[name, value]])).get<View>('/')
    expect(await visit(own)).toMatchObject({ user: 'ann' })
    for (const text of [record, content]) {
      const sealed = text.slice(text.indexOf(`${keyId}.`))
      // Of this key, and of the form of a session's.
      expect(sealed).toMatch(/^[A-Za-z0-9]+\.[\w-]{60,}$/)
      expect(await visit(sealed)).toMatchObject({ refused: 'forged', count: 0 })
    }
    expect(await visit(ticket)).toMatchObject({ refused: 'malformed' })
    expect(await all.redeem(own, '/live', { headers: {} })).toBe('malformed')
  })

  test('A-55: a text that iron has sealed, with the same secret and whatever is wrong with it', async () => {
    const derived = (salt: string) => crypto.pbkdf2Sync(keys, salt, 1, 32, 'sha1')
    const iron = (expiry: string, prefix = 'Fe26.2', id = '') => {
      const [salt, macSalt] = [crypto.randomBytes(32).toString('hex'), crypto.randomBytes(32).toString('hex')]
      const iv = crypto.randomBytes(16)
      const cipher = crypto.createCipheriv('aes-256-cbc', derived(salt), iv)
      const sealed = Buffer.concat([cipher.update('{"id":"x","userId":"ann"}'), cipher.final()])
      const parts = [prefix, id, salt, iv.toString('base64url'), sealed.toString('base64url'), expiry]
      const text = parts.join('*')
      const mac = crypto.createHmac('sha256', derived(macSalt)).update(text).digest('base64url')
      return `${text}*${macSalt}*${mac}`
    }
    const fine = iron('')
    const texts = [
      fine,
      iron(String(Date.now() + 60_000)),
      ...[iron('NaN'), iron('1'), iron('', 'Fe26.1'), iron('', 'Fe26.2', 'other'), iron('', 'fe26.2')],
      ...[`${fine}~2`, `${fine}*x`, fine.slice(0, fine.lastIndexOf('*')), fine.slice(0, -1), 'Fe26.2', 'Fe26.2*******'],
    ]
    for (const text of texts) {
      const client = new Client(app.handler, new Map([['__Host-Http-session', text]]))
      const view = await client.get<View>('/')
      expect(view.refused, text).toMatch(/malformed|forged/)
      expect(view.user).toBeUndefined()
      expect([...client.cookies.values()]).toEqual([text])
    }
  })

  test('a second spelling of the same bytes', async () => {
    const client = new Client(app.handler)
    await client.send('/add')
    const [[name, value]] = [...client.cookies] as [[string, string]]
    for (const spelling of [
      `${value}=`,
      `${value}A`,
      value.replace(/.$/, (last) => (last === 'A' ? 'B' : `${last}.`)),
    ]) {
      const { refused } = await new Client(app.handler, new Map([[name, spelling]])).get<View>('/')
      expect(refused).toMatch(/malformed|forged/)
    }
  })

  test('A-06: a megabyte, at once', async () => {
    const started = performance.now()
    const { refused } = await new Client(
      app.handler,
      new Map([['__Host-Http-session', `k.${'A'.repeat(1_000_000)}`]]),
    ).get<View>('/')
    expect(refused).toMatch(/malformed|forged/)
    expect(performance.now() - started).toBeLessThan(200)
  })

  test('11.3.4: no two sealings share salt and count', async () => {
    const client = new Client(app.handler)
    const seen = new Set<string>()
    for (let i = 0; i < 500; i++) {
      await client.send('/add')
      const [value] = client.cookies.values()
      seen.add(Buffer.from(value!.split('.')[1]!, 'base64url').subarray(0, 22).toString('hex'))
    }
    expect(seen.size).toBe(500)
  })
})

test('ASVS 7.4.1: a stateless strategy without revocation does not start unless that is accepted', () => {
  // biome-ignore lint/suspicious/noExplicitAny: what a caller without types could write
  const start = (options: any) => () => place({ keys, strategy: sealed(options) })
  expect(start({})).toThrow(/revocations/)
  expect(start({ revocations: acceptNoRevocation })).not.toThrow()
})

test('keys rotate without logging anyone out, and what the old one sealed is sealed anew', async () => {
  const [oldKey, newKey] = [generateSecret(), generateSecret()]
  const clock = manualClock()
  const strategy = sealed({ revocations: acceptNoRevocation })
  const client = new Client(place({ keys: oldKey, clock, strategy }).handler)
  await client.send('/login/ann')
  const both = client.at(place({ keys: [newKey, oldKey], clock, strategy }).handler)
  expect(await both.get<View>('/')).toMatchObject({ user: 'ann' })
  const retired = both.at(place({ keys: newKey, clock, strategy }).handler)
  expect(await retired.get<View>('/')).toMatchObject({ user: 'ann' })
  expect(await client.at(place({ keys: newKey, clock, strategy }).handler).get<View>('/')).toMatchObject({
    refused: 'forged',
  })
})
