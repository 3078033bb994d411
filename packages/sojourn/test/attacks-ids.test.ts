/** Identifiers: planted, forged, guessed, injected, stolen from the database, left behind by somebody else. */

import type { SessionRecord, Transport } from 'sojourn'
import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { describe, expect, test } from 'vitest'
import { type App, counted, HOUR, KEY, MINUTE, shop } from './helpers.js'

const NAME = '__Host-Http-session'

/** A shop whose store calls are counted. */
function watched() {
  const clock = manualClock()
  const { store, calls } = counted(memory({ clock }))
  return { app: shop({ clock, store }), calls }
}

const everything = (app: App) => [...(app.store.list() as Iterable<[string, SessionRecord]>)]

describe('A-01: fixation', () => {
  test('A-01: a guest identifier that an attacker planted is worth nothing after the login', async () => {
    const app = shop()
    const attacker = app.browser()
    await attacker.visit((s) => Object.assign(s.data, { planted: true }))
    const victim = app.browser(attacker.cookie)
    await victim.visit((s) => s.login('ada', { keep: ['cart'] }))

    expect(victim.cookie).not.toBe(attacker.cookie)
    expect((await victim.visit((s) => [s.userId, s.data.planted])).value).toEqual(['ada', undefined])
    for (const later of [0, 29_999, 30_000, HOUR]) {
      app.clock.advance(later)
      const { value, cleared } = await app.request(attacker.cookie, (s) => [s.userId, s.data.planted])
      expect([value, cleared]).toEqual([[undefined, undefined], false])
    }
    expect(everything(app).map(([, record]) => record.userId)).not.toContain(undefined)
  })

  test('A-01: nor can it be written to, while it is remembered or after', async () => {
    const app = shop()
    const { given } = await app.request('', (s) => void s.data.cart.push('book'))
    const user = await app.request(given!, (s) => s.login('ada'))

    const write = await app.request(given!, (s) => void s.data.cart.push('bomb'))
    expect([write.status, write.given]).toEqual([409, undefined])
    app.clock.advance(30_000)
    const fresh = await app.request(given!, (s) => void s.data.cart.push('bomb'))
    expect(fresh.given).not.toBe(given)
    expect((await app.request(user.given!, (s) => s.data.cart)).value).toEqual(['book'])
  })
})

test('A-02, SM-01: a well-signed identifier that the store does not know is never adopted', async () => {
  const elsewhere = await shop().request('', (s) => s.login('ada'))
  const app = shop()
  const read = await app.request(elsewhere.given!, (s) => [s.userId, s.refused, s.id])
  expect([read.value, read.given, read.cleared]).toEqual([[undefined, 'ended', undefined], undefined, false])
  const write = await app.request(elsewhere.given!, (s) => s.login('ada'))
  expect(write.given).toMatch(/./)
  expect(write.given).not.toBe(elsewhere.given)
  expect(await app.userOf(elsewhere.given!)).toBeUndefined()
  expect(app.told()).toEqual(['refused', 'refused', 'created', 'refused'])
})

test.each<[string, (value: string) => Parameters<App['request']>[2]]>([
  ['the query', (value) => ({ url: `/?${NAME}=${value}&sid=${value}&session=${value}` })],
  ['the path', (value) => ({ url: `/;${NAME}=${value}` })],
  ['a header', (value) => ({ headers: { authorization: `Bearer ${value}`, 'x-session': value, [NAME]: value } })],
  ['the body', (value) => ({ method: 'POST', body: new URLSearchParams({ [NAME]: value, session: value }) })],
  ['a cookie of another name', (value) => ({ headers: { cookie: `session=${value}; __Host-session=${value}` } })],
])('A-03, SM-05: an identifier in %s is ignored', async (_, init) => {
  const { app, calls } = watched()
  const value = (await app.request('', (s) => s.login('ada'))).given!.slice(NAME.length + 1)
  calls()
  const answer = await app.request('', (s) => [s.userId, s.refused], init(value))
  expect([answer.status, answer.value]).toEqual([200, [undefined, 'absent']])
  expect(calls()).toEqual([])
})

describe('A-04, SM-03: a new identifier for every change of rights', () => {
  test.each<[string, string | undefined, Parameters<App['request']>[1]]>([
    ['a guest rotates', undefined, (s) => s.rotate()],
    ['a user rotates', 'ada', (s) => s.rotate()],
    ['a guest signs in', undefined, (s) => s.login('ada')],
    ['7.2.4: a user signs in again', 'ada', (s) => s.login('ada')],
    ['a user signs in as another', 'ada', (s) => s.login('eve')],
    ['a user signs in again, to be remembered', 'ada', (s) => s.login('ada', { persistent: true })],
    ['rights change twice in one request', 'ada', (s) => [s.rotate(), s.rotate(), s.login('ada'), s.rotate()]],
  ])('A-04: %s', async (_, user, change) => {
    const app = shop()
    const before = await app.request('', (s) => {
      s.data.note = 1
      if (user) s.login(user)
    })
    const { given } = await app.request(before.given!, change)
    expect(given).toMatch(/./)
    expect(given).not.toBe(before.given)
    expect((await app.request(before.given!, (s) => [s.userId, s.refused])).value).toEqual([undefined, 'replaced'])
    expect((await app.request(given!, (s) => s.refused)).value).toBeUndefined()
    // Nothing is readable under the old one, not even for whoever reads the database.
    expect(everything(app)).toHaveLength(1)
  })

  test('7.3.2: a rotation moves neither the absolute end nor when the user proved who they are; a login moves both', async () => {
    const app = shop()
    const browser = app.browser()
    await browser.visit((s) => s.login('ada'))
    const start = app.clock()
    app.clock.advance(20 * MINUTE)
    await browser.visit((s) => s.rotate())
    expect((await browser.visit((s) => [s.createdAt, s.authenticatedAt])).value).toEqual([start, start])
    await browser.visit((s) => s.login('ada'))
    expect((await browser.visit((s) => [s.createdAt, s.authenticatedAt])).value).toEqual([app.clock(), app.clock()])
  })

  test('SM-07: while it is remembered, the old identifier is told apart from an ended one, and opens nothing', async () => {
    const app = shop()
    const { given } = await app.request('', (s) => s.login('ada'))
    await app.request(given!, (s) => s.rotate())
    app.clock.advance(29_999)
    expect((await app.request(given!, (s) => [s.userId, s.refused])).value).toEqual([undefined, 'replaced'])
    app.clock.advance(1)
    expect((await app.request(given!, (s) => [s.userId, s.refused])).value).toEqual([undefined, 'ended'])
  })
})

describe('A-05: forged identifiers', () => {
  const id = 'A'.repeat(43)
  // biome-ignore format: a table
  const values = [
    '', 'undefined', 'null', '[object Object]', '../../x', 'sess:*', '%00', 'true', '0', '{}', '*', '.', '..', '...',
    '\u00ff'.repeat(90), 'x'.repeat(43), id, `${id}.${id}`, `.${id}.${id}`, `k.${id}.${id}`, `k.${id}.${id}.`,
    `k..${id}${id}`, `k.${id.slice(1)}.${id}`, `k.${id}A.${id}`, `k.${id}.${id.slice(1)}`, `k.${id}.${id}=`,
    `${'k'.repeat(17)}.${id}.${id}`, `k.${id}.`, `k.${'.'.repeat(43)}.${id}`, `s:${id}.${id}`,
    // what means something to a store.
    "' OR 1=1 --", '{"$gt":""}', '*', 'KEYS *', 'a\tb', '__proto__', 'constructor', `k.${"'".repeat(43)}.${id}`,
  ]
  test.each(values)('A-05, A-07, SM-02: %j is refused without a store call', async (value) => {
    const { app, calls } = watched()
    const answer = await app.request(`${NAME}=${value}`, (s) => [s.userId, s.id, s.refused])
    expect(answer.value?.slice(0, 2)).toEqual([undefined, undefined])
    expect(['absent', 'malformed', 'forged']).toContain(answer.value?.[2])
    expect([calls(), answer.given, answer.cleared]).toEqual([[], undefined, false])
  })

  test('A-05: no character of a credential can be another, at any place', async () => {
    const { app, calls } = watched()
    const { given } = await app.request('', (s) => s.login('ada'))
    calls()
    const value = given!.slice(NAME.length + 1)
    for (let at = 0; at < value.length; at++) {
      // The last character of 32 bytes in base64url carries two spare bits: another spelling is another credential.
      for (const other of ['A', 'B', '-', '_', value[at]!.toUpperCase(), value[at]!.toLowerCase(), '.', '=', '']) {
        const altered = value.slice(0, at) + other + value.slice(at + 1)
        if (altered !== value) expect(await app.userOf(`${NAME}=${altered}`), altered).toBeUndefined()
      }
    }
    for (const altered of [`${value}=`, `${value}.`, value.slice(0, -1), value.slice(1), `A${value}`, value + value])
      expect(await app.userOf(`${NAME}=${altered}`)).toBeUndefined()
    const last = value.at(-1)!
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    for (const other of alphabet)
      if (other !== last) expect(await app.userOf(`${NAME}=${value.slice(0, -1)}${other}`)).toBeUndefined()
    expect(calls()).toEqual([])
    expect(await app.userOf(given!)).toBe('ada')
  })

  test('A-09: no spelling but ours is honoured, whatever characters a transport lets through', async () => {
    let carried = ''
    const transport: Transport = {
      binding: 'test',
      capacity: { whole: 4096, chunked: 4096 },
      ambient: false,
      read: () => carried,
      write(_, { credential }) {
        carried = credential
      },
      clear: () => {},
    }
    const app = shop({ transport })
    await app.request('', (s) => s.login('ada'))
    const ours = carried
    const dots = [ours.indexOf('.'), ours.lastIndexOf('.')]
    for (let at = 0; at < ours.length; at++) {
      if (dots.includes(at)) continue
      // The same low byte, the same look, the same letter to a careless comparison.
      for (const shift of [0x100, 0x200, 0xff00]) {
        carried = ours.slice(0, at) + String.fromCharCode(ours.charCodeAt(at) + shift) + ours.slice(at + 1)
        expect(await app.userOf(''), `place ${at}`).toBeUndefined()
      }
    }
    carried = ours
    expect(await app.userOf('')).toBe('ada')
  })

  test.each([8_192, 65_536, 1_048_576])(
    'A-06: %d bytes are refused by their length, without a store call',
    async (n) => {
      const { app, calls } = watched()
      for (const value of ['x'.repeat(n), '.'.repeat(n), `k.${'A'.repeat(n)}.${'A'.repeat(43)}`])
        expect((await app.request(`${NAME}=${value}`, (s) => s.refused)).value).toBe('malformed')
      expect(calls()).toEqual([])
    },
  )

  test('A-08: 20,000 guesses of the right form: no store call, no cookie, no record', async () => {
    const { app, calls } = watched()
    const letters = () => Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('base64url')
    const keyId = (await app.request('', (s) => s.login('ada'))).given!.slice(NAME.length + 1).split('.')[0]
    calls()
    for (let i = 0; i < 20_000; i++) {
      const { value, given } = await app.request(`${NAME}=${keyId}.${letters()}.${letters()}`, (s) => s.refused)
      if (value !== 'forged' || given !== undefined) expect.fail(`guess ${i} was answered otherwise`)
    }
    expect([calls(), everything(app).length]).toEqual([[], 1])
    // SM-11: each is told, for a listener that counts.
    expect(app.told().filter((type) => type === 'refused')).toHaveLength(20_000)
  })
})

describe('A-07: handles and users, as a parser may hand them over', () => {
  const id = 'A'.repeat(43)
  const strange: unknown[] = [undefined, null, '', 0, {}, [], { $gt: '' }, Array(43).fill('A'), [id], { length: 43 }]

  test.each([...strange, `${id}A`, `${id.slice(1)}'`, `${id.slice(1)}\u0000`, `${id.slice(1)}é`, '*', "' OR 1=1 --"])(
    'A-07: end(%j) is false, without a store call',
    async (handle) => {
      const { app, calls } = watched()
      await app.request('', (s) => s.login('ada'))
      calls()
      expect(await app.sessions.end(handle as never)).toBe(false)
      expect(calls()).toEqual([])
    },
  )

  test.each(strange)('A-07: list(%j) and endAll(%j) are misuse, and never about everybody', async (userId) => {
    const { app, calls } = watched()
    await app.request('', (s) => s.login('ada'))
    calls()
    expect(() => app.sessions.list(userId as never)).toThrow(TypeError)
    expect(() => app.sessions.endAll(userId as never)).toThrow(TypeError)
    expect(calls()).toEqual([])
  })
})

describe('A-10, A-11: what is at rest, and what is shown, opens nothing', () => {
  test('A-10: nothing in a stolen database is a credential, nor can one be made of it', async () => {
    const app = shop()
    const { given } = await app.request('', (s) => s.login('ada'))
    const [keyId, identifier, signature] = given!.slice(NAME.length + 1).split('.') as [string, string, string]
    const dump = JSON.stringify(everything(app))
    for (const part of [identifier, signature, Buffer.from(identifier, 'base64url').toString('hex'), KEY])
      expect(dump).not.toContain(part)

    const [[id, record]] = everything(app) as [[string, SessionRecord]]
    for (const value of [
      id,
      record.data,
      `${keyId}.${id}.${signature}`,
      `${keyId}.${id}.${id}`,
      `${keyId}.${identifier}.${id}`,
    ])
      expect((await app.request(`${NAME}=${encodeURIComponent(value)}`, (s) => s.userId)).value, value).toBeUndefined()
  })

  test('A-11: the handle that pages and logs show is refused as a credential', async () => {
    const app = shop()
    const { given, value } = await app.request('', (s) => {
      s.login('ada')
      return [s.id, s.csrfToken()]
    })
    const [, , signature] = given!.split('.')
    for (const shown of [...value!, `${given!.split('=')[1]!.split('.')[0]}.${value![0]}.${signature}`])
      expect((await app.request(`${NAME}=${shown}`, (s) => [s.userId, s.refused])).value?.[0]).toBeUndefined()
    expect((await app.sessions.list('ada')).map(({ id }) => id)).toEqual([value![0]])
  })
})

describe('A-12: what another user left in the browser', () => {
  test.each<[string, (browser: ReturnType<App['browser']>) => Promise<unknown>]>([
    ['after a logout', (browser) => browser.visit((s) => s.logout())],
    ['with the cookie still there', async () => {}],
    ['in the request that logs out', (browser) => browser.visit((s) => [s.logout(), s.flash('bye', 1)])],
  ])('A-12: %s, a login takes nothing of theirs along', async (_, leave) => {
    const app = shop()
    const browser = app.browser()
    await browser.visit((s) => {
      s.login('ada')
      s.data.secret = 'of ada'
      s.flash('secret', 'of ada')
    })
    const ada = browser.cookie
    await leave(browser)
    const eve = await browser.visit((s) => {
      s.login('eve')
      return [s.data.secret, s.flashed('secret')]
    })
    expect(eve.value).toEqual([undefined, undefined])
    expect((await browser.visit((s) => [s.userId, s.data.secret, s.flashed('secret')])).value).toEqual([
      'eve',
      undefined,
      undefined,
    ])
    expect(await app.userOf(ada)).toBeUndefined()
    expect(JSON.stringify(everything(app))).not.toContain('of ada')
  })

  test('A-12: what a request wrote for one user does not pass to the next that it signs in', async () => {
    const app = shop()
    const browser = app.browser()
    await browser.visit((s) => s.login('ada'))
    await browser.visit((s) => {
      s.data.secret = 'of ada'
      s.login('eve')
    })
    expect((await browser.visit((s) => [s.userId, s.data.secret])).value).toEqual(['eve', undefined])
  })

  test('A-12: logging out and in again in one request begins anew, even for the same user', async () => {
    const app = shop()
    const browser = app.browser()
    await browser.visit((s) => {
      s.login('ada')
      s.data.secret = 'of ada'
    })
    const { value } = await browser.visit((s) => {
      s.logout()
      const left = [s.userId, s.id, s.createdAt, s.authenticatedAt, s.expiresAt, s.persistent, s.device]
      s.login('ada')
      return [...left, s.data.secret]
    })
    expect(value).toEqual([undefined, undefined, undefined, undefined, undefined, false, undefined, undefined])
    expect((await browser.visit((s) => [s.userId, s.data.secret])).value).toEqual(['ada', undefined])
  })
})

describe('7.2.3: how identifiers are made', () => {
  test('7.2.3, 7.2.2: 20,000 of them: 256 bits each, none twice, every byte as likely as any, without Math.random', async () => {
    const { random } = Math
    Math.random = () => {
      throw new Error('not a source of identifiers')
    }
    const seen = new Set<string>()
    const counts = new Array<number>(256).fill(0)
    try {
      const app = shop({ store: memory({ max: 10, clock: manualClock() }) })
      for (let i = 0; i < 20_000; i++) {
        const { given } = await app.request('', (s) => s.login('ada'))
        const bytes = Buffer.from(given!.split('.')[1]!, 'base64url')
        if (bytes.length !== 32) expect.fail('an identifier has not 256 bits')
        seen.add(given!)
        for (const byte of bytes) counts[byte]!++
      }
    } finally {
      Math.random = random
    }
    expect(seen.size).toBe(20_000)
    const expected = (20_000 * 32) / 256
    const chiSquare = counts.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0)
    // 255 degrees of freedom: fewer than one fair run in a million lies outside.
    expect(chiSquare).toBeGreaterThan(155)
    expect(chiSquare).toBeLessThan(380)
  })
})
