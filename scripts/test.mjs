/**
 * `npm test`: everything, from a fresh clone, with all its own set-up. `npm test -- <pattern>` runs the test files
 * that match. The last line counts; in CI (the variable `CI`) a skipped test is a failure, since nobody reads it there,
 * but for those that `allowed-skips.mjs` names, each of which has a line of its own before the last.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { allowance } from './allowed-skips.mjs'
import { providePrograms } from './debian.mjs'
import { OTHER, otherNode } from './other-node.mjs'
import { build, checkNode, install, root, run, say } from './setup.mjs'

const STORE_SUITES = ['memory', 'sqlite', 'file', 'suite'].map((name) => `packages/sojourn/test/store-${name}`)

const patterns = process.argv.slice(2)
const total = { passed: 0, failed: 0, skipped: 0 }
/** @type {string[]} */
const allowed = []
let runs = 0
const reports = mkdtempSync(join(tmpdir(), 'sojourn-test-'))

checkNode()
install()
build()

providePrograms()

if (patterns.length > 0) vitest(process.execPath, patterns)
else {
  check()
  vitest(process.execPath, [])
  storesOnOtherNode()
}

rmSync(reports, { recursive: true, force: true })
for (const line of allowed) console.log(`ALLOWED TO BE SKIPPED: ${line}`)
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
process.exitCode = total.failed > 0 || (process.env.CI && total.skipped > allowed.length) ? 1 : 0

/** Types and lint: one failure when either complains. */
function check() {
  say('Checking types and style')
  if (!run('npm', ['run', '--silent', 'check'])) failure('npm run check')
}

/** SQLite has another driver on newer Nodes, so what the stores promise is proved there too. */
function storesOnOtherNode() {
  if (process.versions.node.startsWith(`${OTHER}.`)) return
  say(`Running the store suites once more, on Node ${OTHER}`)
  const node = otherNode()
  if (node) return vitest(node, STORE_SUITES)
  total.skipped += 1
  say(`SKIPPED: the store suites on Node ${OTHER}. npx could not fetch it from the npm registry`)
}

/**
 * Runs vitest on the given Node and adds up its report.
 * @param {string} node
 * @param {string[]} filters
 */
function vitest(node, filters) {
  const report = join(reports, `${runs++}.json`)
  const args = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...filters]
  const passed = run(node, [join(root, 'node_modules', 'vitest', 'vitest.mjs'), ...args], { stdio: ['ignore', 1, 2] })
  const before = total.failed
  try {
    add(JSON.parse(readFileSync(report, 'utf8')))
  } catch {
    return failure('vitest, which left no report')
  }
  // An error outside of any test, or no test at all, is in the exit code alone.
  if (!passed && total.failed === before) failure('vitest, outside of any test')
}

/** @typedef {{ name: string, status: string, assertionResults: { title: string, status: string }[] }} TestFile */

/** @param {{ testResults: TestFile[] }} report */
function add(report) {
  for (const file of report.testResults) {
    for (const { title, status } of file.assertionResults) {
      const counts = status === 'passed' || status === 'failed' ? status : 'skipped'
      total[counts] += 1
      const entry = counts === 'skipped' ? allowance(file.name, title) : undefined
      if (entry) allowed.push(`${title}: ${entry.why}`)
    }
    // A file that broke before its first test has nothing to list.
    if (file.status === 'failed' && file.assertionResults.length === 0) failure('a test file that could not be loaded')
  }
}

/** @param {string} what */
function failure(what) {
  total.failed += 1
  say(`FAILED: ${what}`)
}
