/** The stores of Sojourn by name, each as its page in the documentation opens it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

function folder() {
  const made = mkdtempSync(join(tmpdir(), 'sojourn-bench-'))
  process.on('exit', () => rmSync(made, { recursive: true, force: true }))
  return made
}

async function redisOver(client) {
  return (await import('sojourn/store/redis')).redis(client)
}

async function postgresWith(options) {
  const [{ default: pg }, { postgres }] = await Promise.all([import('pg'), import('sojourn/store/postgres')])
  return postgres(new pg.Pool({ connectionString: process.env.BENCH_POSTGRES }), { migrate: true, ...options })
}

async function ioredis(options) {
  const { Redis } = await import('ioredis')
  return new Redis(process.env.BENCH_REDIS, options)
}

const KINDS = {
  memory: async (max) => (await import('sojourn/store/memory')).memory(max && { max }),
  sqlite: async () => (await import('sojourn/store/sqlite')).sqlite(join(folder(), 'sessions.db')),
  file: async () => (await import('sojourn/store/file')).file(join(folder(), 'sessions')),
  redis: async () => redisOver(await ioredis()),
  'redis-auto': async () => redisOver(await ioredis({ enableAutoPipelining: true })),
  'node-redis': async () => {
    const { createClient } = await import('redis')
    return redisOver(await createClient({ url: process.env.BENCH_REDIS }).connect())
  },
  postgres: () => postgresWith(),
  'postgres-push': () => postgresWith({ push: true }),
}

/** Opens a store; `max` is for memory alone. */
export async function open(kind, max) {
  return await KINDS[kind](max)
}
