/**
 * The MongoDB store on MongoDB itself: at `MONGODB_URL`, or one that mongodb-memory-server can download. Where there is
 * neither, this is skipped, also in CI, by name: no package of Debian or npm brings a server (`scripts/allowed-skips.mjs`).
 */
import { randomUUID } from 'node:crypto'
import type { SessionRecord } from 'sojourn'
import { mongodb } from 'sojourn/store/mongodb'
import { manualClock } from 'sojourn/testing/clock'
import { storeCases } from 'sojourn/testing/store'
import { afterAll, describe, expect, test } from 'vitest'
import { connect, drivers } from './engines/mongodb.js'

const DOWNLOADS = 'https://fastdl.mongodb.org'

/** A server, and what stops it; or why there is none. */
async function server(): Promise<{ url: string; stop: () => Promise<unknown> } | string> {
  if (process.env.MONGODB_URL) return { url: process.env.MONGODB_URL, stop: async () => {} }
  try {
    await fetch(DOWNLOADS, { method: 'HEAD', signal: AbortSignal.timeout(3000) })
    const { MongoMemoryReplSet } = await import('mongodb-memory-server-core')
    const set = await MongoMemoryReplSet.create({ replSet: { count: 1 } })
    return { url: set.getUri(), stop: () => set.stop() }
  } catch {
    return `no MONGODB_URL is set, and ${DOWNLOADS} has none to download`
  }
}

const found = await server()

// Not `runIf`, which would count each test of the other branch as skipped.
if (typeof found === 'string') {
  test('the MongoDB store on a live server', (context) => {
    console.log(`SKIPPED: the MongoDB store was not tested live: ${found}`)
    context.skip(found)
  })
} else {
  const { url, stop } = found
  describe.each(drivers)('on MongoDB itself, by %s', (_, by) => suiteOn(url, by))
  afterAll(stop)
}

function suiteOn(url: string, by: (typeof drivers)[number][1]): void {
  const database = `sojourn_test_${randomUUID().slice(0, 8)}`
  // The server's own clock removes what has expired, so that a clock in the past would find nothing.
  const clock = manualClock(Date.now())
  const open = () => connect(url, {}, by)
  let client = open()
  let collection = ''

  afterAll(async () => {
    const cleaning = drivers[0]![1](url)
    await (cleaning.db(database) as unknown as { dropDatabase(): Promise<unknown> }).dropDatabase()
    await cleaning.close()
  })

  const suite = storeCases({
    clock,
    create() {
      client = open()
      collection = randomUUID()
      return mongodb(client.db(database), { clock, collection })
    },
    second: () => mongodb(open().db(database), { clock, collection }),
    breakBackend: () => client.close(),
  })
  test.each(suite.map(({ name, run }) => [name, run] as const))('%s', { timeout: 60_000 }, (_, run) => run())

  const record = (more: Partial<SessionRecord> = {}): SessionRecord => {
    const now = Date.now()
    return { userId: 'ada', data: '{}', createdAt: now, seenAt: now, expiresAt: now + 60_000, version: 1, ...more }
  }

  test('A-69: no chain of rotations outlives an endAll that it raced with', { timeout: 120_000 }, async () => {
    const options = { collection: randomUUID() }
    const [here, there] = [mongodb(open().db(database), options), mongodb(open().db(database), options)]
    for (let round = 0; round < 30; round++) {
      const ids = Array.from({ length: 20 }, (_, i) => `${round}-${i}`)
      for (const id of ids) await here.set(id, record(), 0)
      const chains = ids.map(async (first) => {
        for (let from = first, link = 0; link < 5; link++) {
          const to = `${first}-${link}`
          if (!(await there.set(to, record(), 0))) return
          if (!(await there.set(from, record({ userId: undefined, data: '', version: 2 }), 1))) return there.delete(to)
          from = to
        }
      })
      await here.endAll('ada')
      await Promise.all(chains)
      const alive: string[] = []
      for await (const [id] of here.list('ada')) alive.push(id)
      expect(alive, `round ${round}`).toEqual([])
    }
  })

  test('the indexes serve: the user’s records are found without a scan', async () => {
    const options = { collection: randomUUID() }
    const db = open().db(database)
    const store = mongodb(db, options)
    await store.prepare()
    await store.set('a', record(), 0)
    const explained = JSON.stringify(
      await (
        db.collection(options.collection) as unknown as {
          find(filter: object): { explain(): Promise<unknown> }
        }
      )
        .find({ user: 'ada', _id: { $gte: '' } })
        .explain(),
    )
    expect(explained).toContain('sojourn_user')
    expect(explained).not.toContain('COLLSCAN')
  })
}
