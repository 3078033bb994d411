/** What a file store forgets in the background: records that have expired, and what processes that were killed left. */
import { setTimeout as pause } from 'node:timers/promises'
import * as disk from './file-disk.js'
import { headAmong, type Layout, OURS, SHARDS } from './file-layout.js'

/** Milliseconds between sweeps, and how many of the 256 shards one takes: the whole folder in eight minutes. */
const SWEEP_EVERY = 60_000
const AT_A_TIME = 32
/** Sweeping holds the event loop for so many milliseconds at a time, and then leaves it alone for so many. */
const SLICE = 2
const REST = 8
/** What belongs to no record is a leftover when it is so old: nobody takes ten minutes from one step to the next. */
const GRACE = 600_000

/** Waits now and then, so that a long walk does not hold the event loop. `ref`: the process waits for the walk. */
export function breather(ref: boolean): () => Promise<void> | undefined {
  let until = performance.now() + SLICE
  return () => {
    if (performance.now() < until) return undefined
    return pause(REST, undefined, { ref }).then(() => {
      until = performance.now() + SLICE
    })
  }
}

/** Sweeps one folder. */
export class Sweeper {
  readonly #at: Layout
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(layout: Layout, clock: () => number) {
    this.#at = layout
    // Several processes sweep the same folder: each begins somewhere else.
    let next = process.pid % SHARDS.length
    const later = () => {
      // What fails here has told nobody a wrong thing; the next may do better, and the verbs report the same trouble.
      if (!this.#stopped) this.#timer = setTimeout(() => sweep().then(later, later), SWEEP_EVERY).unref()
    }
    const sweep = () => {
      const turn = Array.from({ length: AT_A_TIME }, (_, n) => SHARDS[(next + n) % SHARDS.length]!)
      next = (next + AT_A_TIME) % SHARDS.length
      return this.#sweep(turn, clock(), false)
    }
    later()
  }

  /** Forgets all that expired at or before `now`, and says how many. */
  sweep(now: number): Promise<number> {
    return this.#sweep(SHARDS, now, true)
  }

  /** Ends the sweep that is under way, too. */
  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  async #sweep(shards: readonly string[], now: number, ref: boolean): Promise<number> {
    this.#at.present()
    const breathe = breather(ref)
    let swept = 0
    const walk = async (folder: string, visit: (path: string) => void) => {
      for (const name of this.#stopped ? [] : await disk.manyNames(folder)) {
        if (this.#stopped) return
        if (OURS.test(name)) visit(`${folder}/${name}`)
        await breathe()
      }
    }
    for (const shard of shards) {
      await walk(this.#at.shard('records', shard), (folder) => {
        if (this.#record(folder, now)) swept++
      })
      await walk(this.#at.shard('users', shard), (folder) => this.#user(folder))
    }
    await walk(this.#at.stage, (folder) => {
      if (disk.age(folder) > GRACE) disk.removeAll(folder)
    })
    return swept
  }

  /** Whether this was the one to forget the record. */
  #record(folder: string, now: number): boolean {
    const names = disk.names(folder) ?? []
    const head = headAmong(names)
    const forgotten = head !== undefined && !(head.expiresAt > now) && disk.remove(`${folder}/${head.name}`)
    if (forgotten) this.#at.discard(folder, head)
    if (names.length === 2 && head) return forgotten
    // A file that no head speaks of: somebody is just writing it, or was killed doing so.
    const others = names.filter((name) => name !== head?.name && name !== head?.file)
    for (const name of others) if (disk.age(`${folder}/${name}`) > GRACE) disk.remove(`${folder}/${name}`)
    if (!head) disk.removeFolder(folder)
    return forgotten
  }

  /** Entries whose record is gone. */
  #user(folder: string): void {
    const names = disk.names(folder) ?? []
    const stays = names.filter((name) => {
      const record = this.#at.record(name.slice(0, name.indexOf('_')))
      return disk.isThere(record) || disk.age(`${folder}/${name}`) <= GRACE || !disk.remove(`${folder}/${name}`)
    })
    if (stays.length === 0) disk.removeFolder(folder)
  }
}
