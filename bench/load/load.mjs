/** Drives a server with many sessions. */
import { execFile, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const exec = promisify(execFile)
const client = fileURLToPath(new URL('client.mjs', import.meta.url))
const works = (program, ...args) => spawnSync(program, args).status === 0

/** How many connections the load keeps open, with one request under way on each. */
export const CONNECTIONS = 100

/** Whether processes can be pinned: the server to core 1, the load to core 0. */
export const pinned = works('taskset', '-c', '1', 'true')

/** The load never sleeps, so that it has to make way for whoever else wants its core. */
const YIELDING = works('chrt', '-i', '0', 'true') ? ['chrt', '-i', '0'] : []

/** The command, kept on one core where that is possible. */
export const pin = (core, command) => (pinned ? ['taskset', '-c', String(core), ...command] : command)

/**
 * Loads the address for so many seconds with the sessions in `file`, a `Cookie` header per line, from where an earlier load
 * has come to; throws when a request fails.
 */
export async function load(url, seconds, file, earlier) {
  const command = [...YIELDING, process.execPath, client, url, seconds, CONNECTIONS, file, earlier].map(String)
  const [program, ...args] = pin(0, command)
  const { stdout } = await exec(program, args)
  const result = JSON.parse(stdout)
  if (result.failed > 0) throw new Error(`${result.failed} of ${result.requests} requests failed under load`)
  return result
}
