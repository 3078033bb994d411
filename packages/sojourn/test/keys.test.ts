/** The key ring: rotation that logs nobody out, keys that are retired, and secrets that are none. */
import { randomBytes } from 'node:crypto'
import { createSessions, generateSecret, type Keys } from 'sojourn'
import { memory } from 'sojourn/store/memory'
import { manualClock } from 'sojourn/testing/clock'
import { describe, expect, test } from 'vitest'
import { counted, KEY, MINUTE, shop } from './helpers.js'

/** Servers of one store, each with its own keys. */
function fleet() {
  const clock = manualClock()
  const { store, calls } = counted(memory({ clock }))
  return { clock, calls, server: (keys: Keys) => shop({ clock, store, keys }) }
}

const keyId = (cookie: string) => cookie.split('=')[1]!.split('.')[0]

describe('rotation', () => {
  test('logs nobody out: what the old key signed is honoured, and signed anew at its next request', async () => {
    const { server, calls } = fleet()
    const [old, next] = [generateSecret(), generateSecret()]
    const before = await server(old).request('', (s) => [s.login('ada'), s.id, s.csrfToken()])
    const app = server([next, old])
    calls()
    const turned = await app.request(before.given!, (s) => [s.userId, s.id, s.verifyCsrf(before.value![2])])
    expect(turned.value).toEqual(['ada', before.value![1], true])
    expect(turned.given).toMatch(/./)
    expect(keyId(turned.given!)).not.toBe(keyId(before.given!))
    // The identifier is the same: it is the signature that is new.
    expect(turned.given!.split('.')[1]).toBe(before.given!.split('.')[1])
    expect(calls()).toEqual(['get', 'set'])

    expect((await app.request(turned.given!, (s) => s.userId)).given).toBeUndefined()
    expect(calls()).toEqual(['get'])
    expect(app.told()).toEqual([])
  })

  test('requests that are under way with both are honoured, whichever of them is signed anew first', async () => {
    const { server } = fleet()
    const [old, next] = [generateSecret(), generateSecret()]
    const { given } = await server(old).request('', (s) => s.login('ada'))
    const app = server([next, old])
    const work = () => app.request(given!, async (s) => [s.update('count', (n) => n + 1), await Promise.resolve()])
    const answers = await Promise.all([work(), work(), work()])
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
    for (const cookie of [given!, ...answers.flatMap((answer) => answer.given ?? [])])
      expect((await app.request(cookie, (s) => [s.userId, s.data.count])).value).toEqual(['ada', 3])
  })

  test('a server that has the new key only as an accepted one honours it, so that a fleet can go one by one', async () => {
    const { server } = fleet()
    const [old, next] = [generateSecret(), generateSecret()]
    const { given } = await server([next, old]).request('', (s) => s.login('ada'))
    expect(await server([old, next]).userOf(given!)).toBe('ada')
  })

  test('a key that is retired is refused, and with it the tokens of forms', async () => {
    const { server, calls } = fleet()
    const [old, next] = [generateSecret(), generateSecret()]
    const before = await server(old).request('', (s) => [s.login('ada'), s.csrfToken()])
    const turned = await server([next, old]).request(before.given!, () => {})
    const app = server(next)
    calls()
    expect((await app.request(before.given!, (s) => s.refused)).value).toBe('forged')
    expect(calls()).toEqual([])
    expect((await app.request(turned.given!, (s) => [s.userId, s.verifyCsrf(before.value![1])])).value).toEqual([
      'ada',
      false,
    ])
  })

  test('a key that took the id of another honours nothing of it', async () => {
    const { server } = fleet()
    const { given } = await server({ id: 'k', secret: generateSecret() }).request('', (s) => s.login('ada'))
    const app = server({ id: 'k', secret: generateSecret() })
    expect((await app.request(given!, (s) => s.refused)).value).toBe('forged')
  })

  test('7.3.2: being signed anew moves neither end further than any other request would', async () => {
    const { server, clock } = fleet()
    const [old, next] = [generateSecret(), generateSecret()]
    const { given } = await server(old).request('', (s) => s.login('ada'))
    const start = clock()
    clock.advance(MINUTE)
    const turned = await server([next, old]).request(given!, () => {})
    const times = await server(next).request(turned.given!, (s) => [s.createdAt, s.expiresAt])
    expect(times.value).toEqual([start, clock() + 30 * MINUTE])
  })
})

describe('one secret, written as people write it', () => {
  const bytes = randomBytes(32)
  test.each<[string, Keys]>([
    ['hex', bytes.toString('hex')],
    ['HEX', bytes.toString('hex').toUpperCase()],
    ['base64', bytes.toString('base64')],
    ['base64url', bytes.toString('base64url')],
    ['a buffer', bytes],
    ['bytes', new Uint8Array(bytes)],
    ['an entry', { secret: bytes }],
    ['a list', [bytes.toString('hex'), generateSecret()]],
  ])('%s', async (_, keys) => {
    const { server } = fleet()
    const { given } = await server(bytes.toString('base64url')).request('', (s) => s.login('ada'))
    const { value, given: again } = await server(keys).request(given!, (s) => s.userId)
    expect([value, again]).toEqual(['ada', undefined])
  })
})

describe('11.4.4, 13.3, A-160: secrets that are none', () => {
  const ascii = Buffer.from('correct horse battery staple, and some more of it')
  const weak: [string, unknown][] = [
    ['nothing', ''],
    ['a word', 'secret'],
    ['the one of the examples', 'keyboard cat'],
    ['a passphrase', 'correct horse battery staple correct horse battery staple'],
    ['a sentence without spaces', 'correcthorsebatterystaplecorrecthorsebatterystaple'],
    ['capitals', 'CORRECTHORSEBATTERYSTAPLECORRECTHORSEBATTERYSTAPLE'],
    ['a placeholder', 'change-me-change-me-change-me-change-me-change-me'],
    ['a placeholder in capitals and small letters', 'YourSuperSecretYourSuperSecretYourSuperSecret'],
    ['one letter', 'a'.repeat(64)],
    ['zeros', '0'.repeat(64)],
    ['bytes of zero', new Uint8Array(32)],
    ['a count', Uint8Array.from({ length: 32 }, (_, i) => i)],
    ['a count by sevens', Uint8Array.from({ length: 64 }, (_, i) => i * 7)],
    ['a keyboard’s row', '0123456789abcdef'.repeat(4)],
    ['deadbeef', 'deadbeef'.repeat(8)],
    ['a pattern', Buffer.from('ab12'.repeat(16), 'hex')],
    ['128 bits', randomBytes(16)],
    ['31 bytes', randomBytes(31).toString('hex')],
    ['31 bytes in base64', randomBytes(31).toString('base64')],
    ['text as bytes', ascii],
    ['text as hex', ascii.toString('hex')],
    ['text as base64', ascii.toString('base64')],
    ['a UUID', crypto.randomUUID()],
    ['a UUID without dashes', crypto.randomUUID().replaceAll('-', '')],
    ['a line break in it', `${generateSecret()}\n`],
    ['a number', 1e40],
    ['null', null],
    ['an entry without a secret', { id: 'k', secret: undefined }],
  ]

  test.each(weak)('%s', (_, secret) => {
    for (const keys of [[secret], [generateSecret(), secret], ...(secret === null ? [] : [secret])]) {
      let message = ''
      try {
        createSessions({ keys: keys as Keys })
      } catch (error) {
        expect(error).toBeInstanceOf(TypeError)
        message = (error as Error).message
      }
      expect(message).toMatch(/^keys: /)
      // What is wrong with it, never what it is.
      if (typeof secret === 'string' && secret.length > 6) expect(message).not.toContain(secret)
    }
  })

  test('2,000 random ones are all taken, in every spelling', () => {
    for (let i = 0; i < 500; i++) {
      const bytes = randomBytes(32)
      for (const secret of [bytes, bytes.toString('hex'), bytes.toString('base64'), generateSecret()])
        expect(() => createSessions({ keys: secret })).not.toThrow()
    }
  })

  test.each<[string, Keys]>([
    ['the same secret twice', [KEY, KEY]],
    [
      'the same id twice',
      [
        { id: 'a', secret: generateSecret() },
        { id: 'a', secret: generateSecret() },
      ],
    ],
    ['an id that is not plain', { id: 'a.b', secret: generateSecret() }],
    ['an id that is too long', { id: 'a'.repeat(17), secret: generateSecret() }],
    ['an id that is empty', { id: '', secret: generateSecret() }],
    ['an empty list', []],
  ])('%s', (_, keys) => {
    expect(() => createSessions({ keys })).toThrow(/^keys: /)
  })
})
