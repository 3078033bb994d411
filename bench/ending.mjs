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
import { writeDocs } from './docs.mjs'
import { install } from './install.mjs'

const { values: flags } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, 'write-docs': { type: 'boolean', default: false } },
})
const samples = flags.quick ? 100 : 1000

install()
// Not before: these need what the installation brings.
const { engines, noEngine, startEngines, stopEngines } = await import('./engines.mjs')
const { trial } = await import('./revocation/trial.mjs')
const { quantile } = await import('./statistics.mjs')

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

/** Clocks count whole milliseconds, and a request is on its way for a moment before it is judged. */
const TOLERANCE = 1

const table = []
const print = (cells) => {
  table.push(`| ${cells.join(' | ')} |`)
  console.log(table.at(-1))
}
print(['store', 'bound, ms', 'sessions', 'median, ms', 'p99, ms', 'worst, ms', 'last honoured, ms', ''])
print(['---', ...Array.from({ length: 6 }, () => '--:'), '---'])
let broken = 0
try {
  for (const row of rows) {
    const reason = row.engine && noEngine(row.engine)
    if (reason) {
      print([row.what, row.within, '', '', '', '', '', `not measured: ${reason}`])
      continue
    }
    await startEngines(row.engine ? [row.engine] : [])
    await engines.get(row.engine)?.empty()
    const measured = await trial({ ...row, samples })
    const refused = measured.map((session) => session.refused)
    const last = Math.max(...measured.map((session) => session.honoured))
    const kept = last <= (row.within === 0 ? 0 : row.within + TOLERANCE)
    if (!kept) broken++
    const figures = [quantile(refused, 0.5), quantile(refused, 0.99), Math.max(...refused), last]
    const bound = row.within === 0 ? 'at once' : row.within
    print([row.what, bound, measured.length, ...figures.map((ms) => ms.toFixed(1)), kept ? 'kept' : '**BROKEN**'])
  }
} finally {
  await stopEngines()
}
if (flags['write-docs']) writeDocs('ending', `Node ${process.versions.node}.\n\n${table.join('\n')}`)
process.exitCode = broken > 0 ? 1 : 0
