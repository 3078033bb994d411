/** The feed of changes over LISTEN/NOTIFY: set up again when it is lost, and tried out now and then, for it may be lost silently. */
import { randomUUID } from 'node:crypto'

/** What the feed is made of. */
export interface FeedParts {
  /** Begins to listen; gives back what ends it. */
  listen(listener: { up(): void; heard(payload: string): void; down(): void }): () => void
  /** Says something on the channel. */
  say(payload: string): Promise<unknown>
  /** Begins what the feed says to itself. */
  readonly own: string
}

/** A feed for any number of watchers. It is there while somebody watches. */
export interface Feed {
  watch(onChange: (payload: string) => void, onCut?: () => void): () => void
  close(): void
}

/** Milliseconds between trials: a feed that died without a word is known to have after two of them. */
const TRIAL = 10_000
/** The first and the longest pause before it is set up again, milliseconds. */
const PAUSES = [100, 5_000] as const
/** Milliseconds between two cuts while nothing is heard: whoever keeps copies has none that is older. */
const DEAF = 1_000

/** The feed that `parts` make. */
export function feedOf(parts: FeedParts): Feed {
  const watchers = new Set<{ onChange(payload: string): void; onCut?: (() => void) | undefined }>()
  let stop: (() => void) | undefined
  let again: NodeJS.Timeout | undefined
  let trials: NodeJS.Timeout | undefined
  let deaf: NodeJS.Timeout | undefined
  let pause: number = PAUSES[0]
  /** What was said and has not come back. */
  let missing: string | undefined

  const cut = () => {
    for (const { onCut } of watchers) onCut?.()
  }
  /** Until something that it says to itself came back: a pooler may take a LISTEN, and pass nothing on. */
  const deafen = () => {
    clearInterval(deaf)
    deaf = setInterval(cut, DEAF).unref()
  }
  const listener = {
    // Also the first time: what was read before the feed was there may have changed since.
    up() {
      pause = PAUSES[0]
      cut()
      say()
    },
    heard(payload: string) {
      if (payload === missing) {
        missing = undefined
        clearInterval(deaf)
      }
      if (!payload.startsWith(parts.own)) for (const { onChange } of watchers) onChange(payload)
    },
    down() {
      cut()
      restart()
    },
  }
  const restart = () => {
    stop?.()
    stop = missing = undefined
    deafen()
    clearTimeout(again)
    again = setTimeout(start, pause).unref()
    pause = Math.min(2 * pause, PAUSES[1])
  }
  const start = () => {
    stop = parts.listen(listener)
  }
  const say = () => {
    missing = `${parts.own}${randomUUID()}`
    // Whether it was said or not: what does not come back is missed at the next trial.
    parts.say(missing).catch(() => {})
  }
  const trial = () => {
    if (stop && missing !== undefined) listener.down()
    else if (stop) say()
  }
  const end = () => {
    clearInterval(trials)
    clearInterval(deaf)
    clearTimeout(again)
    stop?.()
    stop = again = trials = missing = undefined
  }

  return {
    watch(onChange, onCut) {
      const watcher = { onChange, onCut }
      if (watchers.size === 0) {
        deafen()
        start()
        trials = setInterval(trial, TRIAL).unref()
      }
      watchers.add(watcher)
      return () => {
        if (watchers.delete(watcher) && watchers.size === 0) end()
      }
    },
    close() {
      watchers.clear()
      end()
    },
  }
}
