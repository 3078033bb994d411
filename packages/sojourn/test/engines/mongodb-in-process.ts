/** The stand-in's commands without a wire between: for tests that run thousands of orders. Part of a STAND-IN, not MongoDB. */
import type { Document } from 'bson'
import type { MongodbCollection } from 'sojourn/store/mongodb'
import type { Engine } from './mongodb-stand-in-engine.js'

const NS = { $db: 'app' }

/** A collection over the engine itself, as far as the store uses one; what is asked beyond that throws. */
export function inProcess(engine: Engine, name = 'sessions'): MongodbCollection {
  const run = (command: string, body: Document) => engine.run(command, { [command]: name, ...body, ...NS })
  const write = async (command: string, body: Document) => {
    const answer = await run(command, body)
    const [error] = (answer.writeErrors ?? []) as Document[]
    if (error) throw Object.assign(new Error(error.errmsg), error)
    return answer
  }
  const find = async (filter: object, { sort, limit, projection }: Document) => {
    const asked = { ...(sort ? { sort } : {}), ...(limit ? { limit } : {}), ...(projection ? { projection } : {}) }
    return (await run('find', { filter, ...asked })).cursor.firstBatch as Document[]
  }
  const remove = async (q: object, limit: number) => ({
    deletedCount: (await write('delete', { deletes: [{ q, limit }] })).n as number,
  })
  const update = (q: object, u: object, { upsert }: Document) =>
    write('update', { updates: [{ q, u, ...(upsert ? { upsert } : {}) }] })
  return {
    findOne: async (filter, options) => (await find(filter, { ...options, limit: 1 }))[0] ?? null,
    find: (filter, options) => ({ toArray: () => find(filter, options) }),
    replaceOne: update,
    updateOne: update,
    findOneAndReplace: async (query, replacement, { projection }: Document) =>
      (await write('findAndModify', { query, update: replacement, fields: projection })).value,
    deleteOne: (filter) => remove(filter, 1),
    deleteMany: (filter) => remove(filter, 0),
    createIndexes: async () => [],
    watch() {
      throw new Error('there is no watch here')
    },
  }
}
