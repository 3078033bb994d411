/**
 * What a session costs a request in instructions of the processor, outside of the kernel: unlike time, the same on a machine
 * that others keep busy, so that a loss of a twentieth shows. Needs Valgrind, under which a server is fifty times slower.
 *
 *   npm run bench:instructions                       what the targets speak of on node:http, about 20 minutes
 *   npm run bench:instructions -- --only raw-redis   only these contenders (may be repeated)
 *   npm run bench:instructions -- --write-docs       the table into docs/benchmarks.md as well
 *
 * V8's compiler and garbage collector, which work in bursts, are counted apart: no run is long enough to average them.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { stop } from '../scripts/setup.mjs'
import { contenders, versionOf } from './contenders.mjs'
import { writeDocs } from './docs.mjs'
import { install } from './install.mjs'

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    'write-docs': { type: 'boolean', default: false },
  },
})
const [SESSIONS, WARMUP, COUNTED] = [20, 60_000, 10_000]
const COMPILES = /v8::internal::(?:\(anonymous namespace\)::)?(?:compiler|maglev|baseline)/
const COLLECTS = /Scaveng|Marking|MarkCompact|Sweep|Evacuat|IterateObjectCache/

if (spawnSync('valgrind', ['--version']).status !== 0)
  stop('There is no valgrind here; Debian has it in its package `valgrind`.')
install()
// Not before: these need what the installation brings.
const { engines, noEngine, startEngines, stopEngines } = await import('./engines.mjs')
const { logins, reads, start } = await import('./measure.mjs')
const { needed } = await import('./targets.mjs')

const onNode = contenders.filter(({ over }) => over === 'node-http')
const stranger = flags.only.find((name) => !onNode.some((contender) => contender.name === name))
if (stranger) stop(`--only ${stranger}: there is ${onNode.map(({ name }) => name).join(', ')}`)
if (flags.only.length > 0 && flags['write-docs']) stop('--write-docs is for all of it; drop --only')
const names = flags.only.length > 0 ? flags.only : needed
const chosen = onNode.filter(
  ({ name, engine, distinct }) => names.includes(name) && !distinct && !(engine && noEngine(engine)),
)

const folder = mkdtempSync(join(tmpdir(), 'sojourn-instructions-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
const callgrind = (...args) => ['valgrind', '--tool=callgrind', '--smc-check=all-non-file', '--quiet', ...args]

/** Instructions per request of a server that reads a session each time. */
async function count({ name, server: file, args, engine }, variant) {
  await engines.get(engine)?.empty()
  const out = join(folder, name)
  const command = callgrind(
    '--instr-atstart=no',
    `--callgrind-out-file=${out}`,
    process.execPath,
    '--single-threaded-gc',
  )
  const server = await start(file, [variant, ...args], command)
  try {
    const cookies = variant === 'bare' ? ['theme=dark'] : await logins(server.url, SESSIONS)
    await reads(server.url, cookies, WARMUP)
    control('on', server.pid)
    await reads(server.url, cookies, COUNTED)
    control('off', server.pid)
  } finally {
    await server.stop()
  }
  return split(execFileSync('callgrind_annotate', ['--threshold=100', out], { encoding: 'utf8', maxBuffer: 2 ** 28 }))
}

const control = (way, pid) => execFileSync('callgrind_control', ['-i', way, String(pid)], { stdio: 'ignore' })

/** What the lines `<instructions> (<share>) <function>` come to, per request. */
function split(text) {
  const sums = { all: 0, compiling: 0, collecting: 0 }
  for (const [, digits, what] of text.matchAll(/^ *([\d,]+) \([ \d.]+%\) +(.*)$/gm)) {
    const instructions = Number(digits.replaceAll(',', '')) / COUNTED
    if (what.startsWith('PROGRAM TOTALS')) sums.all = instructions
    else if (COMPILES.test(what)) sums.compiling += instructions
    else if (COLLECTS.test(what)) sums.collecting += instructions
  }
  if (sums.all === 0) throw new Error('callgrind_annotate told of no instruction')
  return { ...sums, request: sums.all - sums.compiling - sums.collecting }
}

const whole = (value) => Math.round(value).toLocaleString('en')
const lines = [
  `Node ${process.versions.node}; ${whole(COUNTED)} requests after ${whole(WARMUP)}, ${SESSIONS} sessions in turn, 20 connections.`,
  '',
  '|  | instructions per request | over bare |',
  '| --- | --: | --: |',
]
const say = (line) => {
  console.log(line)
  lines.push(line)
}

console.log(lines.join('\n'))
try {
  await startEngines(chosen.flatMap(({ engine }) => engine ?? []))
  const bare = await count({ name: 'bare', server: 'node-http', args: [] }, 'bare')
  say(`| _node:http_ | ${whole(bare.request)} |  |`)
  for (const contender of chosen) {
    const { request } = await count(contender, 'unmodified')
    const versions = contender.packages.map(versionOf).filter(Boolean).join(', ')
    say(`| ${contender.label} (${versions}) | ${whole(request)} | ${whole(request - bare.request)} |`)
  }
} finally {
  await stopEngines()
}
if (flags['write-docs']) writeDocs('instructions', lines.join('\n'))
