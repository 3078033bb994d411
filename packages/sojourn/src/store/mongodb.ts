/**
 * Records in one collection of a MongoDB database, for any number of processes. Every overwrite is one command on one
 * document, which MongoDB carries out at once or not at all: no transaction is needed, and a single server will do.
 */
import { unescaped } from '../escape.js'
import type { SessionRecord, UserStore } from '../types.js'
import { documentOf, type RecordDocument, recordOf, textOf } from './mongodb-document.js'
import { DUPLICATE, isDuplicate, type MongodbCollection, type MongodbDb, READ, WRITE } from './mongodb-driver.js'
import { Endings } from './mongodb-ending.js'
import { follow } from './mongodb-watch.js'

export type { MongodbChangeStream, MongodbCollection, MongodbDb } from './mongodb-driver.js'

/** How a MongoDB store keeps its records. */
export interface MongodbOptions {
  /** The collection's name where a database is handed over. Default `sojourn_sessions`. */
  collection?: string
  /**
   * Whether the indexes are made at the first use, default `true`. `false`: they are yours to make, by calling
   * `prepare()` once with a user who may (`createIndex`), as in a deployment.
   */
  prepare?: boolean
  /** Tells the time, epoch milliseconds. Default `Date.now`. */
  clock?: () => number
}

/** A store over MongoDB. Every verb is asynchronous. After `close` all of them reject. */
export interface MongodbStore extends UserStore {
  get(id: string): Promise<SessionRecord | undefined>
  set(id: string, record: SessionRecord, was: number): Promise<boolean>
  delete(id: string): Promise<boolean>
  /** Reads pages of 100 by id, and holds no cursor between them. */
  list(userId?: string): AsyncIterable<[id: string, record: SessionRecord]>
  endAll(userId: string, except?: string): Promise<number>
  /** MongoDB does it of itself, about once a minute. */
  sweep(now: number): Promise<number>
  /** Needs a replica set. `onCut`: changes may have gone untold; also called whenever listening has begun. */
  watch(onChange: (id: string) => void, onCut?: () => void): () => void
  /** Makes the indexes where they are missing. Changes nothing where they are there. */
  prepare(): Promise<void>
  /** Stops listening to changes. The client stays open: it is yours. */
  close(): void
}

const PAGE = 100
/** So often a record is begun anew because the user's sessions were being ended; each time another call ended them. */
const ROUNDS = 16

const NOT_AUTHORIZED = 13

const INDEXES = [
  // Removed when that moment has passed: the number is how many seconds later.
  { key: { expiresAt: 1 }, name: 'sojourn_expiry', expireAfterSeconds: 0 },
  // Guests are not in it.
  { key: { user: 1, _id: 1 }, name: 'sojourn_user', partialFilterExpression: { user: { $exists: true } } },
]

/**
 * Keeps records in MongoDB, through a `Db` or a `Collection` of the official driver, 6 or 7.
 *
 * Commands: `get` 1, `delete` 1, `set` 1, and 2 for a user's new record. Every write waits for a majority. The verbs reject
 * when MongoDB fails or cannot be reached; a write may have happened then, unless the driver could tell by trying again
 * (`retryWrites`, its default).
 *
 * @throws TypeError when what is handed over is neither.
 */
export function mongodb(dbOrCollection: MongodbDb | MongodbCollection, options: MongodbOptions = {}): MongodbStore {
  const { prepare = true, clock = () => Date.now() } = options
  const collection = collectionOf(dbOrCollection, options.collection)
  const endings = new Endings(collection, clock)
  const listeners = new Set<() => void>()
  let closed = false
  let prepared: Promise<void> | undefined

  const makeIndexes = async () => {
    try {
      await collection.createIndexes(INDEXES as never[], { writeConcern: { w: 'majority' } })
    } catch (cause) {
      // The next call tries again.
      prepared = undefined
      if ((cause as { code?: unknown }).code !== NOT_AUTHORIZED) throw cause
      throw new Error(
        'mongodb: this user may not make the indexes; grant `createIndex` on the collection, or run prepare() as a user who may and set `prepare: false`',
        { cause },
      )
    }
  }
  const ready = async () => {
    if (closed) throw new Error('mongodb: the store is closed')
    if (!prepare) return
    prepared ??= makeIndexes()
    await prepared
  }

  const past = () => ({ $lte: new Date(clock()) })
  const ahead = () => ({ $gt: new Date(clock()) })

  const get = async (id: string) => {
    const found = (await collection.findOne({ _id: textOf(id) }, READ)) as RecordDocument | null
    // The TTL index is late by up to a minute, and goes by the server's clock.
    return found && Number(found.expiresAt) > clock() ? recordOf(found) : undefined
  }

  const insert = async (_id: string, document: object) => {
    try {
      // Takes the place of an expired one. A live one does not match, so that MongoDB inserts, and finds the `_id` taken.
      await collection.replaceOne({ _id, expiresAt: past() }, document, { ...WRITE, upsert: true })
      return true
    } catch (error) {
      if (isDuplicate(error)) return false
      // What MongoDB says of it quotes the values, which are a user's.
      if ((error as { code?: unknown }).code === DUPLICATE)
        throw new Error('mongodb: a unique index that is not of this store stands in the way; drop it')
      throw error
    }
  }

  const create = async (_id: string, record: SessionRecord) => {
    const document = documentOf(record)
    const { user, version } = document
    for (let round = 0; round < ROUNDS; round++) {
      if (!(await insert(_id, document))) return false
      const endingNow = user === undefined ? [] : await endings.underWay(user)
      if (user === undefined || endingNow.length === 0) return true
      await collection.deleteOne({ _id, user, version }, WRITE)
      for (const ending of endingNow) await endings.finish(user, ending)
    }
    throw new Error("mongodb: the user's sessions were being ended again and again; none was begun")
  }

  const replace = async (_id: string, record: SessionRecord, was: number) => {
    const document = documentOf(record)
    const { user, version } = document
    const same = { _id, version: was, expiresAt: ahead() }
    const options = { ...WRITE, projection: { user: 1 }, returnDocument: 'before', includeResultMetadata: false }
    const before = (await collection.findOneAndReplace(same, document, options)) as { user?: string } | null
    if (before === null) return false
    if (user === undefined || before.user === user) return true
    // It became this user's, as if it were begun now.
    const endingNow = await endings.underWay(user)
    for (const ending of endingNow) await endings.finish(user, ending)
    return endingNow.length === 0 || (await collection.findOne({ _id, user, version }, READ)) !== null
  }

  return {
    async get(id) {
      await ready()
      return get(id)
    },
    async set(id, record, was) {
      await ready()
      const _id = textOf(id)
      // Written so that a time which is no number counts as past.
      if (record.expiresAt > clock()) return was === 0 ? create(_id, record) : replace(_id, record, was)
      if (was === 0) return (await get(id)) === undefined
      return (await collection.deleteOne({ _id, version: was, expiresAt: ahead() }, WRITE)).deletedCount > 0
    },
    async delete(id) {
      await ready()
      return (await collection.deleteOne({ _id: textOf(id), expiresAt: ahead() }, WRITE)).deletedCount > 0
    },
    async *list(userId) {
      await ready()
      const whose = userId === undefined ? {} : { user: textOf(userId) }
      const options = { ...READ, sort: { _id: 1 }, limit: PAGE }
      // Strings alone: what is no record has another kind of `_id`. Empty data: replaced.
      for (let next: object = { $gte: '' }; ; ) {
        const filter = { ...whose, _id: next, expiresAt: ahead(), data: { $gt: '' } }
        const page = (await collection.find(filter, options).toArray()) as RecordDocument[]
        for (const document of page) yield [unescaped(document._id), recordOf(document)]
        if (page.length < PAGE) return
        next = { $gt: page[PAGE - 1]!._id }
      }
    },
    async endAll(userId, except) {
      await ready()
      return endings.endAll(textOf(userId), except === undefined ? undefined : textOf(except))
    },
    async sweep(now) {
      await ready()
      const expired = { _id: { $gte: '' }, expiresAt: { $lte: new Date(now) } }
      return (await collection.deleteMany(expired, WRITE)).deletedCount
    },
    watch(onChange, onCut) {
      if (closed) throw new Error('mongodb: the store is closed')
      const stop = follow(collection, onChange, onCut)
      listeners.add(stop)
      return () => {
        listeners.delete(stop)
        stop()
      }
    },
    prepare: makeIndexes,
    close() {
      closed = true
      for (const stop of listeners) stop()
      listeners.clear()
    },
  }
}

function collectionOf(given: MongodbDb | MongodbCollection, name: string | undefined): MongodbCollection {
  if (typeof (given as MongodbCollection | undefined)?.findOneAndReplace === 'function') {
    if (name !== undefined)
      throw new TypeError('mongodb: a collection was handed over, so `collection` names a second; drop it')
    return given as MongodbCollection
  }
  if (typeof (given as MongodbDb | undefined)?.collection === 'function')
    return (given as MongodbDb).collection(name ?? 'sojourn_sessions')
  throw new TypeError('mongodb: hand over a Db or a Collection of the `mongodb` package, such as client.db()')
}
