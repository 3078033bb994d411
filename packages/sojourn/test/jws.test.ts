import { createSecretKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { importKey } from 'sojourn/token/import-key'
import { type Algorithm, namedKey, openJws, type SigningKey, signJws, verifyJws } from 'sojourn/token/jws'
import { describe, expect, test } from 'vitest'
import { base64url, mac, sign } from './tokens.js'

const secret = createSecretKey(randomBytes(32))
const key = importKey({ algorithm: 'HS256', key: secret, id: 'k1' })
const header = { alg: 'HS256', typ: 'at+jwt', kid: 'k1' }
const claims = { sub: 'ann', n: 1 }
const open = (token: string, keys: readonly SigningKey[] = [key]) => openJws(token, keys, 'at+jwt')

const pairs: Record<string, () => SigningKey> = {
  HS256: () => key,
  HS384: () => importKey({ algorithm: 'HS384', key: randomBytes(48) }),
  HS512: () => importKey({ algorithm: 'HS512', key: randomBytes(64) }),
  ES256: () => importKey({ algorithm: 'ES256', key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey }),
  Ed25519: () => importKey({ algorithm: 'Ed25519', key: generateKeyPairSync('ed25519').privateKey }),
  RS256: () => importKey({ algorithm: 'RS256', key: generateKeyPairSync('rsa', { modulusLength: 3072 }).privateKey }),
  PS256: () => importKey({ algorithm: 'PS256', key: generateKeyPairSync('rsa', { modulusLength: 3072 }).privateKey }),
}

describe.each(Object.keys(pairs))('%s', (algorithm) => {
  const own = pairs[algorithm]!()
  const token = signJws(own, 'at+jwt', claims)

  test('opens what it signed, and nothing that was changed anywhere (9.1.1)', () => {
    expect(open(token, [own])).toEqual({ claims, key: own })
    const step = algorithm.startsWith('HS') ? 1 : 13
    for (let at = 0; at < token.length; at += step) {
      for (const put of ['A', '.', '']) {
        const changed = token.slice(0, at) + put + token.slice(at + 1)
        if (changed !== token) expect(open(changed, [own])).toMatch(/malformed|forged/)
      }
    }
  })

  test('9.1.2 JW-01: is not opened by a key of another algorithm under the same name', () => {
    for (const other of Object.keys(pairs).filter((name) => name !== algorithm)) {
      expect(open(token, [{ ...own, algorithm: other as Algorithm }])).toBe('forged')
    }
  })

  test('a public half verifies, and cannot sign', () => {
    const half: SigningKey = { id: own.id, algorithm: own.algorithm, public: own.public }
    expect(open(token, [half])).toEqual({ claims, key: half })
    expect(() => signJws(half, 'at+jwt', claims)).toThrow(/private half/)
  })
})

describe('examples of the RFCs, in compact form', () => {
  const payloadOf = (token: string, jwk: JsonWebKey, algorithm: Algorithm, id?: string) => {
    const found = verifyJws(token, [importKey({ algorithm, key: jwk, ...(id ? { id } : {}) })])
    return typeof found === 'string' ? found : found.payload.toString()
  }
  type JsonWebKey = Parameters<typeof importKey>[0]['key']
  const JOE = 'eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ'
  const FRODO =
    'SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4'
  const HMAC_KEY = { kty: 'oct', k: 'hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg', alg: 'HS256', use: 'sig' }
  const HMAC_ID = '018c0ae5-4d9b-471b-bfd6-eef314bc7037'
  const HMAC_HEADER = 'eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9'
  const HMAC_SIGNATURE = 's0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0'

  test('RFC 7515 A.1: HMAC-SHA-256, and its claims', () => {
    const jwk = {
      kty: 'oct',
      k: 'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow',
    }
    const token = `eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.${JOE}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk`
    const key = importKey({ algorithm: 'HS256', key: jwk })
    expect(openJws(token, [key], 'jwt')).toMatchObject({ claims: { iss: 'joe', exp: 1300819380 } })
  })

  test('RFC 7515 A.3: ECDSA on P-256', () => {
    const jwk = {
      kty: 'EC',
      crv: 'P-256',
      x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
      y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
    }
    const token = `eyJhbGciOiJFUzI1NiJ9.${JOE}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q`
    expect(payloadOf(token, jwk, 'ES256')).toMatch(/"iss":"joe"/)
  })

  test('RFC 8037 A.4: Ed25519, by its older name', () => {
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }
    const token =
      'eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg'
    expect(payloadOf(token, jwk, 'Ed25519')).toBe('Example of Ed25519 signing')
  })

  test('RFC 7520 4.1: RSA', () => {
    const jwk = {
      kty: 'RSA',
      n: 'n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw',
      e: 'AQAB',
    }
    const token = `eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.${FRODO}.MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg`
    expect(payloadOf(token, jwk, 'RS256', 'bilbo.baggins@hobbiton.example')).toMatch(/^It’s a dangerous business/)
    expect(payloadOf(token, jwk, 'PS256', 'bilbo.baggins@hobbiton.example')).toBe('forged')
  })

  test('RFC 7520 4.4: HMAC; and 4.5, the same with its content elsewhere, is refused', () => {
    expect(payloadOf(`${HMAC_HEADER}.${FRODO}.${HMAC_SIGNATURE}`, HMAC_KEY, 'HS256', HMAC_ID)).toMatch(/^It’s/)
    expect(payloadOf(`${HMAC_HEADER}..${HMAC_SIGNATURE}`, HMAC_KEY, 'HS256', HMAC_ID)).toBe('forged')
  })

  test('A-44: JSON serialisations are refused, general and flattened', () => {
    const flattened = { payload: FRODO, protected: HMAC_HEADER, signature: HMAC_SIGNATURE }
    const general = { payload: FRODO, signatures: [{ protected: HMAC_HEADER, signature: HMAC_SIGNATURE }] }
    for (const form of [flattened, general]) {
      expect(payloadOf(JSON.stringify(form), HMAC_KEY, 'HS256', HMAC_ID)).toBe('malformed')
    }
  })

  test('A-37: content that is not base64url (RFC 7797) is refused', () => {
    const token =
      'eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19..A5dxf2s96_n5FLueVuW1Z_vh161FwXZC4YLPff6dmDY'
    expect(payloadOf(token, HMAC_KEY, 'HS256')).toBe('malformed')
  })
})

describe('headers that a signature does not help', () => {
  const refused = (head: object | string) => open(sign(secret, head, claims))

  test('what is fine is opened', () => {
    expect(refused(header)).toEqual({ claims, key })
    expect(refused({ alg: 'HS256', typ: 'at+jwt' })).toEqual({ claims, key })
    expect(refused('{ "typ" : "application/at+JWT",\n"alg":"HS256" }')).toEqual({ claims, key })
  })

  test.each(['none', 'None', 'nOnE', 'hs256', 'HS256 ', 'ＨＳ256', '', 'HS1', 'RS256'])('A-33 JW-02: alg %j', (alg) => {
    expect(refused({ ...header, alg })).toBe('forged')
    const unsigned = sign(secret, { ...header, alg }, claims).replace(/[^.]*$/, '')
    expect(open(unsigned)).toBe('forged')
  })

  test.each([null, 256, ['HS256'], { alg: 'HS256' }, true])('A-33: alg %j', (alg) => {
    expect(refused({ ...header, alg })).toBe('malformed')
  })

  test('A-33: no alg at all, and no signature', () => {
    expect(refused({ typ: 'at+jwt', kid: 'k1' })).toBe('malformed')
    expect(open(signJws(key, 'at+jwt', claims).replace(/[^.]*$/, ''))).toBe('forged')
  })

  test.each([
    ['A-35 9.1.3', { jwk: { kty: 'oct', k: 'AAAA' } }],
    ['A-35 9.1.3', { jku: 'https://evil.example/jwks.json' }],
    ['A-35 9.1.3', { x5u: 'https://evil.example/x.pem' }],
    ['A-35 9.1.3', { x5c: ['AAAA'] }],
    ['A-35 9.1.3', { x5t: 'AAAA' }],
    ['A-37', { crit: ['exp'] }],
    ['A-37', { crit: [] }],
    ['A-37', { crit: ['alg', 'alg'] }],
    ['A-37', { b64: false }],
    ['A-50', { zip: 'DEF' }],
    ['A-44', { enc: 'A256GCM' }],
    ['A-72', JSON.parse('{"__proto__":{"typ":"at+jwt"}}')],
    ['JW-14', { cty: 'JWT' }],
  ])('%s: %j', (_, more) => {
    expect(refused({ ...header, ...more })).toBe('malformed')
    expect(refused(JSON.stringify(header).replace('{', `${JSON.stringify(more).slice(0, -1)},`))).toBe('malformed')
  })

  test.each(['../../dev/null', "' UNION SELECT 1", '__proto__', 'constructor', 'k'.repeat(10_000), '', 'K1'])(
    'A-36: kid %j',
    (kid) => {
      expect(refused({ ...header, kid })).toBe('forged')
    },
  )

  test.each([null, 1, ['k1'], { toString: 'k1' }])('A-36: kid %j', (kid) => {
    expect(refused({ ...header, kid })).toBe('malformed')
  })

  test.each(['JWT', 'rt+jwt', 'logout+jwt', 'dpop+jwt', 'at+jwt ', 'at+jw', 'application/application/at+jwt', ''])(
    'A-38 JW-11 9.2.2: typ %j',
    (typ) => expect(refused({ ...header, typ })).toBe('malformed'),
  )

  test('A-38: no typ, or one that is no text', () => {
    expect(refused({ alg: 'HS256', kid: 'k1' })).toBe('malformed')
    for (const typ of [null, 1, ['at+jwt']]) expect(refused({ ...header, typ })).toBe('malformed')
  })

  test.each([
    '{"alg":"HS256","typ":"at+jwt","alg":"HS256"}',
    '{"alg":"none","typ":"at+jwt","alg":"HS256"}',
    '{"typ":"JWT","alg":"HS256","typ":"at+jwt"}',
    '{"alg":"HS256","typ":"at+jwt","kid":"x","k\\u0069d":"k1"}',
    '{"crit":["exp"],"alg":"HS256","typ":"at+jwt","alg":"HS256"}',
  ])('A-42 JW-16: a name that stands twice: %s', (head) => expect(refused(head)).toBe('malformed'))

  test.each(['[]', 'null', '"x"', '1', '{', '', '\ufeff{"alg":"HS256","typ":"at+jwt"}', '{"alg":"HS256"} {}'])(
    'A-43: %j',
    (head) => expect(refused(head)).toBe('malformed'),
  )

  test('without a kid, only where there is no choice', () => {
    const other = importKey({ algorithm: 'HS256', key: randomBytes(32), id: 'k2' })
    expect(open(sign(secret, { alg: 'HS256', typ: 'at+jwt' }, claims), [other, key])).toBe('forged')
    expect(open(sign(secret, header, claims), [other, key])).toEqual({ claims, key })
  })
})

describe('payloads that a signature does not help', () => {
  const refused = (payload: string | Buffer) => open(sign(secret, header, payload))

  test.each([
    '{"sub":"a","sub":"b"}',
    '{"sub":"a","s\\u0075b":"b"}',
    '{"a":{"b":1,"b":2}}',
    '{"a":[{"b":1},{"c":1,"c":{}}]}',
    '{"a":1 , "a" :1}',
    '{"__proto__":1,"__proto__":2}',
  ])('A-42 JW-16: a name that stands twice: %s', (payload) => expect(refused(payload)).toBe('malformed'))

  test.each([
    '{"a:":":","b\\"":"\\\\","\\\\":{"a":[":",{"a":"{\\"a\\":1,\\"a\\":2}"}]}}',
    '{ "1" : 2, "a" : null }',
    '{}',
  ])('and what only looks so is fine: %s', (payload) =>
    expect(refused(payload)).toEqual({ claims: JSON.parse(payload), key }),
  )

  test.each(['null', '[]', '"x"', '1', '', '{"a":1}x', "{'a':1}", '\ufeff{}'])('A-43: %j', (payload) => {
    expect(refused(payload)).toBe('malformed')
  })

  test('A-43 JW-07: text that is no UTF-8 is refused, not mended', () => {
    for (const bytes of ['ff', 'c0af', 'eda080', 'f8888080', 'c3'])
      expect(refused(Buffer.concat([Buffer.from('{"a":"'), Buffer.from(bytes, 'hex'), Buffer.from('"}')]))).toBe(
        'malformed',
      )
    expect(refused('{"a":"Zoë 🦆"}')).toEqual({ claims: { a: 'Zoë 🦆' }, key })
  })

  test('A-43: as deep as it gets, in no time', () => {
    for (const [head, foot] of [
      ['{"a":', '}'],
      ['[', ']'],
    ] as const) {
      const started = performance.now()
      const depth = Math.floor(11_000 / (head.length + foot.length))
      const payload = `{"x":${head.repeat(depth)}1${foot.repeat(depth)}}`
      expect(['object', 'string']).toContain(typeof refused(payload))
      expect(performance.now() - started).toBeLessThan(200)
    }
  })
})

describe('one token, one spelling', () => {
  const token = signJws(key, 'at+jwt', { ...claims, pad: 'xx' })
  const parts = token.split('.') as [string, string, string]

  test.each([0, 1, 2])('A-45 JW-14: part %i with padding, white space, other letters or bits left over', (at) => {
    const part = parts[at]!
    const spellings = [`${part}=`, `${part}==`, `${part} `, ` ${part}`, `${part}\n`, `${part}%20`, `\ufeff${part}`]
    const inside = [`${part.slice(0, 4)}\n${part.slice(4)}`, `${part.slice(0, 4)}=${part.slice(4)}`, `${part}A`]
    const standard = part.replaceAll('-', '+').replaceAll('_', '/')
    const last = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const bits = part.slice(0, -1) + last[last.indexOf(part.at(-1)!) ^ 1]
    for (const spelling of [...spellings, ...inside, ...(standard === part ? [] : [standard]), bits]) {
      const changed = parts.map((each, i) => (i === at ? spelling : each)).join('.')
      expect(open(changed)).toMatch(/malformed|forged/)
    }
  })

  test('A-45: bits left over that the issuer itself signed', () => {
    const payload = base64url('{"a":12}').replace(/.$/, (c) => String.fromCharCode(c.charCodeAt(0) + 1))
    expect(Buffer.from(payload, 'base64url').toString()).toBe('{"a":12}')
    const signed = `${base64url(JSON.stringify(header))}.${payload}`
    expect(open(`${signed}.${mac(secret, signed)}`)).toBe('malformed')
  })

  test.each(['HS256', 'HS384', 'HS512'])('A-45: letters of several bytes, as many as a signature of %s has', (name) => {
    const own = pairs[name]!()
    const [head, payload, signature] = signJws(own, 'at+jwt', claims).split('.') as [string, string, string]
    for (const letter of ['é', 'ÿ', '\u2028', '\ud800', '🦆']) {
      const all = letter.repeat(signature.length / letter.length)
      const texts = [
        all,
        `${all}A`,
        signature.slice(0, -letter.length) + letter,
        letter + signature.slice(letter.length),
      ]
      for (const text of texts) expect(open(`${head}.${payload}.${text}`, [own])).toBe('forged')
    }
  })

  test('A-44: any other number of parts', () => {
    for (const count of [0, 1, 2, 4, 5, 6]) expect(open(Array(count).fill('e30').join('.'))).toBe('malformed')
    expect(open(`${token}.`)).toBe('malformed')
    expect(open(`.${token}`)).toBe('malformed')
  })

  test('A-47: signatures that are nought, DER, of another length, or padded', () => {
    const es = pairs.ES256!()
    const [head, payload, signature] = signJws(es, 'at+jwt', claims).split('.') as [string, string, string]
    const raw = Buffer.from(signature, 'base64url')
    const der = Buffer.concat([
      Buffer.from('30440220', 'hex'),
      raw.subarray(0, 32),
      Buffer.from('0220', 'hex'),
      raw.subarray(32),
    ])
    for (const bad of [
      Buffer.alloc(64),
      der,
      raw.subarray(1),
      Buffer.concat([raw, raw]),
      Buffer.alloc(0),
      Buffer.alloc(1),
    ])
      expect(open(`${head}.${payload}.${base64url(bad)}`, [es])).toBe('forged')
  })
})

describe('whatever a stranger sends', () => {
  const refusal = (token: string) => {
    const found = open(token)
    return found === 'malformed' || found === 'forged'
  }

  test('is a refusal, and no throw', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 300 }), refusal))
    fc.assert(
      fc.property(fc.array(fc.base64String(), { minLength: 3, maxLength: 3 }), (parts) => refusal(parts.join('.'))),
    )
    fc.assert(
      fc.property(fc.json(), fc.json(), fc.uint8Array({ maxLength: 80 }), (head, payload, mac) =>
        refusal([head, payload, mac].map((part) => base64url(part)).join('.')),
      ),
    )
    const values = fc.oneof(fc.string(), fc.constantFrom('HS256', 'at+jwt', 'k1', 'none'), fc.jsonValue())
    fc.assert(
      fc.property(fc.record({ alg: values, typ: values, kid: values }, { requiredKeys: [] }), (head) =>
        refusal(`${base64url(JSON.stringify(head))}.${base64url('{}')}.AAAA`),
      ),
    )
  })

  test('JW-16: with a good signature, is what any parser reads in it, or refused', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.boolean(), (value, spaced) => {
        const text = JSON.stringify(value, null, spaced ? 2 : 0)
        expect(open(sign(secret, header, text))).toEqual({ claims: JSON.parse(text), key })
      }),
    )
  })

  test('A-06: 64 KB of anything, in no time', () => {
    const size = 65_536
    for (const unit of ['a', '.', '{', '"', '\\', ':', 'eyJ', ' ', 'é', '=']) {
      for (const token of [
        unit.repeat(size),
        `${base64url(unit.repeat(size))}.e30.AA`,
        `e30.${unit.repeat(size)}.AA`,
      ]) {
        const started = performance.now()
        expect(refusal(token)).toBe(true)
        expect(namedKey(token)).toBeUndefined()
        expect(performance.now() - started).toBeLessThan(50)
      }
    }
    // Just as long as is looked at.
    for (const unit of ['"', '\\', ':', '[', '{"":']) {
      const started = performance.now()
      expect(refusal(`${base64url(unit.repeat(Math.floor(12_000 / unit.length)))}.e30.AA`)).toBe(true)
      expect(performance.now() - started).toBeLessThan(50)
    }
  })

  test('headers are remembered for those who sign alone, and no answer depends on it', () => {
    const token = sign(secret, header, claims)
    const forged = token.replace(/[^.]*$/, 'AAAA')
    expect([open(forged), open(token), open(forged), open(token, []), openJws(token, [key], 'other')]).toEqual([
      'forged',
      { claims, key },
      'forged',
      'forged',
      'malformed',
    ])
    for (let i = 0; i < 200; i++)
      expect(open(sign(secret, `${JSON.stringify(header)}${' '.repeat(i)}`, claims))).toEqual({ claims, key })
    expect(open(token)).toEqual({ claims, key })
  })
})

test('the key id that a token names is text to look up and nothing else', () => {
  expect(namedKey(sign(secret, header, claims))).toBe('k1')
  for (const token of ['', '.', 'x', `${base64url('{"kid":1}')}..`, `${base64url('[]')}.e30.`])
    expect(namedKey(token)).toBeUndefined()
})
