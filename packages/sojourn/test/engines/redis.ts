/**
 * Real Redis servers for tests: one, a Cluster, or a master with replicas and Sentinels. Each in a folder of its own, on
 * ports that the system gives, on this machine's own address alone, and gone when it is stopped or the process ends.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach } from 'vitest'
import { find } from '../../../../scripts/programs.mjs'

/** One server. */
export interface RedisServer {
  readonly host: string
  readonly port: number
  /** Sends one command and gives what came back, as text; for what no driver is needed for. */
  command(...words: string[]): Promise<string>
  /** Ends it as a power cut would: nothing is saved, nobody is told. */
  kill(): Promise<void>
  /** Starts it again on its port, with what its disk has. */
  start(): Promise<void>
  /** Holds it still: connections stay and nothing is answered. */
  freeze(): void
  thaw(): void
  /** Ends it and removes its folder. */
  stop(): Promise<void>
}

/** Servers that belong together. */
export interface RedisCluster {
  readonly masters: readonly RedisServer[]
  readonly replicas: readonly RedisServer[]
  stop(): Promise<void>
}

/** A master, its replicas, and the Sentinels that watch them. */
export interface RedisSentinel {
  /** The name that Sentinels know the master by. */
  readonly name: string
  readonly servers: readonly RedisServer[]
  readonly sentinels: readonly RedisServer[]
  stop(): Promise<void>
}

const HOST = '127.0.0.1'
const alive = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL')
})

/** A port that was free a moment ago; of a Cluster, with the one of its bus, 10 000 above. */
async function freePort(cluster = false): Promise<number> {
  for (;;) {
    const port = await taken(0)
    if (!cluster) return port
    if (port < 55_000 && (await taken(port + 10_000).catch(() => 0)) !== 0) return port
  }
}

async function taken(wanted: number): Promise<number> {
  const server = createServer()
  server.listen(wanted, HOST)
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/** Starts one server. `settings` are lines of its configuration, as `{ appendonly: 'yes' }`. */
export async function startRedis(settings: Record<string, string> = {}, more: string[] = []): Promise<RedisServer> {
  const program = find('redis')
  if (!program) throw new Error('there is no redis-server here')
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-redis-'))
  const port = await freePort('cluster-enabled' in settings)
  const lines = { bind: HOST, port: String(port), dir: folder, save: '""', 'protected-mode': 'no', ...settings }
  const file = join(folder, 'redis.conf')
  writeFileSync(
    file,
    `${Object.entries(lines)
      .map((line) => line.join(' '))
      .join('\n')}\n${more.join('\n')}\n`,
  )

  let child: ChildProcess | undefined
  const server: RedisServer = {
    host: HOST,
    port,
    command: (...words) => command(port, words),
    async start() {
      const args = more.length > 0 ? [file, '--sentinel'] : [file]
      child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
      alive.add(child)
      const said: string[] = []
      child.stdout!.on('data', (text) => said.push(String(text)))
      const started = child
      for (let i = 0; started.exitCode === null && i < 1000; i++) {
        if ((await command(port, ['PING']).catch(() => '')).includes('PONG')) return
        await pause(10)
      }
      await this.stop()
      throw new Error(`redis-server did not start: ${said.join('')}`)
    },
    async kill() {
      const killed = child
      child = undefined
      if (!killed) return
      alive.delete(killed)
      if (killed.exitCode !== null || killed.signalCode !== null) return
      killed.kill('SIGKILL')
      await once(killed, 'exit')
    },
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    async stop() {
      await this.kill()
      rmSync(folder, { recursive: true, force: true })
    },
  }
  await server.start()
  return server
}

/** Starts a Cluster of `size` masters, each with so many replicas, and waits until all of them agree. */
export async function startCluster(size = 3, { replicas = 0 }: { replicas?: number } = {}): Promise<RedisCluster> {
  const settings = { 'cluster-enabled': 'yes', 'cluster-node-timeout': '1500', 'cluster-config-file': 'nodes.conf' }
  const all = await Promise.all(Array.from({ length: size * (1 + replicas) }, () => startRedis(settings)))
  const [first, ...others] = all
  for (const { host, port } of others) await first!.command('CLUSTER', 'MEET', host, String(port))
  const masters = all.slice(0, size)
  for (const [i, master] of masters.entries()) {
    const [from, to] = [i, i + 1].map((n) => Math.floor((n * 16_384) / size))
    await master.command('CLUSTER', 'ADDSLOTSRANGE', String(from), String(to! - 1))
  }
  for (const [i, replica] of all.slice(size).entries()) {
    const id = (await masters[i % size]!.command('CLUSTER', 'MYID')).trim()
    await until(async () => (await replica.command('CLUSTER', 'REPLICATE', id)).includes('OK'))
  }
  const agrees = async (server: RedisServer) => {
    const nodes = (await server.command('CLUSTER', 'NODES')).split('\n').filter((line) => line.includes('connected'))
    const state = await server.command('CLUSTER', 'INFO')
    const slaves = nodes.filter((line) => line.includes('slave')).length
    return state.includes('cluster_state:ok') && nodes.length === all.length && slaves === size * replicas
  }
  await until(async () => (await Promise.all(all.map(agrees))).every(Boolean))
  await until(async () =>
    (await Promise.all(all.slice(size).map((server) => server.command('INFO', 'replication')))).every((text) =>
      text.includes('master_link_status:up'),
    ),
  )
  return {
    masters,
    replicas: all.slice(size),
    stop: async () => void (await Promise.all(all.map((server) => server.stop()))),
  }
}

/** Starts a master with `replicas` replicas, and three Sentinels that replace it within two seconds or so. */
export async function startSentinel({ replicas = 1 }: { replicas?: number } = {}): Promise<RedisSentinel> {
  const name = 'sessions'
  const master = await startRedis({ 'repl-diskless-sync-delay': '0' })
  const follow = { replicaof: `${master.host} ${master.port}`, 'repl-diskless-sync-delay': '0' }
  const servers = [master, ...(await Promise.all(Array.from({ length: replicas }, () => startRedis(follow))))]
  const watch = [
    `sentinel monitor ${name} ${master.host} ${master.port} 2`,
    `sentinel down-after-milliseconds ${name} 700`,
    `sentinel failover-timeout ${name} 3000`,
  ]
  const sentinels = await Promise.all([1, 2, 3].map(() => startSentinelServer(watch)))
  await until(async () => {
    const seen = await Promise.all(sentinels.map((one) => one.command('SENTINEL', 'MASTER', name)))
    const counts = (text: string, field: string) => Number(new RegExp(`${field}\\s+\\$?\\d*\\s*(\\d+)`).exec(text)?.[1])
    return seen.every((text) => counts(text, 'num-slaves') === replicas && counts(text, 'num-other-sentinels') === 2)
  })
  const all = [...sentinels, ...servers]
  return { name, servers, sentinels, stop: async () => void (await Promise.all(all.map((server) => server.stop()))) }
}

function startSentinelServer(watch: string[]): Promise<RedisServer> {
  return startRedis({ save: '' }, watch)
}

/**
 * Starts what all tests of the `describe` share, and stops it afterwards. Without a redis-server they are skipped; in CI
 * they fail, because nobody would notice.
 */
export function useRedis<T extends { stop(): Promise<void> }>(start: () => Promise<T>): () => T {
  let started: T | undefined
  beforeAll(async () => {
    if (find('redis')) started = await start()
  })
  afterAll(() => started?.stop())
  beforeEach((context) => {
    if (started) return
    const message = 'no redis-server was found; set REDIS_SERVER'
    if (process.env.CI) throw new Error(message)
    console.log(`SKIPPED: ${message}`)
    context.skip(message)
  })
  return () => started!
}

/** Waits until `what` says so, for at most `ms` milliseconds. */
export async function until(what: () => Promise<boolean> | boolean, ms = 20_000): Promise<void> {
  const end = performance.now() + ms
  while (!(await what())) {
    if (performance.now() > end) throw new Error('it did not come about in time')
    await pause(20)
  }
}

/** What a server is asked to say last: not every one knows QUIT. */
const END = 'sojourn-end'

/** One command over a connection of its own; the whole reply, unparsed. */
async function command(port: number, words: string[]): Promise<string> {
  const socket = connect(port, HOST)
  try {
    await once(socket, 'connect')
    const said = [words, ['PING', END]].map((all) => {
      const parts = all.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`)
      return `*${all.length}\r\n${parts.join('')}`
    })
    socket.write(said.join(''))
    socket.setTimeout(5000, () => socket.destroy(new Error('no answer')))
    let text = ''
    for await (const chunk of socket) {
      text += chunk
      if (text.endsWith(`$${END.length}\r\n${END}\r\n`)) break
    }
    return text
      .replaceAll('\r\n', '\n')
      .replace(/\$\d+\n[^\n]*\n$/, '')
      .replace(/^\$\d+\n/, '')
  } finally {
    socket.destroy()
  }
}
