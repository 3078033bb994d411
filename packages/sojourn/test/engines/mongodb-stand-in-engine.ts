/** The commands of the stand-in: documents in memory. Part of a STAND-IN, not MongoDB. */
import { type Document, deserialize, Long, serialize } from 'bson'
import { aggregate, Query } from 'mingo'
import { update as change } from 'mingo/updater'

/** An error that MongoDB would answer with too. Any other is a complaint: something is not implemented. */
export class CommandError extends Error {
  readonly code: number
  readonly more: Document

  constructor(code: number, message: string, more: Document = {}) {
    super(message)
    this.code = code
    this.more = more
  }
}

/** Fields that any command may have. The transaction number is looked at; the rest changes nothing where there is one node. */
const GENERIC = [
  '$db',
  'lsid',
  'txnNumber',
  '$readPreference',
  '$clusterTime',
  'readConcern',
  'writeConcern',
  'comment',
]

const FIELDS: Record<string, readonly string[]> = {
  find: ['filter', 'sort', 'limit', 'projection', 'batchSize', 'singleBatch'],
  update: ['updates', 'ordered'],
  delete: ['deletes', 'ordered'],
  findAndModify: ['query', 'update', 'new', 'fields', 'remove', 'upsert'],
  createIndexes: ['indexes'],
  listIndexes: ['cursor'],
  aggregate: ['pipeline', 'cursor'],
  getMore: ['collection', 'batchSize', 'maxTimeMS'],
  killCursors: ['cursors'],
  dropDatabase: [],
}

const UPDATE_FIELDS = ['q', 'u', 'upsert', 'multi']
const DELETE_FIELDS = ['q', 'limit']
const INDEX_FIELDS = ['key', 'name', 'expireAfterSeconds', 'partialFilterExpression', 'background', 'unique']
const OPERATORS = ['$set', '$setOnInsert', '$currentDate', '$push', '$pull', '$unset', '$inc']

interface Collection {
  readonly documents: Map<string, Document>
  readonly indexes: Document[]
}

interface Change {
  readonly ns: string
  readonly _id: { readonly _data: string }
  readonly operationType: string
  readonly documentKey?: Document
}

interface Stream {
  readonly ns: string
  readonly pipeline: Document[]
  at: number
}

/** Collections, change streams, and what was answered to writes that a driver may try again. */
export class Engine {
  readonly #collections = new Map<string, Collection>()
  readonly #answered = new Map<string, Document>()
  readonly #streams = new Map<string, Stream>()
  readonly #changes: Change[] = []
  readonly #waiting = new Set<() => void>()
  #forgotten = 0
  #cursors = 0

  /** Carries out one command. Throws a `CommandError` for what MongoDB refuses, and another for what is not implemented. */
  async run(name: string, body: Document): Promise<Document> {
    const fields = FIELDS[name]
    if (fields === undefined) throw new Error(`the command ${name} is not implemented`)
    only(body, [name, ...GENERIC, ...fields], name)
    concerns(body)
    const { txnNumber } = body
    if (txnNumber === undefined) return this.#commands[name]!(body)
    const key = `${body.lsid.id.toString('hex')} ${txnNumber}`
    const before = this.#answered.get(key)
    if (before) return before
    const answer = await this.#commands[name]!(body)
    this.#answered.set(key, answer)
    return answer
  }

  /** All documents of a collection, `database.collection`. */
  documents(ns: string): Document[] {
    return [...this.#collection(ns).documents.values()].map(copy)
  }

  indexes(ns: string): Document[] {
    return this.#collection(ns).indexes
  }

  /** Forgets what has changed so far, as a server does whose oplog is full. */
  forgetChanges(): void {
    this.#forgotten = this.#changes.length
  }

  /** Drops a collection, which ends the streams on it. */
  drop(ns: string): void {
    this.#collections.delete(ns)
    this.#changed(ns, 'drop')
    this.#changed(ns, 'invalidate')
  }

  readonly #commands: Record<string, (body: Document) => Document | Promise<Document>> = {
    find: (body) => {
      const ns = `${body.$db}.${body.find}`
      const cursor = new Query({}).find<Document>(
        this.#matching(ns, body.filter ?? {}).map(copy),
        body.projection ?? {},
      )
      if (body.sort && Object.keys(body.sort).length > 0) cursor.sort(body.sort)
      if (body.limit) cursor.limit(Math.abs(body.limit))
      const firstBatch = cursor.all()
      if (firstBatch.length > 101 && !body.limit && firstBatch.length > (body.batchSize ?? 101))
        throw new Error('a find of several batches is not implemented')
      return { cursor: { id: Long.ZERO, ns, firstBatch }, ok: 1 }
    },
    update: (body) => {
      const [statement, ...others] = body.updates as Document[]
      if (!statement || others.length > 0) throw new Error('several updates in a command are not implemented')
      only(statement, UPDATE_FIELDS, 'update')
      if (statement.multi) throw new Error('an update of several documents is not implemented')
      try {
        const { before, after, upserted } = this.#write(`${body.$db}.${body.update}`, statement.q, statement)
        if (upserted) return { n: 1, nModified: 0, upserted: [{ index: 0, _id: after!._id }], ok: 1 }
        return { n: before ? 1 : 0, nModified: before ? 1 : 0, ok: 1 }
      } catch (error) {
        if (!(error instanceof CommandError)) throw error
        const { code, message: errmsg, more } = error
        return { n: 0, nModified: 0, writeErrors: [{ index: 0, code, errmsg, ...more }], ok: 1 }
      }
    },
    delete: (body) => {
      const [statement, ...others] = body.deletes as Document[]
      if (!statement || others.length > 0) throw new Error('several deletes in a command are not implemented')
      only(statement, DELETE_FIELDS, 'delete')
      const ns = `${body.$db}.${body.delete}`
      const found = this.#matching(ns, statement.q).slice(0, statement.limit || undefined)
      for (const document of found) this.#remove(ns, document)
      return { n: found.length, ok: 1 }
    },
    findAndModify: (body) => {
      if (body.remove || body.new)
        throw new Error('a findAndModify that removes, or answers with the new, is not implemented')
      const { query: q, update: u, upsert } = body
      const { before } = this.#write(`${body.$db}.${body.findAndModify}`, q, { u, upsert })
      const value = before && new Query({}).find<Document>([before], body.fields ?? {}).all()[0]
      return { lastErrorObject: { n: before ? 1 : 0, updatedExisting: !!before }, value: value ?? null, ok: 1 }
    },
    createIndexes: (body) => {
      const { indexes } = this.#collection(`${body.$db}.${body.createIndexes}`)
      for (const index of body.indexes as Document[]) {
        only(index, INDEX_FIELDS, 'an index')
        const same = indexes.find(({ name }) => name === index.name)
        if (same && JSON.stringify(same) !== JSON.stringify(index))
          throw new CommandError(86, 'An existing index has the same name as the requested index')
        if (!same) indexes.push(index)
      }
      return { ok: 1 }
    },
    listIndexes: (body) => {
      const ns = `${body.$db}.${body.listIndexes}`
      return { cursor: { id: Long.ZERO, ns, firstBatch: this.#collection(ns).indexes }, ok: 1 }
    },
    aggregate: (body) => {
      const [first, ...pipeline] = body.pipeline as Document[]
      if (!first?.$changeStream) throw new Error('an aggregate that is no change stream is not implemented')
      only(first.$changeStream, ['resumeAfter'], '$changeStream')
      const { resumeAfter } = first.$changeStream
      const at = resumeAfter === undefined ? this.#changes.length : Number.parseInt(resumeAfter._data, 16)
      if (at < this.#forgotten) throw new CommandError(286, 'Resume of change stream was not possible')
      const id = String(++this.#cursors)
      const stream = { ns: `${body.$db}.${body.aggregate}`, pipeline, at }
      this.#streams.set(id, stream)
      return { cursor: { id: Long.fromString(id), ns: stream.ns, ...this.#batch('firstBatch', stream) }, ok: 1 }
    },
    getMore: async (body) => {
      const stream = this.#streams.get(String(body.getMore))
      if (!stream) throw new CommandError(43, 'cursor id not found')
      if (!this.#changes.slice(stream.at).some(({ ns }) => ns === stream.ns))
        await this.#nextChange(body.maxTimeMS ?? 1000)
      const batch = this.#batch('nextBatch', stream)
      const ended = (batch.nextBatch as Document[]).some(({ operationType }) => operationType === 'invalidate')
      if (ended) this.#streams.delete(String(body.getMore))
      return {
        cursor: { id: ended ? Long.ZERO : Long.fromString(String(body.getMore)), ns: stream.ns, ...batch },
        ok: 1,
      }
    },
    dropDatabase: ({ $db }) => {
      for (const ns of this.#collections.keys()) if (ns.startsWith(`${$db}.`)) this.drop(ns)
      return { ok: 1 }
    },
    killCursors: (body) => {
      for (const id of body.cursors) this.#streams.delete(String(id))
      return { cursorsKilled: body.cursors, cursorsNotFound: [], cursorsAlive: [], cursorsUnknown: [], ok: 1 }
    },
  }

  #collection(ns: string): Collection {
    let collection = this.#collections.get(ns)
    if (!collection) {
      collection = { documents: new Map(), indexes: [] }
      this.#collections.set(ns, collection)
    }
    return collection
  }

  #matching(ns: string, filter: Document): Document[] {
    const query = new Query(filter)
    const { documents } = this.#collection(ns)
    const found = typeof filter._id === 'string' ? [documents.get(keyOf(filter._id))] : [...documents.values()]
    return found.filter((document) => document !== undefined).filter((document) => query.test(document))
  }

  /** Changes the first that matches, or inserts where that is wanted. */
  #write(
    ns: string,
    filter: Document,
    { u, upsert }: Document,
  ): { before: Document | undefined; after: Document | undefined; upserted: boolean } {
    if (Array.isArray(u)) throw new Error('an update by a pipeline is not implemented')
    const before = this.#matching(ns, filter)[0]
    if (!before && !upsert) return { before: undefined, after: undefined, upserted: false }
    const after = changed(before ?? wanted(filter), u, !before)
    const key = keyOf(after._id)
    const { documents } = this.#collection(ns)
    if (before && keyOf(before._id) !== key) throw new CommandError(66, 'the _id field is immutable')
    if (!before && documents.has(key))
      throw new CommandError(11000, 'E11000 duplicate key error', {
        keyPattern: { _id: 1 },
        keyValue: { _id: after._id },
      })
    this.#unique(ns, after, key)
    documents.set(key, after)
    const replacing = !Object.keys(u).some((name) => name.startsWith('$'))
    this.#changed(ns, before ? (replacing ? 'replace' : 'update') : 'insert', after._id)
    return { before, after, upserted: !before }
  }

  /** Of an index over one path, which may lead through arrays; documents without a value there are not in it. */
  #unique(ns: string, after: Document, key: string): void {
    const { documents, indexes } = this.#collection(ns)
    for (const { key: fields, unique, partialFilterExpression } of indexes) {
      if (!unique) continue
      const [path = '', ...more] = Object.keys(fields)
      if (more.length > 0 || partialFilterExpression?.[path]?.$exists !== true)
        throw new Error('a unique index over several fields, or over those that are not there, is not implemented')
      const taken = new Set(
        [...documents]
          .filter(([other]) => other !== key)
          .flatMap(([, document]) => valuesAt(document, path.split('.'))),
      )
      if (valuesAt(after, path.split('.')).some((value) => taken.has(value)))
        throw new CommandError(11000, 'E11000 duplicate key error', { keyPattern: fields, keyValue: {} })
    }
  }

  #remove(ns: string, { _id }: Document): void {
    this.#collection(ns).documents.delete(keyOf(_id))
    this.#changed(ns, 'delete', _id)
  }

  #changed(ns: string, operationType: string, _id?: unknown): void {
    const token = { _data: (this.#changes.length + 1).toString(16).padStart(8, '0') }
    this.#changes.push({ ns, _id: token, operationType, ...(_id === undefined ? {} : { documentKey: { _id } }) })
    for (const wake of this.#waiting) wake()
  }

  #nextChange(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer)
        this.#waiting.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, ms)
      timer.unref()
      this.#waiting.add(wake)
    })
  }

  #batch(name: 'firstBatch' | 'nextBatch', stream: Stream): Document {
    const found = this.#changes.slice(stream.at).filter(({ ns }) => ns === stream.ns)
    stream.at = this.#changes.length
    const postBatchResumeToken = { _data: stream.at.toString(16).padStart(8, '0') }
    return { [name]: aggregate(found as unknown as Document[], stream.pipeline), postBatchResumeToken }
  }
}

/** What the filter of an upsert says that the new document is. */
function wanted(filter: Document): Document {
  const plain = Object.entries(filter).filter(([name, value]) => {
    if (name.startsWith('$') || name.includes('.')) throw new Error(`an upsert by ${name} is not implemented`)
    return !(Object.getPrototypeOf(value ?? 0) === Object.prototype && Object.keys(value)[0]?.startsWith('$'))
  })
  return Object.fromEntries(plain)
}

function changed(base: Document, u: Document, inserted: boolean): Document {
  const names = Object.keys(u)
  if (!names.some((name) => name.startsWith('$'))) return copy({ _id: base._id, ...u })
  for (const name of names) if (!OPERATORS.includes(name)) throw new Error(`the operator ${name} is not implemented`)
  const { $setOnInsert, ...rest } = u
  const operators: Document =
    inserted && $setOnInsert ? { ...rest, $set: { ...rest.$set, ...$setOnInsert } } : { ...rest }
  const after = copy(base)
  if (operators.$set && '_id' in operators.$set) {
    // Allowed where it changes nothing, which `mingo` does not know.
    const { _id, ...others } = operators.$set
    if (keyOf(_id) !== keyOf(base._id)) throw new CommandError(66, 'the _id field is immutable')
    operators.$set = others
  }
  for (const [name, operands] of Object.entries(operators)) change(after, { [name]: operands } as never)
  return after
}

/** The values that a path leads to, in all elements of the arrays on its way. */
function valuesAt(value: unknown, [name, ...rest]: readonly string[]): unknown[] {
  if (Array.isArray(value)) return value.flatMap((one) => valuesAt(one, name === undefined ? [] : [name, ...rest]))
  if (name === undefined) return value === undefined ? [] : [value]
  return typeof value === 'object' && value !== null ? valuesAt((value as Document)[name], rest) : []
}

/** As it would come from a disk: nothing is shared with what was handed in. */
function copy(document: Document): Document {
  return deserialize(serialize(document))
}

function keyOf(_id: unknown): string {
  return Buffer.from(serialize({ _id })).toString('base64')
}

function only(document: Document, known: readonly string[], where: string): void {
  const unknown = Object.keys(document).filter((name) => !known.includes(name))
  if (unknown.length > 0) throw new Error(`${where}: ${unknown.join(', ')} is not implemented`)
}

/** With one node, every concern is met at once; one that is misspelled is not. */
function concerns({ readConcern, writeConcern }: Document): void {
  if (readConcern) {
    only(readConcern, ['level', 'afterClusterTime'], 'readConcern')
    if (!['local', 'majority'].includes(readConcern.level)) throw new Error(`readConcern ${readConcern.level}`)
  }
  if (!writeConcern) return
  only(writeConcern, ['w', 'j', 'wtimeout'], 'writeConcern')
  if (writeConcern.w !== undefined && ![0, 1, 'majority'].includes(writeConcern.w))
    throw new Error(`w ${writeConcern.w}`)
}
