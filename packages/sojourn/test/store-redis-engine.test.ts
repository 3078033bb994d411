/** The Redis store and its server: how often it is asked and by what right, what it keeps, and what is said when it fails. */
import { connect, type Socket } from 'node:net'
import { inspect } from 'node:util'
import { Cluster, Redis } from 'ioredis'
import { createClient } from 'redis'
import { type RedisClient, type RedisStore, redis } from 'sojourn/store/redis'
import { manualClock } from 'sojourn/testing/clock'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startRedis, until, useRedis } from './engines/redis.js'
import { listed, type Open, record, SINGLES } from './fixtures/redis.js'
import { shop } from './helpers.js'

const server = useRedis(() => startRedis())
let prefixes = 0

async function opened(
  open: Open = SINGLES['ioredis 6']!,
): Promise<{ store: RedisStore; client: Redis; prefix: string }> {
  const { client, end } = await open([server().port])
  const prefix = `t${prefixes++}:`
  const store = redis(client, { prefix })
  onTestFinished(async () => {
    await store.close()
    await end()
  })
  return { store, client: client as unknown as Redis, prefix }
}

/** How often each command was asked for while `work` was done, but for those that the scripts call. */
async function asked(work: () => Promise<unknown>): Promise<Record<string, number>> {
  const socket = connect(server().port, server().host)
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  socket.write('MONITOR\r\n')
  await until(() => text.includes('+OK'))
  await work()
  await server().command('ECHO', 'done')
  await until(() => text.includes('"ECHO" "done"'))
  socket.destroy()
  const seen: Record<string, number> = {}
  for (const [, source, name] of text.matchAll(/^\+[\d.]+ \[\d+ ([^\]]+)\] "(\w+)"/gm)) {
    const command = name!.toLowerCase()
    // What drivers say as they connect, and this itself.
    if (source !== 'lua' && !['hello', 'info', 'client', 'select', 'echo', 'ping'].includes(command))
      seen[command] = (seen[command] ?? 0) + 1
  }
  return seen
}

describe('what a request costs', () => {
  test.each(Object.entries(SINGLES))(
    'one command to read, one to write, and none to begin with: %s',
    async (_, open) => {
      const { store } = await opened(open)
      await store.set('a', record({ userId: 'ada' }), 0)
      // Now Redis knows the scripts.
      expect(await store.delete('warm')).toBe(false)
      expect(await asked(() => store.get('a'))).toEqual({ get: 1 })
      expect(await asked(() => store.get('absent'))).toEqual({ get: 1 })
      expect(await asked(() => store.set('a', record({ userId: 'ada', version: 2 }), 1))).toEqual({ evalsha: 1 })
      expect(await asked(() => store.set('guest', record(), 0))).toEqual({ evalsha: 1 })
      expect(await asked(() => store.set('b', record({ userId: 'ada' }), 0))).toEqual({ evalsha: 2, zscore: 1 })
      expect(await asked(() => store.delete('guest'))).toEqual({ evalsha: 1 })
      expect(await asked(() => store.delete('b'))).toEqual({ evalsha: 1, zrem: 1 })
    },
  )

  test('an unchanged session is read once and written never, until the sliding write is due', async () => {
    const { store } = await opened()
    const clock = manualClock(Date.now())
    const app = shop({ clock, store })
    const { given } = await app.request('', (session) => session.login('ada'))
    const visit = async () => expect(await app.userOf(given!)).toBe('ada')
    expect(await asked(visit)).toEqual({ get: 1 })
    expect(await asked(visit)).toEqual({ get: 1 })
    clock.advance(4 * 60_000)
    expect(await asked(visit)).toEqual({ get: 1, evalsha: 1 })
    expect(await asked(visit)).toEqual({ get: 1 })
  })

  test('the sliding write tells the index about once in an idle timeout', async () => {
    const { client, prefix } = await opened()
    const clock = manualClock()
    const store = redis(client, { prefix, clock })
    const IDLE = 1_800_000
    await store.set('a', record({ userId: 'ada', expiresAt: clock() + IDLE }, clock()), 0)
    let entered = 0
    for (let version = 2; version <= 41; version++) {
      clock.advance(IDLE / 10)
      const next = record({ userId: 'ada', expiresAt: clock() + IDLE, version }, clock())
      const calls = await asked(() => store.set('a', next, version - 1))
      if (calls.zscore) entered++
      expect(await client.zcard(`${prefix}user:ada`), `after write ${version}`).toBe(1)
    }
    // Four idle timeouts of use.
    expect(entered).toBeGreaterThanOrEqual(3)
    expect(entered).toBeLessThanOrEqual(4)
    expect(await store.endAll('ada')).toBe(1)
    expect(await client.exists(`${prefix}user:ada`)).toBe(0)
  })
})

describe('what ioredis is asked in one turn of the event loop', () => {
  const drivers = Object.entries(SINGLES).filter(([name]) => /^io/.test(name))
  test.each(drivers)('leaves in one piece, and each is answered: %s', async (_, open) => {
    const { store, client } = await opened(open)
    await store.set('warm', record({}), 0)
    const ids = Array.from({ length: 20 }, (_, n) => `one of twenty ${n}`)
    const socket = client.stream as Socket
    let pieces = 0
    const { _writev: many, _write: one } = socket
    socket._write = (...args) => {
      pieces++
      one.call(socket, ...args)
    }
    socket._writev = (...args) => {
      pieces++
      many!.call(socket, ...args)
    }
    const piecesOf = async (work: () => Promise<unknown>[]) => {
      pieces = 0
      const answers = await Promise.all(work())
      return { pieces, answers }
    }
    const written = await piecesOf(() => ids.map((id) => store.set(id, record({ data: `{"id":"${id}"}` }), 0)))
    expect(written).toEqual({ pieces: 1, answers: ids.map(() => true) })
    const read = await piecesOf(() => ids.map(async (id) => (await store.get(id))?.data))
    expect(read).toEqual({ pieces: 1, answers: ids.map((id) => `{"id":"${id}"}`) })
    expect(socket.writableCorked).toBe(0)
  })

  test('goes on where the connection is lost meanwhile', async () => {
    const { store, client } = await opened()
    await store.set('a', record({}), 0)
    const asked = store.get('a')
    client.stream.destroy()
    expect((await asked)?.version).toBe(1)
    expect((await store.get('a'))?.version).toBe(1)
  })
})

describe('what Redis keeps', () => {
  test('A-78: a record goes by itself on the millisecond, and an index after its last entry', async () => {
    const { store, client, prefix } = await opened()
    const expiresAt = Date.now() + 400
    await store.set('a', record({ userId: 'ada', expiresAt }), 0)
    await store.set('guest', record({ expiresAt }), 0)
    for (const id of ['a', 'guest']) {
      const left = await client.pexpiretime(`${prefix}record:${id}`)
      expect(Math.abs(left - expiresAt)).toBeLessThan(100)
    }
    expect(await client.pttl(`${prefix}user:ada`)).toBeGreaterThan(3_600_000)
    expect(await client.pttl(`${prefix}user:ada`)).toBeLessThan(2 * 3_600_000 + 10_000)
    await until(async () => (await client.exists(`${prefix}record:a`, `${prefix}record:guest`)) === 0)
    expect(Date.now()).toBeGreaterThanOrEqual(expiresAt - 100)
    expect(await listed(store)).toEqual([])
    expect(await listed(store, 'ada')).toEqual([])
  })

  test('a sliding write moves the expiry of the key', async () => {
    const { store, client, prefix } = await opened()
    await store.set('a', record(), 0)
    const later = Date.now() + 5 * 60_000
    await store.set('a', record({ expiresAt: later, version: 2 }), 1)
    expect(Math.abs((await client.pexpiretime(`${prefix}record:a`)) - later)).toBeLessThan(100)
    expect(await store.set('b', record({ expiresAt: Number.POSITIVE_INFINITY, userId: 'ada' }), 0)).toBe(true)
    expect((await store.get('b'))?.userId).toBe('ada')
    expect(await store.set('c', record({ expiresAt: Number.NaN }), 0)).toBe(true)
    expect(await store.get('c')).toBeUndefined()
  })

  test('guests have no index, and nothing is left of users who signed out', async () => {
    const { store, client, prefix } = await opened()
    for (let i = 0; i < 20; i++) await store.set(`g${i}`, record(), 0)
    expect(await client.keys(`${prefix}user:*`)).toEqual([])
    for (let i = 0; i < 5; i++) await store.set(`u${i}`, record({ userId: 'ada' }), 0)
    expect(await client.keys(`${prefix}user:*`)).toHaveLength(1)
    for (let i = 0; i < 3; i++) await store.delete(`u${i}`)
    await store.set('u3', record({ userId: 'ada', expiresAt: Date.now() - 1, version: 2 }), 1)
    expect(await client.zcard(`${prefix}user:ada`)).toBe(1)
    await store.delete('u4')
    expect(await client.keys(`${prefix}user:*`)).toEqual([])
  })

  test('the entry of a replaced record is kept for an hour after it, not for as long as if it were slid on', async () => {
    const { store, client, prefix } = await opened()
    const day = 86_400_000
    await store.set('a', record({ userId: 'ada', expiresAt: Date.now() + 30 * day }), 0)
    expect(Number((await client.zrange(`${prefix}user:ada`, '0', '-1', 'WITHSCORES'))[1])).toBeGreaterThan(
      Date.now() + 59 * day,
    )
    await store.set('a', record({ userId: 'ada', data: '', expiresAt: Date.now() + 60_000, version: 2 }), 1)
    expect(Number((await client.zrange(`${prefix}user:ada`, '0', '-1', 'WITHSCORES'))[1])).toBeLessThan(
      Date.now() + day,
    )
    // Should it be slid on all the same, its entry goes before.
    await store.set('a', record({ userId: 'ada', expiresAt: Date.now() + 30 * day, version: 3 }), 2)
    expect(Number((await client.zrange(`${prefix}user:ada`, '0', '-1', 'WITHSCORES'))[1])).toBeGreaterThan(
      Date.now() + 59 * day,
    )
    expect(await client.zcard(`${prefix}user:ada`)).toBe(1)
  })

  test('half a surrogate pair comes back as it was, in data, users and ids, and is nobody else', async () => {
    const { store } = await opened()
    const names = ['ada\ud800', 'ada\udc00', 'ada\ufffd', 'ada\u001b', 'ada\u001bd800', 'ada', '\u{1f600}']
    for (const name of names)
      expect(await store.set(name, record({ userId: name, data: `${JSON.stringify(name)}${name}` }), 0)).toBe(true)
    for (const name of names) {
      expect(await store.get(name)).toMatchObject({ userId: name, data: `${JSON.stringify(name)}${name}` })
      expect(await listed(store, name)).toEqual([name])
    }
    expect(await listed(store)).toEqual(names.toSorted())
    for (const name of names) expect(await store.endAll(name)).toBe(1)
  })

  test('a driver that gives Buffers is as good', async () => {
    const client = createClient({
      url: `redis://127.0.0.1:${server().port}`,
      commandOptions: { typeMapping: { 36: Buffer } },
    })
    await client.connect()
    onTestFinished(() => void client.destroy())
    expect(await client.sendCommand(['ECHO', 'a'])).toEqual(Buffer.from('a'))
    const store = redis(client, { prefix: `t${prefixes++}:` })
    await store.set('a', record({ userId: 'ada' }), 0)
    expect(await store.set('a', record({ userId: 'ada', version: 2 }), 1)).toBe(true)
    expect((await store.get('a'))?.version).toBe(2)
    expect([await listed(store), await listed(store, 'ada')]).toEqual([['a'], ['a']])
    expect(await store.endAll('ada')).toBe(1)
  })
})

describe('what can go wrong', () => {
  test('a server that forgot the scripts is told them again', async () => {
    const { store } = await opened()
    for (const version of [1, 2, 3]) {
      await server().command('SCRIPT', 'FLUSH')
      expect(await store.set('a', record({ userId: 'ada', version }), version - 1)).toBe(true)
    }
    await server().command('SCRIPT', 'FLUSH')
    expect(await store.endAll('ada')).toBe(1)
  })

  test('A-68: a write that the driver sends twice, because the answer was lost, is done once and told as done', async () => {
    const { client, prefix } = await opened()
    // As drivers do on their own when a connection breaks; here each script goes out twice and the first answer is lost.
    const twice = new Proxy(client, {
      get(target, key) {
        if (key !== 'call') return Reflect.get(target, key)
        return async (name: string, ...args: string[]) => {
          if (name.startsWith('EVAL')) await target.call(name, ...args)
          return target.call(name, ...args)
        }
      },
    })
    const store = redis(twice, { prefix })
    expect(await store.set('a', record({ userId: 'ada' }), 0)).toBe(true)
    expect(await store.set('a', record({ userId: 'ada', version: 2 }), 1)).toBe(true)
    expect(await store.set('a', record({ userId: 'ada', version: 2 }), 1)).toBe(false)
    expect(await store.set('a', record({ userId: 'ada' }), 0)).toBe(false)
    expect(await store.set('guest', record(), 0)).toBe(true)
    expect((await store.get('a'))?.version).toBe(2)
    expect(await listed(store, 'ada')).toEqual(['a'])
    expect(await redis(client, { prefix }).endAll('ada')).toBe(1)
  })

  test('7.4.3: endAll ends what was written twice and built upon in between', async () => {
    const { store, client, prefix } = await opened()
    const far = { userId: 'ada', expiresAt: Date.now() + 86_400_000 }
    await store.set('a', record({ userId: 'ada' }), 0)
    let between: (() => Promise<unknown>) | undefined
    const late = new Proxy(client, {
      get(target, key) {
        if (key !== 'call') return Reflect.get(target, key)
        return async (name: string, ...args: string[]) => {
          const answer = await target.call(name, ...args)
          // The write that goes with a new entry, once it is done: its answer is lost, and somebody else is faster.
          if (answer === 1 || typeof answer !== 'string' || between === undefined) return answer
          const then = between
          between = undefined
          await then()
          return target.call(name, ...args)
        }
      },
    })
    between = async () => expect(await store.set('a', record({ ...far, version: 3 }), 2)).toBe(true)
    expect(await redis(late, { prefix }).set('a', record({ ...far, version: 2 }), 1)).toBe(false)
    expect(between, 'the race came about').toBeUndefined()
    expect(await store.get('a')).toMatchObject({ version: 3 })
    const token = JSON.parse((await client.get(`${prefix}record:a`))!.split('\n')[0]!)[4]
    expect(await client.zscore(`${prefix}user:ada`, `${token}:a`), 'the entry of what lives').not.toBeNull()
    expect(await listed(store, 'ada')).toEqual(['a'])
    expect(await store.endAll('ada')).toBe(1)
    expect(await store.get('a')).toBeUndefined()
  })

  test('what is not of this store is refused, left alone, and not shown', async () => {
    const { store, client, prefix } = await opened()
    await client.set(`${prefix}record:text`, 'whose-secret-is-this')
    await client.set(`${prefix}record:json`, '{"cookie":"whose-secret-is-this"}')
    await client.hset(`${prefix}record:hash`, 'secret', 'whose-secret-is-this')
    for (const id of ['text', 'hash', 'json']) {
      for (const call of [() => store.get(id), () => store.set(id, record(), 0), () => store.delete(id)]) {
        const error = await call().then(
          () => undefined,
          (error) => error,
        )
        expect(error, id).toBeInstanceOf(Error)
        expect(inspect(error)).not.toContain('whose-secret')
      }
    }
    expect(await client.get(`${prefix}record:text`)).toBe('whose-secret-is-this')
  })

  test('A-52: no error shows an id, a user or data, whatever the driver hangs on it', async () => {
    const { client, prefix } = await opened()
    const rights = ['+get', '+select', '+info', '+hello']
    await client.call('ACL', 'SETUSER', 'little', 'on', '>word', '~*', '-@all', ...rights)
    const little = new Redis(server().port, { username: 'little', password: 'word' })
    onTestFinished(() => little.disconnect())
    const unknown = new Proxy(client, {
      get(target, key) {
        if (key !== 'call') return Reflect.get(target, key)
        return (_: string, ...args: string[]) => target.call('NOSUCHCOMMAND', ...args)
      },
    })
    for (const one of [little, unknown]) {
      const store = redis(one, { prefix })
      const hidden = record({ userId: 'hidden-user', data: 'hidden-data' })
      const calls = [
        () => store.set('hidden-id', hidden, 0),
        () => store.set('hidden-id', record({ data: 'hidden-data' }), 0),
        () => store.delete('hidden-id'),
        () => store.endAll('hidden-user'),
        () => listed(store, 'hidden-user'),
        () => listed(store),
      ]
      for (const call of calls) {
        const error = await (call() as Promise<unknown>).then(
          () => undefined,
          (error) => error,
        )
        expect(error).toBeInstanceOf(Error)
        expect(inspect(error, { depth: 9, showHidden: true })).not.toMatch(/hidden/)
      }
    }
  })

  test('the rights that the page names are enough', async () => {
    const { client } = await opened()
    const rights =
      '+get +set +del +getrange +zadd +zrem +zrange +zscore +zremrangebyscore +pttl +pexpire +time +evalsha +eval +publish +subscribe +unsubscribe +ping +scan +info +select +hello +client|setname'
    const bounds = ['resetkeys', '~sojourn:*', 'resetchannels', '&sojourn:changes', '-@all']
    await client.call('ACL', 'SETUSER', 'sessions', 'on', '>word', ...bounds, ...rights.split(' '))
    const io = new Redis(server().port, { username: 'sessions', password: 'word' })
    const node = createClient({ url: `redis://sessions:word@127.0.0.1:${server().port}` })
    await node.connect()
    onTestFinished(() => {
      io.disconnect()
      void node.destroy()
    })
    for (const one of [io, node] as RedisClient[]) {
      const store = redis(one)
      const heard: string[] = []
      let stands = false
      const unwatch = store.watch(
        (id) => heard.push(id),
        () => {
          stands = true
        },
      )
      await until(() => stands)
      await store.set('a', record({ userId: 'ada' }), 0)
      await store.set('a', record({ userId: 'ada', version: 2 }), 1)
      await store.set('a', record({ userId: 'ada', version: 3, expiresAt: Date.now() + 600_000 }), 2)
      await store.set('a', record({ userId: 'ada', data: '', version: 4 }), 3)
      expect([await listed(store), await listed(store, 'ada')]).toEqual([[], []])
      await store.set('b', record({ userId: 'ada' }), 0)
      expect(await store.endAll('ada')).toBe(1)
      await store.set('c', record(), 0)
      expect(await store.delete('c')).toBe(true)
      expect(await store.sweep(Date.now())).toBe(0)
      await until(() => heard.length === 6)
      unwatch()
    }
  })

  test('A-80: a server that is gone is an error, for every verb, and one that is back is asked again', async () => {
    const gone = await startRedis({ appendonly: 'yes', appendfsync: 'always' })
    const client = new Redis(gone.port, { maxRetriesPerRequest: 0, retryStrategy: () => 20 })
    client.on('error', () => {})
    onTestFinished(async () => {
      client.disconnect()
      await gone.stop()
    })
    const store = redis(client)
    await store.set('a', record({ userId: 'ada' }), 0)
    await gone.kill()
    await expect(store.get('a')).rejects.toThrow('redis: ')
    await expect(store.set('a', record({ version: 2 }), 1)).rejects.toThrow()
    await expect(store.delete('a')).rejects.toThrow()
    await expect(store.endAll('ada')).rejects.toThrow()
    await expect(listed(store)).rejects.toThrow()
    await gone.start()
    await until(() =>
      store.get('a').then(
        (found) => found?.version === 1,
        () => false,
      ),
    )
    expect(await store.endAll('ada')).toBe(1)
  })
})

describe('what is refused when the store is made', () => {
  test('what is no client, and a prefix that is none', () => {
    for (const none of [undefined, null, {}, 'redis://localhost', { get: () => {} }])
      expect(() => redis(none as never)).toThrow(/TypeError|redis: the first argument/)
    const client = new Redis({ lazyConnect: true })
    expect(() => redis(client, { prefix: '' })).toThrow(TypeError)
  })

  test('A-80: a client that reads from replicas, which may not know yet of a login or a logout', () => {
    for (const scaleReads of ['slave', 'all', () => []] as const) {
      const cluster = new Cluster([], { lazyConnect: true, scaleReads: scaleReads as 'all' })
      expect(() => redis(cluster)).toThrow(/scaleReads/)
    }
    const replica = new Redis({ lazyConnect: true, role: 'slave', sentinels: [{ port: 1 }], name: 'sessions' })
    expect(() => redis(replica)).toThrow(/role/)
  })
})
