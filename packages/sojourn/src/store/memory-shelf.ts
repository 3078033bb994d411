/**
 * Some of a memory store's records, the order in which they expire, and the users whose they are.
 *
 * A record is taken apart into nine numbers in a row of a typed array and four references. That takes half the room of
 * an object per record, leaves the garbage collector little to visit, and makes what goes in and what comes out copies,
 * so that no caller can alter what is stored.
 */
import type { Device, SessionRecord } from '../types.js'

// The columns of a row.
const CREATED = 0
const SEEN = 1
const AUTHENTICATED = 2 // NaN: never
const EXPIRES = 3
const VERSION = 4
const FLAGS = 5
const NEXT = 6 // the user's next slot; of a free slot, the next free one
const PREVIOUS = 7
const PLACE = 8 // where the slot stands in its queue
const ROW = 9

const PERSISTENT = 1
const REPLACED = 2

/** No slot: the first is never given out. */
const NONE = 0

/** The order of expiry is kept for guests and for users apart, because guests make room before users do. */
export type Queue = typeof GUESTS | typeof USERS
/** Those who have not signed in. */
export const GUESTS = 0
/** Those who have. */
export const USERS = 1

/** Keeps records; no verb asks for the time, it is handed in. */
export class Shelf {
  readonly #slots = new Map<string, number>()
  /** The first slot of each user. The others hang on it: a `Set` for each user would cost more than a record. */
  readonly #heads = new Map<string, number>()
  /** Heaps with four branches, the slot that expires next on top. */
  readonly #queues: readonly [guests: number[], users: number[]] = [[], []]
  #rows = new Float64Array(ROW * 4)
  readonly #ids = ['']
  readonly #userIds: (string | undefined)[] = [undefined]
  readonly #data = ['']
  readonly #devices: (Device | undefined)[] = [undefined]
  #free = NONE

  get size(): number {
    return this.#slots.size
  }

  /** Whether a live record is there. */
  has(id: string, now: number): boolean {
    return this.#find(id, now) !== NONE
  }

  /** A copy of the live record. */
  get(id: string, now: number): SessionRecord | undefined {
    const slot = this.#find(id, now)
    if (slot === NONE) return undefined
    const row = slot * ROW
    const authenticatedAt = this.#rows[row + AUTHENTICATED]!
    return {
      userId: this.#userIds[slot],
      data: this.#data[slot]!,
      createdAt: this.#rows[row + CREATED]!,
      seenAt: this.#rows[row + SEEN]!,
      authenticatedAt: Number.isNaN(authenticatedAt) ? undefined : authenticatedAt,
      expiresAt: this.#rows[row + EXPIRES]!,
      version: this.#rows[row + VERSION]!,
      persistent: (this.#rows[row + FLAGS]! & PERSISTENT) !== 0 || undefined,
      device: this.#devices[slot],
    }
  }

  /** Adds a record where `has` said that none is. */
  add(id: string, record: SessionRecord): void {
    const slot = this.#take()
    this.#write(slot, record)
    this.#slots.set(id, slot)
    this.#ids[slot] = id
    this.#attach(slot, record.userId)
  }

  /** Overwrites the version `was`, or deletes it when the new record is dead; `false` when it is not there. */
  replace(id: string, record: SessionRecord, was: number, now: number): boolean {
    const slot = this.#find(id, now)
    if (slot === NONE || this.#rows[slot * ROW + VERSION] !== was) return false
    if (!(record.expiresAt > now)) this.#remove(slot)
    else if (record.userId === this.#userIds[slot]) {
      this.#write(slot, record)
      this.#settle(this.#queueOf(slot), this.#rows[slot * ROW + PLACE]!)
    } else {
      this.#detach(slot)
      this.#write(slot, record)
      this.#attach(slot, record.userId)
    }
    return true
  }

  /** Whether a live record was there to be deleted. */
  delete(id: string, now: number): boolean {
    const slot = this.#find(id, now)
    if (slot !== NONE) this.#remove(slot)
    return slot !== NONE
  }

  /** Whether the record that is there was replaced by a successor. */
  isReplaced(id: string): boolean {
    return (this.#rows[this.#slots.get(id)! * ROW + FLAGS]! & REPLACED) !== 0
  }

  /** A user's, or all; a snapshot, so that the caller may change the store while it walks them. */
  ids(userId?: string): string[] {
    if (userId === undefined) return [...this.#slots.keys()]
    const ids: string[] = []
    for (let slot = this.#heads.get(userId) ?? NONE; slot !== NONE; slot = this.#rows[slot * ROW + NEXT]!)
      ids.push(this.#ids[slot]!)
    return ids
  }

  /** When the next one of a queue expires; `Infinity` when it is empty. */
  soonest(queue: Queue): number {
    const slot = this.#queues[queue][0]
    return slot === undefined ? Infinity : this.#rows[slot * ROW + EXPIRES]!
  }

  /** Forgets the one that expires next, and says which. */
  forget(queue: Queue): string {
    const slot = this.#queues[queue][0]!
    const id = this.#ids[slot]!
    this.#remove(slot)
    return id
  }

  /** The slot of a live record. A dead one is forgotten on sight, so that nothing else has to think of it. */
  #find(id: string, now: number): number {
    const slot = this.#slots.get(id)
    if (slot === undefined) return NONE
    if (this.#rows[slot * ROW + EXPIRES]! > now) return slot
    this.#remove(slot)
    return NONE
  }

  #take(): number {
    const slot = this.#free || this.#ids.length
    if (this.#free !== NONE) this.#free = this.#rows[slot * ROW + NEXT]!
    else if (slot * ROW === this.#rows.length) {
      const grown = new Float64Array(this.#rows.length * 2)
      grown.set(this.#rows)
      this.#rows = grown
    }
    return slot
  }

  #write(slot: number, record: SessionRecord): void {
    const { device } = record
    const row = slot * ROW
    // To look for a letter makes V8 join the pieces in which `JSON.stringify` leaves a text, at half the memory.
    const replaced = Number.isNaN(record.data.charCodeAt(0))
    this.#data[slot] = record.data
    this.#devices[slot] = device === undefined || Object.isFrozen(device) ? device : Object.freeze({ ...device })
    this.#rows[row + CREATED] = record.createdAt
    this.#rows[row + SEEN] = record.seenAt
    this.#rows[row + AUTHENTICATED] = record.authenticatedAt ?? Number.NaN
    this.#rows[row + EXPIRES] = Math.min(record.expiresAt, Number.MAX_SAFE_INTEGER)
    this.#rows[row + VERSION] = record.version
    this.#rows[row + FLAGS] = (record.persistent ? PERSISTENT : 0) | (replaced ? REPLACED : 0)
  }

  #remove(slot: number): void {
    this.#detach(slot)
    this.#slots.delete(this.#ids[slot]!)
    this.#ids[slot] = ''
    this.#userIds[slot] = undefined
    this.#data[slot] = ''
    this.#devices[slot] = undefined
    this.#rows[slot * ROW + NEXT] = this.#free
    this.#free = slot
  }

  /** Into the user's list, and into the queue. */
  #attach(slot: number, userId: string | undefined): void {
    const head = userId === undefined ? NONE : (this.#heads.get(userId) ?? NONE)
    this.#rows[slot * ROW + NEXT] = head
    this.#rows[slot * ROW + PREVIOUS] = NONE
    this.#rows[head * ROW + PREVIOUS] = slot
    if (userId !== undefined) this.#heads.set(userId, slot)
    // One copy of the text serves all of a user's sessions.
    this.#userIds[slot] = head === NONE ? userId : this.#userIds[head]
    const queue = this.#queueOf(slot)
    this.#settle(queue, queue.push(slot) - 1)
  }

  #detach(slot: number): void {
    const queue = this.#queueOf(slot)
    const place = this.#rows[slot * ROW + PLACE]!
    const last = queue.pop()!
    if (last !== slot) {
      queue[place] = last
      this.#settle(queue, place)
    }
    const userId = this.#userIds[slot]
    if (userId === undefined) return
    const next = this.#rows[slot * ROW + NEXT]!
    const previous = this.#rows[slot * ROW + PREVIOUS]!
    this.#rows[next * ROW + PREVIOUS] = previous
    if (previous !== NONE) this.#rows[previous * ROW + NEXT] = next
    else if (next !== NONE) this.#heads.set(userId, next)
    else this.#heads.delete(userId)
  }

  #queueOf(slot: number): number[] {
    return this.#queues[this.#userIds[slot] === undefined ? GUESTS : USERS]
  }

  /** Moves the slot at `place` to where its expiry belongs: up past those that expire later, or down. */
  #settle(queue: number[], place: number): void {
    const rows = this.#rows
    const slot = queue[place]!
    const expires = rows[slot * ROW + EXPIRES]!
    const put = (moved: number, to: number) => {
      queue[to] = moved
      rows[moved * ROW + PLACE] = to
    }
    let to = place
    for (let parent = (to - 1) >> 2; to > 0; parent = (to - 1) >> 2) {
      if (rows[queue[parent]! * ROW + EXPIRES]! <= expires) break
      put(queue[parent]!, to)
      to = parent
    }
    for (let child = to * 4 + 1; child < queue.length; child = to * 4 + 1) {
      const end = Math.min(child + 4, queue.length)
      for (let sibling = child + 1; sibling < end; sibling++)
        if (rows[queue[sibling]! * ROW + EXPIRES]! < rows[queue[child]! * ROW + EXPIRES]!) child = sibling
      if (rows[queue[child]! * ROW + EXPIRES]! >= expires) break
      put(queue[child]!, to)
      to = child
    }
    put(slot, to)
  }
}
