/**
 * How long a session is honoured in one process after another has ended it, by the store that both share: asked each
 * time, through `cached` with the store's push, and through `cached` without. Prints a table, as Markdown; exits 1 when
 * a request was honoured that was sent later than the bound allows.
 *
 *   npm run bench:ending                    a thousand sessions for each row, some ten minutes
 *   npm run bench:ending -- --quick         a hundred, about one
 *   npm run bench:ending -- --write-docs    the table into docs/benchmarks.md as well
 */
import { parseArgs } from 'node:util'
import { install } from './install.mjs'

const { values: flags } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, 'write-docs': { type: 'boolean', default: false } },
})
const samples = flags.quick ? 100 : 1000

install()
// Not before: these need what the installation brings.
const { engines, noEngine, startEngines, stopEngines } = await import('./engines.mjs')
const { boundTable } = await import('./revocation/table.mjs')
const { trial } = await import('./revocation/trial.mjs')

/** What `cached` allows a store that pushes, and one that does not, milliseconds. */
const [PUSH, PULL] = [5_000, 1_000]
const rows = [
  { what: 'Redis', store: 'redis', push: 'redis', engine: 'redis' },
  { what: 'PostgreSQL', store: 'postgres', push: 'postgres-push', engine: 'postgres' },
  { what: 'SQLite', store: 'sqlite', push: 'sqlite' },
  { what: 'files', store: 'file' },
].flatMap(({ what, store, push, engine }) => [
  { what, engine, store, within: 0 },
  ...(push ? [{ what: `${what}, \`cached\`, pushed`, engine, store: push, within: PUSH, copies: 'pushed' }] : []),
  { what: `${what}, \`cached\`, no push`, engine, store, within: PULL, copies: 'polled' },
])

const table = boundTable('store', 'sessions')
try {
  for (const row of rows) {
    const reason = row.engine && noEngine(row.engine)
    if (reason) {
      table.absent(row.what, row.within, reason)
      continue
    }
    await startEngines(row.engine ? [row.engine] : [])
    await engines.get(row.engine)?.empty()
    table.row(row.what, row.within, await trial({ ...row, samples }))
  }
} finally {
  await stopEngines()
}
if (flags['write-docs']) table.write('ending')
process.exitCode = table.broken ? 1 : 0
