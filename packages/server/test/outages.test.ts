/** A database that goes away and comes back, under a server that runs and before one that starts. */
import { connect, createServer, type Socket } from 'node:net'
import { storePlace } from '@sojourn/server/place'
import { describe, expect, onTestFinished, test } from 'vitest'
import { usePostgres } from '../../sojourn/test/engines/postgres.js'
import { type RedisServer, startRedis, until, useRedis } from '../../sojourn/test/engines/redis.js'
import type { Answer, Client } from './client.js'
import { serve, sojourn } from './spawned.js'
import { folder, PASSWORD, started } from './started.js'

const postgres = usePostgres({ fsync: 'off' })
const redis = useRedis(() => startRedis())

const redisPlace = ({ host, port }: RedisServer) => ({
  kind: 'redis' as const,
  as: 'single' as const,
  nodes: [{ host, port }],
  db: 0,
  tls: false,
  username: undefined,
  password: undefined,
  master: undefined,
})

/** What stands for an answer while a database is away: nobody is logged out, and nothing is told of it. */
function expectAway(answer: Answer): void {
  expect(answer.status, answer.text).toBe(503)
  expect(answer.headers.get('retry-after')).toMatch(/^\d+$/)
  expect(answer.headers.getSetCookie()).toEqual([])
  expect(answer.text).not.toMatch(/postgres|redis|127\.0\.0\.1|ECONN|sojourn_|\bat /i)
}

async function expectUnnoticed(visitor: Client): Promise<void> {
  for (const path of ['/healthz', '/api/products', '/api/session', '/api/cart', '/', '/login'])
    expect((await visitor.get(path)).status, path).toBe(200)
}

async function timed<T>(work: () => Promise<T>): Promise<[T, number]> {
  const start = performance.now()
  return [await work(), performance.now() - start]
}

describe('A-80, A-81, A-82: a database that goes away', () => {
  test.each(['opaque', 'sealed', 'jwt'] as const)('PostgreSQL, with %s', async (strategy) => {
    const server = await started({
      store: { kind: 'postgres', url: await postgres().database() },
      migrate: true,
      strategy,
    })
    const ada = await server.user('ada')
    await ada.post('/api/cart/items', { sku: 'notebook', quantity: 2 })
    await postgres().stop()
    try {
      for (let i = 0; i < 7; i++) {
        const [answer, ms] = await timed(() => ada.get('/api/cart'))
        expectAway(answer)
        expect(ms).toBeLessThan(5_000)
      }
      expectAway(await server.visitor().post('/api/login', { username: 'ada', password: PASSWORD }))
      expectAway(await server.visitor().post('/api/signup', { username: 'grace', password: PASSWORD }))
      const page = await ada.get('/')
      expect([page.status, page.headers.getSetCookie()]).toEqual([503, []])
      await expectUnnoticed(server.visitor())
      const [ready, ms] = await timed(() => server.visitor().get('/readyz'))
      expect(ready.status).toBe(503)
      expect(ready.body.detail).toBe('Out of reach: sessions, accounts.')
      expect(ms).toBeLessThan(2_500)
    } finally {
      await postgres().start()
    }
    await until(async () => (await server.visitor().get('/readyz')).status === 200)
    await until(async () => (await ada.get('/api/session')).body.user?.username === 'ada')
    expect((await ada.get('/api/cart')).body.items).toEqual([{ sku: 'notebook', quantity: 2 }])
  })

  test('Redis: killed, and then one that takes connections and does not answer', async () => {
    const own = await startRedis({ appendonly: 'yes', appendfsync: 'always' })
    onTestFinished(() => own.stop())
    const server = await started({ store: redisPlace(own) })
    const ada = await server.user('ada')
    await own.kill()
    for (let i = 0; i < 3; i++) expectAway(await ada.get('/api/session'))
    await expectUnnoticed(server.visitor())
    expect((await server.visitor().get('/readyz')).body.detail).toBe('Out of reach: sessions.')
    await own.start()
    await until(async () => (await ada.get('/api/session')).status === 200)
    expect((await ada.get('/api/session')).body.user.username).toBe('ada')

    own.freeze()
    try {
      const [answer, ms] = await timed(() => ada.get('/api/session'))
      expectAway(answer)
      expect(ms).toBeLessThan(5_000)
      const [ready, took] = await timed(() => server.visitor().get('/readyz'))
      expect(ready.body.detail).toBe('Out of reach: sessions.')
      expect(took).toBeLessThan(2_500)
      await expectUnnoticed(server.visitor())
    } finally {
      own.thaw()
    }
    await until(async () => (await ada.get('/api/session')).status === 200)
    expect((await ada.get('/api/session')).body.user.username).toBe('ada')
  })

  test('accounts that do not answer, while the sessions do', async () => {
    const way = await gate(postgres().port)
    const { pathname } = new URL(await postgres().database())
    const accounts = { kind: 'postgres' as const, url: `postgres://postgres@127.0.0.1:${way.port}${pathname}` }
    const server = await started({ accounts, migrate: true, store: redisPlace(redis()) })
    const ada = await server.user('ada')
    way.hold()
    const [answer, ms] = await timed(() => ada.get('/api/session'))
    expectAway(answer)
    expect(ms).toBeLessThan(6_000)
    expect((await server.visitor().get('/readyz')).body.detail).toBe('Out of reach: accounts.')
    await expectUnnoticed(server.visitor())
    way.open()
    await until(async () => (await ada.get('/api/session')).status === 200)
    expect((await ada.get('/api/session')).body.user.username).toBe('ada')
  })
})

describe('a start while the database is away', () => {
  test('waits for it, and then goes on', async () => {
    const own = await startRedis()
    onTestFinished(() => own.stop())
    await own.kill()
    const waiting = serve(folder(), [], { SOJOURN_STORE: `redis://127.0.0.1:${own.port}` })
    const early = sojourn(['serve', '--port', '0', '--data', folder()], {
      SOJOURN_STORE: `redis://127.0.0.1:${own.port}`,
    })
    await early.seen(/"event":"sys_waiting".*Redis does not answer yet/)
    await own.start()
    const server = await waiting
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200)
  })

  test.each([
    ['Redis', 'redis://app:hunter2@127.0.0.1:'],
    ['PostgreSQL', 'postgres://app:hunter2@127.0.0.1:'],
    ['MongoDB', 'mongodb://app:hunter2@127.0.0.1:'],
  ])('ends when %s does not come, with a message that has no address in it', async (name, address) => {
    const { port, close } = await gate(0)
    close()
    const failed = await started({ store: storePlace(`${address}${port}`) }, { wait: 300 }).catch((error) => error)
    expect(failed.message).toMatch(
      new RegExp(`^SOJOURN_STORE: ${name}: does not answer \\(.+\\), and was waited for 0 seconds; start it`),
    )
    expect(failed.message).not.toMatch(/hunter2|127\.0\.0\.1|app/)
  })

  test('does not wait where waiting is no help', async () => {
    const guarded = await startRedis()
    onTestFinished(() => guarded.stop())
    await guarded.command('CONFIG', 'SET', 'requirepass', 'another')
    const env = { SOJOURN_STORE: `redis://:hunter2@127.0.0.1:${guarded.port}` }
    const refused = sojourn(['serve', '--port', '0', '--data', folder()], env)
    expect(await refused.ended).toBe(1)
    expect(refused.output()).toMatch(/SOJOURN_STORE: Redis: .*(WRONGPASS|invalid)/)
    expect(refused.output()).not.toMatch(/hunter2|sys_waiting/)
    const unknown = { SOJOURN_STORE: `postgres://postgres@127.0.0.1:${postgres().port}/nowhere` }
    const lost = sojourn(['serve', '--port', '0', '--data', folder()], unknown)
    expect(await lost.ended).toBe(1)
    expect(lost.output()).toMatch(/SOJOURN_STORE: PostgreSQL: database "nowhere" does not exist/)
  })
})

/** A way to a port that can be held: connections stay, new ones are taken, and nothing gets through. */
async function gate(to: number): Promise<{ port: number; hold(): void; open(): void; close(): void }> {
  const sockets = new Set<Socket>()
  let held = false
  const server = createServer((near) => {
    const far = connect(to, '127.0.0.1')
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        near.destroy()
        far.destroy()
      })
      if (held) socket.pause()
    }
    near.on('data', (bytes) => far.write(bytes))
    far.on('data', (bytes) => near.write(bytes))
    if (held) for (const socket of [near, far]) socket.pause()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = () => {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
  onTestFinished(close)
  return {
    port: (server.address() as { port: number }).port,
    hold() {
      held = true
      for (const socket of sockets) socket.pause()
    },
    open() {
      held = false
      for (const socket of sockets) socket.resume()
    },
    close,
  }
}
