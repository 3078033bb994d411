/** The secrets that sign sessions: made on the first start and kept in a file, so that a restart logs nobody out. */
import { randomUUID } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { generateSecret, type Key } from 'sojourn'

/** A key in the file. The first one signs; one with an end is accepted until then. */
interface KeptKey {
  readonly secret: string
  /** Epoch milliseconds. */
  readonly until?: number
}

/** Longer than any session lasts: 400 days are the most that a browser keeps a cookie. */
const ACCEPTED_FOR = 400 * 24 * 3_600_000

/**
 * The keys of the data folder, the current one first; makes folder and key where there are none. Throws a `TypeError`
 * when others than the owner can read the file, or when it is not one of ours.
 */
export function loadKeys(data: string, now: number): Key[] {
  const path = pathOf(data)
  mkdirSync(data, { recursive: true, mode: 0o700 })
  const kept = read(path) ?? create(path)
  return kept.filter(({ until }) => until === undefined || until > now).map(({ secret }) => ({ secret }))
}

/** Puts a new key before the others, which are accepted until the last session that they signed is over. */
export function addKey(data: string, now: number): void {
  const path = pathOf(data)
  mkdirSync(data, { recursive: true, mode: 0o700 })
  const older = (read(path) ?? [])
    .filter(({ until }) => until === undefined || until > now)
    .map(({ secret, until }) => ({ secret, until: until ?? now + ACCEPTED_FOR }))
  renameSync(write(path, [{ secret: generateSecret() }, ...older]), path)
}

function pathOf(data: string): string {
  return join(data, 'keys.json')
}

function read(path: string): KeptKey[] | undefined {
  let text: string
  try {
    // Windows has no such mode; there the folder's own rights must do.
    if (process.platform !== 'win32' && statSync(path).mode & 0o077) {
      throw new TypeError(
        `keys: others than the owner can read ${path}; run \`chmod 600 ${path}\`, and \`sojourn keys new\` if they may have`,
      )
    }
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  const keys = parse(text)
  if (keys === undefined) {
    throw new TypeError(
      `keys: ${path} is not a list of keys; restore it from a backup, or delete it, which signs everybody out`,
    )
  }
  return keys
}

function parse(text: string): KeptKey[] | undefined {
  try {
    const keys: unknown = JSON.parse(text)
    return Array.isArray(keys) && keys.length > 0 && keys.every(isKey) ? keys : undefined
  } catch {
    return undefined
  }
}

function isKey(value: unknown): value is KeptKey {
  if (typeof value !== 'object' || value === null) return false
  const { secret, until } = value as Record<string, unknown>
  return typeof secret === 'string' && (until === undefined || Number.isFinite(until))
}

function create(path: string): KeptKey[] {
  const made = write(path, [{ secret: generateSecret() }])
  try {
    // A link, unlike a rename, fails where a process that starts at the same moment has been faster.
    linkSync(made, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    unlinkSync(made)
  }
  return read(path)!
}

/** Writes the keys beside `path`, whole and on disk, and says where. */
function write(path: string, keys: readonly KeptKey[]): string {
  const beside = join(dirname(path), `.keys-${randomUUID()}.json`)
  const file = openSync(beside, 'wx', 0o600)
  try {
    writeSync(file, `${JSON.stringify(keys, null, 2)}\n`)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  return beside
}
