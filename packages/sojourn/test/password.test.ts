/** Passwords: hashed as today's advice has it, verified however they were hashed before, and never at any price. */
import { hash as argon2Hash } from '@node-rs/argon2'
import bcryptjs from 'bcryptjs'
import { Fault, generateSecret, problemOf, type SessionEvent } from 'sojourn'
import { type Argon2, type Passwords, password } from 'sojourn/identity/password'
import { createGate } from 'sojourn/identity/password-gate'
import { checkPassword } from 'sojourn/identity/password-rules'
import { describe, expect, test } from 'vitest'

const RIGHT = 'correct horse é'
const FORM = /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/

function heard(passwords: Passwords): SessionEvent[] {
  const events: SessionEvent[] = []
  passwords.on((event) => void events.push(event))
  return events
}

// Made by passlib 1.7.4, Werkzeug 2.2.2, Django 3.2.25 and Python's bcrypt 3.2.2; scrypt of Django and Werkzeug by hashlib.
describe.each([
  ['passlib, pbkdf2-sha256', '$pbkdf2-sha256$6000$eG9tDeGc0zrHmHPOuVeqlQ$.hihP0YhaRFfgA0e4WxGrWTscTBrRirF2q3X7KtxkOI'],
  ['passlib, pbkdf2 of SHA-1', '$pbkdf2$6000$v7d2jlFqbY0RohTiXAsB4A$QUI5s2IpBPCLMlPAqGKLS.ML9ao'],
  [
    'passlib, pbkdf2-sha512',
    '$pbkdf2-sha512$6000$itGaM8YYg1BKyTln7N3bGw$UEm9kNwYDl9r6z/XNCyRZYVu5j2k3Nag7Dr.oLvhV4M9cL54eJRlYyTq8GuOOImICNBrec2KnxXkGMdq2/6LZw',
  ],
  [
    'PHC, pbkdf2-sha256',
    '$pbkdf2-sha256$i=6000,l=32$eG9tDeGc0zrHmHPOuVeqlQ$+hihP0YhaRFfgA0e4WxGrWTscTBrRirF2q3X7KtxkOI',
  ],
  ['passlib, scrypt', '$scrypt$ln=12,r=8,p=1$SimFMGYMAQAgpFQK4VwLYQ$LguW41pw1U1COFou6O68vEsB7GGKgDo/booaEql5gu4'],
  [
    'Werkzeug, pbkdf2:sha256',
    'pbkdf2:sha256:6000$rMeAFV5msKcPpBDM$c35b0f9973cc56295f0220aa9f937a80403f2dfaea3b0f48f9f223eaddad54a7',
  ],
  [
    'Werkzeug, pbkdf2:sha512',
    'pbkdf2:sha512:6000$vm6taBNoMPxIYrKR$4816f0a6b7e2c26ac9a3bfe42641f069a1ad1a0e7d288b5769980efa57751826b155c59a982cb4d8e8d80209d68716d8487851e5373c9506b715f9c80ac8cf97',
  ],
  ['bcrypt, 2a', '$2a$05$AoojkFj2AUPW1.9zdzzWQ.1L338XGinkUYjYqSmv3owoxgfe423Ta'],
  ['bcrypt, 2b', '$2b$05$lqzXdLgsmOefAbXN3yXVZumdke5hxhfge7cIqCoi5f6klSQgwXYlW'],
  ['bcrypt, 2y of PHP', '$2y$05$lqzXdLgsmOefAbXN3yXVZumdke5hxhfge7cIqCoi5f6klSQgwXYlW'],
  ['Django, pbkdf2_sha256', 'pbkdf2_sha256$6000$iGp1tnkt6E9soHNgyCoPwU$iwVC6wS7Qz771On2cSnUKTTEr7oeLXyj/dYdGOrWJ90='],
  ['Django, pbkdf2_sha1', 'pbkdf2_sha1$6000$dDMnUuRSwXRmlTIzgwYVEr$6J/iDm98Ryfy6kuXohtEHoSXdOU='],
  ['Django, bcrypt_sha256', 'bcrypt_sha256$$2b$05$2Cl7uho4uE5R4MJSBQTX9eqPVgNfKRJeEQ2/xfgCuuNc90YrXY0k.'],
  ['Django, bcrypt', 'bcrypt$$2b$05$quPDxk49MPM9kWmhquE7aubsFNJl.nCo2daRQM.fk/frzgqubEN9W'],
  [
    'Django, scrypt',
    'scrypt$4096$NaClNaClNaCl$8$5$jD63Yj+9YOoF91nl1wFQOZXVyxvMEgUhUKDB9gG5SfEc0bcUxKQvdZD9bCIS5YYBSNCpeCaCFKpc5KtHtAJgpA==',
  ],
  [
    'Werkzeug, scrypt',
    'scrypt:4096:8:1$NaClNaClNaCl$03201a2473d8b53c5f4835ce0655918a174b1156c404e9daa45548b20452eda617edb5e6e4496799e3e312559df4f238c8e8dd138d29e1e9ae58abfc543ef172',
  ],
])('PW-06: brought along from %s', (_, kept) => {
  const passwords = password()

  test('fits its password and no other, and is outdated', async () => {
    const events = heard(passwords)
    expect(await passwords.verify(kept, RIGHT)).toBe(true)
    expect(await passwords.verify(kept, 'correct horse e')).toBe(false)
    expect(await passwords.verify(kept, '')).toBe(false)
    expect(passwords.isOutdated(kept)).toBe(true)
    expect(events).toEqual([])
  })

  test('A-95: cut off or changed, it fits nothing, and is told as a fault', async () => {
    const events = heard(passwords)
    for (const damaged of [
      kept.slice(0, -4),
      kept.slice(0, kept.length / 2),
      `${kept}$`,
      ` ${kept}`,
      kept.replace(/\$[^$]*$/, '$'),
    ])
      expect(await passwords.verify(damaged, RIGHT)).toBe(false)
    expect(events).toHaveLength(5)
    for (const event of events) {
      expect(event).toMatchObject({ type: 'fault', code: 'ERR_DATA' })
      expect(JSON.stringify(event)).not.toContain(kept.slice(-12))
    }
  })
})

describe('A-95: what would cost too much is not computed', () => {
  test.each(
    [
      '$argon2id$v=19$m=2147483647,t=2,p=1$c29tZXNhbHRzb21l$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNo',
      '$argon2id$v=19$m=19456,t=4294967295,p=1$c29tZXNhbHRzb21l$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNo',
      '$2b$31$lqzXdLgsmOefAbXN3yXVZumdke5hxhfge7cIqCoi5f6klSQgwXYlW',
      '$2b$03$lqzXdLgsmOefAbXN3yXVZumdke5hxhfge7cIqCoi5f6klSQgwXYlW',
      '$2x$05$lqzXdLgsmOefAbXN3yXVZumdke5hxhfge7cIqCoi5f6klSQgwXYlW',
      '$scrypt$ln=30,r=8,p=1$SimFMGYMAQAgpFQK4VwLYQ$LguW41pw1U1COFou6O68vEsB7GGKgDo/booaEql5gu4',
      '$scrypt$ln=14,r=999,p=999$SimFMGYMAQAgpFQK4VwLYQ$LguW41pw1U1COFou6O68vEsB7GGKgDo/booaEql5gu4',
      'scrypt:16385:8:1$salt$00112233445566778899aabbccddeeff',
      'scrypt$16384$salt$0$1$aGFzaGhhc2hoYXNoaGFzaA==',
      '$pbkdf2-sha256$99999999$eG9tDeGc0zrHmHPOuVeqlQ$.hihP0YhaRFfgA0e4WxGrWTscTBrRirF2q3X7KtxkOI',
      'pbkdf2_sha256$0$salt$aGFzaGhhc2hoYXNoaGFzaA==',
      'pbkdf2_sha256$1$salt$',
      'pbkdf2_sha256$1$salt$AA==',
      'pbkdf2:md5:1000$salt$00112233445566778899aabbccddeeff',
      '$argon2id$v=19$m=1,t=2,p=1$c29tZXNhbHRzb21l$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNo',
      '$argon2id$v=19$m=19456,t=0,p=1$c29tZXNhbHRzb21l$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNo',
      '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNo',
      '$argon2id$v=99$m=19456,t=2,p=1$c29tZXNhbHRzb21l$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNo',
      '$1$salt$hash',
      '5f4dcc3b5aa765d61d8327deb882cf99',
      'plaintext',
      '',
      'x'.repeat(100_000),
      `$pbkdf2-sha256$1$${'A'.repeat(50_000)}$${'A'.repeat(50_000)}`,
    ].map((kept) => [kept.slice(0, 60), kept]),
  )('%s', async (_, kept) => {
    const passwords = password()
    await passwords.verify(undefined, 'x')
    const events = heard(passwords)
    const before = performance.now()
    expect(await passwords.verify(kept, 'plaintext')).toBe(false)
    expect(performance.now() - before).toBeLessThan(1000)
    expect(passwords.isOutdated(kept)).toBe(true)
    expect(events).toHaveLength(1)
  })
})

describe('A-94: bcrypt ends at 72 bytes', () => {
  const passwords = password()
  const long = 'x1'.repeat(36)

  test('72 bytes fit, and what bcrypt would not look at is not taken on trust', async () => {
    const kept = await bcryptjs.hash(long, 4)
    expect(await passwords.verify(kept, long)).toBe(true)
    expect(await passwords.verify(kept, `${long}y`)).toBe(false)
    expect(await bcryptjs.compare(`${long}y`, kept)).toBe(true)
  })

  test('bytes count, not characters', async () => {
    const kept = await bcryptjs.hash('é'.repeat(37), 4)
    expect(await passwords.verify(kept, 'é'.repeat(37))).toBe(false)
    expect(await passwords.verify(await bcryptjs.hash('é'.repeat(36), 4), 'é'.repeat(36))).toBe(true)
  })

  test('nothing follows a NUL unseen', async () => {
    const kept = await bcryptjs.hash('secret words', 4)
    expect(await passwords.verify(kept, 'secret words\0')).toBe(false)
    expect(await passwords.verify(await bcryptjs.hash('secret\0words', 4), 'secret\0words')).toBe(false)
  })

  test('a library that is handed in is the one that is asked', async () => {
    const asked: string[] = []
    const own = password({ bcrypt: { compare: (_, hash) => asked.push(hash) > 0 } })
    expect(await own.verify('$2y$05$lqzXdLgsmOefAbXN3yXVZumdke5hxhfge7cIqCoi5f6klSQgwXYlW', 'whatever')).toBe(true)
    expect(asked).toEqual(['$2b$05$lqzXdLgsmOefAbXN3yXVZumdke5hxhfge7cIqCoi5f6klSQgwXYlW'])
  })
})

describe('our own', () => {
  test('PW-01, PW-06: argon2id at the cost of today, computed anew where it was made otherwise', async () => {
    const passwords = password()
    const kept = await passwords.hash(RIGHT)
    expect(kept).toMatch(FORM)
    expect(passwords.isOutdated(kept)).toBe(false)
    expect(await passwords.verify(kept, RIGHT)).toBe(true)
    for (const weaker of [
      { memoryCost: 4096, timeCost: 2 },
      { memoryCost: 19_456, timeCost: 1 },
      { memoryCost: 19_456, timeCost: 2, algorithm: 1 },
    ])
      expect(passwords.isOutdated(await argon2Hash(RIGHT, { parallelism: 1, ...weaker }))).toBe(true)
    expect(await passwords.verify(`argon2${await argon2Hash(RIGHT)}`, RIGHT)).toBe(true)
  })

  test.each([
    ['more of everything', 65_536, 3, 1],
    ['more lanes', 65_536, 3, 4],
    ['the cost of today, in two lanes', 19_456, 2, 2],
    ['OWASP’s other choice: more memory, one pass', 47_104, 1, 1],
  ])('PW-06: what was made at a higher cost elsewhere is not weakened: %s', async (_, memoryCost, timeCost, lanes) => {
    const passwords = password()
    const kept = await argon2Hash(RIGHT, { memoryCost, timeCost, parallelism: lanes })
    expect(await passwords.verify(kept, RIGHT)).toBe(true)
    expect(passwords.isOutdated(kept)).toBe(false)
  })

  test('A-94: normal form; what was hashed decomposed elsewhere fits too', async () => {
    const passwords = password()
    expect(await passwords.verify(await passwords.hash(RIGHT), RIGHT.normalize('NFD'))).toBe(true)
    expect(await passwords.verify(await argon2Hash(RIGHT.normalize('NFD')), RIGHT.normalize('NFD'))).toBe(true)
  })

  test.each(['x'.repeat(2000), 'half \ud83d of it', '😀'.repeat(257)])(
    'A-93: what cannot be hashed whole is misuse to hash and fits nothing',
    async (text) => {
      const passwords = password()
      await expect(passwords.hash(text)).rejects.toThrow(TypeError)
      expect(await passwords.verify(await passwords.hash('x'), text)).toBe(false)
      expect(await passwords.verify(undefined, text)).toBe(false)
    },
  )

  test('a user without a password is like nobody, and that is no fault', async () => {
    const passwords = password()
    const events = heard(passwords)
    for (const none of [null, undefined]) expect(await passwords.verify(none, 'x')).toBe(false)
    expect(events).toEqual([])
    expect(await passwords.verify(7 as never, 'x')).toBe(false)
    expect(events).toHaveLength(1)
  })

  test('what is no text fits nothing', async () => {
    const passwords = password()
    for (const odd of [undefined, null, 1, ['x'], {}])
      expect(await passwords.verify(await passwords.hash('x'), odd as never)).toBe(false)
  })
})

describe('11.4.2: a pepper', () => {
  const [old, next] = [generateSecret(), generateSecret()]

  test('is named by the kept text, and without it nothing fits', async () => {
    const passwords = password({ pepper: old })
    const kept = await passwords.hash(RIGHT)
    expect(kept).toMatch(/^\$pepper\$[0-9a-f]{6}\$argon2id\$/)
    expect(passwords.isOutdated(kept)).toBe(false)
    expect(await passwords.verify(kept, RIGHT)).toBe(true)
    expect(await passwords.verify(kept, 'wrong')).toBe(false)
    expect(await passwords.verify(kept.slice(kept.indexOf('$argon2id')), RIGHT)).toBe(false)
    for (const other of [password(), password({ pepper: next })]) {
      const events = heard(other)
      expect(await other.verify(kept, RIGHT)).toBe(false)
      expect(events).toHaveLength(1)
    }
  })

  test('is put before a former one, and what names that, or none, is outdated', async () => {
    const before = await password({ pepper: old }).hash(RIGHT)
    const bare = await password().hash(RIGHT)
    const passwords = password({ pepper: [next, old] })
    const after = await passwords.hash(RIGHT)
    for (const kept of [before, bare, after]) expect(await passwords.verify(kept, RIGHT)).toBe(true)
    expect([before, bare, after].map((kept) => passwords.isOutdated(kept))).toEqual([true, true, false])
  })

  test('is a real secret', () => {
    expect(() => password({ pepper: 'pepper' })).toThrow(TypeError)
  })
})

describe('A-91: nobody takes as long as a wrong password', () => {
  /** How often one sample is below one of the others: a half where they are alike (Mann and Whitney). */
  const below = (a: readonly number[], b: readonly number[]) =>
    a.reduce((sum, x) => sum + b.filter((y) => x < y).length, 0) / (a.length * b.length)

  async function samples(passwords: Passwords, tried: string): Promise<[number[], number[]]> {
    const subjects = [await passwords.hash(RIGHT), undefined]
    const times: [number[], number[]] = [[], []]
    // In turn, and in changing order, so that whatever else this machine does falls on both alike.
    for (let round = 0; round < 40; round++) {
      for (const i of round % 2 === 0 ? [0, 1] : [1, 0]) {
        const before = performance.now()
        await passwords.verify(subjects[i], tried)
        times[i]!.push(performance.now() - before)
      }
    }
    return times
  }

  // Alike, it strays from a half by 0.065; four times that is less than once in ten thousand runs.
  test.each([
    ['a password', 'some other words'],
    ['one that is not its own normal form', 'some o\u0308ther words'],
  ])('%s', async (_, tried) => {
    const share = below(...(await samples(password({ pepper: generateSecret() }), tried)))
    expect(share).toBeGreaterThan(0.24)
    expect(share).toBeLessThan(0.76)
  })

  test('the measure notices what it is for: a verifier that computes nothing for nobody', async () => {
    const real = password()
    const hasty: Passwords = { ...real, verify: async (kept, text) => kept !== undefined && real.verify(kept, text) }
    const [known, nobody] = await samples(hasty, 'some other words')
    expect(below(nobody, known)).toBeGreaterThan(0.9)
  })
})

describe('A-93: the gate', () => {
  test('two hundred at once: two are computed, fifty wait, the rest is told to come back', async () => {
    let [running, most] = [0, 0]
    const slow: Argon2 = {
      hash: async () => '',
      verify: async () => {
        most = Math.max(most, ++running)
        await new Promise((resolve) => setTimeout(resolve, 1))
        running--
        return false
      },
    }
    const passwords = password({ argon2: slow })
    await passwords.verify(undefined, 'x')
    const outcomes = await Promise.allSettled(Array.from({ length: 200 }, () => passwords.verify(undefined, 'x')))
    expect(most).toBe(2)
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(52)
    const { reason } = outcomes.find(({ status }) => status === 'rejected') as PromiseRejectedResult
    expect(reason).toBeInstanceOf(Fault)
    expect(problemOf(reason)).toMatchObject({ status: 503, headers: { 'retry-after': '1' } })
  })

  test('work that fails gives its place back', async () => {
    const gate = createGate(1, 1)
    for (let i = 0; i < 5; i++) await expect(gate(async () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(await gate(async () => 1)).toBe(1)
  })

  test.each([[{ atOnce: 0 }], [{ atOnce: 1.5 }], [{ waiting: -1 }], [{ waiting: Number.NaN }]])(
    'misuse is a TypeError: %j',
    (options) => {
      expect(() => password(options)).toThrow(TypeError)
    },
  )
})

describe('N-20: what may become a password', () => {
  test('6.2.4, 6.2.12: the lists and words are the app’s, and a list may be asked over the network', async () => {
    const listed = async (text: string) => text.toLowerCase() === 'a leaked password'
    expect(await checkPassword('A Leaked Password', { isCommon: listed })).toBe('common')
    expect(await checkPassword('another password', { isCommon: listed })).toBeUndefined()
    expect(checkPassword('hunterhunterhunter', { isCommon: (text) => text === 'hunter' })).toBe('common')
    expect(checkPassword('2026hunter!2026!', { isCommon: (text) => text === 'hunter' })).toBe('common')
    expect(checkPassword('Hunter/2026 Hunter/2026 ', { isCommon: (text) => text === 'hunter' })).toBe('common')
    expect(checkPassword('Ada.Lovelace 1815', { context: ['ada', 'lovelace', ''] })).toBe('context')
    expect(checkPassword('short')).toBe('short')
    expect(checkPassword('fifteen letters')).toBeUndefined()
    expect(checkPassword('eightlet', { min: 8 })).toBeUndefined()
  })

  test('a list is asked for each part once, and for the password as it was typed first', async () => {
    const asked: string[] = []
    const isCommon = async (text: string) => {
      asked.push(text)
      return false
    }
    expect(await checkPassword('Some words in a row', { isCommon })).toBeUndefined()
    expect(asked).toEqual(['Some words in a row', 'some words in a row'])
    asked.length = 0
    expect(await checkPassword('user1234user1234', { isCommon })).toBeUndefined()
    expect(asked).toEqual(['user1234user1234', 'user1234', 'user1234user', 'user'])
  })

  test.each([7, 0, 8.5, Number.NaN])('6.2.1: a minimum of %d is misuse', (min) => {
    expect(() => checkPassword('whatever it is', { min })).toThrow(TypeError)
  })
})
