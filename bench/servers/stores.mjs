/** The stores of Sojourn by name, each as its page in the documentation opens it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

function folder() {
  const made = mkdtempSync(join(tmpdir(), 'sojourn-bench-'))
  process.on('exit', () => rmSync(made, { recursive: true, force: true }))
  return made
}

/** Ends the connections of the stores that were opened. */
export async function disconnect() {
  await Promise.all(ending.splice(0).map((end) => end()))
}
const ending = []

async function redisOver(client) {
  return (await import('sojourn/store/redis')).redis(client)
}

async function postgresWith(options) {
  const [{ default: pg }, { postgres }] = await Promise.all([import('pg'), import('sojourn/store/postgres')])
  const pool = new pg.Pool({ connectionString: process.env.BENCH_POSTGRES })
  ending.push(() => pool.end())
  return postgres(pool, { migrate: true, ...options })
}

async function ioredis(options) {
  const { Redis } = await import('ioredis')
  const client = new Redis(process.env.BENCH_REDIS, options)
  ending.push(() => client.disconnect())
  return client
}

const KINDS = {
  memory: async ({ max }) => (await import('sojourn/store/memory')).memory(max && { max }),
  sqlite: async ({ place = folder() }) => (await import('sojourn/store/sqlite')).sqlite(join(place, 'sessions.db')),
  file: async ({ place = folder() }) => (await import('sojourn/store/file')).file(join(place, 'sessions')),
  redis: async () => redisOver(await ioredis()),
  'redis-auto': async () => redisOver(await ioredis({ enableAutoPipelining: true })),
  'node-redis': async () => {
    const { createClient } = await import('redis')
    const client = await createClient({ url: process.env.BENCH_REDIS }).connect()
    ending.push(() => client.close())
    return redisOver(client)
  },
  postgres: () => postgresWith({}),
  'postgres-push': () => postgresWith({ push: true }),
}

/** Opens a store. `max` is for memory alone; `place` is a folder for what lives in one, default a fresh one. */
export async function open(kind, options = {}) {
  return await KINDS[kind](options)
}
