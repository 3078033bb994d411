/** The Redis store: the contract with every driver, on a single server and on a Cluster. */
import type { Store } from 'sojourn'
import { type RedisStore, redis } from 'sojourn/store/redis'
import { manualClock } from 'sojourn/testing/clock'
import { storeCases } from 'sojourn/testing/store'
import { describe, test } from 'vitest'
import { startCluster, startRedis, useRedis } from './engines/redis.js'
import { inRealTime } from './fixtures/real-time.js'
import { CLUSTERS, type Open, SINGLES } from './fixtures/redis.js'

let prefixes = 0

/** One connection for each handle, all of them open until the end; each case has a prefix to itself. */
function contract(open: Open, ports: () => number[]) {
  const manual = manualClock()
  const opened = new Map<RedisStore, { prefix: string; end: () => unknown }>()
  const make = async (prefix: string, clock?: () => number) => {
    const { client, end } = await open(ports())
    const store = redis(client, { ...(clock && { clock }), prefix })
    opened.set(store, { prefix, end })
    return {
      ...bound(store),
      close: async () => {
        await store.close()
        await end()
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
    for (const { end } of opened.values()) await end()
  }
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
