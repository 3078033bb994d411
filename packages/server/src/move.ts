/** `sojourn move`: live sessions from one database to another, while servers with SOJOURN_STORE_FROM serve from both. */
import type { UserStore } from 'sojourn'
import { moving } from 'sojourn/store/moving'
import type { Config } from './config.js'
import { connectEngine } from './engines/connect.js'
import { type Engine, TABLES, type Table } from './engines/engine.js'
import { checkMove } from './engines/moving.js'
import type { Progress } from './move-progress.js'

/** What a move is told of. */
export interface MoveOptions {
  /** Epoch milliseconds. Default `Date.now`. */
  readonly clock?: () => number
  /** Milliseconds that a database is waited for. */
  readonly wait: number
  /** Only looks, and says what would be moved. */
  readonly dryRun?: boolean
  readonly progress: Progress
  /** Breaks it off. Another move goes on from there. */
  readonly signal?: AbortSignal
}

/** What of a table there is to move. */
export interface Survey {
  readonly table: Table
  /** Records of users, and those of nobody: guests, and what is no session. */
  readonly users: number
  readonly others: number
  /** The longest data, characters. */
  readonly longest: number
}

type Places = Pick<Config, 'store' | 'storeFrom' | 'data' | 'migrate'>

/**
 * Moves every table, and gives the lines that say what was done. Writes nothing with `dryRun`. Throws an `Error` for the
 * person at the terminal, and what the stores throw; begun again, it goes on where it was.
 */
export async function move(config: Places, options: MoveOptions): Promise<string[]> {
  const { clock = Date.now, wait, dryRun = false } = options
  const { store, storeFrom, data, migrate } = config
  // Accounts are not asked for here, and stay where they are.
  checkMove({ store, storeFrom, accounts: { kind: 'sqlite', path: undefined } })
  const context = { data, clock }
  const opened: Engine[] = []
  try {
    const open = async (place: Config['store'], variable: string, make: boolean) => {
      const engine = await connectEngine(place, variable, context, { wait, migrate: make })
      opened.push(engine)
      return engine
    }
    const from = await open(storeFrom!, 'SOJOURN_STORE_FROM', false)
    const to = await open(store, 'SOJOURN_STORE', migrate && !dryRun)
    const lines: string[] = []
    for (const table of TABLES) lines.push(...(await moveTable(table, from, to, { ...options, clock })))
    return [...lines, ...(dryRun ? WOULD : DONE)]
  } finally {
    for (const engine of opened) await engine.close()
  }
}

const WOULD = [
  'Nothing was written. Not on any list, and so not moved: identifiers that were replaced in the last 30 seconds.',
]
const DONE = ['Wait 30 seconds, and start all servers with the new SOJOURN_STORE and without SOJOURN_STORE_FROM.']

async function moveTable(
  table: Table,
  from: Engine,
  to: Engine,
  { clock, dryRun, progress, signal }: MoveOptions & { clock: () => number },
): Promise<string[]> {
  const old = from.store(table)
  const store = moving({ from: old, to: to.store(table), clock })
  try {
    const survey = await look(table, old, signal)
    const total = survey.users + survey.others
    if (dryRun) return [lineOf(survey)]
    const bar = progress(table, total)
    let last = 0
    const onMoved = (moved: number) => {
      last = moved
      bar.update(moved)
    }
    try {
      await store.move({ onMoved, ...(signal && { signal }) })
    } finally {
      bar.stop()
    }
    return [`${table}: ${last} moved`]
  } finally {
    await store.close?.()
  }
}

/** Reads the whole list, and keeps nothing of it. */
async function look(table: Table, store: UserStore, signal: AbortSignal | undefined): Promise<Survey> {
  let [users, others, longest] = [0, 0, 0]
  for await (const [, { userId, data }] of store.list()) {
    signal?.throwIfAborted()
    if (userId === undefined) others++
    else users++
    longest = Math.max(longest, data.length)
  }
  return { table, users, others, longest }
}

function lineOf({ table, users, others, longest }: Survey): string {
  return `${table}: ${users} of users and ${others} others would be moved; the longest has ${longest} characters`
}
