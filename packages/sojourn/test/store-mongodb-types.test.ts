/** The drivers' own types fit, without a cast: this file's point is that it compiles. */
import type MongoStore from 'connect-mongo'
import { MemoryStore } from 'express-session'
import { MongoClient } from 'mongodb'
import { MongoClient as MongoClient6 } from 'mongodb6'
import { memory } from 'sojourn/store/memory'
import { mongodb } from 'sojourn/store/mongodb'
import { type LegacyStore, legacy } from 'sojourn/strategy/legacy'
import { expect, test } from 'vitest'

interface Typed {
  _id: string
  cart: string[]
}

test('a Db and a Collection of both majors, also one with a schema of its own, are taken as they are', async () => {
  const client = new MongoClient('mongodb://127.0.0.1:1')
  const client6 = new MongoClient6('mongodb://127.0.0.1:1')
  const stores = [
    mongodb(client.db()),
    mongodb(client.db().collection('sessions')),
    mongodb(client.db().collection<Typed>('sessions')),
    mongodb(client6.db(), { collection: 'sessions' }),
    mongodb(client6.db().collection('sessions')),
  ]
  for (const store of stores) expect(store.endAll).toBeTypeOf('function')
  await Promise.all([client.close(), client6.close()])
})

test('the stores of express-session are taken as they are', () => {
  const take = (from: LegacyStore) => legacy({ from, secrets: 'old', read: () => undefined, store: memory() })
  expect(take(new MemoryStore())).toBeTypeOf('function')
  const later = (store: MongoStore) => take(store)
  expect(later).toBeTypeOf('function')
})
