/** A newer Node beside this one: npm has it as a package, so that nothing else need be installed. */
import { spawnSync } from 'node:child_process'
import { root } from './setup.mjs'

/** The major version that is fetched: the active LTS. */
export const OTHER = '24'

/** The path of its binary; `undefined` when npm cannot fetch it. */
export function otherNode() {
  const args = ['-y', '-p', `node@${OTHER}`, 'node', '-p', 'process.execPath']
  const shell = process.platform === 'win32'
  const { status, stdout } = spawnSync('npx', args, { cwd: root, encoding: 'utf8', timeout: 300_000, shell })
  return status === 0 ? stdout.trim() : undefined
}
