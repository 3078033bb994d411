/** The databases that a server can be on, for tests of what it does there. */
import type { Config } from '@sojourn/server'
import { onTestFinished } from 'vitest'
import { StandIn } from '../../sojourn/test/engines/mongodb-stand-in.js'
import { usePostgres } from '../../sojourn/test/engines/postgres.js'
import { startRedis, useRedis } from '../../sojourn/test/engines/redis.js'

/** Where a test's server keeps things. */
export type Where = Pick<Config, 'store' | 'accounts' | 'migrate'>

/** The rows: a name, and what to call in a `describe`, which gives what makes an empty place inside of a test. */
export const ENGINES: readonly (readonly [name: string, use: () => () => Promise<Where>])[] = [
  ['SQLite', () => async () => ({ store: { kind: 'sqlite', path: undefined }, accounts: undefined, migrate: false })],
  [
    'a folder, accounts in SQLite',
    () => async () => ({ store: { kind: 'file', path: undefined }, accounts: undefined, migrate: false }),
  ],
  ['PostgreSQL', postgresWhere],
  ['Redis, accounts in SQLite', redisWhere],
  [
    'Redis, accounts in PostgreSQL',
    () => {
      const [redis, postgres] = [redisWhere(), postgresWhere()]
      return async () => ({ ...(await redis()), accounts: (await postgres()).store as never, migrate: true })
    },
  ],
  // A stand-in, NOT MongoDB: what is sent and how it is answered; nothing that MongoDB itself promises.
  [
    'MongoDB (a stand-in)',
    () => async () => {
      const url = await standInUrl()
      return { store: { kind: 'mongodb', url }, accounts: undefined, migrate: false }
    },
  ],
]

function postgresWhere(): () => Promise<Where> {
  const engine = usePostgres({ fsync: 'off' })
  return async () => ({
    store: { kind: 'postgres', url: await engine().database() },
    accounts: undefined,
    migrate: true,
  })
}

function redisWhere(): () => Promise<Where> {
  const server = useRedis(() => startRedis())
  return async () => {
    const { host, port } = server()
    await server().command('FLUSHALL')
    const none = { username: undefined, password: undefined, master: undefined }
    return {
      store: { kind: 'redis', as: 'single', nodes: [{ host, port }], db: 0, tls: false, ...none },
      accounts: undefined,
      migrate: false,
    }
  }
}

/** A stand-in for the length of a test; what it was asked and cannot do fails the test. */
export async function standInUrl(): Promise<string> {
  const standIn = await StandIn.listen()
  onTestFinished(async () => {
    await standIn.close()
    if (standIn.complaints.length > 0) throw new Error(`the stand-in does not implement: ${standIn.complaints}`)
  })
  return standIn.url
}
