/**
 * How long a token is honoured in one process after another has ended it. Two processes on one SQLite file; prints a
 * table, as Markdown; exits 1 when the bound is broken.
 *
 *   npm run bench:revocation                 a thousand tokens, some four minutes
 *   npm run bench:revocation -- --quick      two hundred, about one
 */
import { parseArgs } from 'node:util'
import { install } from './install.mjs'

const { values: flags } = parseArgs({ options: { quick: { type: 'boolean', default: false } } })
const tokens = flags.quick ? 200 : 1000
// A cut lasts for the whole bound, and the store is left alone for a second after it; silence takes two seconds more.
const cuts = flags.quick ? 10 : 25
const silences = flags.quick ? 5 : 10

install()
// Not before: these need what the installation brings.
const { trial } = await import('./revocation/trial.mjs')
const { quantile } = await import('./statistics.mjs')

const rows = [
  { what: 'ended, polled', within: 100, samples: tokens },
  { what: 'ended, polled', within: 500, samples: tokens },
  { what: 'ended, pushed', within: 5_000, samples: tokens, push: true },
  { what: 'the store fails', within: 100, samples: cuts, cut: 'fails' },
  { what: 'the store fails', within: 500, samples: cuts, cut: 'fails' },
  { what: 'the store is silent', within: 500, samples: silences, cut: 'silent' },
]

/** Clocks count whole milliseconds, and a request is on its way for a moment before it is judged. */
const TOLERANCE = 1

const print = (cells) => console.log(`| ${cells.join(' | ')} |`)
print(['', 'bound, ms', 'tokens', 'median, ms', 'p99, ms', 'worst, ms', 'last honoured, ms', ''])
print(['---', ...Array.from({ length: 6 }, () => '--:'), '---'])
let broken = 0
for (const row of rows) {
  const measured = await trial(row)
  const refused = measured.map((token) => token.refused)
  const last = Math.max(...measured.map((token) => token.honoured))
  const kept = last <= row.within + TOLERANCE
  if (!kept) broken++
  const figures = [quantile(refused, 0.5), quantile(refused, 0.99), Math.max(...refused), last]
  print([row.what, row.within, row.samples, ...figures.map((ms) => ms.toFixed(1)), kept ? 'kept' : '**BROKEN**'])
}
process.exitCode = broken > 0 ? 1 : 0
