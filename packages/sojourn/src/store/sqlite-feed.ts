/**
 * Who wants to know what changes in a SQLite file, and how they are told. What this connection writes is told by its id,
 * at once. What others commit SQLite only counts, so the count is looked at now and then, and says "anything may have".
 */

/** Milliseconds between looks at the count, of some 2 microseconds each, and only while somebody watches. */
const LOOK_EVERY = 50

/** Tells watchers what changes in a file. */
export interface Feed {
  /** This connection changed a record. */
  tell(id: string): void
  /** `onCut` is called within 50 ms of a commit by another connection, and while the count cannot be read. */
  watch(onChange: (id: string) => void, onCut?: () => void): () => void
  close(): void
}

interface Watcher {
  readonly onChange: (id: string) => void
  readonly onCut: (() => void) | undefined
}

/** The feed of one connection. */
export function feed(db: { prepare(sql: string): { get(): unknown } }): Feed {
  const watchers = new Set<Watcher>()
  let timer: NodeJS.Timeout | undefined
  let count: () => number
  let last: number

  const look = () => {
    try {
      const now = count()
      if (now === last) return
      last = now
    } catch {
      // Nothing is known of what others do meanwhile; the verbs say what is wrong.
    }
    for (const { onCut } of watchers) onCut?.()
  }
  const start = () => {
    const version = db.prepare('PRAGMA data_version')
    count = () => Number((version.get() as { data_version: number | bigint }).data_version)
    last = count()
    timer = setInterval(look, LOOK_EVERY).unref()
  }
  const stop = () => {
    clearInterval(timer)
    timer = undefined
  }

  return {
    tell(id) {
      for (const { onChange } of watchers) onChange(id)
    },
    watch(onChange, onCut) {
      const watcher = { onChange, onCut }
      watchers.add(watcher)
      if (timer === undefined) start()
      return () => {
        watchers.delete(watcher)
        if (watchers.size === 0) stop()
      }
    },
    close() {
      watchers.clear()
      stop()
    },
  }
}
