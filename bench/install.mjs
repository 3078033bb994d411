/** Brings what the benchmark needs: its own packages, and Sojourn built from the source as it is now. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkNode, install as installWorkspace, root, run, say, stop } from '../scripts/setup.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))

/** Installs what is missing or older than its lockfile, and builds the library. */
export function install() {
  checkNode()
  installWorkspace()
  if (!current()) {
    say('Installing what Sojourn is measured against')
    if (!run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: here })) {
      stop('The packages of bench/ could not be installed; the lines above say why.')
    }
  }
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  if (!run(process.execPath, [tsc, '-b', 'packages/sojourn'])) stop('The build failed; the lines above say where.')
}

function current() {
  const installed = join(here, 'node_modules', '.package-lock.json')
  return existsSync(installed) && statSync(installed).mtimeMs >= statSync(join(here, 'package-lock.json')).mtimeMs
}

/** Why an optional package is not there, in npm's own words. */
export function missing(name) {
  const { optionalDependencies } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'))
  const args = ['install', '--dry-run', '--no-save', `${name}@${optionalDependencies[name]}`]
  const { stderr } = spawnSync('npm', args, { cwd: root, encoding: 'utf8' })
  return /^npm error (?!code)(.*)$/m.exec(stderr)?.[1] ?? 'its installation failed'
}
