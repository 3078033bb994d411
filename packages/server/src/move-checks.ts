/**
 * What a move looks at before it writes anything, so that its dry run refuses what it would. Whoever follows a move that
 * took nothing from the wrong place signs everybody out.
 */
import { type Stats, statSync } from 'node:fs'
import type { MovingStore } from 'sojourn/store/moving'
import type { Config } from './config.js'
import { NotMigrated } from './engines/engine.js'
import { NAMES, type Place, pathOf } from './place.js'

type Stage = Awaited<ReturnType<MovingStore['stage']>>

/** Throws where the old place is a path with nothing there: opened, it would be made, and found empty. */
export function checkThere(from: Place, data: string): void {
  const there = found(from, data)
  if (there === 'elsewhere' || (from.kind === 'file' ? there?.isDirectory() : there?.isFile())) return
  const kind = from.kind === 'file' ? 'folder' : 'file'
  throw new Error(
    `SOJOURN_STORE_FROM: ${NAMES[from.kind]}: there is no such ${kind}; correct --from, or --data where it names no path`,
  )
}

/** Whether the new place is a path with nothing there yet, which opening it would make. */
export function isToBeMade(to: Config['store'], data: string): boolean {
  return found(to, data) === undefined
}

/** Whether tables are missing that `--migrate` makes. */
export function needsMigration(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof NotMigrated
}

/** Throws where no move has begun, and none may, because sessions are in the new place already. */
export function checkStages(to: Place, stages: readonly Stage[]): void {
  if (stages.includes('occupied'))
    throw new Error(
      `SOJOURN_STORE: ${NAMES[to.kind]}: has sessions already, and no move from the old place has begun; empty it, or name another place with --to`,
    )
}

/** Throws where no move has begun, and nothing is there that one could move. */
export function checkFound(from: Place, parts: readonly { readonly users: number; readonly others: number }[]): void {
  if (parts.some(({ users, others }) => users + others > 0)) return
  throw new Error(
    `SOJOURN_STORE_FROM: ${NAMES[from.kind]}: there is nothing to move; if people are signed in, their sessions are elsewhere: correct --from`,
  )
}

function found(place: Place, data: string): Stats | 'elsewhere' | undefined {
  if (place.kind !== 'sqlite' && place.kind !== 'file') return 'elsewhere'
  return statSync(pathOf(place, data), { throwIfNoEntry: false })
}
