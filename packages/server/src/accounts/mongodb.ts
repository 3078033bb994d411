/** Accounts in MongoDB. The name is the document's own key, so that it is unique from the first account on. */
import { type Accounts, nameOf, newUser } from '../accounts.js'
import { type Collection, insert } from '../engines/mongodb-collection.js'

/** An account as it is kept. */
export interface Account {
  /** The name, in the form that tells people apart. */
  _id: string
  id: string
  username: string
  password: string
  createdAt: number
  /** Who they are at providers; absent where that was never said. */
  identities?: { key: string; issuer: string; sub: string; label: string; linkedAt: number }[]
}

/** The accounts kept in `people`. */
export function mongodbAccounts(people: Collection<Account>, clock: () => number): Accounts {
  return {
    async find(id) {
      const found = await people.findOne({ id })
      return found ? { id, username: found.username } : undefined
    },
    async credentials(username) {
      const found = await people.findOne({ _id: nameOf(username) })
      return found ? { user: { id: found.id, username: found.username }, hash: found.password } : undefined
    },
    async create(username, hash) {
      const user = newUser(username)
      const made = await insert(people, nameOf(username), { ...user, password: hash, createdAt: clock() })
      return made ? user : undefined
    },
    async replacePassword(id, was, hash) {
      const { matchedCount } = await people.updateOne({ id, password: was }, { $set: { password: hash } })
      return matchedCount === 1
    },
  }
}
