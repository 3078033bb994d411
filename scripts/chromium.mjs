/** Where Chromium is, for the tests that look at pages with a real browser. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { run, say } from './setup.mjs'

const PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
]

/** Minutes that installing it may take. */
const PATIENCE = 8

/** The path of a Chromium that runs; installs Debian's where that is allowed. `undefined`: there is none. */
export function chromium() {
  return find() ?? (installable() && installFromDebian() ? find() : undefined)
}

function find() {
  // Asked for its version: Ubuntu puts a script at this path that only says to install something else.
  return [process.env.CHROMIUM_PATH, ...PLACES].find(
    (path) => path && existsSync(path) && spawnSync(path, ['--version'], { timeout: 20_000 }).status === 0,
  )
}

function installable() {
  const release = '/etc/os-release'
  return (
    process.getuid?.() === 0 &&
    existsSync(release) &&
    /^ID(_LIKE)?=.*(debian|ubuntu)/m.test(readFileSync(release, 'utf8'))
  )
}

function installFromDebian() {
  say('Installing Chromium with apt-get, for the tests of the pages')
  const options = { timeout: PATIENCE * 60_000, env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } }
  const apt = ['-y', '-q', '-o', 'DPkg::Lock::Timeout=120', '--no-install-recommends', 'install', 'chromium']
  return run('apt-get', ['update', '-q'], options) && run('apt-get', apt, options)
}
