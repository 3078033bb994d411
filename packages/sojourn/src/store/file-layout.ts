/**
 * How a record is laid out in the file store's folder.
 *
 * It is a folder with two files: one that holds it, and an empty one, its head, whose name says which file that is,
 * which version, and until when. A name is made once and never again, so that to rename or to remove a head is a
 * compare-and-set between processes: of several who try, the file system lets one. Nobody holds a lock, and whoever is
 * killed leaves a record as it was before or as it is after.
 */
import { hash, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { Recent } from '../crypto/recent.js'
import type { SessionRecord } from '../types.js'
import * as disk from './file-disk.js'

/** Folders in which records and users are, by the first byte of their hash, so that none has too many. Made when needed. */
export const SHARDS: readonly string[] = Array.from({ length: 256 }, (_, n) => n.toString(16).padStart(2, '0'))

/** Where things are below the store's folder. Names are made of hashes alone, whatever ids are made of. */
export class Layout {
  readonly #root: string

  /** Makes what is missing of the store's folder, whoever else is just doing the same. */
  constructor(root: string) {
    this.#root = root
    disk.makeFolders(root)
    const there = disk.names(root)?.filter((name) => !name.startsWith('.') && name !== 'lost+found') ?? []
    if (there.some((name) => !PARTS.includes(name)) && !PARTS.every((part) => there.includes(part)))
      throw new TypeError('file: there are other things in this folder; give one that is empty, or is not there yet')
    for (const part of PARTS) disk.makeFolder(`${root}/${part}`)
  }

  /** The folder of a record, by the hash of its id. */
  record(hash: string): string {
    return `${this.#root}/records/${hash.slice(0, 2)}/${hash}`
  }

  /** The folder of a user, by the hash of the user's id: an empty file for each record. */
  user(hash: string): string {
    return `${this.#root}/users/${hash.slice(0, 2)}/${hash}`
  }

  /** A user's entry for the record in `folder`. */
  entry(folder: string, user: string, entry: string): string {
    return `${this.user(user)}/${folder.slice(folder.lastIndexOf('/') + 1)}_${entry}`
  }

  /** Where records are made before they are moved to their place. */
  get stage(): string {
    return `${this.#root}/${STAGE}`
  }

  /** Asked where something is not there: throws if that is because the disk is not. */
  present(): undefined {
    if (!disk.isThere(this.stage)) throw new Error('file: the folder of the store is gone, or its disk is not mounted')
  }

  /** A folder of records, or of users. */
  shard(part: 'records' | 'users', shard: string): string {
    return `${this.#root}/${part}/${shard}`
  }

  /** Removes what is left of a record whose head is gone. */
  discard(folder: string, { file, user, entry }: Head): void {
    disk.remove(`${folder}/${file}`)
    if (user) disk.remove(this.entry(folder, user, entry))
    disk.removeFolder(folder)
  }
}

const STAGE = 'stage'
const PARTS: readonly string[] = ['records', 'users', STAGE]

/** What names are made of: whatever an id is, on every file system this is one name and a plain one. */
export function hashed(text: string): string {
  return hash('sha256', Buffer.from(text, 'utf16le'), 'hex')
}

/** What stands in the name of a head. */
export interface Head {
  readonly name: string
  readonly version: number
  readonly expiresAt: number
  /** The name of the file that holds the record. */
  readonly file: string
  /** The hash of the user's id, and what the user's folder has for this record: empty for a guest. */
  readonly user: string
  readonly entry: string
  /** Whether the record only says that its session has a new identifier. */
  readonly replaced: boolean
}

/** A record as it stands in its file. */
export interface Kept {
  readonly id: string
  readonly record: SessionRecord
}

const maker = randomBytes(8).toString('hex')
let made = 0

/** What the names of records, users and what is being made look like. Nothing else is ever taken away. */
export const OURS: RegExp = /^[0-9a-f]{64}$|^[0-9a-f]{16}[0-9a-z]+$/

/** A name that no process has ever made, and none will make again. */
export function fresh(): string {
  return `${maker}${(++made).toString(36)}`
}

/** A record's file and head, as they would be named. `user` and `entry` are empty for a guest. */
export function layOut(id: string, record: SessionRecord, user: string, entry: string): { head: Head; text: string } {
  const { data, version, expiresAt, ...fields } = record
  const plain = !/\p{Surrogate}/u.test(data)
  // The data is JSON text already: on a line of its own it need not be escaped, but for what UTF-8 cannot say.
  const text = `${JSON.stringify({ id, ...fields, data: plain ? undefined : data })}\n${plain ? data : ''}`
  // The sum tells a file that a power cut has torn from one that is whole.
  const file = `${fresh()}.${crc32(text).toString(16)}`
  const replaced = data === ''
  const name = [version, expiresAt, file, user, entry, replaced ? 'r' : ''].join('_')
  return { head: { name, version, expiresAt, file, user, entry, replaced }, text }
}

/** The head among the names in a record's folder. */
export function headAmong(names: readonly string[]): Head | undefined {
  let newest: Head | undefined
  for (const name of names) {
    if (!name.includes('_')) continue
    const head = headOf(name)
    // Listed while it was renamed, a head may be there under both names.
    if (!newest || head.version > newest.version) newest = head
  }
  return newest
}

function headOf(name: string): Head {
  const [version, expiresAt, file = '', user = '', entry = '', kind] = name.split('_')
  return { name, version: Number(version), expiresAt: Number(expiresAt), file, user, entry, replaced: kind === 'r' }
}

/** A record, and the head that spoke of it. */
export interface Seen extends Kept {
  readonly head: Head
}

const seen = new Recent<Seen>()

/**
 * What was read of this folder lately. It is the record still if its head is still there under that name: a head is renamed
 * or removed with every change, at once, and no name is used again.
 */
export function seenLately(folder: string): Seen | undefined {
  return seen.get(folder, folder)
}

/** The record of a head; `undefined` when its file is gone (somebody was faster) or was torn by a power cut. */
export function read(folder: string, head: Head): Kept | undefined {
  const { file, version, expiresAt } = head
  const text = disk.text(`${folder}/${file}`)
  if (text === undefined || crc32(text).toString(16) !== file.slice(file.indexOf('.') + 1)) return undefined
  const line = text.indexOf('\n')
  const { id, data = text.slice(line + 1), ...fields } = JSON.parse(text.slice(0, line))
  // Frozen, since it is handed to everybody.
  Object.freeze(fields.device)
  const found: Seen = { id, record: Object.freeze({ ...fields, data, version, expiresAt }), head }
  seen.set(folder, found, folder, text.length)
  return found
}
