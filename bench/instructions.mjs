/**
 * What a session costs a request in instructions of the processor, outside of the kernel: unlike time, the same on a machine
 * that others keep busy, so that a loss of a twentieth shows. Needs Valgrind, under which a server is fifty times slower.
 *
 *   npm run bench:instructions                       what the targets speak of on node:http, about 20 minutes
 *   npm run bench:instructions -- --only raw-redis   only these contenders (may be repeated)
 *   npm run bench:instructions -- --write-docs       the table into docs/benchmarks.md as well
 *
 * V8's compiler and garbage collector, which work in bursts, are left out: no run is long enough to average them.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { stop } from '../scripts/setup.mjs'
import { contenders, refuseStrangers } from './contenders.mjs'
import { writeDocs } from './docs.mjs'
import { install } from './install.mjs'

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    'write-docs': { type: 'boolean', default: false },
  },
})
const [SESSIONS, WARMUP, COUNTED] = [20, 60_000, 10_000]
const BURSTS =
  /v8::internal::(?:\(anonymous namespace\)::)?(?:compiler|maglev|baseline)|Scaveng|Marking|MarkCompact|Sweep|Evacuat|IterateObjectCache/

if (spawnSync('valgrind', ['--version']).status !== 0)
  stop('There is no valgrind here; Debian has it in its package `valgrind`.')
install()
// Not before: these need what the installation brings.
const { engines, startEngines, stopEngines } = await import('./engines.mjs')
const { AT_ONCE, logins, reads, start } = await import('./measure.mjs')
const { table, versions, whole } = await import('./report.mjs')
const { absence, describe } = await import('./requests.mjs')
const { needed } = await import('./targets.mjs')

// At first sight it takes more credentials than a server under Valgrind can be asked with.
const onNode = contenders.filter(({ over, distinct }) => over === 'node-http' && !distinct)
refuseStrangers(flags.only, onNode)
if (flags.only.length > 0 && flags['write-docs']) stop('--write-docs is for all of it; drop --only')
const chosen = onNode.filter(({ name }) => (flags.only.length > 0 ? flags.only : needed).includes(name))

const folder = mkdtempSync(join(tmpdir(), 'sojourn-instructions-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

/** Instructions per request of a server that reads a session each time. */
async function count({ name, server: file, args, engine }, variant) {
  await engines.get(engine)?.empty()
  const out = join(folder, name)
  const valgrind = ['valgrind', '--tool=callgrind', '--quiet', '--smc-check=all-non-file', '--instr-atstart=no']
  const command = [...valgrind, `--callgrind-out-file=${out}`, process.execPath, '--single-threaded-gc']
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
  return perRequest(
    execFileSync('callgrind_annotate', ['--threshold=100', out], { encoding: 'utf8', maxBuffer: 2 ** 28 }),
  )
}

const control = (way, pid) => execFileSync('callgrind_control', ['-i', way, String(pid)], { stdio: 'ignore' })

/** What the lines `<instructions> (<share>) <function>` come to. */
function perRequest(text) {
  let [all, bursts] = [0, 0]
  for (const [, digits, what] of text.matchAll(/^ *([\d,]+) \([ \d.]+%\) +(.*)$/gm)) {
    const instructions = Number(digits.replaceAll(',', ''))
    if (what.startsWith('PROGRAM TOTALS')) all = instructions
    else if (BURSTS.test(what)) bursts += instructions
  }
  if (all === 0) throw new Error('callgrind_annotate told of no instruction')
  return (all - bursts) / COUNTED
}

const rows = []
const say = (...row) => {
  console.error(row.join(' · '))
  rows.push(row)
}

try {
  await startEngines(chosen.filter((contender) => !absence(contender)).flatMap(({ engine }) => engine ?? []))
  const bare = await count({ name: 'bare', server: 'node-http', args: [] }, 'bare')
  say('_node:http_', whole(bare), '')
  for (const contender of chosen) {
    const label = [contender.label, ...versions(describe(contender))].join(' ')
    const reason = absence(contender)
    if (reason) {
      say(label, `not measured: ${reason}`, '')
      continue
    }
    const found = await count(contender, 'unmodified')
    say(label, whole(found), whole(found - bare))
  }
} finally {
  await stopEngines()
}
const setting = `Node ${process.versions.node}; ${whole(COUNTED)} requests after ${whole(WARMUP)}, ${SESSIONS} sessions in turn, ${AT_ONCE} connections.`
const markdown = `${setting}\n\n${table(['', 'instructions per request', 'over bare'], rows)}`
console.log(markdown)
if (flags['write-docs']) writeDocs('instructions', markdown)
