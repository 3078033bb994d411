/**
 * The official MongoDB driver as the store needs it, 6 and 7 alike, and what every command of the store says of how it is
 * to be carried out. Said each time, because the handed client may be configured otherwise for the app's own data.
 */

/** A database of the `mongodb` package (`client.db()`). */
export interface MongodbDb {
  collection(name: string): MongodbCollection
}

/** A collection of the `mongodb` package. */
export interface MongodbCollection {
  findOne(filter: object, options: object): Promise<object | null>
  find(filter: object, options: object): { toArray(): Promise<object[]> }
  replaceOne(filter: object, replacement: object, options: object): Promise<object>
  findOneAndReplace(filter: object, replacement: object, options: object): Promise<object | null>
  updateOne(filter: object, update: object, options: object): Promise<object>
  deleteOne(filter: object, options: object): Promise<{ deletedCount: number }>
  deleteMany(filter: object, options: object): Promise<{ deletedCount: number }>
  createIndexes(indexes: never[], options: object): Promise<string[]>
  watch(pipeline: never[], options: object): MongodbChangeStream
}

/** A change stream of the `mongodb` package. */
export interface MongodbChangeStream {
  tryNext(): Promise<object | null>
  next(): Promise<object>
  close(): Promise<unknown>
  readonly resumeToken: unknown
}

/** Numbers and dates come back as JavaScript's own, whatever the client was told for the app's documents. */
const DECODED = { promoteValues: true, promoteLongs: true, useBigInt64: false, raw: false }

/**
 * From the primary, since a secondary would honour for a while what was ended; and what a majority has, since anything
 * else a failover may take back.
 */
export const READ: object = { ...DECODED, readPreference: 'primary', readConcern: { level: 'majority' } }

/**
 * Acknowledged by a majority, each in its journal: no failover takes it back. When the majority is not there, the write
 * fails after five seconds; it may have happened, and whoever asked is told that it failed.
 */
export const WRITE: object = {
  ...DECODED,
  // findAndModify picks its server by the read preference of the client.
  readPreference: 'primary',
  writeConcern: { w: 'majority', journal: true, wtimeoutMS: 5000 },
}

/** Some unique index has such an entry already. */
export const DUPLICATE = 11000

/** Whether a write failed because another record has this `_id`: somebody was faster. */
export function isDuplicate(error: unknown): boolean {
  const { code, keyPattern } = error as { code?: unknown; keyPattern?: object }
  return code === DUPLICATE && (keyPattern === undefined || '_id' in keyPattern)
}
