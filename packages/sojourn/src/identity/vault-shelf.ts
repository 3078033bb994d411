/**
 * One entry in a store, changed by compare-and-set: the row of a connection, or, where the session itself carries the
 * tokens, a row that lives for a minute and hands their successor to the requests that come too late to renew them.
 */
import { Fault } from '../errors.js'
import type { Ask } from '../patience.js'
import type { SessionRecord, Store } from '../types.js'
import type { Entry, Envelope, Kept } from './vault-entry.js'

/** An entry as it was read. Version 0: it is in no store yet. */
export interface Row extends Kept {
  readonly version: number
  /** When the store forgets it, epoch milliseconds. */
  readonly expiresAt: number
}

/** Where an entry is renewed. Throws `ERR_STORE` when the store fails. */
export interface Shelf {
  /** What tells it from all others. */
  readonly id: string
  /** `unreadable`: there is one, and it is not ours to open. */
  read(): Promise<Row | 'unreadable' | undefined>
  /** Compare-and-set: `false` where somebody was faster. */
  write(entry: Entry, was: number): Promise<boolean>
  /** The grant is over: takes the entry away if it still has that version. */
  remove(was: number): Promise<boolean>
}

/** A row, its store, and what seals it. */
export interface ShelfOptions {
  readonly id: string
  readonly store: Store
  readonly ask: Ask
  readonly envelope: Envelope
  readonly provider: string
  readonly clock: () => number
  /** Whose it is for the store: no user of the app's, and all rows of one user under one name. */
  readonly label: string
  /** When the store may forget what is written now, epoch milliseconds. */
  readonly ends: () => number
}

const ROUNDS = 64

/** The row of a connection. */
export class StoredShelf implements Shelf {
  readonly id: string
  readonly #options: ShelfOptions

  constructor(options: ShelfOptions) {
    this.id = options.id
    this.#options = options
  }

  async read(): Promise<Row | 'unreadable' | undefined> {
    const record = await this.#get()
    if (record === undefined) return undefined
    const { envelope, provider } = this.#options
    const kept = envelope.open(record.data, provider)
    return kept ? { ...kept, version: record.version, expiresAt: record.expiresAt } : 'unreadable'
  }

  async write(entry: Entry, was: number): Promise<boolean> {
    const { envelope, ends } = this.#options
    return this.#set(envelope.seal(entry), ends(), was)
  }

  /** A record that has expired is a conditional delete. */
  async remove(was: number): Promise<boolean> {
    return this.#set('-', 0, was)
  }

  /** Puts the entry there, whatever was there before. Two store calls, two more for each that was faster. */
  async put(entry: Entry): Promise<void> {
    for (let round = 0; round < ROUNDS; round++) {
      if (await this.write(entry, (await this.#get())?.version ?? 0)) return
    }
    throw new Fault('ERR_STORE', `vault: others wrote faster ${ROUNDS} times; nothing was kept by this call`)
  }

  /** Takes away whatever is there. */
  async clear(): Promise<void> {
    await this.#options.ask(() => this.#options.store.delete(this.id))
  }

  async #get(): Promise<SessionRecord | undefined> {
    return this.#options.ask(() => this.#options.store.get(this.id))
  }

  async #set(data: string, expiresAt: number, was: number): Promise<boolean> {
    const { store, ask, clock, label } = this.#options
    const now = clock()
    const record: SessionRecord = { userId: label, data, createdAt: now, seenAt: now, expiresAt, version: was + 1 }
    return ask(() => store.set(this.id, record, was))
  }
}

/** The row that hands over what a renewal brought; until there is one, what the session carries stands in for it. */
export class HandoverShelf implements Shelf {
  readonly id: string
  readonly #row: StoredShelf
  readonly #carried: Kept

  constructor(options: ShelfOptions, carried: Kept) {
    this.id = options.id
    this.#row = new StoredShelf(options)
    this.#carried = carried
  }

  async read(): Promise<Row | 'unreadable'> {
    return (await this.#row.read()) ?? { ...this.#carried, version: 0, expiresAt: 0 }
  }

  write(entry: Entry, was: number): Promise<boolean> {
    return this.#row.write(entry, was)
  }

  /** Not gone but marked, so that the others need not ask the provider what it said already. */
  remove(was: number): Promise<boolean> {
    return this.#row.write({ ...this.#carried.entry, over: true }, was)
  }
}
