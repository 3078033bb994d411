/** The Redis store: the contract with every driver, on a single server, on a Cluster, and by way of Sentinels. */
import type { Store } from 'sojourn'
import { type RedisStore, redis } from 'sojourn/store/redis'
import { manualClock } from 'sojourn/testing/clock'
import { storeCases } from 'sojourn/testing/store'
import { afterAll, describe, test } from 'vitest'
import { startCluster, startRedis, startSentinel, useRedis } from './engines/redis.js'
import { inRealTime } from './fixtures/real-time.js'
import { CLUSTERS, type Open, type Opened, SENTINELS, SINGLES } from './fixtures/redis.js'

let prefixes = 0

/**
 * One connection for each handle, all of them open until the end; each case has a prefix to itself. `lends`: a client that
 * takes a second to find its master is not closed after each case, but lent to the next.
 */
function contract(open: Open, ports: () => number[], lends = false) {
  const manual = manualClock()
  const all = new Set<Opened>()
  let free: Opened[] = []
  const make = async (prefix: string, clock?: () => number) => {
    const one = free.pop() ?? (await open(ports()))
    all.add(one)
    const store = redis(one.client, { ...(clock && { clock }), prefix })
    return {
      ...bound(store),
      close: async () => {
        await store.close()
        if (!lends) await one.end()
        else if (all.has(one)) free.push(one)
      },
    }
  }
  const handles = (clock?: () => number) => ({
    create: async () => {
      const prefix = `case-${prefixes++}*[a]:`
      return Object.assign(await make(prefix, clock), { prefix })
    },
    second: (store: Store) => make((store as unknown as { prefix: string }).prefix, clock),
  })
  const breakBackend = async () => {
    for (const one of all) await one.end()
    all.clear()
    free = []
  }
  afterAll(breakBackend)
  return [...storeCases({ clock: manual, tells: 1000, ...handles(manual), breakBackend }), ...inRealTime(handles())]
}

function bound(store: RedisStore): RedisStore {
  const verbs = ['get', 'set', 'delete', 'list', 'endAll', 'sweep', 'watch', 'close'] as const
  return Object.fromEntries(verbs.map((verb) => [verb, (store[verb] as () => unknown).bind(store)])) as never
}

describe('a single server', () => {
  const server = useRedis(() => startRedis())
  for (const [name, open] of Object.entries(SINGLES))
    describe(`the contract of stores: ${name}`, () => {
      const suite = contract(open, () => [server().port])
      test.each(suite.map(({ name, run }) => [name, run] as const))('%s', { timeout: 30_000 }, (_, run) => run())
    })
})

describe('a Cluster of three', () => {
  const cluster = useRedis(() => startCluster(3))
  for (const [name, open] of Object.entries(CLUSTERS))
    describe(`the contract of stores: ${name}`, () => {
      const suite = contract(open, () => cluster().masters.map(({ port }) => port))
      test.each(suite.map(({ name, run }) => [name, run] as const))('%s', { timeout: 30_000 }, (_, run) => run())
    })
})

describe('a master that Sentinels know', () => {
  const watched = useRedis(() => startSentinel())
  for (const [name, open] of Object.entries(SENTINELS))
    describe(`the contract of stores: ${name}`, () => {
      const suite = contract(open, () => watched().sentinels.map(({ port }) => port), true)
      test.each(suite.map(({ name, run }) => [name, run] as const))('%s', { timeout: 30_000 }, (_, run) => run())
    })
})
