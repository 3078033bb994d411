/** A real PostgreSQL server for tests: its own data, its own port, and ways to make it fail. */
import { execFile, spawnSync } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach } from 'vitest'
import { find } from '../../../../scripts/programs.mjs'

const exec = promisify(execFile)
/** Debian's `nobody` and `nogroup`: PostgreSQL refuses to run as root. */
const NOBODY = 65534

/** A server that runs. Its role is `postgres`, its database `test`, and it trusts everybody on this machine. */
export interface PostgresEngine {
  readonly port: number
  /** For `pg` and postgres.js. */
  readonly url: string
  /** Another, empty database, and its URL. */
  database(options?: string): Promise<string>
  /** Stops it in order, and breaks connections. */
  stop(): Promise<void>
  /** Kills it with SIGKILL: what was not flushed is lost. */
  kill(): Promise<void>
  /** Starts it again after either, on the same port. */
  start(): Promise<void>
  /** Stops it, and starts it as a replica: it answers reads, and takes no writes. */
  demote(): Promise<void>
  /** Makes a replica a primary again. */
  promote(): Promise<void>
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Makes and starts a server with the programs in `bin`; `settings` are those of `postgresql.conf`. */
export async function startPostgres(
  bin: string,
  settings: Record<string, string> = {},
): Promise<PostgresEngine & { remove(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-postgres-'))
  const data = join(folder, 'data')
  const root = process.getuid?.() === 0
  if (root) chownSync(folder, NOBODY, NOBODY)
  const drop = root ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'] : []
  const command = (program: string, ...args: string[]) => [...drop, join(bin, program), ...args]
  const run = ([program, ...args]: string[]) => exec(program!, args, { cwd: folder, timeout: 60_000 })
  const quit = command('pg_ctl', '-D', data, '-m', 'immediate', 'stop')

  await run(
    command('initdb', '-D', data, '-U', 'postgres', '-A', 'trust', '--no-sync', '-E', 'UTF8', '--locale=C.UTF-8'),
  )
  const port = await freePort()
  const said = Object.entries({ max_connections: '200', ...settings }).map(([name, value]) => `-c ${name}=${value}`)
  const options = `-p ${port} -k ${folder} -c listen_addresses=127.0.0.1 ${said.join(' ')}`
  const start = async () => {
    // After a kill the remains of the old server may need a moment to go.
    for (let tries = 1; ; tries++)
      try {
        await run(command('pg_ctl', '-D', data, '-l', join(folder, 'log'), '-o', options, '-w', '-t', '30', 'start'))
        return
      } catch (error) {
        if (tries === 20) throw new Error(`${error}\n${readFileSync(join(folder, 'log'), 'utf8')}`)
        await pause(100)
      }
  }
  const atExit = () => spawnSync(quit[0]!, quit.slice(1))
  process.once('exit', atExit)
  await start()

  const url = (name: string) => `postgres://postgres@127.0.0.1:${port}/${name}`
  let databases = 0
  const database = async (options = '') => {
    const name = `test${++databases}`
    const client = new pg.Client(url('postgres'))
    await client.connect()
    await client.query(`CREATE DATABASE ${name} ${options}`)
    await client.end()
    return url(name)
  }
  const stop = async () => void (await run(command('pg_ctl', '-D', data, '-m', 'fast', '-w', 'stop')))
  return {
    port,
    url: await database(),
    database,
    start,
    stop,
    async demote() {
      await stop()
      writeFileSync(join(data, 'standby.signal'), '')
      if (root) chownSync(join(data, 'standby.signal'), NOBODY, NOBODY)
      await start()
    },
    promote: async () => void (await run(command('pg_ctl', '-D', data, '-w', 'promote'))),
    async kill() {
      process.kill(Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0]), 'SIGKILL')
      await pause(50)
    },
    async remove() {
      process.off('exit', atExit)
      if (existsSync(join(data, 'postmaster.pid'))) await run(quit).catch(() => {})
      rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
    },
  }
}

/**
 * A server for all tests of the file or `describe` that calls this; ask for it inside of tests and hooks. Where there is
 * no PostgreSQL (`POSTGRES_BIN`, or where systems put it) they are skipped; in CI they fail, because nobody would notice.
 */
export function usePostgres(settings?: Record<string, string>): () => PostgresEngine {
  let engine: Awaited<ReturnType<typeof startPostgres>> | undefined
  beforeAll(async () => {
    const bin = find('postgres')
    if (bin) engine = await startPostgres(bin, settings)
  }, 60_000)
  afterAll(() => engine?.remove())
  beforeEach((context) => {
    if (engine) return
    const message = 'no PostgreSQL was found; set POSTGRES_BIN'
    if (process.env.CI) throw new Error(message)
    console.log(`SKIPPED: ${message}`)
    context.skip(message)
  })
  return () => engine!
}
