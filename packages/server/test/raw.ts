/** A SQLite file as any other program would open it. */
import { createRequire } from 'node:module'

/** An open file. */
export interface Raw {
  exec(sql: string): unknown
  close(): unknown
}

/** Opens the file with whichever driver the runtime has. */
export function raw(path: string): Raw {
  const builtin = process.getBuiltinModule('node:sqlite') as { DatabaseSync: new (path: string) => Raw } | undefined
  return new (builtin?.DatabaseSync ?? createRequire(import.meta.url)('better-sqlite3'))(path)
}
