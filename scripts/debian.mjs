/** Installs the programs that tests run against, where this system is Debian's and we may. */
import { existsSync, readFileSync } from 'node:fs'
import { find, PROGRAMS } from './programs.mjs'
import { run, say } from './setup.mjs'

/** Minutes that installing them may take. */
const PATIENCE = 8

/** Makes programs available, and leaves in the environment where each is; says which could not be had. */
export function providePrograms() {
  const all = /** @type {import('./programs.mjs').Program[]} */ (Object.keys(PROGRAMS))
  const missing = all.filter((program) => !find(program))
  if (missing.length > 0 && installable()) installFromDebian(missing.map((program) => PROGRAMS[program].debian))
  for (const program of all) {
    const { variable, why } = PROGRAMS[program]
    const path = find(program)
    if (path) process.env[variable] = path
    else say(`SKIPPED: ${why}. There is no ${program}; set ${variable}, or install it`)
  }
}

function installable() {
  const release = '/etc/os-release'
  return (
    process.getuid?.() === 0 &&
    existsSync(release) &&
    /^ID(_LIKE)?=.*(debian|ubuntu)/m.test(readFileSync(release, 'utf8'))
  )
}

/** @param {string[]} packages */
function installFromDebian(packages) {
  say(`Installing ${packages.join(', ')} with apt-get, for the tests`)
  // Debian starts a database as it installs it; the tests start their own.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  const options = { timeout: PATIENCE * 60_000, env }
  const apt = ['-y', '-q', '-o', 'DPkg::Lock::Timeout=120', '--no-install-recommends', 'install', ...packages]
  return run('apt-get', ['update', '-q'], options) && run('apt-get', apt, options)
}
