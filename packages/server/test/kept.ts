/** Where accounts and carts can be kept, for tests of what is promised of them. */
import { mongodbEngine } from '@sojourn/server/engines/mongodb'
import { postgresEngine } from '@sojourn/server/engines/postgres'
import { sqliteEngine } from '@sojourn/server/engines/sqlite'
import type { Repositories } from '@sojourn/server/repositories'
import { onTestFinished } from 'vitest'
import { usePostgres } from '../../sojourn/test/engines/postgres.js'
import { standInUrl } from './engines.js'
import { folder } from './started.js'

type Open = (clock: () => number) => Promise<Repositories>

/** The rows: a name, and what to call in a `describe`, which gives what opens an empty one inside of a test or hook. */
export const KEPT: readonly (readonly [name: string, use: () => Open])[] = [
  [
    'SQLite',
    () => async (clock) => {
      const kept = sqliteEngine({ kind: 'sqlite', path: undefined }, { data: folder(), clock }).repositories!()
      onTestFinished(() => kept.close())
      return kept
    },
  ],
  [
    'PostgreSQL',
    () => {
      const server = usePostgres({ fsync: 'off' })
      return async (clock) => {
        const engine = await postgresEngine(await server().database(), { data: '', clock })
        const kept = engine.repositories!()
        onTestFinished(async () => {
          await kept.close()
          await engine.close()
        })
        await engine.migrate!()
        return kept
      }
    },
  ],
  // A stand-in, NOT MongoDB.
  [
    'MongoDB (a stand-in)',
    () => async (clock) => {
      const engine = await mongodbEngine(await standInUrl(), { data: '', clock })
      const kept = engine.repositories!()
      onTestFinished(async () => {
        await kept.close()
        await engine.close()
      })
      return kept
    },
  ],
]
