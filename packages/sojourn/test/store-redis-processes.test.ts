/** Several processes with different drivers on one Redis: what they do together is as exact as if it were done by one. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { generateSecret } from 'sojourn'
import { redis } from 'sojourn/store/redis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type RedisServer, startCluster, startRedis, useRedis } from './engines/redis.js'
import { CLUSTERS, listed, record, SINGLES } from './fixtures/redis.js'

const CHILD = fileURLToPath(new URL('fixtures/redis-child.mjs', import.meta.url))
const DRIVERS = ['ioredis', 'node-redis', 'ioredis', 'node-redis']
const SESSION_KEY = generateSecret()

/** A child at work; `said` gives what it says in the end. */
function child(what: string, driver: string, servers: readonly RedisServer[], prefix: string, count = 0) {
  const ports = servers.map(({ port }) => port).join(',')
  const process_ = spawn(process.execPath, [CHILD, what, driver, ports, prefix, String(count)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, SESSION_KEY },
  })
  onTestFinished(() => void process_.kill('SIGKILL'))
  const lines: string[] = []
  createInterface(process_.stdout).on('line', (line) => lines.push(line))
  const ready = once(process_.stdout, 'data')
  const said = once(process_, 'close').then(() => JSON.parse(lines.at(-1)!))
  return { ready, said, stop: () => process_.stdin.write('stop\n') }
}

const single = useRedis(() => startRedis())
const three = useRedis(() => startCluster(3))
let prefixes = 0

describe.each([
  ['a single server', () => [single()], SINGLES['ioredis 6']!],
  ['a Cluster', () => three().masters, CLUSTERS['ioredis 6']!],
] as const)('%s', { timeout: 60_000 }, (_, servers: () => readonly RedisServer[], open) => {
  const opened = async () => {
    const prefix = `p${prefixes++}:`
    const { client, end } = await open(servers().map(({ port }) => port))
    onTestFinished(() => void end())
    return { prefix, store: redis(client, { prefix }) }
  }

  test('A-68: four processes lose no update', async () => {
    const { store, prefix } = await opened()
    await store.set('counter', record({ data: '0', userId: 'ada' }), 0)
    const children = DRIVERS.map((driver) => child('increment', driver, servers(), prefix, 100))
    expect(await Promise.all(children.map(({ said }) => said))).toEqual([100, 100, 100, 100])
    expect(await store.get('counter')).toMatchObject({ data: '400', version: 401 })
  })

  test('four processes that delete the same are told so once for each', async () => {
    const { store, prefix } = await opened()
    for (let n = 0; n < 200; n++) await store.set(`once-${n}`, record(n % 2 ? {} : { userId: 'ada' }), 0)
    const children = DRIVERS.map((driver) => child('once', driver, servers(), prefix, 200))
    const counts: number[] = await Promise.all(children.map(({ said }) => said))
    expect(counts.reduce((a, b) => a + b)).toBe(200)
    expect(await listed(store)).toEqual([])
  })

  test('7.1.2: a limit holds over four processes that sign the same user in at once', async () => {
    const { store, prefix } = await opened()
    const children = DRIVERS.map((driver) => child('login', driver, servers(), prefix, 5))
    const counts: number[] = await Promise.all(children.map(({ said }) => said))
    const inside = await listed(store, 'ada')
    expect(inside.length).toBe(counts.reduce((a, b) => a + b))
    // Where all who come at once step back for each other until they give up, it may be one.
    expect([1, 2]).toContain(inside.length)
  })

  test('7.4.3, A-69: endAll while two processes sign in and slide on: what was there is gone, and does not come back', async () => {
    const { store, prefix } = await opened()
    const children = DRIVERS.slice(0, 2).map((driver) => child('busy', driver, servers(), prefix))
    await Promise.all(children.map(({ ready }) => ready))
    let ended = 0
    let checked = 0
    for (let round = 0; round < 40; round++) {
      await pause(5)
      const before = await listed(store, 'ada')
      ended += await store.endAll('ada')
      for (const id of before) {
        expect(await store.get(id), id).toBeUndefined()
        checked++
      }
    }
    for (const { stop } of children) stop()
    const done: string[][] = await Promise.all(children.map(({ said }) => said))
    // Nothing lives on that no list shows: by hand, all records there are.
    expect(await listed(store)).toEqual(await listed(store, 'ada'))
    await store.endAll('ada')
    expect(await listed(store)).toEqual([])
    expect(done.flat().length).toBeGreaterThan(40)
    expect(ended).toBeGreaterThan(20)
    expect(checked).toBeGreaterThan(20)
  })
})
