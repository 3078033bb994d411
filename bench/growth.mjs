/** What a session costs when there are many of them. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { extras, measure } from './measure.mjs'
import { median } from './statistics.mjs'

const exec = promisify(execFile)

/** How many calls of a store's verb are timed. */
const CALLS = { memory: 1_000_000, sqlite: 100_000 }

/** The verbs of both stores, and a request that reads a session over bare `node:http`, at each size. */
export async function growth(plan, say) {
  const rows = []
  for (const store of ['memory', 'sqlite']) {
    for (const sessions of plan.sizes) {
      const args = [store, sessions, CALLS[store]].map(String)
      const measured = await measure('sojourn-grown', args, 'node-http', plan)
      const row = { store, sessions, ...measured.facts, over: median(extras(measured)) }
      rows.push(row)
      say(`${store}, ${sessions} sessions: get ${Math.round(row.get)} ns, set ${Math.round(row.set)} ns`)
    }
  }
  return rows
}

/** The figures of `memory-million.mjs`: `{ figure, value, unit }` each. */
export async function memoryFigures(say) {
  say('memory and pauses with a million sessions')
  const file = fileURLToPath(new URL('memory-million.mjs', import.meta.url))
  const { stdout } = await exec(process.execPath, [file, '--json'])
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}
