/** The walk of a move: through all that the old store lists, and what earlier walks left half done, until there is nothing. */
import { run, turn } from '../awaitable.js'
import type { UserStore } from '../types.js'
import { isCopy } from './moving-marks.js'
import type { Pair } from './moving-pair.js'

/** How a walk is done. */
export interface WalkOptions {
  /** Told after each session, with how many were moved so far. */
  onMoved?: (moved: number) => void
  /** How many sessions are on their way at once. Default 16. */
  parallel?: number
  /** Ends the walk between two sessions. What is half done is finished by the next walk, or by who asks for the session. */
  signal?: AbortSignal
}

/** The event loop belongs to a store that answers at once for so long at a time, milliseconds. */
const SLICE = 10
/** So many failures one after the other are an outage, and no matter of single sessions. */
const OUTAGE = 16

/** Moves all sessions, and says how many. Throws the first fault where some could not be moved; walking again does no harm. */
export async function walk(pair: Pair, options: WalkOptions = {}): Promise<number> {
  const { onMoved, parallel = 16, signal } = options
  let moved = 0
  const tell = () => {
    moved++
    onMoved?.(moved)
  }
  for (;;) {
    const listed = await each(pair.from, { parallel, signal }, async (id) => {
      if ((await run(pair.carry(id))) === 'moved') tell()
    })
    // The mark of a session that is half moved is on no list; its copy is.
    await each(pair.to, { parallel, signal }, async (id, half) => {
      if (half && (await run(pair.carry(id))) === 'moved') tell()
    })
    if (listed === 0) return moved
  }
}

type Work = (id: string, isCopy: boolean) => Promise<void>

/** Does `work` for all that a store lists, and says for how many. */
async function each(
  store: UserStore,
  { parallel, signal }: { parallel: number; signal: AbortSignal | undefined },
  work: Work,
): Promise<number> {
  const running = new Set<Promise<void>>()
  let count = 0
  let faults = 0
  let first: { error: unknown } | undefined
  let since = performance.now()
  const one = async (id: string, copy: boolean) => {
    try {
      await work(id, copy)
      faults = 0
    } catch (error) {
      faults++
      first ??= { error }
    }
  }
  try {
    for await (const [id, record] of store.list()) {
      signal?.throwIfAborted()
      if (faults >= OUTAGE) break
      count++
      const task = one(id, isCopy(record)).finally(() => running.delete(task))
      running.add(task)
      if (running.size >= parallel) await Promise.race(running)
      if (performance.now() - since < SLICE) continue
      await turn()
      since = performance.now()
    }
  } finally {
    await Promise.all(running)
  }
  if (first) throw first.error
  return count
}
