/** Files of keys in the data folder: made on the first start, for their owner alone, and kept over restarts. */
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
import { join } from 'node:path'

/** A key in a file. The first one signs; one with an end is accepted until then. */
export interface KeptKey {
  /** Epoch milliseconds. */
  readonly until?: number
}

/** A file of keys of one kind. */
export interface KeyFile<K extends KeptKey> {
  readonly name: string
  /** A new key. */
  readonly generate: () => K
  /** Whether this is such a key, whatever its end. */
  readonly isKey: (value: Readonly<Record<string, unknown>>) => boolean
}

/** Longer than any session lasts: 400 days are the most that a browser keeps a cookie. */
const ACCEPTED_FOR = 400 * 24 * 3_600_000

/**
 * The keys of the file, the current one first; makes folder and key where there are none. Throws a `TypeError` when
 * others than the owner can read the file, or when it is not one of ours.
 */
export function loadKept<K extends KeptKey>(file: KeyFile<K>, data: string, now: number): K[] {
  mkdirSync(data, { recursive: true, mode: 0o700 })
  return current(read(file, data) ?? create(file, data), now)
}

/** Puts a new key before the others, which are accepted until the last session that they signed is over. */
export function addKept<K extends KeptKey>(file: KeyFile<K>, data: string, now: number): void {
  mkdirSync(data, { recursive: true, mode: 0o700 })
  const older = current(read(file, data) ?? [], now).map((key) => ({ ...key, until: key.until ?? now + ACCEPTED_FOR }))
  renameSync(write(data, [file.generate(), ...older]), join(data, file.name))
}

function current<K extends KeptKey>(keys: readonly K[], now: number): K[] {
  return keys.filter(({ until }) => until === undefined || until > now)
}

function read<K extends KeptKey>(file: KeyFile<K>, data: string): K[] | undefined {
  const path = join(data, file.name)
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
  const keys = parse(file, text)
  if (keys === undefined) {
    throw new TypeError(
      `keys: ${path} is not a list of keys; restore it from a backup, or delete it, which signs everybody out`,
    )
  }
  return keys
}

function parse<K extends KeptKey>({ isKey }: KeyFile<K>, text: string): K[] | undefined {
  const fits = (value: unknown) => {
    if (typeof value !== 'object' || value === null) return false
    const { until } = value as KeptKey
    return (until === undefined || Number.isFinite(until)) && isKey(value as Record<string, unknown>)
  }
  try {
    const keys: unknown = JSON.parse(text)
    return Array.isArray(keys) && keys.length > 0 && keys.every(fits) ? keys : undefined
  } catch {
    return undefined
  }
}

function create<K extends KeptKey>(file: KeyFile<K>, data: string): K[] {
  const made = write(data, [file.generate()])
  try {
    // A link, unlike a rename, fails where a process that starts at the same moment has been faster.
    linkSync(made, join(data, file.name))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    unlinkSync(made)
  }
  return read(file, data)!
}

/** Writes the keys beside their file, whole and on disk, and says where. */
function write(data: string, keys: readonly KeptKey[]): string {
  const beside = join(data, `.keys-${randomUUID()}.json`)
  const file = openSync(beside, 'wx', 0o600)
  try {
    writeSync(file, `${JSON.stringify(keys, null, 2)}\n`)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  return beside
}
