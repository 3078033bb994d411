/** Where the MongoDB store is tried: the drivers, over a stand-in, and a real server where there is one. */
import { MongoClient } from 'mongodb'
import { MongoClient as MongoClient6 } from 'mongodb6'
import type { MongodbCollection, MongodbDb } from 'sojourn/store/mongodb'
import { afterEach, expect } from 'vitest'
import { StandIn } from './mongodb-stand-in.js'

/** Both majors of the driver that the store works with. */
export const drivers: readonly (readonly [name: string, connect: Connect])[] = [
  ['mongodb 7', (url, options) => new MongoClient(url, options) as unknown as Client],
  ['mongodb 6', (url, options) => new MongoClient6(url, options) as unknown as Client],
]

/** A client, as far as tests look at it. */
export interface Client {
  db(name?: string): MongodbDb
  on(event: 'commandStarted', listener: (event: { commandName: string; command: Command }) => void): unknown
  close(): Promise<void>
}

/** A command as command monitoring tells it. */
export type Command = Readonly<Record<string, unknown>>

type Connect = (url: string, options?: Record<string, unknown>) => Client

const closing: (() => Promise<unknown>)[] = []
let standIns: StandIn[] = []

/** What was opened here is closed after each test, and a stand-in that was asked more than it can fails the test. */
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
  const complaints = standIns.flatMap((standIn) => standIn.complaints)
  standIns = []
  expect(complaints, 'what the stand-in does not implement').toEqual([])
})

/** A stand-in for the length of a test. */
export async function useStandIn(as?: 'replica set' | 'single server'): Promise<StandIn> {
  const standIn = await StandIn.listen(as)
  standIns.push(standIn)
  closing.push(() => standIn.close())
  return standIn
}

/** A client of mongodb 7, or of another driver, for the length of a test. */
export function connect(url: string, options: Record<string, unknown> = {}, by: Connect = drivers[0]![1]): Client {
  const client = by(url, options)
  closing.push(() => client.close())
  return client
}

/** What happens around each call of a collection: `go` does it. */
export type AroundCall = (verb: string, go: () => unknown, args: readonly unknown[]) => unknown

/** `collection` behind a gate that sees each call, and may delay or break it. */
export function gatedCollection(collection: MongodbCollection, around: AroundCall): MongodbCollection {
  return new Proxy(collection, {
    get(target, name) {
      const method = Reflect.get(target, name, target) as unknown
      if (typeof method !== 'function') return method
      return (...args: unknown[]) => around(String(name), () => method.apply(target, args), args)
    },
  })
}
