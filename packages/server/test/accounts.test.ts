import { checkUsername, nameOf } from '@sojourn/server/accounts'
import { describe, expect, test } from 'vitest'
import { KEPT } from './kept.js'

describe('usernames', () => {
  test.each(['ada', 'Ada.Lovelace', 'a-b_c', 'Åsa', '日本人', 'नमस्ते', 'x'.repeat(64), '007'])(
    '%s is one',
    (username) => {
      expect(checkUsername(username)).toBeUndefined()
    },
  )

  test.each([
    ['', 'at least 3'],
    ['ab', 'at least 3'],
    ['x'.repeat(65), 'at most 64'],
    ['x'.repeat(1_000_000), 'at most 64'],
    ['a b c', 'letters, digits'],
    ['ada\n', 'letters, digits'],
    ['ada\u202Eevil', 'letters, digits'],
    ['<script>', 'letters, digits'],
    ['ada\u0000', 'letters, digits'],
    ['ada😀', 'letters, digits'],
    ['...', 'at least one letter or digit'],
  ])('%j is refused, and why is said', (username, why) => {
    expect(checkUsername(username)).toMatchObject({
      ok: false,
      reason: 'username',
      message: expect.stringContaining(why),
    })
  })

  test('case and compatibility forms do not tell two people apart', () => {
    expect(nameOf('ＡＤＡ')).toBe(nameOf('ada'))
    expect(nameOf('ﬁona')).toBe(nameOf('Fiona'))
  })
})

describe.each(KEPT)('accounts in %s', (_, use) => {
  const open = use()
  const accounts = async () => (await open(() => 1)).accounts

  test('a name is taken in every spelling that counts as the same', async () => {
    const kept = await accounts()
    expect(await kept.create('Ada', 'h1')).toMatchObject({ username: 'Ada' })
    expect(await kept.create('ａｄａ', 'h2')).toBeUndefined()
    expect(await kept.credentials('ADA')).toMatchObject({ hash: 'h1', user: { username: 'Ada' } })
  })

  test('15.4.2: of many who ask for a name at once one gets it', async () => {
    const kept = await accounts()
    const made = await Promise.all(Array.from({ length: 12 }, (_, i) => kept.create(i % 2 ? 'ada' : 'ADA', `h${i}`)))
    const [user, ...others] = made.filter((one) => one !== undefined)
    expect(others).toEqual([])
    expect((await kept.credentials('ada'))?.user).toEqual(user)
  })

  test('what no database can hold is nobody’s name', async () => {
    const kept = await accounts()
    for (const name of ['\0', 'ada\0', '\ud800', '$where', 'x'.repeat(100_000)])
      expect(await kept.credentials(name)).toBeUndefined()
  })

  test('an account is found by id without its hash', async () => {
    const kept = await accounts()
    const user = (await kept.create('ada', 'secret hash'))!
    expect(await kept.find(user.id)).toEqual({ id: user.id, username: 'ada' })
    expect(await kept.find('nobody')).toBeUndefined()
    expect(await kept.credentials('nobody')).toBeUndefined()
  })

  test('a hash is replaced only while it is the one that was read', async () => {
    const kept = await accounts()
    const { id } = (await kept.create('ada', 'first'))!
    expect(await kept.replacePassword(id, 'first', 'second')).toBe(true)
    expect(await kept.replacePassword(id, 'first', 'third')).toBe(false)
    expect((await kept.credentials('ada'))?.hash).toBe('second')
  })
})
