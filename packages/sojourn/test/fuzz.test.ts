/**
 * Every place that reads a stranger's bytes, with bytes of no meaning, with what was valid before somebody changed it,
 * and with 64 KB made to take long. What comes of it is a refusal: no throw, no user, and no time to speak of.
 */
import { generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'
import fc from 'fast-check'
import {
  acceptCredentialsInUrls,
  acceptNoRevocation,
  cookie,
  createSessions,
  Fault,
  generateSecret,
  header,
  jwt,
  opaque,
  query,
  type Refusal,
  type StrategyFactory,
  sealed,
  type Transport,
} from 'sojourn'
import { memory } from 'sojourn/store/memory'
import { importKey, type SigningKeyInput } from 'sojourn/token/import-key'
import { tokenPair } from 'sojourn/token/pair'
import { remoteJwks } from 'sojourn/token/remote-jwks'
import { tickets } from 'sojourn/token/ticket'
import { describe, expect, onTestFinished, test } from 'vitest'
import { exchange } from './exchange.js'
import { listening } from './fixtures/servers.js'

/** One place: what it makes of a text, and one text that it honours. */
interface Entrance {
  readonly valid: string
  /** Who it opens; throws if it throws, and says so if it is asynchronous, as nothing here is. */
  read(text: string): { user?: string | undefined; refused: Refusal | undefined }
}

const REFUSALS = ['absent', 'malformed', 'forged', 'expired', 'ended', 'replaced', 'replayed']
const keys = generateSecret()
const token = { revocations: acceptNoRevocation, issuer: 'https://shop.example', audience: 'shop' } as const
const ed25519 = { algorithm: 'Ed25519', key: generateKeyPairSync('ed25519').privateKey } as const
const own = () => header({ name: 'x-session-id', responseHeader: 'x-session-id' })

/** How a text becomes a request. */
type Sent = (text: string) => { url?: string; headers?: Record<string, string> }

const bare: Sent = (text) => ({ headers: { 'x-session-id': text } })

/** An app that honours what `ann` got from it at her login. */
function app(strategy: StrategyFactory, transport: Transport = own(), sent: Sent = bare): Entrance {
  const sessions = createSessions({ keys, strategy, transport })
  const visit = (x: ReturnType<typeof exchange>) => {
    const one = sessions.begin(x, {})
    const session = one.session()
    if (session instanceof Promise) throw new Error('nothing here is asynchronous')
    return { one, session }
  }
  const x = exchange({ url: '/' })
  const { one, session } = visit(x)
  session.login('ann')
  const link = session.url('/')
  one.commit()
  const line = x.lines[0]?.split('; ')[0]
  const valid = line ?? x.response.get('x-session-id') ?? x.response.get('session-token') ?? link.split('session=')[1]!
  return {
    valid: transport.binding === 'header authorization' ? `Bearer ${valid}` : valid,
    read(text) {
      const { userId: user, refused } = visit(exchange({ url: '/', ...sent(text) })).session
      return { user, refused }
    },
  }
}

function refreshToken(): Entrance {
  const pair = tokenPair({ keys, store: memory(), revocations: acceptNoRevocation, access: token })
  const issued = pair.issue({ userId: 'ann' })
  if (issued instanceof Promise) throw new Error('nothing here is asynchronous')
  return {
    valid: issued.refreshToken,
    read(text) {
      const found = pair.refresh(text)
      if (found instanceof Promise || found === 'scope') throw new Error('nothing here is asynchronous, or has a scope')
      return typeof found === 'string' ? { refused: found } : { user: found.userId, refused: undefined }
    },
  }
}

function ticket(): Entrance {
  const sessions = createSessions({ keys, strategy: opaque({ store: memory() }), transport: cookie() })
  const all = tickets({ sessions, store: memory() })
  const visit = sessions.begin(exchange(), {})
  const session = visit.session()
  if (session instanceof Promise) throw new Error('nothing here is asynchronous')
  session.login('ann')
  const issue = () => {
    const text = all.issue(session, '/live')
    if (typeof text !== 'string') throw new Error('no ticket')
    return text
  }
  const valid = issue()
  visit.commit()
  return {
    valid,
    read(text) {
      const found = all.redeem(text, '/live', { headers: {} })
      if (found instanceof Promise) throw new Error('nothing here is asynchronous')
      return typeof found === 'string' ? { refused: found } : { user: found.userId, refused: undefined }
    },
  }
}

const entrances: Record<string, () => Entrance> = {
  'cookie header': () => app(opaque({ store: memory() }), cookie(), (text) => ({ headers: { cookie: text } })),
  'cookie header with chunks': () =>
    app(sealed({ revocations: acceptNoRevocation }), cookie(), (text) => ({ headers: { cookie: text } })),
  'Authorization header': () =>
    app(opaque({ store: memory() }), header(), (text) => ({ headers: { authorization: text } })),
  query: () =>
    app(opaque({ store: memory() }), query({ risk: acceptCredentialsInUrls }), (text) => ({
      url: `/?session=${text}`,
    })),
  'opaque credential': () => app(opaque({ store: memory() })),
  'sealed token': () => app(sealed({ revocations: acceptNoRevocation })),
  'JWT, HS256': () => app(jwt(token)),
  'JWT, Ed25519': () => app(jwt({ ...token, keys: ed25519 })),
  'JWT, encrypted': () => app(jwt({ ...token, encrypt: true })),
  'refresh token': refreshToken,
  ticket,
}

/** Bytes, each as one character: what a header can hold, and more. */
const bytes = fc.uint8Array({ maxLength: 600 }).map((array) => Buffer.from(array).toString('latin1'))
const unicode = fc.string({ unit: 'binary', maxLength: 300 })
/** The letters of which credentials are made, in the order of nobody's. */
const alphabet = fc.string({ unit: fc.constantFrom(...'AaZz09-_.=~+/ ;,"%&{}[]:\\\t'), maxLength: 300 })

/** What was valid, changed in one to three places. */
function changed(valid: string): fc.Arbitrary<string> {
  const place = fc.nat({ max: valid.length - 1 })
  const letter = fc.oneof(fc.constantFrom(...'AB-_.=", ;%\0\n\x7fé\u2028'), fc.string({ minLength: 1, maxLength: 3 }))
  const change: fc.Arbitrary<(text: string) => string> = fc.oneof(
    fc.tuple(place, letter).map(
      ([at, by]) =>
        (text: string) =>
          text.slice(0, at) + by + text.slice(at + 1),
    ),
    fc.tuple(place, letter).map(
      ([at, by]) =>
        (text: string) =>
          text.slice(0, at) + by + text.slice(at),
    ),
    place.map((at) => (text: string) => text.slice(0, at)),
    place.map((at) => (text: string) => text.slice(at)),
    fc.tuple(place, place).map(
      ([a, b]) =>
        (text: string) =>
          text.slice(0, a) + text.slice(b),
    ),
    place.map((at) => (text: string) => text.slice(0, at) + flipped(text.charAt(at)) + text.slice(at + 1)),
    fc.constant((text: string) => text.split('.').reverse().join('.')),
    fc.constant((text: string) => `${text}.${text}`),
    fc.constant((text: string) => text.replace(/\./g, '%2E')),
    fc.constantFrom('=', '==', '.', ' ', '\0', '#').map((tail) => (text: string) => text + tail),
  )
  return fc.array(change, { minLength: 1, maxLength: 3 }).map((all) => all.reduce((text, one) => one(text), valid))
}

const flipped = (letter: string) => (letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase())

/** Texts of `n` characters that somebody made to be slow. */
const slow = (valid: string): ((n: number) => string)[] => {
  const repeated = (part: string) => (n: number) => part.repeat(Math.ceil(n / part.length)).slice(0, n)
  const encoded = (part: string) => (n: number) => Buffer.from(part.repeat(n / 2 / part.length)).toString('base64url')
  const name = /^[^=]*=/.exec(valid)?.[0] ?? 'sid='
  const blanks = (n: number) => ' '.repeat(n)
  return [
    ...['a', 'A', '=', '.', '-', ';', ' ', '\t', ',', '"', '%', '&', '\0', '\xff', '; ', 'a.', 'a=', ' ;', ', bearer'],
    ...[name, `${name};`, `${name}a;`, `; ${name}`, ` ${name}`, `"${name}`, 'Bearer ', 'bearer,', 'session=&', '%25'],
  ]
    .map(repeated)
    .concat(
      (n) => valid + repeated('A')(n),
      (n) => repeated('A')(n) + valid,
      (n) => `Bearer${blanks(n)}!`,
      (n) => `Bearer ${repeated('a')(n)}!`,
      (n) => `Bearer ${repeated('=')(n)}!`,
      (n) => `${name}${blanks(n)}x`,
      (n) => `x${blanks(n)}${name}x`,
      ...['[', '{"a":', '"\\', '{"alg":"HS256",', '\\"', ':'].map(
        (part) => (n: number) => `${encoded(part)(n)}.${encoded(part)(n)}.AA`,
      ),
      (n) => `${repeated('A')(16)}.${repeated('A')(n)}`,
      (n) => `${valid.split('.')[0]}.${repeated('A')(n)}.${repeated('A')(43)}`,
      (n) => `${valid.split('.')[0]}..${repeated('AAAA.')(n)}`,
    )
}

describe.each(Object.entries(entrances))('%s', (name, open) => {
  const entrance = open()
  const { valid, read } = entrance
  const once = name === 'refresh token' || name === 'ticket'
  const wraps = /header|query/.test(name)

  /** Reads what is not valid. A header may hold the valid one among others, and honour it. */
  const refuses = (text: string) => {
    if (text === valid) return
    const { user, refused } = read(text)
    if (user !== undefined && wraps && text.includes(valid.replace(/^Bearer /, ''))) return
    expect(user).toBeUndefined()
    expect(REFUSALS).toContain(refused)
  }

  test('what it honours, before anything is changed', () => {
    expect(open().read.length).toBe(1)
    const fresh = once ? open() : entrance
    expect(fresh.read(fresh.valid)).toEqual({ user: 'ann', refused: undefined })
  })

  test('bytes of no meaning are refused', () => {
    fc.assert(fc.property(fc.oneof(bytes, unicode, alphabet), refuses), { numRuns: 1000 })
  })

  test('what was valid before it was changed is refused', () => {
    fc.assert(fc.property(changed(valid), refuses), { numRuns: 1500 })
  })

  test('A-158: 64 KB made to be slow are refused in milliseconds', () => {
    for (const make of slow(valid)) {
      const text = make(65_536)
      // The quickest of a few: others share this machine. What grows with the square takes a second.
      let best = Number.POSITIVE_INFINITY
      for (let i = 0; i < 5 && best > 10; i++) {
        const start = performance.now()
        refuses(text)
        best = Math.min(best, performance.now() - start)
      }
      expect(best, `${JSON.stringify(text.slice(0, 40))} × ${text.length}`).toBeLessThan(50)
    }
  })
})

describe('a key out of a stranger’s JWKS', () => {
  const algorithm = fc.constantFrom('HS256', 'HS512', 'ES256', 'Ed25519', 'RS256', 'PS256', 'none', '__proto__')
  const member = fc.oneof(
    bytes,
    fc.constantFrom('OKP', 'EC', 'RSA', 'oct', 'Ed25519', 'P-256', 'AQAB', 'sig'),
    fc.jsonValue(),
  )
  const names = ['kty', 'crv', 'x', 'y', 'n', 'e', 'k', 'd', 'alg', 'use', 'key_ops', 'kid', '__proto__']
  const jwk = fc.dictionary(fc.constantFrom(...names), member)

  /** What cannot be right is a `TypeError` that names no part of the key. */
  const refuses = (input: unknown) => {
    try {
      importKey(input as SigningKeyInput)
    } catch (error) {
      expect(error).toBeInstanceOf(TypeError)
    }
  }

  test('members of no meaning', () => {
    fc.assert(
      fc.property(algorithm, jwk, fc.option(bytes, { nil: undefined }), (algorithm, key, id) =>
        refuses({ algorithm, key, ...(id === undefined ? {} : { id }) }),
      ),
      { numRuns: 2000 },
    )
  })

  test('what was valid before it was changed', () => {
    const valid = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }) as Record<string, string>
    const one = fc
      .constantFrom(...Object.keys(valid))
      .chain((name) => changed(valid[name]!).map((value) => ({ ...valid, [name]: value })))
    fc.assert(
      fc.property(one, (key) => refuses({ algorithm: 'Ed25519', key })),
      { numRuns: 1000 },
    )
  })
})

describe('a stranger’s JWKS', () => {
  const good = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })
  const valid = JSON.stringify({ keys: [{ ...good, kid: 'one', alg: 'Ed25519', use: 'sig' }] })

  /** What comes of a body, from a real server: keys that verify, or a fault. */
  async function issuer() {
    let body: string | Uint8Array = ''
    const { port, close } = await listening(
      createServer((_, response) => response.setHeader('content-type', 'application/json').end(body)),
    )
    onTestFinished(close)
    return async (text: string | Uint8Array) => {
      body = text
      const start = performance.now()
      const found = await Promise.resolve(remoteJwks(`http://127.0.0.1:${port}/`).keysFor('one')).catch(
        (error) => error,
      )
      if (found instanceof Error) {
        expect(found).toBeInstanceOf(Fault)
        return { keys: undefined, ms: performance.now() - start }
      }
      for (const key of found) expect([key.private, key.public.type]).toEqual([undefined, 'public'])
      return { keys: found as unknown[], ms: performance.now() - start }
    }
  }

  test('bytes of no meaning, and a valid one that was changed, are keys or a fault', async () => {
    const read = await issuer()
    expect((await read(valid)).keys).toHaveLength(1)
    const body = fc.oneof(fc.uint8Array({ maxLength: 400 }), fc.json(), changed(valid))
    await fc.assert(
      fc.asyncProperty(body, async (text) => void (await read(text))),
      { numRuns: 400 },
    )
  })

  test('A-158: 64 KB made to be slow are answered in milliseconds', async () => {
    const read = await issuer()
    const many = (part: string) =>
      `{"keys":[${Array(Math.floor(65_536 / part.length))
        .fill(part)
        .join(',')}]}`
    const jwk = JSON.stringify(good)
    const bodies = [
      many('{}'),
      many(jwk),
      `{"keys":${'['.repeat(65_536)}`,
      `{"keys":[{"kid":"${'a'.repeat(65_000)}"}]}`,
    ]
    const long = { kty: 'RSA', e: 'AQAB', n: 'A'.repeat(64_000), kid: 'one' }
    bodies.push(JSON.stringify({ keys: [long] }), JSON.stringify({ keys: Array(100).fill({ ...long, n: 'AQAB' }) }))
    for (const text of bodies) expect((await read(text)).ms, text.slice(0, 40)).toBeLessThan(500)
  })
})
