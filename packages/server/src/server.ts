/** The whole server: connected, started, and stopped without cutting anybody off. */
import type { Server } from 'node:http'
import { createApp } from './app.js'
import { type Assembly, assemble } from './assembly.js'
import type { Config } from './config.js'
import { draining } from './drain.js'
import { accountsOf, connectEngines, type Engines } from './engines/connect.js'
import { createHealth } from './health.js'
import { loadKeys } from './keys-file.js'
import { isLoopback, listen, urlOf } from './listen.js'
import { createLog, type Logger } from './log.js'
import { createMetrics, type Metrics, UNMEASURED } from './metrics.js'
import { serveMetrics } from './metrics-server.js'
import { isShared } from './place.js'
import { createSocket } from './socket.js'

/** What a test or a program that embeds the server may replace. */
export interface StartOptions {
  /** Default: on standard output. */
  readonly log?: Logger
  /** Epoch milliseconds. Default `Date.now`. */
  readonly clock?: () => number
  /** Milliseconds that a database which does not answer is waited for. Default 30,000. */
  readonly wait?: number
}

/** A server that listens. */
export interface Running {
  /** Where, as a client on this machine would write it. */
  readonly url: string
  /** Where `/metrics` is, if it is anywhere. */
  readonly metricsUrl?: string
  /** Takes no more requests, finishes those under way for up to 10 seconds, and closes the stores. */
  close(): Promise<void>
}

const DRAIN = 10_000
const SWEEP_EVERY = 600_000
const WAIT = 30_000

/**
 * Starts the server. Makes the data folder and what belongs in it, and waits for databases that do not answer yet; throws
 * when one does not in time, when its tables are not those that are needed, and when it cannot listen.
 */
export async function start(config: Config, options: StartOptions = {}): Promise<Running> {
  const { log = createLog(), clock = Date.now, wait = WAIT } = options
  const keys = config.keys?.map((secret) => ({ secret })) ?? loadKeys(config.data, clock())
  const metrics = config.metrics ? await createMetrics() : UNMEASURED
  const onWait = (name: string) => log.warn({ event: 'sys_waiting' }, `${name} does not answer yet; waiting for it`)
  const engines = await connectEngines(config, { data: config.data, clock }, { wait, onWait })
  let assembly: Assembly | undefined
  const release = async () => {
    await assembly?.close()
    await engines.repositories.close()
    await engines.close()
  }
  try {
    assembly = await assemble({ config, keys, engines, metrics, log, clock })
    // What cannot be read is known before anybody is let in.
    for (const check of Object.values(assembly.checks)) await check()
    return await serve({ config, assembly, engines, metrics, log, clock, release })
  } catch (error) {
    await release()
    throw error
  }
}

interface Served {
  readonly config: Config
  readonly assembly: Assembly
  readonly engines: Engines
  readonly metrics: Metrics
  readonly log: Logger
  readonly clock: () => number
  readonly release: () => Promise<void>
}

async function serve({ config, assembly, engines, metrics, log, clock, release }: Served): Promise<Running> {
  const health = createHealth(assembly.checks)
  const app = createApp({ handle: assembly.handle, health, config, log, metrics })
  const { server, scheme, stop } = await createSocket(app.fetch, config, clock)
  server.requestTimeout = 30_000
  const drain = draining(server, DRAIN)
  await listen(server, config)
  const measured =
    config.metrics && (await serveMetrics(metrics, config.metrics).catch((error) => closing(server, error)))
  // What fails is tried again, and the next request reports the same trouble.
  const sweeping = setInterval(() => void engines.repositories.sweep().catch(() => {}), SWEEP_EVERY).unref()

  const url = urlOf(server, scheme)
  const metricsUrl = measured && `${urlOf(measured)}/metrics`
  tell(log, config, { url, metrics: metricsUrl })
  let closed: Promise<void> | undefined
  const close = async () => {
    health.draining = true
    await drain()
    clearInterval(sweeping)
    stop()
    measured?.closeAllConnections()
    measured?.close()
    await release()
    log.info({ event: 'sys_shutdown' }, 'Sojourn has stopped')
  }
  return { url, ...(metricsUrl ? { metricsUrl } : {}), close: () => (closed ??= close()) }
}

function closing(server: Server, error: unknown): never {
  server.close()
  throw error
}

/** What whoever starts a server should know of it. */
function tell(log: Logger, config: Config, at: { url: string; metrics: string | undefined }): void {
  const { data, store, strategy } = config
  const accounts = accountsOf(config)
  log.info(
    { event: 'sys_startup', ...at, data, store: store.kind, accounts: accounts.kind, strategy },
    `Sojourn is at ${at.url}`,
  )
  if (config.origin === undefined && !config.https && config.trustProxy === 0 && !isLoopback(config.host)) {
    log.warn(
      { event: 'sys_exposed' },
      'Others can reach this server by plain HTTP, where browsers get no session; put HTTPS before it and set SOJOURN_ORIGIN.',
    )
  }
  if (!isShared(store)) return
  if (!isShared(accounts)) {
    log.warn(
      { event: 'sys_alone' },
      'Accounts and carts are on this machine alone, though sessions are not. For several servers set SOJOURN_ACCOUNTS to a database that they share.',
    )
  }
  if (!config.keys) {
    log.info(
      { event: 'sys_alone' },
      'The keys are on this machine alone. For several servers give all of them the same SOJOURN_KEYS.',
    )
  }
}
