/** Records and accounts in MongoDB, through its official driver. */
import { mongodb } from 'sojourn/store/mongodb'
import { type Account, mongodbAccounts } from '../accounts/mongodb.js'
import { mongodbCarts } from '../carts/mongodb.js'
import { mongodbIdentities } from '../identity/mongodb.js'
import { faulting } from '../repositories.js'
import { driver, type Engine, type EngineContext, PATIENCE } from './engine.js'

/** What a majority has, from the primary: nothing that was answered is taken back by a failover. */
const OPTIONS = {
  readPreference: 'primary',
  readConcern: { level: 'majority' },
  writeConcern: { w: 'majority', journal: true, wtimeoutMS: 2 * PATIENCE },
} as const

/** Connects to the database that the address names, else to `sojourn`. Throws without mongodb. */
export async function mongodbEngine(url: string, { clock }: EngineContext): Promise<Engine> {
  const { MongoClient } = await driver('mongodb', () => import('mongodb'))
  let client: InstanceType<typeof MongoClient>
  try {
    client = new MongoClient(url, {
      serverSelectionTimeoutMS: PATIENCE,
      connectTimeoutMS: PATIENCE,
      // More than a write waits for its majority.
      socketTimeoutMS: 3 * PATIENCE,
      appName: 'sojourn',
    })
  } catch {
    // What it says may repeat the address.
    throw new TypeError('The address of MongoDB is none that its driver can read; compare it with its documentation')
  }
  const named = /^mongodb(?:\+srv)?:\/\/[^/?]+\/[^?]/.test(url)
  const db = client.db(named ? undefined : 'sojourn')
  const collection = <D extends { _id: string }>(name: string) => db.collection<D>(name, OPTIONS)
  return {
    store: (table) => mongodb(db, { collection: table, clock }),
    repositories() {
      const counts = mongodb(db, { collection: 'sojourn_throttle', clock })
      const people = collection<Account>('sojourn_accounts')
      let indexed: Promise<unknown> | undefined
      return {
        accounts: faulting(mongodbAccounts(people, clock)),
        identities: faulting(mongodbIdentities(people, clock)),
        carts: faulting(mongodbCarts(collection('sojourn_carts'), clock)),
        counts,
        async ready() {
          // People are looked up by their name, which is the document's own key, by their id, and by who they are elsewhere.
          indexed ??= Promise.all([
            people.createIndex({ id: 1 }, { name: 'sojourn_id' }),
            people.createIndex(
              { 'identities.key': 1 },
              {
                name: 'sojourn_identities',
                unique: true,
                partialFilterExpression: { 'identities.key': { $exists: true } },
              },
            ),
          ])
          await indexed.catch((error) => {
            indexed = undefined
            throw error
          })
          await people.findOne({ _id: '' })
        },
        sweep: async () => {},
        close: async () => counts.close(),
      }
    },
    ready: async () => void (await db.command({ ping: 1 })),
    close: () => client.close(),
  }
}
