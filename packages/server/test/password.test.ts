import { hash } from '@node-rs/argon2'
import { createPasswords } from '@sojourn/server/password'
import { checkPassword } from '@sojourn/server/password-rules'
import { beforeAll, describe, expect, test } from 'vitest'

describe('N-20: what may become a password', () => {
  const check = (password: string, min = 15, username = 'adalovelace') => checkPassword(password, username, min)

  test.each([
    ['15 code points, no composition (6.2.5)', 'correcthorsebat'],
    ['spaces', 'a few words in a row'],
    ['15 emoji: code points count, not UTF-16 units', '😀🎉🦊🌍🍎🎸📚🚲🏔🌙🔑🧭🎈🪁🧩'],
    [
      '64 four-byte code points (6.2.9)',
      [...'😀🎉🦊🌍🍎🎸📚🚲']
        .map((c, i) => c.repeat(i + 4))
        .join('')
        .slice(0, 128),
    ],
    [
      '128 code points of four bytes (6.2.9)',
      Array.from({ length: 128 }, (_, i) => String.fromCodePoint(0x1f300 + i)).join(''),
    ],
    ['256 code points', Array.from({ length: 256 }, (_, i) => String.fromCharCode(0x4e00 + ((i * 7) % 300))).join('')],
    ['a letter that is two when decomposed', 'e\u0301toile du matin'],
    ['the username among other words', 'adalovelace walks home'],
    ['common words in a row', 'monkeydragonshadow'],
    ['common words with a number between', 'monkey 12345 dragon'],
    ['words that are walks along the keyboard, with spaces', 'look pool feed seed'],
    ['digits at random', '8302749105628374'],
    ['at random, with a few letters between digits', '839-abc-19485-720'],
  ])('accepted: %s', (_, password) => {
    expect(check(password)).toBeUndefined()
  })

  test.each([
    ['14 code points', 'correcthorseba', 'at least 15'],
    ['14 emoji, 28 UTF-16 units', '😀🎉🦊🌍🍎🎸📚🚲🏔🌙🔑🧭🎈🪁', 'at least 15'],
    ['14 letters, each written as two code points', 'e\u0301'.repeat(7) + 'a\u0300'.repeat(7), 'at least 15'],
    ['257 code points', 'correct horse '.repeat(20).slice(0, 257), 'at most 256'],
    ['A-93: a megabyte', 'correct horse '.repeat(75_000), 'at most 256'],
    ['half of a surrogate pair', 'correct horse \ud83d battery', 'at most 256'],
    ['6.2.4, 6.2.12: on the common list', 'passwordstandard', 'attackers try first'],
    ['6.2.4: on the list, in capitals', 'PASSWORDSTANDARD', 'attackers try first'],
    ['a common one, twice', 'dragondragondragon', 'attackers try first'],
    ['a common one and digits', 'password12345678', 'attackers try first'],
    ['digits and punctuation around a common one', '2026:Iloveyou!!!', 'attackers try first'],
    ['a common one with other letters', 'P@ssw0rd12345678', 'attackers try first'],
    ['a common one and digits, twice', 'user1234user1234', 'attackers try first'],
    ['a common one, twice, and digits', 'letmeinletmein!1', 'attackers try first'],
    ['the famous example', 'correcthorsebatterystaple', 'attackers try first'],
    ['the famous example as it is drawn', 'Correct Horse Battery Staple', 'attackers try first'],
    ['one character', 'aaaaaaaaaaaaaaaaaa', 'repeats'],
    ['one character and a digit', 'aaaaaaaaaaaaaaaa1', 'repeats'],
    ['two characters', 'abababababababababa', 'repeats'],
    ['the digits, on and on', '01234567890123456', 'sequence'],
    ['the digits, backwards', '98765432109876543', 'sequence'],
    ['the alphabet', 'abcdefghijklmnop', 'sequence'],
    ['the alphabet, backwards, over its end', 'cbazyxwvutsrqponm', 'sequence'],
    ['two rows of the keyboard', 'qwertyuiopasdfgh', 'sequence'],
    ['a row and the digits', 'qwertyuiop123456', 'sequence'],
    ['up and down between two rows', '1q2w3e4r5t6y7u8i', 'sequence'],
    ['columns of the keyboard', 'zaq12wsxcde34rfv', 'sequence'],
    ['columns, with Shift now and then', '!QAZ2wsx#EDC4rfv', 'sequence'],
    ['the alphabet and the digits', 'abcdefgh12345678', 'sequence'],
    ['keys, each several times', '1112222333444555', 'sequence'],
    ['a walk and punctuation', 'qwertyuiopasdfg!?', 'sequence'],
    ['the username and digits', 'AdaLovelace-1815', 'username'],
    ['the service and digits', 'Sojourn!2026!sojourn', 'username or the name of this service'],
  ])('refused, with the reason: %s', (_, password, why) => {
    expect(check(password)).toMatchObject({ ok: false, reason: 'password', message: expect.stringContaining(why) })
  })

  test('6.2.1: the bound can be lowered to 8, and the list then bites where it matters', () => {
    expect(check('zebrawok', 8)).toBeUndefined()
    expect(check('zebrawo', 8)).toMatchObject({ message: expect.stringContaining('at least 8') })
    expect(check('password1', 8)).toMatchObject({ message: expect.stringContaining('attackers try first') })
    expect(check('qwertyui', 8)).toMatchObject({ reason: 'password' })
  })
})

describe('hashes', () => {
  let passwords: Awaited<ReturnType<typeof createPasswords>>
  beforeAll(async () => {
    passwords = await createPasswords()
  })

  test('PW-01, N-22: a PHC string of argon2id at m=19456, t=2, p=1, with a salt of its own', async () => {
    const [one, two] = await Promise.all([
      passwords.hash('a few words in a row'),
      passwords.hash('a few words in a row'),
    ])
    const match = /^\$argon2id\$v=19\$m=19456,t=2,p=1\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/.exec(one)
    expect(Buffer.from(match![1]!, 'base64').length).toBeGreaterThanOrEqual(16)
    expect(Buffer.from(match![2]!, 'base64').length).toBe(32)
    expect(two).not.toBe(one)
    expect(await passwords.verify(one, 'a few words in a row')).toBe(true)
    expect(await passwords.verify(one, 'a few words in a roW')).toBe(false)
  })

  test.each([
    ['a difference after 72 bytes (A-94)', `${'x1'.repeat(36)}a`, `${'x1'.repeat(36)}b`],
    ['a difference at the very end of 256', `${'word '.repeat(51)}a`, `${'word '.repeat(51)}b`],
    ['a NUL', 'a few words\0in a row', 'a few words\0on a row'],
    ['what follows a NUL', 'a few words\0', 'a few words'],
    ['a trailing space', 'a few words in a row', 'a few words in a row '],
    ['case', 'a few words in a row', 'A few words in a row'],
    ['compatibility forms, which NFC leaves alone', 'ﬁne words in a row', 'fine words in a row'],
  ])('6.2.8: verified as received: %s', async (_, set, tried) => {
    expect(await passwords.verify(await passwords.hash(set), tried)).toBe(false)
  })

  test('6.2.8: the one thing done to it is NFC (A-94)', async () => {
    expect(await passwords.verify(await passwords.hash('caf\u00e9 con leche'), 'cafe\u0301 con leche')).toBe(true)
  })

  test('A-94: broken halves of characters are not taken for one another', async () => {
    const kept = await passwords.hash('a few words \ufffd in a row')
    expect(await passwords.verify(kept, 'a few words \ud83d in a row')).toBe(false)
  })

  test('A-93: an oversized password fits nothing', async () => {
    expect(await passwords.verify(await passwords.hash(''), 'x'.repeat(1_000_000))).toBe(false)
  })

  test.each([
    '$1$salt$hash',
    'plaintext',
    '',
    '$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy',
    '$argon2id$v=19$m=2147483647,t=2,p=1$c29tZXNhbHRzb21l$aGFzaGhhc2hoYXNoaGFzaA',
    '$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHRzb21l$aGFzaGhhc2hoYXNoaGFzaA',
    '$argon2id$v=19$m=19456,t=4294967295,p=1$c29tZXNhbHRzb21l$aGFzaGhhc2hoYXNoaGFzaA',
  ])('A-95: %s fits nothing, throws nothing, and costs no more than a real one', async (kept) => {
    const before = performance.now()
    expect(await passwords.verify(kept, 'plaintext')).toBe(false)
    expect(performance.now() - before).toBeLessThan(1000)
  })

  test('PW-06: hashes of another cost are outdated', async () => {
    expect(passwords.isOutdated(await passwords.hash('x'))).toBe(false)
    expect(passwords.isOutdated(await hash('x', { memoryCost: 4096, timeCost: 1 }))).toBe(true)
    expect(passwords.isOutdated('$1$salt$hash')).toBe(true)
  })

  test('A-91: no hash, or one of a foreign format, takes as long as a wrong password', async () => {
    const kept = await passwords.hash('a few words in a row')
    const subjects = [kept, undefined, '$1$salt$hash']
    const times: number[][] = subjects.map(() => [])
    // Taken in turn, so that whatever else this machine does falls on all of them alike.
    for (let round = 0; round < 21; round++) {
      for (const [i, subject] of subjects.entries()) {
        const before = performance.now()
        await passwords.verify(subject, 'some other words')
        times[i]!.push(performance.now() - before)
      }
    }
    const [known, nobody, foreign] = times.map((all) => all.sort((a, b) => a - b)[10]!)
    for (const unknown of [nobody!, foreign!]) {
      expect(unknown).toBeGreaterThan(known! / 2)
      expect(unknown).toBeLessThan(known! * 2)
    }
  })
})
