/** Records and accounts in SQLite, in files of their own unless one is named. */
import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { sqlite } from 'sojourn/store/sqlite'
import { sqliteAccounts } from '../accounts/sqlite.js'
import { sqliteCarts } from '../carts/sqlite.js'
import { openDatabase } from '../database.js'
import { sqliteIdentities } from '../identity/sqlite.js'
import { type PathPlace, pathOf } from '../place.js'
import { faulting } from '../repositories.js'
import { createCountStore } from '../throttle-store.js'
import type { Engine, EngineContext } from './engine.js'

/** On the disk of this machine. Tables are made and brought up to date when they are first used. */
export function sqliteEngine(place: PathPlace, { data, clock }: EngineContext): Engine {
  return {
    store: (table) => sqlite(pathOf(place, data), { durability: 'full', clock, table }),
    repositories() {
      const file = place.path ?? join(data, 'accounts.db')
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
      const database = openDatabase(file)
      const one = database.prepare('SELECT 1 FROM accounts LIMIT 1')
      const carts = faulting(sqliteCarts(database, clock))
      const counts = createCountStore(database, clock)
      return {
        accounts: faulting(sqliteAccounts(database, clock)),
        identities: faulting(sqliteIdentities(database, clock)),
        carts,
        counts,
        ready: async () => void one.get(),
        async sweep() {
          counts.sweep(clock())
          await carts.sweep()
        },
        close: async () => database.close(),
      }
    },
    ready: async () => {},
    close: async () => {},
  }
}
