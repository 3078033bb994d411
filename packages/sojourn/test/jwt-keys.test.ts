import {
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  generateKeyPairSync,
  type JsonWebKey,
  randomBytes,
} from 'node:crypto'
import { importKey, type SigningKeyInput } from 'sojourn/token/import-key'
import { signingRing } from 'sojourn/token/signing-keys'
import { verifier } from 'sojourn/token/verifier'
import { afterEach, describe, expect, test, vi } from 'vitest'

afterEach(() => vi.restoreAllMocks())

const ed = generateKeyPairSync('ed25519')
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const rsa = generateKeyPairSync('rsa', { modulusLength: 3072 })
const input = (algorithm: string, key: unknown): SigningKeyInput => ({ algorithm, key }) as SigningKeyInput
const starts = (algorithm: string, key: unknown) => () => importKey(input(algorithm, key))

describe('A-48 11.6.1: keys that are too weak, or of another kind', () => {
  test.each([
    ['HS256', 31],
    ['HS256', 0],
    ['HS384', 47],
    ['HS512', 63],
  ])('%s with %i bytes', (algorithm, bytes) => {
    expect(starts(algorithm, randomBytes(bytes))).toThrow(TypeError)
    expect(starts(algorithm, createSecretKey(randomBytes(bytes)))).toThrow(TypeError)
    expect(starts(algorithm, { kty: 'oct', k: randomBytes(bytes).toString('base64url') })).toThrow(TypeError)
    expect(starts(algorithm, randomBytes(bytes + 64))).not.toThrow()
  })

  test('JW-05: secrets that are text, or have a pattern', () => {
    const phrase = 'correct horse battery staple and then some more of it, as long as you like'
    for (const secret of [phrase, Buffer.from(phrase), createSecretKey(Buffer.from(phrase)), Buffer.alloc(64, 7)])
      expect(starts('HS256', secret)).toThrow(/bytes|phrase/)
  })

  test('A-34: a public key in the place of a secret, however it is written', () => {
    for (const { publicKey } of [rsa, ec, ed]) {
      const pem = publicKey.export({ type: 'spki', format: 'pem' })
      const jwk = JSON.stringify(publicKey.export({ format: 'jwk' }), null, 2)
      const der = publicKey.export({ type: 'spki', format: 'der' })
      for (const bytes of [Buffer.from(pem), Buffer.from(jwk), der]) {
        expect(starts('HS256', bytes)).toThrow(TypeError)
        expect(starts('HS256', createSecretKey(bytes))).toThrow(TypeError)
      }
      for (const key of [pem, publicKey, publicKey.export({ format: 'jwk' })])
        expect(starts('HS256', key)).toThrow(TypeError)
    }
  })

  test('RSA: too short, too long, or with a small or even exponent', () => {
    vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    for (const options of [{ modulusLength: 1024 }, { modulusLength: 2048, publicExponent: 3 }])
      expect(starts('RS256', generateKeyPairSync('rsa', options).privateKey)).toThrow(/RSA/)
    const jwk = rsa.publicKey.export({ format: 'jwk' })
    for (const e of ['AQ', 'Ag', 'AQAA', 'Aw', '']) expect(starts('PS256', { ...jwk, e })).toThrow(TypeError)
    const long = Buffer.alloc(1025, 0xff).toString('base64url')
    expect(starts('RS256', { kty: 'RSA', n: long, e: 'AQAB' })).toThrow(/at most 8192/)
  })

  test('11.2.3: RSA below 128-bit security warns', () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    signingRing(input('RS256', generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey))
    expect(warned.mock.calls[0]![0]).toMatch(/3072/)
    warned.mockClear()
    signingRing(input('RS256', rsa.privateKey))
    expect(warned).not.toHaveBeenCalled()
  })

  test('JW-04: other curves, and points that are on none', () => {
    for (const namedCurve of ['P-384', 'secp256k1', 'P-521'])
      expect(starts('ES256', generateKeyPairSync('ec', { namedCurve }).privateKey)).toThrow(/P-256/)
    const { x, ...jwk } = ec.publicKey.export({ format: 'jwk' })
    expect(starts('ES256', { ...jwk, x: randomBytes(32).toString('base64url') })).toThrow(/no PEM text or JWK/)
    expect(starts('Ed25519', generateKeyPairSync('x25519').publicKey)).toThrow(/Ed25519/)
    expect(starts('Ed25519', generateKeyPairSync('ed448').privateKey)).toThrow(/Ed25519/)
  })

  test('JW-01: one algorithm per key', () => {
    const kinds = {
      HS256: createSecretKey(randomBytes(64)),
      ES256: ec.privateKey,
      Ed25519: ed.privateKey,
      RS256: rsa.privateKey,
    }
    for (const [name, key] of Object.entries(kinds)) {
      for (const other of Object.keys(kinds)) {
        if (other === name) expect(starts(other, key)).not.toThrow()
        else expect(starts(other, key)).toThrow(TypeError)
      }
    }
    expect(starts('none', randomBytes(64))).toThrow(/no such algorithm/)
    expect(starts('__proto__', randomBytes(64))).toThrow(/no such algorithm/)
  })

  test('a JWK that says it is for something else', () => {
    const jwk: JsonWebKey = rsa.publicKey.export({ format: 'jwk' })
    expect(starts('RS256', { ...jwk, alg: 'RS256', use: 'sig', key_ops: ['verify'] })).not.toThrow()
    expect(starts('PS256', { ...jwk, alg: 'RS256' })).toThrow(/another `alg`/)
    expect(starts('RS256', { ...jwk, use: 'enc' })).toThrow(/another `use`/)
    expect(starts('RS256', { ...jwk, key_ops: ['encrypt'] })).toThrow(/key_ops/)
    expect(starts('Ed25519', { ...ed.publicKey.export({ format: 'jwk' }), alg: 'EdDSA' })).not.toThrow()
  })

  test('law 15: nothing of the key stands in what is thrown', () => {
    const pem = ec.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
    const inner = pem.split('\n')[1]!
    for (const [algorithm, key] of [
      ['RS256', pem],
      ['ES256', pem.replace(inner, inner.slice(0, -8))],
      ['ES256', `${pem.slice(0, 60)}`],
    ] as const) {
      let message = ''
      try {
        importKey(input(algorithm, key))
      } catch (error) {
        message = (error as Error).message + String((error as Error).cause)
      }
      expect(message).toMatch(/signing keys/)
      expect(message).not.toContain(inner.slice(0, 20))
    }
  })
})

describe('names of keys', () => {
  test('RFC 7638: the same for anybody who has the public key, in whatever form', () => {
    const forms = [
      ec.privateKey,
      ec.publicKey,
      ec.privateKey.export({ format: 'jwk' }),
      ec.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
      ec.publicKey.export({ type: 'spki', format: 'pem' }) as string,
    ]
    expect(new Set(forms.map((key) => importKey(input('ES256', key)).id)).size).toBe(1)
    // The example of RFC 7638, section 3.1.
    const n =
      '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw'
    vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    expect(importKey(input('RS256', { kty: 'RSA', n, e: 'AQAB' })).id).toBe(
      'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs',
    )
  })

  test("a secret's tells nothing of it, and is the same each time", () => {
    const secret = randomBytes(32)
    const { id } = importKey(input('HS256', secret))
    expect(importKey(input('HS256', createSecretKey(secret))).id).toBe(id)
    expect(id).not.toContain(secret.toString('base64url').slice(0, 6))
  })

  test('are text that shows', () => {
    for (const id of ['', 'a b', 'a\nb', 'é', 'x'.repeat(129)])
      expect(() => importKey({ ...input('Ed25519', ed.privateKey), id })).toThrow(/`id`/)
  })
})

describe('a ring', () => {
  const one = { algorithm: 'Ed25519' as const, key: ed.privateKey, id: 'one' }
  const two = { algorithm: 'ES256' as const, key: ec.privateKey, id: 'two' }

  test('signs with the first, and accepts the others until their time', () => {
    const ring = signingRing([one, { ...two, until: 1000 }])
    expect(ring.current.id).toBe('one')
    expect(ring.accepted(999).map(({ id }) => id)).toEqual(['one', 'two'])
    expect(ring.accepted(1000).map(({ id }) => id)).toEqual(['one'])
    // The first is the one that signs, whatever it says.
    expect(signingRing([{ ...one, until: 1 }]).accepted(1000)).toHaveLength(1)
    expect(signingRing(ring)).toBe(ring)
  })

  test('A-54 9.1.2: does not start with one name for two keys, or a time that is none', () => {
    expect(() => signingRing([one, { ...two, id: 'one' }])).toThrow(/same id/)
    for (const until of [Number.NaN, '1000', new Date(1000)])
      expect(() => signingRing([one, { ...two, until: until as number }])).toThrow(/until/)
  })

  test('JW-01: does not start with one key under two algorithms, whatever its ids and however it is written', () => {
    const secret = randomBytes(64)
    const pem = rsa.publicKey.export({ type: 'spki', format: 'pem' }) as string
    const twice: [string, unknown, string, unknown][] = [
      ['RS256', rsa.privateKey, 'PS256', rsa.privateKey],
      ['RS256', rsa.privateKey, 'PS256', pem],
      ['PS256', rsa.privateKey, 'RS256', rsa.publicKey.export({ format: 'jwk' })],
      ['HS256', secret, 'HS512', createSecretKey(secret)],
      ['HS384', secret, 'HS512', { kty: 'oct', k: secret.toString('base64url') }],
    ]
    for (const [algorithm, key, other, again] of twice) {
      const ring = [
        { ...input(algorithm, key), id: 'a' },
        { ...two, id: 'between' },
        { ...input(other, again), id: 'b', until: 1 },
      ]
      expect(() => signingRing(ring)).toThrow(TypeError)
      expect(() => signingRing(ring)).toThrow(`for ${algorithm} and for ${other}; make a key of its own`)
      expect(() => verifier({ issuer: 'i', audience: 'a', keys: ring })).toThrow(/make a key of its own/)
    }
  })

  test('JW-01: nor with one key twice under one algorithm, which would have two names', () => {
    const half = createPublicKey(ec.privateKey)
    for (const again of [
      { ...two, id: 'other' },
      { ...two, key: half, id: 'other', until: 1 },
      { ...two, key: half },
    ])
      expect(() => signingRing([two, one, again])).toThrow(/two are the same key; drop one/)
    const secret = randomBytes(64)
    const [first, second] = ['a', 'b'].map((id) => ({ ...input('HS256', secret), id }))
    expect(() => signingRing([first!, second!])).toThrow(/two are the same key/)
  })

  test('takes public halves to accept, and not to sign', () => {
    const half = { ...two, key: createPublicKey(ec.privateKey) }
    expect(signingRing([one, half]).accepted(0)).toHaveLength(2)
    expect(() => signingRing([half, one])).toThrow(/private half/)
    expect(createPrivateKey(ec.privateKey.export({ type: 'pkcs8', format: 'pem' }))).toBeDefined()
  })
})
