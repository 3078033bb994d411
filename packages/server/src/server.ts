/** The whole server: put together from its configuration, started, and stopped without cutting anybody off. */
import type { Server } from 'node:http'
import { type AddressInfo, isIPv6 } from 'node:net'
import { join } from 'node:path'
import { createAdaptorServer } from '@hono/node-server'
import { cookie, createSessions, header, type UserStore } from 'sojourn'
import { fetch } from 'sojourn/adapter/fetch'
import { memory } from 'sojourn/store/memory'
import { sqlite } from 'sojourn/store/sqlite'
import { tickets } from 'sojourn/token/ticket'
import { sqliteAccounts } from './accounts/sqlite.js'
import { createApp } from './app.js'
import { sqliteCarts } from './carts/sqlite.js'
import type { Config } from './config.js'
import { openDatabase } from './database.js'
import { draining } from './drain.js'
import { EMPTY } from './guest-cart.js'
import { createHealth } from './health.js'
import { loadKeys } from './keys-file.js'
import { createLog, type Logger, logEvents } from './log.js'
import { createNotices } from './notices.js'
import { authenticationOperations } from './operations/authentication.js'
import { cartOperations, createMerge } from './operations/cart.js'
import { deviceOperations } from './operations/devices.js'
import { createVisits } from './operations/visits.js'
import { createPasswords } from './password.js'
import type { Peer } from './peer.js'
import { createRoutes } from './routes.js'
import type { Services, ShopData } from './services.js'
import { createStrategies } from './strategies.js'
import { createThrottle } from './throttle.js'
import { createCountStore } from './throttle-store.js'

/** What a test or a program that embeds the server may replace. */
export interface StartOptions {
  /** Default: on standard output. */
  readonly log?: Logger
  /** Epoch milliseconds. Default `Date.now`. */
  readonly clock?: () => number
}

/** A server that listens. */
export interface Running {
  /** Where, as a client on this machine would write it. */
  readonly url: string
  /** Takes no more requests, finishes those under way for up to 10 seconds, and closes the stores. */
  close(): Promise<void>
}

const DRAIN = 10_000
const SWEEP_EVERY = 600_000

/** Starts the server. Makes the data folder and what belongs in it; throws when it cannot, or cannot listen. */
export async function start(config: Config, options: StartOptions = {}): Promise<Running> {
  const { log = createLog(), clock = Date.now } = options
  const keys = loadKeys(config.data, clock())
  const database = openDatabase(join(config.data, 'accounts.db'))
  const open = (table?: string): UserStore =>
    config.store === 'memory'
      ? memory({ clock })
      : sqlite(join(config.data, 'sessions.db'), { durability: 'full', clock, ...(table ? { table } : {}) })
  const store = open()
  const ways = createStrategies({ config, keys, store, open, clock })
  const sessions = createSessions<ShopData>({
    keys,
    strategy: ways.strategy,
    transport: [cookie(), header()],
    csrf: { trusted: config.allowedOrigins ?? [] },
    initial: () => ({ cart: EMPTY }),
    ...(config.origin === undefined ? {} : { origin: config.origin }),
    clock,
  })
  const unused = open('sojourn_tickets')
  sessions.on(logEvents(log))
  ways.pair.on(logEvents(log))

  const accounts = sqliteAccounts(database, clock)
  const counts = createCountStore(database, clock)
  const throttle = createThrottle(counts, clock)
  const carts = sqliteCarts(database, clock)
  const merge = createMerge(carts)
  const notices = config.strategy === 'jwt' ? createNotices(keys, config, clock) : sessions
  const visits = createVisits({ sessions, notices, accounts, merge })
  const passwords = await createPasswords()
  const services: Services = {
    visit: visits.open,
    ...authenticationOperations({
      sessions,
      pair: ways.pair,
      accounts,
      passwords,
      throttle,
      merge,
      passwordMin: config.passwordMin,
      log,
    }),
    ...deviceOperations(sessions),
    ...cartOperations(carts),
  }
  const routes = createRoutes(services, log, { ...ways, tickets: tickets({ sessions, store: unused }) })
  const peer = { peer: (_: Request, peer: Peer) => peer }
  const answer = (request: Request, peer: Peer) => {
    visits.meet(request, peer)
    return routes.fetch(request)
  }
  const handle = fetch(sessions, notices === sessions ? answer : fetch(notices, answer, peer), peer)
  const health = createHealth(store, database)
  const app = createApp({ handle, health, config, log })
  const server = createAdaptorServer({ fetch: app.fetch }) as Server
  server.requestTimeout = 30_000
  const drain = draining(server, DRAIN)

  const sweeping = setInterval(() => {
    counts.sweep(clock())
    // What fails is tried again, and the next request reports the same trouble.
    carts.sweep().catch(() => {})
  }, SWEEP_EVERY).unref()
  const release = async () => {
    clearInterval(sweeping)
    await sessions.close()
    await ways.close()
    await unused.close?.()
    database.close()
  }
  try {
    await listen(server, config)
  } catch (error) {
    await release()
    throw error
  }

  const url = urlOf(server)
  const { data, store: kept, strategy } = config
  log.info({ event: 'sys_startup', url, data, store: kept, strategy }, `Sojourn is at ${url}`)
  if (config.origin === undefined && config.trustProxy === 0 && !isLoopback(config.host)) {
    log.warn(
      { event: 'sys_exposed' },
      'Others can reach this server by plain HTTP, where browsers get no session; put HTTPS before it and set SOJOURN_ORIGIN.',
    )
  }
  let closed: Promise<void> | undefined
  const close = async () => {
    health.draining = true
    await drain()
    await release()
    log.info({ event: 'sys_shutdown' }, 'Sojourn has stopped')
  }
  return { url, close: () => (closed ??= close()) }
}

function listen(server: Server, { port, host }: Config): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function urlOf(server: Server): string {
  const { address, port } = server.address() as AddressInfo
  const host = address === '0.0.0.0' || address === '::' ? 'localhost' : isIPv6(address) ? `[${address}]` : address
  return `http://${host}:${port}`
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}
