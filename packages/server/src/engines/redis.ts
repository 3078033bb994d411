/** Records in Redis or Valkey, through ioredis. */
import { redis } from 'sojourn/store/redis'
import type { RedisPlace } from '../place.js'
import { driver, type Engine, type EngineContext, PATIENCE } from './engine.js'

/** Connects, and goes on trying for as long as it is open. Throws without ioredis. */
export async function redisEngine(place: RedisPlace, { clock }: EngineContext): Promise<Engine> {
  const { Redis, Cluster } = await driver('ioredis', () => import('ioredis'))
  const { as, nodes, username, password, db, tls, master } = place
  const common = {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls ? { tls: {} } : {}),
    // A command is given up rather than kept waiting: the request that it is for is answered with 503 by then.
    maxRetriesPerRequest: 1,
    connectTimeout: PATIENCE,
    commandTimeout: PATIENCE,
  }
  const single = { ...common, db, retryStrategy: (times: number) => Math.min(times * 50, 1_000) }
  const client =
    as === 'cluster'
      ? new Cluster([...nodes], {
          redisOptions: common,
          slotsRefreshTimeout: PATIENCE,
          // Where names are in the certificates, they must not be looked up here (as AWS ElastiCache has it).
          ...(tls ? { dnsLookup: (address, found) => found(null, address) } : {}),
        })
      : as === 'sentinel'
        ? new Redis({
            ...single,
            sentinels: [...nodes],
            name: master!,
            ...(tls ? { enableTLSForSentinelMode: true } : {}),
          })
        : new Redis({ ...single, ...nodes[0]! })
  // What an attempt says is kept: the command that fails for it says only that it did.
  let said: Error | undefined
  client.on('error', (error: Error) => {
    said = error
  })
  // Handed no clock but a test's: with the machine's own, Redis forgets on the millisecond.
  const timed = clock === Date.now ? {} : { clock }
  return {
    store: (table) => redis(client, { prefix: PREFIX[table] ?? `${table.replace('_', ':')}:`, ...timed }),
    async ready() {
      said = undefined
      try {
        // The driver tells of a database that is refused in an event alone, and goes on in the first one.
        if (client instanceof Redis && db !== 0) await client.select(db).catch(refused)
        await client.ping()
      } catch (error) {
        throw error instanceof TypeError ? error : (said ?? error)
      }
    },
    close: async () => client.disconnect(),
  }
}

/** Throws a `TypeError` for what says to choose another database, and anything else as it is. */
function refused(error: Error): never {
  if (!/DB index|out of range/i.test(error.message)) throw error
  throw new TypeError(
    'it has no database of this number; most have 0 to 15. Correct the number at the end of the address',
  )
}

/** Sessions have the prefix that the library gives them, so that an app's own and this server's are found in one place. */
const PREFIX: Partial<Record<string, string>> = { sojourn_sessions: 'sojourn:' }
