/** The packages as npm would publish them, installed as a user would, far away from the workspace. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { root } from './tree.js'

const execute = promisify(execFile)

/** A folder under the system's temporary one. */
export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), 'sojourn-packed-'))
}

/** Runs a program and answers with its stdout; throws with all that it said when it fails. */
export async function run(program: string, args: string[], cwd: string): Promise<string> {
  try {
    return (await execute(program, args, { cwd, maxBuffer: 1 << 26, timeout: 240_000 })).stdout
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    throw new Error(`${program} ${args.join(' ')} failed:\n${stdout}\n${stderr}`, { cause: error })
  }
}

/** What `npm pack` made. */
export interface Packed {
  readonly tarball: string
  /** The paths inside it. */
  readonly files: readonly string[]
}

/** Packs a package of the workspace into a folder. */
export async function pack(name: 'sojourn' | 'server', into: string): Promise<Packed> {
  const out = await run('npm', ['pack', '--json', '--pack-destination', into], join(root, 'packages', name))
  // One entry, in a list or under the package's name, by the version of npm.
  const [entry] = Object.values(JSON.parse(out) as Record<string, { filename: string; files: { path: string }[] }>)
  return { tarball: join(into, entry!.filename), files: entry!.files.map(({ path }) => path) }
}

/**
 * Installs tarballs into a new folder, and removes it when the callback is done. Install scripts do not run: what is
 * tried here is in the packages, not in what they may compile.
 */
export async function installed(tarballs: readonly string[], use: (folder: string) => Promise<void>): Promise<void> {
  const folder = temporaryFolder()
  try {
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'somebody', private: true, type: 'module' }))
    mkdirSync(join(folder, 'node_modules'))
    await run(
      'npm',
      ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', ...tarballs],
      folder,
    )
    await use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
