/**
 * One connection that hears what the scripts publish, shared by all who watch. Published rather than tracked by the
 * server (CLIENT TRACKING): that works with every client and with proxies in between, over a Cluster from any one of
 * its servers, and tells of what is written, not only of what this connection has read.
 */

/** What the feed is made of. */
export interface FeedSource {
  /** Opens a connection that hears the channel. `onLost` is called at most once, and then it is no use any more. */
  listen(onMessage: (message: string) => void, onLost: () => void): Promise<{ close(): void }>
  /** Publishes to the channel, over another connection. */
  publish(message: string): Promise<unknown>
}

/** Somebody who watches. */
export interface Watcher {
  onChange(message: string): void
  onCut(): void
}

/** Milliseconds between two beats. A connection that is dead and does not say so is found out after two at the most. */
export const BEAT = 2000
/** What a beat begins with: no identifier does, because this is escaped in them. */
const MARK = '\u001b+'
/** Milliseconds until the first try to connect anew, and the most between two of them. */
const SOON = 50
const LATE = 2000
/** Milliseconds between two cuts while nothing is heard: whoever keeps copies has none that is older. */
const DEAF = 1000

/** Hears for as long as somebody watches, connects anew for as long as it takes, and tells of each gap at both ends. */
export class Feed {
  readonly #source: FeedSource
  readonly #name: string
  readonly #watchers = new Set<Watcher>()
  #ear: { close(): void } | undefined
  #timer: NodeJS.Timeout | undefined
  #deaf: NodeJS.Timeout | undefined
  #running = false
  #round = 0
  #heard = 0
  #delay = SOON

  /** `name` tells the beats of this feed from those of others. */
  constructor(source: FeedSource, name: string) {
    this.#source = source
    this.#name = `${MARK}${name}:`
  }

  /** Begins to watch. Until the connection stands nothing is heard, which `onCut` tells every second, and once it does. */
  watch(watcher: Watcher): () => void {
    this.#watchers.add(watcher)
    if (!this.#running) {
      this.#running = true
      this.#deafen()
      void this.#open()
    }
    return () => {
      this.#watchers.delete(watcher)
      if (this.#watchers.size === 0) this.close()
    }
  }

  /** Ends the connection, and hears no more until somebody watches anew. */
  close(): void {
    this.#running = false
    this.#round++
    this.#watchers.clear()
    clearTimeout(this.#timer)
    clearInterval(this.#deaf)
    this.#ear?.close()
    this.#ear = undefined
  }

  async #open(): Promise<void> {
    const round = ++this.#round
    const current = () => round === this.#round
    const lost = () => {
      if (current()) this.#lose()
    }
    try {
      const ear = await this.#source.listen((message) => current() && this.#hear(message), lost)
      if (!current()) return ear.close()
      this.#ear = ear
      this.#delay = SOON
      this.#tell((watcher) => watcher.onCut())
      this.#beat()
    } catch {
      // The verbs tell of the same trouble to those who can act on it.
      if (current()) this.#retry()
    }
  }

  #lose(): void {
    this.#round++
    this.#ear?.close()
    this.#ear = undefined
    this.#retry()
    this.#deafen()
    this.#tell((watcher) => watcher.onCut())
  }

  /** Until a message to itself came through: who may subscribe may still hear of nothing. */
  #deafen(): void {
    clearInterval(this.#deaf)
    this.#deaf = setInterval(() => this.#tell((watcher) => watcher.onCut()), DEAF).unref()
  }

  #retry(): void {
    const delay = this.#delay
    this.#delay = Math.min(LATE, delay * 2)
    this.#wait(delay, () => void this.#open())
  }

  /** A message to itself must come back within a beat, whatever the connections say of themselves. */
  #beat(): void {
    this.#heard = 0
    const round = this.#round
    this.#source.publish(`${this.#name}${round}`).catch(() => {})
    this.#wait(BEAT, () => (this.#heard === round ? this.#beat() : this.#lose()))
  }

  #hear(message: string): void {
    if (!message.startsWith(MARK)) this.#tell((watcher) => watcher.onChange(message))
    else if (message.startsWith(this.#name)) {
      this.#heard = Number(message.slice(this.#name.length))
      clearInterval(this.#deaf)
    }
  }

  #wait(ms: number, then: () => void): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(then, ms).unref()
  }

  #tell(what: (watcher: Watcher) => void): void {
    for (const watcher of [...this.#watchers]) {
      try {
        what(watcher)
      } catch (error) {
        // One who fails must not keep the news from the others, nor end the feed; but it must be seen.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }
}
