/** Where the programs are that tests run against: a browser, database servers, a proxy. Finds; installs nothing. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** What a test can ask for: the variable that says where it is, and Debian's package that has it. */
export const PROGRAMS = {
  chromium: { variable: 'CHROMIUM_PATH', debian: 'chromium', why: 'the tests of the pages' },
  redis: { variable: 'REDIS_SERVER', debian: 'redis-server', why: 'the tests on Redis' },
  postgres: { variable: 'POSTGRES_BIN', debian: 'postgresql', why: 'the tests on PostgreSQL' },
  nginx: { variable: 'NGINX', debian: 'nginx-light', why: 'the tests behind nginx' },
}

/** @typedef {keyof typeof PROGRAMS} Program */

const CHROMIUM = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
]

/**
 * The path of a program that runs; of PostgreSQL, the folder of its programs. `undefined`: there is none here.
 * @param {Program} program
 * @returns {string | undefined}
 */
export function find(program) {
  const said = process.env[PROGRAMS[program].variable]
  return [...(said ? [said] : []), ...places(program)].find((path) => works(program, path))
}

/**
 * @param {Program} program
 * @returns {string[]}
 */
function places(program) {
  if (program === 'chromium') return CHROMIUM
  if (program === 'postgres') return [...postgresFolders(), ...onPath('initdb').map((path) => join(path, '..'))]
  return [
    ...onPath(program === 'redis' ? 'redis-server' : 'nginx'),
    ...(program === 'redis' ? onPath('valkey-server') : []),
  ]
}

/**
 * Debian keeps a folder for each major version; the newest first.
 * @returns {string[]}
 */
function postgresFolders() {
  const versions = '/usr/lib/postgresql'
  if (!existsSync(versions)) return []
  return readdirSync(versions)
    .toSorted((a, b) => Number(b) - Number(a))
    .map((version) => join(versions, version, 'bin'))
}

/** @param {string} name */
function onPath(name) {
  // A daemon's folder is not on everybody's path.
  return [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'].map((folder) =>
    join(folder, name),
  )
}

/**
 * Asked for its version: Ubuntu puts a script at Chromium's path that only says to install something else.
 * @param {Program} program
 * @param {string} path
 */
function works(program, path) {
  if (!existsSync(path)) return false
  if (program === 'postgres') return ['initdb', 'pg_ctl', 'postgres'].every((name) => existsSync(join(path, name)))
  return spawnSync(path, [program === 'nginx' ? '-v' : '--version'], { timeout: 20_000 }).status === 0
}
