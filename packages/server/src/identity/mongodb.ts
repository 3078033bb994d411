/**
 * Identities in MongoDB, inside of the account's document, so that account and identity are made, and the last way in is
 * kept, by one command. That an identity opens one account is the index `sojourn_identities`.
 */

import type { Account } from '../accounts/mongodb.js'
import { nameOf, newUser } from '../accounts.js'
import { type Collection, insert } from '../engines/mongodb-collection.js'
import type { User } from '../services.js'
import type { Identities, Identity } from './identities.js'

/** The identities kept in `people`. An account without a password has the empty text for a hash, which nothing matches. */
export function mongodbIdentities(people: Collection<Account>, clock: () => number): Identities {
  const find = async (issuer: string, sub: string): Promise<User | undefined> => {
    const found = await people.findOne({ 'identities.key': keyOf({ issuer, sub }) })
    return found ? { id: found.id, username: found.username } : undefined
  }
  const kept = ({ issuer, sub, label }: Identity) => ({
    key: keyOf({ issuer, sub }),
    issuer,
    sub,
    label,
    linkedAt: clock(),
  })

  return {
    find,

    async list(userId) {
      const identities = (await people.findOne({ id: userId }))?.identities ?? []
      return identities
        .map(({ issuer, sub, label, linkedAt }) => ({ issuer, sub, label, linkedAt }))
        .sort((a, b) => (a.issuer < b.issuer ? -1 : 1))
    },

    async create(username, identity) {
      const known = await find(identity.issuer, identity.sub)
      if (known) return known
      const user = newUser(username)
      const fields = { ...user, password: '', createdAt: clock(), identities: [kept(identity)] }
      // The name is taken, or the identity is somebody's since a moment ago.
      return (await insert(people, nameOf(username), fields)) ? user : find(identity.issuer, identity.sub)
    },

    async link(userId, identity) {
      const free = { id: userId, 'identities.issuer': { $ne: identity.issuer } }
      try {
        const { matchedCount } = await people.updateOne(free, { $push: { identities: kept(identity) } })
        if (matchedCount === 1) return 'linked'
      } catch (error) {
        if ((error as { code?: unknown } | null)?.code !== DUPLICATE) throw error
      }
      const known = await find(identity.issuer, identity.sub)
      if (known === undefined) return 'other-identity'
      return known.id === userId ? 'linked' : 'other-user'
    },

    async unlink(userId, issuer, others) {
      const another = { 'identities.issuer': { $in: others.filter((one) => one !== issuer) } }
      const { matchedCount } = await people.updateOne(
        { id: userId, 'identities.issuer': issuer, $or: [{ password: { $ne: '' } }, another] },
        { $pull: { identities: { issuer } } },
      )
      if (matchedCount === 1) return 'unlinked'
      return (await people.findOne({ id: userId, 'identities.issuer': issuer })) ? 'last' : 'absent'
    },
  }
}

const DUPLICATE = 11_000

function keyOf({ issuer, sub }: { readonly issuer: string; readonly sub: string }): string {
  return JSON.stringify([issuer, sub])
}
