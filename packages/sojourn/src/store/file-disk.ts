/** What the file store asks of the disk. Whatever it fails with is told without its path. */
import fs from 'node:fs'

/** The text of a file; `undefined` when it is not there. */
export function text(path: string): string | undefined {
  return tried(() => fs.readFileSync(path, 'utf8'), 'ENOENT')
}

/** Writes a new file whole. `false`: its folder is not there. What fails halfway leaves nothing behind. */
export function write(path: string, text: string): boolean {
  try {
    return did(() => fs.writeFileSync(path, text, { flag: 'wx', mode: 0o600 }), 'ENOENT')
  } catch (error) {
    fs.rmSync(path, { force: true })
    throw error
  }
}

/** The names in a folder; `undefined` when there is none. */
export function names(folder: string): string[] | undefined {
  return tried(() => fs.readdirSync(folder), 'ENOENT')
}

/** The names in a folder, none when there is none, without holding up the event loop while there are many. */
export async function manyNames(folder: string): Promise<string[]> {
  try {
    return await fs.promises.readdir(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw failure(error)
  }
}

/** Makes a folder, and those on the way to it. */
export function makeFolders(path: string): void {
  tried(() => fs.mkdirSync(path, { recursive: true, mode: 0o700 }))
}

/** Makes a folder. `false`: it is there. */
export function makeFolder(path: string): boolean {
  return did(() => fs.mkdirSync(path, { mode: 0o700 }), 'EEXIST')
}

/** Moves a file. `false`: it is not there (any more). */
export function moveFile(from: string, to: string): boolean {
  return did(() => fs.renameSync(from, to), 'ENOENT')
}

/** Moves a folder to where none is, or an empty one. What is in the way: one with something in it, or no folder above. */
export function moveFolder(from: string, to: string): undefined | 'taken' | 'nowhere' {
  try {
    fs.renameSync(from, to)
    return undefined
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return 'taken'
    if (code === 'ENOENT' && fs.existsSync(from)) return 'nowhere'
    throw failure(error)
  }
}

/** Removes a file: `true` for exactly one of several callers. */
export function remove(path: string): boolean {
  return did(() => fs.unlinkSync(path), 'ENOENT')
}

/** Removes a folder, if it is empty. */
export function removeFolder(path: string): boolean {
  return did(() => fs.rmdirSync(path), 'ENOENT', 'ENOTEMPTY', 'EEXIST')
}

/** Removes a folder with what is in it. */
export function removeAll(path: string): void {
  tried(() => fs.rmSync(path, { recursive: true, force: true }))
}

/** Whether something is there. */
export function isThere(path: string): boolean {
  return fs.existsSync(path)
}

/** How long ago it was made, milliseconds; 0 when it is gone. */
export function age(path: string): number {
  const stat = fs.statSync(path, { throwIfNoEntry: false })
  return stat ? Date.now() - stat.mtimeMs : 0
}

/** Flushes a file, or a folder's names, to the disk. Somebody may have removed it since, which is as good. */
export async function flush(path: string): Promise<void> {
  try {
    const handle = await fs.promises.open(path, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw failure(error)
  }
}

function did(call: () => void, ...expected: string[]): boolean {
  return (
    tried(
      () => {
        call()
        return true
      },
      ...expected,
    ) ?? false
  )
}

function tried<T>(call: () => T, ...expected: string[]): T | undefined {
  try {
    return call()
  } catch (error) {
    if (expected.includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw failure(error)
  }
}

/** Node's messages quote paths, and ours are made of hashes. */
function failure(error: unknown): Error {
  const { code = 'an error', syscall = 'a call' } = error as NodeJS.ErrnoException
  return Object.assign(new Error(`file: the disk answered ${code} to ${syscall}`), { code })
}
