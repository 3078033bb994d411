/** Records and accounts in PostgreSQL, through pg. */
import { migrate, postgres } from 'sojourn/store/postgres'
import { postgresAccounts } from '../accounts/postgres.js'
import { postgresCarts } from '../carts/postgres.js'
import { postgresIdentities } from '../identity/postgres.js'
import { faulting } from '../repositories.js'
import { driver, type Engine, type EngineContext, NotMigrated, PATIENCE, TABLES } from './engine.js'
import { layoutThere, migrateAccounts } from './postgres-layout.js'
import type { Sql } from './postgres-pool.js'

/** The store of the throttle's counts, which are records like any others. */
const COUNTS = 'sojourn_throttle'

/** A pool of ten connections. Throws without pg. */
export async function postgresEngine(url: string, { clock }: EngineContext): Promise<Engine> {
  const { default: pg } = await driver('pg', () => import('pg'))
  const pool = new pg.Pool({ connectionString: url, connectionTimeoutMillis: PATIENCE, application_name: 'sojourn' })
  // An idle connection that breaks ends nothing; the next query says if the trouble lasts.
  pool.on('error', () => {})
  const sql: Sql = async (text, values) => {
    // One more than its types know: after that, the connection is closed, so that a query without end holds no place.
    const query = { text, values: [...values], query_timeout: PATIENCE }
    const { rows, rowCount } = await pool.query<Record<string, unknown>>(query)
    return { rows, count: rowCount ?? 0 }
  }
  return {
    store: (table) => postgres(pool, { table, clock }),
    repositories() {
      const counts = postgres(pool, { table: COUNTS, clock })
      const carts = faulting(postgresCarts(sql, clock))
      return {
        accounts: faulting(postgresAccounts(sql, clock)),
        identities: faulting(postgresIdentities(sql, clock)),
        carts,
        counts,
        ready: () => layoutThere(sql),
        sweep: () => carts.sweep(),
        close: async () => counts.close(),
      }
    },
    ready: async () => void (await sql('SELECT 1', [])),
    async migrate() {
      const done = []
      for (const table of [...TABLES, COUNTS]) done.push({ table, ...(await migrate(pool, { table })) })
      done.push({ table: 'accounts and carts', ...(await migrateAccounts(pool)) })
      return done.map(({ table, from, to }) =>
        from === to
          ? `${table}: layout ${to} is there`
          : `${table}: ${from === 0 ? 'made' : `brought from layout ${from}`}, layout ${to}`,
      )
    },
    async laidOut() {
      for (const table of [...TABLES, COUNTS]) {
        const store = postgres(pool, { table, clock })
        // Its first verb looks at the table.
        await Promise.resolve(store.get('laid out?'))
          .catch(inOurWords)
          .finally(() => store.close())
      }
    },
    close: () => pool.end(),
  }
}

/** What the library says names an option of its own; here that is a flag. */
function inOurWords(error: Error): never {
  const text = error.message.replace(/, or set `migrate: true`$/, ', or give --migrate')
  throw text === error.message ? error : new NotMigrated(text, { cause: error })
}
