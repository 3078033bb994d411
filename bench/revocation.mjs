/**
 * How long a token is honoured in one process after another has ended it. Two processes on one SQLite file; prints a
 * table, as Markdown; exits 1 when the bound is broken.
 *
 *   npm run bench:revocation                 a thousand tokens, some four minutes
 *   npm run bench:revocation -- --quick      two hundred, about one
 *   npm run bench:revocation -- --write-docs the table into docs/benchmarks.md as well
 */
import { parseArgs } from 'node:util'
import { install } from './install.mjs'

const { values: flags } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, 'write-docs': { type: 'boolean', default: false } },
})
const tokens = flags.quick ? 200 : 1000
// A cut lasts for the whole bound, and the store is left alone for a second after it; silence takes two seconds more.
const cuts = flags.quick ? 10 : 25
const silences = flags.quick ? 5 : 10

install()
// Not before: these need what the installation brings.
const { boundTable } = await import('./revocation/table.mjs')
const { trial } = await import('./revocation/trial.mjs')

const rows = [
  { what: 'ended, polled', within: 100, samples: tokens },
  { what: 'ended, polled', within: 500, samples: tokens },
  { what: 'ended, pushed', within: 5_000, samples: tokens, push: true },
  { what: 'the store fails', within: 100, samples: cuts, cut: 'fails' },
  { what: 'the store fails', within: 500, samples: cuts, cut: 'fails' },
  { what: 'the store is silent', within: 500, samples: silences, cut: 'silent' },
]

const table = boundTable('', 'tokens')
for (const row of rows) table.row(row.what, row.within, await trial(row))
if (flags['write-docs']) table.write('revocation')
process.exitCode = table.broken ? 1 : 0
