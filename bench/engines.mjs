/**
 * Servers of databases, started for the run and gone after it: each in a folder of its own, on a port that the system
 * gives, kept on core 0 beside the load. What they take of the processor is nobody's cost here: it is Node's that counts.
 */
import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { find, PROGRAMS } from '../scripts/programs.mjs'
import { pin } from './load/load.mjs'

const exec = promisify(execFile)
const HOST = '127.0.0.1'
/** Debian's `nobody`: PostgreSQL refuses to run as root. */
const NOBODY = 65534

async function freePort() {
  const server = createServer().listen(0, HOST)
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

/** Redis that writes nothing to the disk, so that no snapshot falls into a measurement. */
async function startRedis() {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-bench-'))
  const port = await freePort()
  const settings = ['--bind', HOST, '--port', String(port), '--dir', folder, '--save', '', '--appendonly', 'no']
  const [program, ...args] = pin(0, [find('redis'), ...settings])
  const child = spawn(program, args, { stdio: 'ignore' })
  const end = () => child.kill('SIGKILL')
  process.once('exit', end)
  const { Redis } = await import('ioredis')
  const client = new Redis(port, HOST, { retryStrategy: () => 20, maxRetriesPerRequest: 100 })
  client.on('error', () => {})
  await client.ping()
  return {
    url: `redis://${HOST}:${port}`,
    empty: () => client.flushall(),
    client,
    async stop() {
      process.off('exit', end)
      client.disconnect()
      end()
      await once(child, 'exit')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** PostgreSQL as it comes: `synchronous_commit` is on. */
async function startPostgres() {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-bench-'))
  const data = join(folder, 'data')
  const root = process.getuid?.() === 0
  if (root) chownSync(folder, NOBODY, NOBODY)
  const drop = root ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'] : []
  const command = (program, ...args) => pin(0, [...drop, join(find('postgres'), program), ...args])
  const run = ([program, ...args]) => exec(program, args, { cwd: folder })
  await run(command('initdb', '-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8'))
  const port = await freePort()
  const options = `-p ${port} -k ${folder} -c listen_addresses=${HOST} -c max_connections=200`
  await run(command('pg_ctl', '-D', data, '-l', join(folder, 'log'), '-o', options, '-w', 'start'))
  const quit = command('pg_ctl', '-D', data, '-m', 'immediate', '-w', 'stop')
  const end = () => spawnSync(quit[0], quit.slice(1), { cwd: folder })
  process.once('exit', end)
  const url = `postgres://postgres@${HOST}:${port}/postgres`
  const { default: pg } = await import('pg')
  const client = new pg.Client(url)
  client.on('error', () => {})
  await client.connect()
  return {
    url,
    empty: () => client.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public; CHECKPOINT'),
    client,
    async stop() {
      process.off('exit', end)
      await client.end()
      await run(quit)
      await pause(50)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

const STARTS = { redis: startRedis, postgres: startPostgres }

/** Why there is no such engine here; `undefined` where there is one. */
export const noEngine = (name) =>
  find(name) ? undefined : `there is no ${PROGRAMS[name].debian} here, and ${PROGRAMS[name].variable} names none`

/** The engines that run, by name: `url`, `empty()`, and a `client` of the driver. */
export const engines = new Map()

/** Starts what is not running yet; servers of the benchmark find it by `BENCH_REDIS` and `BENCH_POSTGRES`. */
export async function startEngines(names) {
  for (const name of new Set(names)) {
    if (engines.has(name)) continue
    const engine = await STARTS[name]()
    engines.set(name, engine)
    process.env[`BENCH_${name.toUpperCase()}`] = engine.url
  }
}

/** Stops all of them. */
export async function stopEngines() {
  for (const engine of engines.values()) await engine.stop()
  engines.clear()
}
