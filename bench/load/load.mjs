/** Drives a server with many sessions: `wrk` where it is installed, `autocannon` elsewhere, one for a whole run. */
import { execFile, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const exec = promisify(execFile)
const here = (name) => fileURLToPath(new URL(name, import.meta.url))
const has = (command, ...args) => spawnSync(command, args).error === undefined

/** How many connections the load keeps open, with one request under way on each. */
export const CONNECTIONS = 100

/** Whether processes can be pinned: the server to core 1, the load to core 0. */
export const pinned = spawnSync('taskset', ['-c', '1', 'true']).status === 0

/** The load generator of this run. */
export const generator = has('wrk', '--version') ? 'wrk' : 'autocannon'

/** The command, kept on one core where that is possible. */
export const pin = (core, command) => (pinned ? ['taskset', '-c', String(core), ...command] : command)

/** Loads the address for whole seconds with the sessions in `file`, a `Cookie` header per line; throws when a request fails. */
export async function load(url, seconds, file) {
  const command =
    generator === 'wrk'
      ? ['wrk', '-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '-s', here('wrk.lua'), url, '--', file]
      : [process.execPath, here('autocannon.mjs'), url, String(seconds), String(CONNECTIONS), file]
  const [program, ...args] = pin(0, command)
  const { stdout } = await exec(program, args)
  const result = JSON.parse(stdout.trim().split('\n').at(-1))
  if (result.failed > 0) throw new Error(`${result.failed} of ${result.requests} requests failed under load`)
  return result
}
