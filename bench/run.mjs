/**
 * Measures Sojourn against its peers, all in the same run. The tables go to stdout as Markdown, progress to stderr.
 *
 *   npm run bench                       all of it, about half an hour
 *   npm run bench -- --quick            a glance, indicative only, without the million
 *   npm run bench -- --only floor       only these contenders (may be repeated), and no table of growth
 *   npm run bench -- --check            only what the targets speak of; exits 1 when one is missed
 *   npm run bench -- --json FILE        the figures as well
 *   npm run bench -- --write-docs       the tables into docs/benchmarks.md as well
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { stop } from '../scripts/setup.mjs'
import { contenders } from './contenders.mjs'
import { install } from './install.mjs'

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    check: { type: 'boolean', default: false },
    json: { type: 'string' },
    'write-docs': { type: 'boolean', default: false },
  },
})
const plan = flags.quick
  ? { rounds: 1, warmup: 1, seconds: 1, sessions: 200, distinct: 16_000, sizes: [10_000, 100_000], growthRounds: 1 }
  : {
      rounds: 5,
      warmup: 2,
      seconds: 4,
      sessions: 1000,
      distinct: 16_000,
      sizes: [10_000, 100_000, 1_000_000],
      growthRounds: 3,
    }

const names = contenders.map(({ name }) => name)
const stranger = flags.only.find((name) => !names.includes(name))
if (stranger) stop(`--only ${stranger}: there is ${names.join(', ')}`)
if (flags.check && flags.only.length > 0) stop('--check measures what the targets speak of; drop --only')

const began = performance.now()
const say = (line) => console.error(`${Math.round((performance.now() - began) / 1000)} s · ${line}`)

install()
// Not before: these need what the installation brings.
const { requests } = await import('./requests.mjs')
const { growth, memoryFigures } = await import('./growth.mjs')
const { needed, targets } = await import('./targets.mjs')
const report = await import('./report.mjs')

const parts = [report.setting(plan)]
const results = await requests(flags.check ? needed : flags.only, plan, say).catch((error) => stop(error.message))
parts.push(report.requestTable(results))

if (flags.only.length === 0) {
  if (!flags.check) {
    results.growth = await growth(plan, say)
    parts.push(report.growthTable(results.growth))
  }
  if (!flags.quick || flags.check) {
    results.memory = await memoryFigures(say)
    parts.push(report.memoryTable(results.memory))
    results.targets = targets(results)
    parts.push(report.targetTable(results.targets))
  }
}

const markdown = parts.join('\n\n')
console.log(markdown)
if (flags.json) writeFileSync(flags.json, `${JSON.stringify({ node: process.version, plan, ...results }, null, 2)}\n`)
if (flags['write-docs']) writeDocs(markdown)

const missed = results.targets?.filter(({ met }) => !met) ?? []
if (flags.check && missed.length > 0) {
  if (process.versions.node.startsWith('20.')) stop(`${missed.length} of ${results.targets.length} targets missed`)
  say('targets are missed, but they are set for Node 20')
}

/** Puts the tables between the marks of the page. */
function writeDocs(tables) {
  const page = new URL('../docs/benchmarks.md', import.meta.url)
  const text = readFileSync(page, 'utf8')
  const marked = /(<!-- bench:begin -->\n)[\s\S]*(<!-- bench:end -->)/
  if (!marked.test(text)) stop('docs/benchmarks.md has lost its marks')
  writeFileSync(
    page,
    text.replace(marked, (_, begin, end) => `${begin}\n${tables}\n\n${end}`),
  )
}
