/** `sojourn move`: live sessions from one database to another, while servers with SOJOURN_STORE_FROM serve from both. */
import type { UserStore } from 'sojourn'
import { type MovingStore, moving } from 'sojourn/store/moving'
import type { Config } from './config.js'
import { connectEngine } from './engines/connect.js'
import { type Engine, TABLES, type Table } from './engines/engine.js'
import { checkMove } from './engines/moving.js'
import { checkFound, checkStages, checkThere, isToBeMade, needsMigration } from './move-checks.js'
import type { Progress } from './move-progress.js'

/** What a move is told of. */
export interface MoveOptions {
  /** Epoch milliseconds. Default `Date.now`. */
  readonly clock?: () => number
  /** Milliseconds that a database is waited for. */
  readonly wait: number
  /** Only looks, and says what would be moved, or why nothing would. */
  readonly dryRun?: boolean
  readonly progress: Progress
  /** Breaks it off. Another move goes on from there. */
  readonly signal?: AbortSignal
}

type Places = Pick<Config, 'store' | 'storeFrom' | 'data' | 'migrate'>

/** One table in both places. */
interface Part {
  readonly table: Table
  readonly old: UserStore
  /** Absent where the new place is still to be made. */
  readonly both: MovingStore | undefined
  /** Records of users, and those of nobody: guests, and what is no session. */
  readonly users: number
  readonly others: number
}

/**
 * Moves every table, and gives the lines that say what was done. Writes nothing with `dryRun`. Throws an `Error` for the
 * person at the terminal, and what the stores throw; begun again, it goes on where it was.
 */
export async function move(config: Places, options: MoveOptions): Promise<string[]> {
  const { clock = Date.now, wait, dryRun = false, signal } = options
  const { store, data, migrate } = config
  // Accounts are not asked for here, and stay where they are.
  checkMove({ ...config, accounts: { kind: 'sqlite', path: undefined } })
  const storeFrom = config.storeFrom!
  checkThere(storeFrom, data)
  const context = { data, clock }
  const opened: { close(): unknown }[] = []
  const open = async (place: Config['store'], variable: string, make: boolean) => {
    const engine = await connectEngine(place, variable, context, { wait, migrate: make })
    opened.unshift(engine)
    return engine
  }
  /** A look makes nothing: where the real move would begin with that, there is no engine. */
  const openTarget = async (): Promise<Engine | undefined> => {
    if (!dryRun) return open(store, 'SOJOURN_STORE', migrate)
    if (isToBeMade(store, data)) return undefined
    return open(store, 'SOJOURN_STORE', false).catch((error: unknown) => {
      if (migrate && needsMigration(error)) return undefined
      throw error
    })
  }
  try {
    const from = await open(storeFrom, 'SOJOURN_STORE_FROM', false)
    const to = await openTarget()
    const parts: Part[] = []
    for (const table of TABLES) {
      const old = from.store(table)
      const both = to && moving({ from: old, to: to.store(table), clock })
      opened.unshift({ close: () => (both ?? old).close?.() })
      parts.push({ table, old, both, ...(await look(old, signal)) })
    }
    const stages = await Promise.all(parts.map(({ both }) => both?.stage() ?? 'ready'))
    checkStages(store, stages)
    if (!stages.includes('begun')) checkFound(storeFrom, parts)
    if (dryRun) return [...parts.map(lineOf), ...(to ? [] : [MADE]), WOULD]
    const lines: string[] = []
    for (const part of parts) lines.push(await moveTable(part, options))
    return [...lines, DONE]
  } finally {
    for (const one of opened) await one.close()
  }
}

const MADE = 'The new place would be made first.'
const WOULD =
  'Nothing was written. Not on any list, and so not moved: identifiers that were replaced in the last 30 seconds.'
const DONE = 'Wait 30 seconds, and start all servers with the new SOJOURN_STORE and without SOJOURN_STORE_FROM.'

async function moveTable({ table, both, users, others }: Part, { progress, signal }: MoveOptions): Promise<string> {
  const bar = progress(table, users + others)
  let last = 0
  const onMoved = (moved: number) => {
    last = moved
    bar.update(moved)
  }
  try {
    await both!.move({ onMoved, ...(signal && { signal }) })
  } finally {
    bar.stop()
  }
  return `${table}: ${last} moved`
}

/** Reads the whole list, and keeps nothing of it. */
async function look(store: UserStore, signal: AbortSignal | undefined): Promise<Pick<Part, 'users' | 'others'>> {
  let [users, others] = [0, 0]
  for await (const [, { userId }] of store.list()) {
    signal?.throwIfAborted()
    if (userId === undefined) others++
    else users++
  }
  return { users, others }
}

function lineOf({ table, users, others }: Part): string {
  return `${table}: ${users} of users and ${others} others would be moved`
}
