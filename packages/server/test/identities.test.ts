/** Which account an identity of a provider opens. */

import type { Identity } from '@sojourn/server/identity/identities'
import { describe, expect, test } from 'vitest'
import { KEPT } from './kept.js'

const GITHUB = 'https://github.com'
const STAFF = 'https://id.staff.example'
const octocat: Identity = { issuer: GITHUB, sub: '583231', label: 'octocat' }

describe.each(KEPT)('identities in %s', (_, use) => {
  const open = use()
  const opened = async () => {
    const kept = await open(() => 1000)
    await kept.ready()
    return kept
  }

  test('6.8.1: the pair of issuer and subject opens the account, and nothing less does', async () => {
    const { identities } = await opened()
    const user = await identities.create('octocat', octocat)
    expect(user).toMatchObject({ username: 'octocat' })
    expect(await identities.find(GITHUB, '583231')).toEqual(user)
    expect(await identities.find(STAFF, '583231')).toBeUndefined()
    expect(await identities.find(GITHUB, 'octocat')).toBeUndefined()
    expect(await identities.list(user!.id)).toEqual([{ ...octocat, linkedAt: 1000 }])
  })

  test('the account has no password that fits', async () => {
    const { accounts, identities } = await opened()
    const user = await identities.create('octocat', octocat)
    expect(await accounts.credentials('OctoCat')).toEqual({ user, hash: '' })
  })

  test('of two first sign-ins with one identity both get one account, and no second is left over', async () => {
    const { accounts, identities } = await opened()
    const [one, two] = await Promise.all([identities.create('octocat', octocat), identities.create('other', octocat)])
    expect(two).toEqual(one)
    const left = await Promise.all(['octocat', 'other'].map((name) => accounts.credentials(name)))
    expect(left.filter((found) => found !== undefined)).toEqual([{ user: one, hash: '' }])
  })

  test('a taken name makes nothing', async () => {
    const { accounts, identities } = await opened()
    const ada = await accounts.create('octocat', 'a hash')
    expect(await identities.create('OCTOCAT', octocat)).toBeUndefined()
    expect(await identities.find(GITHUB, '583231')).toBeUndefined()
    expect(await identities.list(ada!.id)).toEqual([])
  })

  test('linked to the account: again is the same, another account or another identity of the issuer is refused', async () => {
    const { accounts, identities } = await opened()
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
    const { accounts, identities } = await opened()
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

  test('of two ways in that are taken away at once, one stays', async () => {
    const { identities } = await opened()
    for (let round = 0; round < 20; round++) {
      const user = (await identities.create(`user-${round}`, { ...octocat, sub: `hub ${round}` }))!
      await identities.link(user.id, { issuer: STAFF, sub: `staff ${round}`, label: 'o' })
      const both = [identities.unlink(user.id, GITHUB, [STAFF]), identities.unlink(user.id, STAFF, [GITHUB])]
      expect((await Promise.all(both)).toSorted()).toEqual(['last', 'unlinked'])
      expect(await identities.list(user.id)).toHaveLength(1)
    }
  })

  test('of many first sign-ins at once with one identity, all get one account', async () => {
    const { accounts, identities } = await opened()
    for (let round = 0; round < 10; round++) {
      const one = { ...octocat, sub: `sub ${round}` }
      const names = Array.from({ length: 6 }, (_, i) => `n-${round}-${i % 3}`)
      const made = await Promise.all(names.map((name) => identities.create(name, one)))
      const owner = await identities.find(GITHUB, one.sub)
      for (const user of made) expect(user).toEqual(owner)
      const accountsMade = await Promise.all(names.slice(0, 3).map((name) => accounts.credentials(name)))
      expect(accountsMade.filter((found) => found !== undefined)).toHaveLength(1)
    }
  })

  test('what is linked by several at once is one account’s, and what was taken off it can be another’s', async () => {
    const { accounts, identities } = await opened()
    const users = await Promise.all(['ada', 'bob', 'eve'].map((name) => accounts.create(name, 'a hash')))
    const outcomes = await Promise.all(users.map((user) => identities.link(user!.id, octocat)))
    expect(outcomes.toSorted()).toEqual(['linked', 'other-user', 'other-user'])
    const owner = users[outcomes.indexOf('linked')]!
    const other = users[outcomes.indexOf('other-user')]!
    expect(await identities.find(GITHUB, octocat.sub)).toEqual(owner)
    expect((await Promise.all(users.map((user) => identities.list(user!.id)))).flat()).toHaveLength(1)
    expect(await identities.unlink(owner.id, GITHUB, [])).toBe('unlinked')
    expect(await identities.find(GITHUB, octocat.sub)).toBeUndefined()
    expect(await identities.link(other.id, octocat)).toBe('linked')
    expect(await identities.find(GITHUB, octocat.sub)).toEqual(other)
  })
})
