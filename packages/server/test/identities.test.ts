/** Which account an identity of a provider opens. */

import { sqliteAccounts } from '@sojourn/server/accounts/sqlite'
import { openDatabase } from '@sojourn/server/database'
import type { Identity } from '@sojourn/server/identity/identities'
import { sqliteIdentities } from '@sojourn/server/identity/sqlite'
import { describe, expect, onTestFinished, test } from 'vitest'

const GITHUB = 'https://github.com'
const STAFF = 'https://id.staff.example'
const octocat: Identity = { issuer: GITHUB, sub: '583231', label: 'octocat' }

function opened() {
  const database = openDatabase(':memory:')
  onTestFinished(() => database.close())
  return { accounts: sqliteAccounts(database, () => 1000), identities: sqliteIdentities(database, () => 1000) }
}

describe('identities', () => {
  test('6.8.1: the pair of issuer and subject opens the account, and nothing less does', async () => {
    const { identities } = opened()
    const user = await identities.create('octocat', octocat)
    expect(user).toMatchObject({ username: 'octocat' })
    expect(await identities.find(GITHUB, '583231')).toEqual(user)
    expect(await identities.find(STAFF, '583231')).toBeUndefined()
    expect(await identities.find(GITHUB, 'octocat')).toBeUndefined()
    expect(await identities.list(user!.id)).toEqual([{ ...octocat, linkedAt: 1000 }])
  })

  test('the account has no password that fits', async () => {
    const { accounts, identities } = opened()
    const user = await identities.create('octocat', octocat)
    expect(await accounts.credentials('OctoCat')).toEqual({ user, hash: '' })
  })

  test('of two first sign-ins with one identity both get one account, and no second is left over', async () => {
    const { accounts, identities } = opened()
    const [one, two] = await Promise.all([identities.create('octocat', octocat), identities.create('other', octocat)])
    expect(two).toEqual(one)
    expect(await accounts.credentials('other')).toBeUndefined()
  })

  test('a taken name makes nothing', async () => {
    const { accounts, identities } = opened()
    const ada = await accounts.create('octocat', 'a hash')
    expect(await identities.create('OCTOCAT', octocat)).toBeUndefined()
    expect(await identities.find(GITHUB, '583231')).toBeUndefined()
    expect(await identities.list(ada!.id)).toEqual([])
  })

  test('linked to the account: again is the same, another account or another identity of the issuer is refused', async () => {
    const { accounts, identities } = opened()
    const ada = (await accounts.create('ada', 'a hash'))!
    const bob = (await accounts.create('bob', 'a hash'))!
    expect(await identities.link(ada.id, octocat)).toBe('linked')
    expect(await identities.link(ada.id, octocat)).toBe('linked')
    expect(await identities.link(bob.id, octocat)).toBe('other-user')
    expect(await identities.link(ada.id, { ...octocat, sub: '2' })).toBe('other-identity')
    expect(await identities.find(GITHUB, '2')).toBeUndefined()
    expect(await identities.list(bob.id)).toEqual([])
  })

  test('the last way in stays: a password is another one, an identity of an issuer that is configured too', async () => {
    const { accounts, identities } = opened()
    const user = (await identities.create('octocat', octocat))!
    expect(await identities.unlink(user.id, STAFF, [GITHUB])).toBe('absent')
    expect(await identities.unlink(user.id, GITHUB, [GITHUB])).toBe('last')
    await identities.link(user.id, { issuer: STAFF, sub: 'o', label: 'o' })
    expect(await identities.unlink(user.id, GITHUB, [])).toBe('last')
    expect(await identities.unlink(user.id, GITHUB, [STAFF])).toBe('unlinked')
    expect(await identities.unlink(user.id, STAFF, [GITHUB])).toBe('last')
    await accounts.replacePassword(user.id, '', 'a hash')
    expect(await identities.unlink(user.id, STAFF, [])).toBe('unlinked')
    expect(await identities.list(user.id)).toEqual([])
  })
})
