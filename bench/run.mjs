/**
 * Measures Sojourn against its peers, all in the same run. The tables go to stdout as Markdown, progress to stderr.
 *
 *   npm run bench                       all of it, about forty minutes
 *   npm run bench -- --quick            a glance of five minutes, indicative only, without the million
 *   npm run bench -- --only floor       only these contenders (may be repeated), and no table of growth
 *   npm run bench -- --growth           only what many sessions cost
 *   npm run bench -- --check            only what the targets speak of, longer; exits 1 when one is missed
 *   npm run bench -- --json FILE        the figures as well
 *   npm run bench -- --write-docs       the tables into docs/benchmarks.md as well
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { stop } from '../scripts/setup.mjs'
import { contenders, refuseStrangers } from './contenders.mjs'
import { writeDocs } from './docs.mjs'
import { install } from './install.mjs'

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    growth: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    json: { type: 'string' },
    'write-docs': { type: 'boolean', default: false },
  },
})
const sizes = flags.quick ? [10_000, 100_000] : [10_000, 100_000, 1_000_000]
const times = flags.quick
  ? { rounds: 1, warmup: 1, slices: 1, seconds: 1, sessions: 200 }
  : {
      ...(flags.check ? { rounds: 5, slices: 2 } : { rounds: 3, slices: 1 }),
      warmup: 2,
      seconds: 3,
      sessions: 1000,
    }
const plan = { ...times, firstSight: 16_000, sizes }

refuseStrangers(flags.only, contenders)
const parts = [flags.only.length > 0 && '--only', flags.growth && '--growth', flags.check && '--check'].filter(Boolean)
if (parts.length > 1) stop(`${parts.join(' and ')} are different parts; drop one`)
if (parts.length > 0 && flags['write-docs']) stop(`--write-docs is for all of it; drop ${parts[0]}`)

const began = performance.now()
const say = (line) => console.error(`${Math.round((performance.now() - began) / 1000)} s · ${line}`)

install()
// Not before: these need what the installation brings.
const { requests } = await import('./requests.mjs')
const { growth, memoryFigures } = await import('./growth.mjs')
const { needed, targets } = await import('./targets.mjs')
const report = await import('./report.mjs')

const tables = [report.setting(plan)]
const results = {}
if (!flags.growth) {
  const names = flags.check ? needed : flags.only
  Object.assign(results, await requests(names, plan, say, flags.check).catch((error) => stop(error.message)))
  tables.push(report.requestTable(results), ...[report.commandTable(results)].filter(Boolean))
}
if (flags.growth || parts.length === 0) {
  results.growth = await growth(plan, say)
  tables.push(report.growthTable(results.growth))
}
if (flags.check || (flags.only.length === 0 && !flags.quick)) {
  results.memory = await memoryFigures(say)
  tables.push(report.memoryTable(results.memory))
}
if (results.contenders && results.memory) {
  results.targets = targets(results)
  tables.push(report.targetTable(results.targets))
}

const markdown = tables.join('\n\n')
console.log(markdown)
if (flags.json) writeFileSync(flags.json, `${JSON.stringify({ node: process.version, plan, ...results }, null, 2)}\n`)
if (flags['write-docs']) writeDocs('bench', markdown)

// Where there is no engine there is no figure; in CI nobody would notice.
const missed = results.targets?.filter(({ met, reason }) => !met && (!reason || process.env.CI)) ?? []
if (flags.check && missed.length > 0) {
  if (process.versions.node.startsWith('20.')) stop(`${missed.length} of ${results.targets.length} targets missed`)
  say('targets are missed, but they are set for Node 20')
}
