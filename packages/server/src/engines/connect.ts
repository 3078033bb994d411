/** Connects the databases that the configuration names, and waits for those that are not up yet. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Config } from '../config.js'
import { NAMES, type PathPlace, type Place, type ServerPlace } from '../place.js'
import type { Repositories } from '../repositories.js'
import type { Engine, EngineContext } from './engine.js'
import { fileEngine } from './file.js'
import { memoryEngine } from './memory.js'
import { mongodbEngine } from './mongodb.js'
import { checkMove, movingEngine } from './moving.js'
import { postgresEngine } from './postgres.js'
import { redisEngine } from './redis.js'
import { sqliteEngine } from './sqlite.js'

/** The databases of a server. */
export interface Engines {
  /** Where sessions are, and what belongs to them. */
  readonly sessions: Engine
  readonly repositories: Repositories
  close(): Promise<void>
}

/** What connecting is told of. */
export interface ConnectOptions {
  /** Milliseconds that a database is waited for. */
  readonly wait: number
  /** Called when one is not there yet, with its name. */
  readonly onWait?: (name: string) => void
}

const AGAIN = 500

/** Where the accounts are: as it was said, else with the sessions where those are in a database, else in the data folder. */
export function accountsOf({ store, accounts }: Pick<Config, 'store' | 'accounts'>): PathPlace | ServerPlace {
  if (accounts) return accounts
  return store.kind === 'postgres' || store.kind === 'mongodb' ? store : { kind: 'sqlite', path: undefined }
}

/**
 * Connects, waits until the databases answer, makes or mends the tables where that was asked for, and looks whether they
 * are there. Throws an `Error` for the person at the terminal, with the variable that it is about and no address.
 */
export async function connectEngines(
  config: Pick<Config, 'store' | 'accounts' | 'migrate'> & Partial<Pick<Config, 'storeFrom'>>,
  context: EngineContext,
  options: ConnectOptions,
): Promise<Engines> {
  const { store, storeFrom } = config
  if (storeFrom) checkMove({ store, storeFrom, accounts: config.accounts })
  const accounts = accountsOf(config)
  const opened: Engine[] = []
  const close = async () => {
    for (const engine of opened) await engine.close()
  }
  const open = async (place: Place, variable: string) => {
    const { engine, migrated } = await about(variable, place, () => opening(place, context, options))
    opened.push(engine)
    if (config.migrate) await about(variable, place, migrated)
    await about(variable, place, async () => engine.laidOut?.())
    return engine
  }
  try {
    const to = await open(store, 'SOJOURN_STORE')
    const sessions = storeFrom ? movingEngine(await open(storeFrom, 'SOJOURN_STORE_FROM'), to, context) : to
    const other = sameServer(store, accounts) ? to : await open(accounts, 'SOJOURN_ACCOUNTS')
    const repositories = await about('SOJOURN_ACCOUNTS', accounts, async () => {
      const made = other.repositories!()
      await made.ready()
      return made
    })
    return { sessions, repositories, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Makes the tables of what the configuration names, or brings them up to date, and says what was done. */
export async function migrateEngines(
  config: Pick<Config, 'store' | 'accounts'>,
  context: EngineContext,
  options: ConnectOptions,
): Promise<string[]> {
  const accounts = accountsOf(config)
  const places: [Place, string][] = [[config.store, 'SOJOURN_STORE']]
  if (!sameServer(config.store, accounts)) places.push([accounts, 'SOJOURN_ACCOUNTS'])
  const done: string[] = []
  for (const [place, variable] of places) {
    await about(variable, place, async () => {
      const { engine } = await opening(place, context, options)
      try {
        const said = engine.migrate
          ? await engine.migrate()
          : ['nothing to do: what is needed is made at its first use']
        done.push(...said.map((line) => `${NAMES[place.kind]}: ${line}`))
      } finally {
        await engine.close()
      }
    })
  }
  return done
}

/** Connects one database alone, waits until it answers, makes its tables where that is asked for, and looks whether they are there. */
export async function connectEngine(
  place: Place,
  variable: string,
  context: EngineContext,
  options: ConnectOptions & { readonly migrate?: boolean },
): Promise<Engine> {
  return about(variable, place, async () => {
    const { engine, migrated } = await opening(place, context, options)
    try {
      if (options.migrate) await migrated()
      await engine.laidOut?.()
      return engine
    } catch (error) {
      await engine.close()
      throw error
    }
  })
}

async function opening(
  place: Place,
  context: EngineContext,
  { wait, onWait }: ConnectOptions,
): Promise<{ engine: Engine; migrated: () => Promise<unknown> }> {
  const engine = await engineOf(place, context)
  const end = performance.now() + wait
  for (let first = true; ; first = false) {
    try {
      await engine.ready()
      return { engine, migrated: async () => engine.migrate?.() }
    } catch (error) {
      if (!isAway(error) || performance.now() > end) {
        await engine.close().catch(() => {})
        if (!isAway(error)) throw error
        throw new Error(
          `does not answer (${wordOf(error)}), and was waited for ${Math.round(wait / 1000)} seconds; start it, or correct the address`,
        )
      }
      if (first) onWait?.(NAMES[place.kind])
      await pause(AGAIN)
    }
  }
}

function engineOf(place: Place, context: EngineContext): Engine | Promise<Engine> {
  switch (place.kind) {
    case 'memory':
      return memoryEngine(context)
    case 'file':
      return fileEngine(place, context)
    case 'sqlite':
      return sqliteEngine(place, context)
    case 'redis':
      return redisEngine(place, context)
    case 'postgres':
      return postgresEngine(place.url, context)
    case 'mongodb':
      return mongodbEngine(place.url, context)
  }
}

/** A server is connected to once. Files are two all the same, so that each is flushed for its own writes. */
function sameServer(one: Place, other: Place): boolean {
  return 'url' in one && 'url' in other && one.url === other.url
}

async function about<T>(variable: string, place: Place, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    throw new Error(`${variable}: ${NAMES[place.kind]}: ${text}`, { cause: error })
  }
}

/** Whether it may be that the database is only not up yet, or not to be found yet. */
function isAway(error: unknown): boolean {
  return all(error).some((one) => AWAY.test(String(one.code ?? '')) || AWAY.test(one.message) || AWAY.test(one.name))
}

// The codes of sockets and of PostgreSQL, and what the drivers say where they have none.
const AWAY =
  /^(ECONN\w+|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EPIPE|57P0[123]|53300|08\d{3})$|^MongoServerSelection|^MongoNetwork|^LOADING|^CLUSTERDOWN|^MASTERDOWN|timed? ?out|timeout|max retries|connection (is closed|terminated)|failed to refresh slots|all sentinels are unreachable/i

function wordOf(error: unknown): string {
  const code = all(error).find((one) => /^[A-Z0-9_]{4,20}$/.test(String(one.code ?? '')))?.code
  return code === undefined ? 'no connection' : String(code)
}

/** An error, with its causes and parts. */
function all(error: unknown): (Error & { code?: unknown })[] {
  if (!(error instanceof Error)) return []
  const parts = error instanceof AggregateError ? error.errors : []
  return [error, ...parts.flatMap(all), ...all(error.cause)]
}
