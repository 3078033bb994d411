/**
 * The records of a file store: each verb a short walk through names that are renamed or removed once. Before a step that
 * builds on an earlier one, the walk says what has to be on the disk by then (`yield`).
 */
import type { SessionRecord } from '../types.js'
import * as disk from './file-disk.js'
import {
  fresh,
  type Head,
  hashed,
  headAmong,
  type Kept,
  type Layout,
  layOut,
  read,
  SHARDS,
  seenLately,
} from './file-layout.js'
import { breather } from './file-sweeper.js'

/** A write, step by step: each step is what must reach the disk before the next, where that is asked for. */
export type Steps<T> = Generator<string, T, void>

/** The verbs of the store. Reading is done at once, writing in steps. */
export class Records {
  readonly #at: Layout
  readonly #clock: () => number

  constructor(layout: Layout, clock: () => number) {
    this.#at = layout
    this.#clock = clock
  }

  get(id: string): SessionRecord | undefined {
    return this.#read(this.#at.record(hashed(id)))?.record
  }

  *set(id: string, record: SessionRecord, was: number): Steps<boolean> {
    const folder = this.#at.record(hashed(id))
    if (record.expiresAt > this.#clock()) {
      return was === 0 ? yield* this.#create(folder, id, record) : yield* this.#replace(folder, id, record, was)
    }
    if (was === 0) return this.#read(folder) === undefined
    return (yield* this.#end(folder, ({ version }) => version === was)) !== undefined
  }

  *delete(id: string): Steps<boolean> {
    return (yield* this.#end(this.#at.record(hashed(id)), () => true)) !== undefined
  }

  *ofUser(userId: string): Generator<[id: string, record: SessionRecord]> {
    const user = hashed(userId)
    for (const name of this.#entries(user)) {
      const [hash, entry] = name.split('_') as [string, string]
      const found = this.#read(
        this.#at.record(hash),
        (head) => head.user === user && head.entry === entry && !head.replaced,
      )
      if (found) yield [found.id, found.record]
    }
  }

  async *all(): AsyncGenerator<[id: string, record: SessionRecord]> {
    const breathe = breather(true)
    this.#at.present()
    for (const shard of SHARDS) {
      for (const name of await disk.manyNames(this.#at.shard('records', shard))) {
        const found = this.#read(this.#at.record(name), (head) => !head.replaced)
        if (found) yield [found.id, found.record]
        await breathe()
      }
    }
  }

  /**
   * Every record of the user has an entry before it is there, so that none is overlooked. A session that was given a new
   * identifier has its successor's entry made before it is marked as replaced, but maybe after the names were read:
   * where one was found replaced, or gone, the names are read again. What has expired is ended as well, since the clock
   * that says so may be ahead of those that others go by.
   */
  *endAll(userId: string, except?: string): Steps<number> {
    const user = hashed(userId)
    const spared = except === undefined ? undefined : hashed(except)
    const gone = new Set<string>()
    let ended = 0
    for (let again = true; again; ) {
      again = false
      for (const name of this.#entries(user)) {
        const hash = name.slice(0, name.indexOf('_'))
        if (hash === spared) continue
        const head = yield* this.#end(this.#at.record(hash), (head) => head.user === user, true)
        if (head ? head.replaced : !gone.has(name)) again = true
        if (!head) gone.add(name)
        else if (!head.replaced && head.expiresAt > this.#clock()) ended++
      }
    }
    return ended
  }

  *#create(folder: string, id: string, record: SessionRecord): Steps<boolean> {
    const user = record.userId === undefined ? '' : hashed(record.userId)
    const entry = user && fresh()
    const { head, text } = layOut(id, record, user, entry)
    const staged = `${this.#at.stage}/${fresh()}`
    let won = false
    try {
      if (user) yield* this.#enter(folder, user, entry)
      disk.makeFolder(staged)
      disk.write(`${staged}/${head.file}`, text)
      disk.write(`${staged}/${head.name}`, '')
      yield `${staged}/${head.file}`
      yield staged
      while (!won) {
        const obstacle = disk.moveFolder(staged, folder)
        if (obstacle === undefined) won = true
        else if (obstacle === 'nowhere') {
          if (disk.makeFolder(parent(folder))) yield parent(parent(folder))
        } else {
          const there = this.#look(folder)
          if (there && there.expiresAt > this.#clock()) return false
          this.#clear(folder, there)
        }
      }
    } finally {
      if (!won) {
        disk.removeAll(staged)
        if (user) disk.remove(this.#at.entry(folder, user, entry))
      }
    }
    yield parent(folder)
    // A process that stood still for long between the two finds its entry swept away.
    if (user && !disk.isThere(this.#at.entry(folder, user, entry)) && this.#look(folder)?.entry === entry)
      yield* this.#enter(folder, user, entry)
    return true
  }

  *#replace(folder: string, id: string, record: SessionRecord, was: number): Steps<boolean> {
    const old = this.#look(folder)
    if (!old || old.version !== was || !(old.expiresAt > this.#clock())) return false
    const user = record.userId === undefined ? '' : hashed(record.userId)
    const moves = user !== old.user
    const entry = moves ? user && fresh() : old.entry
    const { head, text } = layOut(id, record, user, entry)
    const file = `${folder}/${head.file}`
    let won = false
    try {
      if (moves && user) yield* this.#enter(folder, user, entry)
      if (!disk.write(file, text)) return false
      yield file
      won = disk.moveFile(`${folder}/${old.name}`, `${folder}/${head.name}`)
      if (!won) return false
    } finally {
      if (!won) {
        disk.remove(file)
        disk.removeFolder(folder)
        if (moves && user) disk.remove(this.#at.entry(folder, user, entry))
      }
    }
    // As for an entry: what lay there for too long was taken for a leftover.
    if (!disk.isThere(file) && disk.isThere(`${folder}/${head.name}`)) disk.write(file, text)
    yield folder
    disk.remove(`${folder}/${old.file}`)
    if (moves && old.user) disk.remove(this.#at.entry(folder, old.user, old.entry))
    return true
  }

  /**
   * Ends the record that is there, whatever others make of it meanwhile, for as long as `wants` still wants that. `dead`: also
   * one that has expired.
   */
  *#end(folder: string, wants: (head: Head) => boolean, dead = false): Steps<Head | undefined> {
    for (;;) {
      const head = this.#look(folder)
      if (!head || !(dead || head.expiresAt > this.#clock()) || !wants(head)) return undefined
      if (!disk.remove(`${folder}/${head.name}`)) continue
      yield folder
      this.#at.discard(folder, head)
      return head
    }
  }

  /** Makes room for a new record where a dead one is: one that has expired, or what is left of one that was ended. */
  #clear(folder: string, head: Head | undefined): void {
    if (head && disk.remove(`${folder}/${head.name}`)) this.#at.discard(folder, head)
    const left = disk.names(folder) ?? []
    // Where no head is, none will be again: what others are writing there comes to nothing, and they find that out.
    if (!headAmong(left)) for (const name of left) disk.remove(`${folder}/${name}`)
    disk.removeFolder(folder)
  }

  /** The live record, if its head is of those that are wanted. */
  #read(folder: string, wants: (head: Head) => boolean = () => true): Kept | undefined {
    const holds = (head: Head) => head.expiresAt > this.#clock() && wants(head)
    const seen = seenLately(folder)
    if (seen && disk.isThere(`${folder}/${seen.head.name}`)) return holds(seen.head) ? seen : undefined
    for (let before = ''; ; ) {
      const head = this.#look(folder)
      if (!head || !holds(head)) return undefined
      const found = read(folder, head)
      // Written anew in between, or else a power cut took what this head speaks of.
      if (found || head.name === before) return found
      before = head.name
    }
  }

  #look(folder: string): Head | undefined {
    // A head that is renamed while it is listed may be missed, on file systems that list in pieces.
    for (let round = 0; round < 3; round++) {
      const names = disk.names(folder)
      if (names === undefined) return this.#at.present()
      const head = headAmong(names)
      if (head || names.length === 0) return head
    }
    return undefined
  }

  #entries(user: string): string[] {
    return disk.names(this.#at.user(user)) ?? this.#at.present() ?? []
  }

  *#enter(folder: string, user: string, entry: string): Steps<void> {
    const path = this.#at.entry(folder, user, entry)
    const [own, shard] = [parent(path), parent(parent(path))]
    while (!disk.write(path, '')) {
      // Made for another user, or swept away when it was empty.
      if (disk.makeFolder(shard)) yield parent(shard)
      if (disk.makeFolder(own)) yield shard
    }
    yield own
  }
}

function parent(path: string): string {
  return path.slice(0, path.lastIndexOf('/'))
}
