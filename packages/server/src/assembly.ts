/** The parts of the server, put together from its configuration and its databases; without a socket. */
import { cookie, createSessions, header, type Key } from 'sojourn'
import { fetch } from 'sojourn/adapter/fetch'
import { tickets } from 'sojourn/token/ticket'
import type { Config } from './config.js'
import type { Engines } from './engines/connect.js'
import type { Table } from './engines/engine.js'
import { EMPTY } from './guest-cart.js'
import { createIdentity } from './identity/identity.js'
import { loadVaultKeys } from './keys-file.js'
import { type Logger, logEvents } from './log.js'
import type { Metrics } from './metrics.js'
import { createNotices } from './notices.js'
import { authenticationOperations } from './operations/authentication.js'
import { cartOperations, createMerge } from './operations/cart.js'
import { deviceOperations } from './operations/devices.js'
import { createVisits } from './operations/visits.js'
import { createPasswords } from './password.js'
import type { Peer } from './peer.js'
import { createRoutes, refusedLate } from './routes.js'
import type { Services, ShopData } from './services.js'
import { createStrategies } from './strategies.js'
import { createThrottle } from './throttle.js'

/** What the server is put together from. */
export interface Parts {
  readonly config: Config
  readonly keys: Key[]
  readonly engines: Engines
  readonly metrics: Metrics
  readonly log: Logger
  readonly clock: () => number
}

/** The server without its socket. */
export interface Assembly {
  /** Answers a request with the session at hand. */
  readonly handle: (request: Request, peer: Peer) => Response | Promise<Response>
  /** What asks each database something, by a name that anybody may know. */
  readonly checks: Readonly<Record<string, () => unknown>>
  /** Lets go of the stores; the databases stay connected. */
  close(): Promise<void>
}

/** Puts the parts together. Throws what the library says of a configuration that cannot be right. */
export async function assemble({ config, keys, engines, metrics, log, clock }: Parts): Promise<Assembly> {
  const { accounts, identities, carts, counts, ready } = engines.repositories
  const open = (table: Table) => metrics.store(table, engines.sessions.store(table))
  const ways = createStrategies({ config, keys, open, clock })
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
  for (const listener of [logEvents(log), metrics.event]) {
    sessions.on(listener)
    ways.pair.on(listener)
  }
  metrics.lag(ways.lag)

  const merge = createMerge(carts)
  const notices = config.strategy === 'jwt' ? createNotices(keys, config, clock) : sessions
  const visits = createVisits({ sessions, notices, accounts, merge })
  const passwords = await createPasswords()
  passwords.on(logEvents(log))
  const throttle = createThrottle(counts, clock)
  const identity = createIdentity({
    config,
    sessions,
    keys,
    vaultKeys: () => (config.keys ? keys : loadVaultKeys(config.data, clock())),
    open,
    accounts,
    identities,
    passwords,
    throttle,
    merge,
    log,
    clock,
  })
  const services: Services = {
    ...(identity && { identity }),
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
  const committed = fetch(sessions, notices === sessions ? answer : fetch(notices, answer, peer), peer)
  return {
    async handle(request, peer) {
      const response = await committed(request, peer)
      // Not before: what is looked for is a change that came between what was looked at and what is kept now.
      const refused = await visits.recheck(request)
      return refused ? refusedLate(request, refused, response) : response
    },
    checks: { sessions: () => ways.store.get('readyz'), accounts: ready },
    async close() {
      await sessions.close()
      await ways.close()
      await identity?.close()
      await unused.close?.()
    },
  }
}
