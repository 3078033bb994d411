/** A server on Redis as it is run: as a Cluster, and behind Sentinels that replace a master. */
import { storePlace } from '@sojourn/server/place'
import { describe, expect, test } from 'vitest'
import {
  type RedisServer,
  startCluster,
  startRedis,
  startSentinel,
  until,
  useRedis,
} from '../../sojourn/test/engines/redis.js'
import { client } from './client.js'
import { PASSWORD, type Started, started } from './started.js'

const hosts = (servers: readonly RedisServer[]) => servers.map(({ host, port }) => `${host}:${port}`).join(',')

/** Two devices, one of which ends the other. */
async function visit(server: Started, username: string): Promise<void> {
  const laptop = await server.user(username)
  const phone = server.visitor()
  expect((await phone.post('/api/login', { username, password: PASSWORD })).status).toBe(200)
  expect((await laptop.get('/api/sessions')).body.sessions).toHaveLength(2)
  const stolen = client(server.url, phone.jar.cloneSync())
  expect((await laptop.post('/api/sessions/end-others')).body).toEqual({ ended: 1 })
  expect((await stolen.get('/api/session')).body.user).toBeNull()
  expect((await laptop.get('/api/session')).body.user.username).toBe(username)
}

const NO_SUCH = /SOJOURN_STORE: Redis: it has no database of this number.*Correct the number/

describe('one server', () => {
  const redis = useRedis(() => startRedis())

  test('is used in the database that the address names, and refused where that is none', async () => {
    const at = (db: number) => started({ store: storePlace(`redis://${hosts([redis()])}/${db}`) })
    await visit(await at(15), 'ada')
    expect(await redis().command('INFO', 'keyspace')).toMatch(/^(?!.*db0:).*db15:/s)
    await expect(at(16)).rejects.toThrow(NO_SUCH)
  })
})

describe('a Cluster', () => {
  const cluster = useRedis(() => startCluster(3))

  test.each(['opaque', 'jwt'] as const)('is found by some of its nodes, with %s', async (strategy) => {
    const store = storePlace(`redis://${hosts(cluster().masters.slice(0, 2))}?cluster=true`)
    const server = await started({ store, strategy })
    expect((await server.visitor().get('/readyz')).status).toBe(200)
    for (const name of ['ada', 'grace', 'hedy', 'joan']) await visit(server, name)
  })
})

describe('Sentinels', () => {
  const sentinel = useRedis(() => startSentinel())

  test('lead to the master, and to the one that takes its place', async () => {
    const { sentinels, name, servers } = sentinel()
    const server = await started({ store: storePlace(`redis-sentinel://${hosts(sentinels)}?sentinelMasterId=${name}`) })
    await visit(server, 'ada')
    const noDatabase = storePlace(`redis-sentinel://${hosts(sentinels)}/99?sentinelMasterId=${name}`)
    await expect(started({ store: noDatabase })).rejects.toThrow(NO_SUCH)
    const grace = await server.user('grace')
    await until(async () => (await servers[0]!.command('WAIT', '1', '1000')).includes('1'))
    await servers[0]!.kill()
    await until(async () => (await grace.get('/api/session')).status === 200)
    expect((await grace.get('/api/session')).body.user.username).toBe('grace')
    await visit(server, 'hedy')
  })
})
