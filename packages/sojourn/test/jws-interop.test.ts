/** What other libraries sign, we open, and the other way round: jose for every algorithm, jsonwebtoken for all that it has. */
import { createSecretKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import * as jose from 'jose'
import jsonwebtoken, { type Algorithm as TheirAlgorithm } from 'jsonwebtoken'
import { AccessTokens } from 'sojourn/token/access'
import { importKey } from 'sojourn/token/import-key'
import { openJwe, sealJwe } from 'sojourn/token/jwe'
import type { Algorithm } from 'sojourn/token/jws'
import { signingRing } from 'sojourn/token/signing-keys'
import { describe, expect, test } from 'vitest'

const issuer = 'https://id.shop.example'
const audience = 'https://shop.example'
const now = Date.now()

const ec = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const rsa = () => generateKeyPairSync('rsa', { modulusLength: 3072 }).privateKey
const made: [Algorithm, () => KeyObject][] = [
  ['HS256', () => createSecretKey(randomBytes(32))],
  ['HS384', () => createSecretKey(randomBytes(48))],
  ['HS512', () => createSecretKey(randomBytes(64))],
  ['ES256', ec],
  ['Ed25519', () => generateKeyPairSync('ed25519').privateKey],
  ['RS256', rsa],
  ['PS256', rsa],
]

const record = {
  userId: 'ann',
  data: '{"data":{"roles":["admin"]}}',
  createdAt: now,
  seenAt: now,
  authenticatedAt: now,
  expiresAt: now + 600_000,
  version: 1,
}
const theirs = { roles: ['admin'] }
const registered = { iss: issuer, aud: audience, sub: 'ann', jti: 'j1' }

describe.each(made)('%s', (algorithm, make) => {
  const key = make()
  const signing = signingRing({ algorithm, key, id: 'k1' })
  const tokens = new AccessTokens(
    { issuer, audience, claims: ({ roles }) => ({ roles }) },
    { signing, encryption: undefined },
  )
  const ours = tokens.write({ id: 's1', issuedAt: now, record })
  const { public: verifier } = importKey({ algorithm, key })

  test('jose verifies ours, strictly', async () => {
    const { payload, protectedHeader } = await jose.jwtVerify(ours, verifier, {
      issuer,
      audience,
      typ: 'at+jwt',
      algorithms: [algorithm],
      requiredClaims: ['exp', 'iat', 'jti', 'sub'],
      maxTokenAge: 60,
    })
    expect(payload).toMatchObject({ sub: 'ann', sid: 's1', roles: ['admin'] })
    expect(protectedHeader).toEqual({ alg: algorithm, typ: 'at+jwt', kid: 'k1' })
  })

  const names = algorithm === 'Ed25519' ? ['Ed25519', 'EdDSA'] : [algorithm]
  test.each(names)('we open what jose signed as %s', async (alg) => {
    for (const typ of ['at+jwt', 'application/AT+JWT']) {
      const token = await new jose.SignJWT({ ...registered, ...theirs })
        .setProtectedHeader({ alg, typ, kid: 'k1' })
        .setIssuedAt()
        .setExpirationTime('5m')
        .sign(key)
      expect(tokens.read(token, Date.now())).toMatchObject({
        id: 'j1',
        record: { userId: 'ann' },
        claims: theirs,
        fixed: true,
      })
    }
  })

  // jsonwebtoken has no Ed25519.
  if (algorithm === 'Ed25519') return
  test('jsonwebtoken, both ways', () => {
    const alg = algorithm as TheirAlgorithm
    expect(jsonwebtoken.verify(ours, verifier, { issuer, audience, algorithms: [alg], maxAge: '1m' })).toMatchObject({
      sub: 'ann',
      roles: ['admin'],
    })
    const header = { alg, typ: 'at+jwt', kid: 'k1' }
    const token = jsonwebtoken.sign({ ...registered, ...theirs }, key, { algorithm: alg, header, expiresIn: '5m' })
    expect(tokens.read(token, Date.now())).toMatchObject({ id: 'j1', record: { userId: 'ann' }, claims: theirs })
    // What it writes if nobody says otherwise is no access token.
    expect(
      tokens.read(jsonwebtoken.sign({ ...registered }, key, { algorithm: alg, expiresIn: '5m' }), Date.now()),
    ).toBe('malformed')
  })
})

describe('encrypted around the signature (dir, A256GCM)', () => {
  const key = { id: 'e1', key: createSecretKey(randomBytes(32)) }

  test('jose decrypts ours', async () => {
    const { plaintext, protectedHeader } = await jose.compactDecrypt(sealJwe(key, 'a.b.c'), key.key, {
      keyManagementAlgorithms: ['dir'],
      contentEncryptionAlgorithms: ['A256GCM'],
    })
    expect(Buffer.from(plaintext).toString()).toBe('a.b.c')
    expect(protectedHeader).toEqual({ alg: 'dir', enc: 'A256GCM', cty: 'JWT', kid: 'e1' })
  })

  test("we decrypt jose's", async () => {
    const token = await new jose.CompactEncrypt(Buffer.from('a.b.c'))
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', cty: 'JWT', kid: 'e1' })
      .encrypt(key.key)
    expect(openJwe(token, [key])).toEqual({ token: 'a.b.c', key })
  })

  test('A-49 A-50 A-51: other algorithms, compression, cut tags, changed parts', async () => {
    const good = sealJwe(key, 'a.b.c')
    const [head, , iv, body, tag] = good.split('.') as [string, string, string, string, string]
    const header = { alg: 'dir', enc: 'A256GCM', cty: 'JWT', kid: 'e1' }
    const other = (change: object) => Buffer.from(JSON.stringify({ ...header, ...change })).toString('base64url')
    for (const change of [
      { zip: 'DEF' },
      { enc: 'A128GCM' },
      { enc: 'A256CBC-HS512' },
      { alg: 'RSA1_5' },
      { alg: 'PBES2-HS256+A128KW', p2c: 2 ** 31 - 1, p2s: 'AAAAAAAAAAA' },
      { alg: 'A256GCMKW' },
      { kid: 'e2' },
      { kid: undefined },
      { crit: ['exp'] },
    ]) {
      expect(openJwe([other(change), '', iv, body, tag].join('.'), [key])).toBe('forged')
    }
    const short = Buffer.from(tag, 'base64url').subarray(0, 12).toString('base64url')
    for (const parts of [
      [head, '', iv, body, short],
      [head, '', iv, body, ''],
      [head, '', iv.slice(4), body, tag],
      [head, 'AAAA', iv, body, tag],
      [head, '', iv, `${body}=`, tag],
      [head, '', iv, body],
      [head, '', iv, body, tag, ''],
    ]) {
      expect(openJwe(parts.join('.'), [key])).toBe('malformed')
    }
    for (const at of [2, 3, 4]) {
      const bytes = Buffer.from(good.split('.')[at]!, 'base64url')
      for (let i = 0; i < bytes.length; i++) {
        const flipped = Buffer.from(bytes)
        flipped[i]! ^= 1
        const changed = good.split('.').map((part, j) => (j === at ? flipped.toString('base64url') : part))
        expect(openJwe(changed.join('.'), [key])).toBe('forged')
      }
    }
  })

  test('11.3.4: no two have the same nonce', () => {
    expect(new Set(Array.from({ length: 1000 }, () => sealJwe(key, 'x').split('.')[2])).size).toBe(1000)
  })

  test('A-44 JW-03: a signed token is none, nor the other way round', () => {
    const signing = signingRing({ algorithm: 'HS256', key: randomBytes(32) })
    const plain = new AccessTokens({ issuer, audience }, { signing, encryption: undefined })
    const hidden = new AccessTokens({ issuer, audience }, { signing, encryption: [key] })
    const opened = { id: 's1', issuedAt: now, record }
    expect(plain.read(hidden.write(opened), now)).toBe('malformed')
    expect(hidden.read(plain.write(opened), now)).toBe('malformed')
    expect(hidden.read(hidden.write(opened), now)).toMatchObject({ id: 's1', record: { userId: 'ann' } })
    expect(hidden.read(sealJwe(key, hidden.write(opened)), now)).toBe('malformed')
    expect(hidden.read(sealJwe(key, 'no token'), now)).toBe('malformed')
  })
})
