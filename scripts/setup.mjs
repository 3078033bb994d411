/** What `npm start` and `npm test` share: the right Node, the dependencies that the lockfile names, a current build. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of the workspace. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)))

/**
 * One line of progress, on stderr: stdout is the server's own, or the test report's.
 * @param {string} line
 */
export const say = (line) => console.error(`· ${line}`)

/**
 * Stops with a message that says what to do.
 * @param {string} message
 * @returns {never}
 */
export function stop(message) {
  console.error(message)
  process.exit(1)
}

/**
 * Runs a program in the workspace, its output shown, and says whether it succeeded.
 * @param {string} program
 * @param {string[]} args
 * @param {import('node:child_process').SpawnSyncOptions} [options]
 */
export function run(program, args, options = {}) {
  // npm and npx are shell scripts on Windows, and only a shell starts those.
  const shell = process.platform === 'win32' && program !== process.execPath
  return spawnSync(program, args, { cwd: root, stdio: ['ignore', 2, 2], shell, ...options }).status === 0
}

/** Stops unless this Node is new enough. */
export function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > 20 || (major === 20 && minor >= 19)) return
  stop(`Sojourn needs Node 20.19 or newer; this is ${process.versions.node}. A newer one: https://nodejs.org`)
}

/** Installs what the lockfile names, unless it is there. */
export function install() {
  if (installed()) return
  say('Installing the dependencies (once; about a minute where SQLite has to be compiled)')
  // `--include=dev`: the compiler is one of them, and NODE_ENV=production would leave it out.
  if (run('npm', ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'])) return
  stop('The dependencies could not be installed. `npm ci` says more; it needs the npm registry, or a filled cache.')
}

/** Compares versions, not dates: a fresh clone or a restored cache gives every file a date that means nothing. */
function installed() {
  const present = packages(join(root, 'node_modules', '.package-lock.json'))
  const wanted = Object.entries(packages(join(root, 'package-lock.json')))
  return wanted.every(([path, { version, optional }]) => {
    if (path === '') return true
    // An optional one may be absent: made for another platform, or impossible to build on this one.
    if (!present[path]) return optional === true
    return present[path].version === version && existsSync(join(root, path))
  })
}

/**
 * @param {string} lockfile
 * @returns {Record<string, { version?: string, optional?: boolean }>}
 */
function packages(lockfile) {
  return existsSync(lockfile) ? JSON.parse(readFileSync(lockfile, 'utf8')).packages : {}
}

/** Compiles the packages; the compiler itself passes over what has not changed. */
export function build() {
  if (!existsSync(join(root, 'packages', 'server', 'dist'))) say('Building')
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  if (!run(process.execPath, [tsc, '-b', 'packages/sojourn', 'packages/server']))
    stop('The build failed; the lines above say where.')
  for (const name of ['sojourn', 'server']) prune(join(root, 'packages', name))
}

/**
 * Removes what was built from a file that is gone: the compiler leaves it, and it would be published.
 * @param {string} folder
 */
function prune(folder) {
  for (const entry of readdirSync(join(folder, 'dist'), { recursive: true, withFileTypes: true })) {
    const built = join(entry.parentPath, entry.name)
    const [path, extension] = relative(join(folder, 'dist'), built).split(/(\.(?:d\.ts|js)(?:\.map)?)$/)
    const source = join(folder, 'src', path ?? '')
    if (extension && !existsSync(`${source}.ts`) && !existsSync(`${source}.tsx`)) rmSync(built)
  }
}
