/**
 * Records in a folder, a small folder each, for one process or several on one machine: nothing to install, nothing to
 * run, and everything to be seen with `ls`. Synchronous: from the page cache a read takes 20 microseconds, and the
 * thread pool would take ten times as long, half of it on the event loop.
 */
import { resolve } from 'node:path'
import type { SessionRecord, UserStore } from '../types.js'
import { flush } from './file-disk.js'
import { Layout } from './file-layout.js'
import { Records, type Steps } from './file-records.js'
import { Sweeper } from './file-sweeper.js'

/** What an acknowledged write outlives: `normal` the process, `full` also the power. */
export type Durability = 'normal' | 'full'

/** What a write answers with: its result at once, or a promise of it that resolves when the disk has it. */
export type Written<D extends Durability, T> = D extends 'full' ? Promise<T> : T

/** How a file store keeps its records. */
export interface FileOptions<D extends Durability = Durability> {
  /**
   * `normal`, the default: a write that returned outlives a crash or kill of the process; a power cut may undo the
   * writes of the last moments, a logout among them. `full`: a write resolves when it is flushed to the disk.
   */
  durability?: D
  /** Tells the time, epoch milliseconds. Default `Date.now`. */
  clock?: () => number
}

/** A store over a folder. Reads answer at once; writes at once when `normal`, with a promise when `full`. */
export interface FileStore<D extends Durability = 'normal'> extends UserStore {
  get(id: string): SessionRecord | undefined
  set(id: string, record: SessionRecord, was: number): Written<D, boolean>
  delete(id: string): Written<D, boolean>
  /** A user's sessions at once; everybody's in slices, between which others run. */
  list(userId: string): Iterable<[id: string, record: SessionRecord]>
  list(): AsyncIterable<[id: string, record: SessionRecord]>
  endAll(userId: string, except?: string): Written<D, number>
  /** Walks the folder in slices of 2 milliseconds. Done of itself too: an eighth of the folder a minute. */
  sweep(now: number): Promise<number>
  /** Stops sweeping. After it every verb throws. */
  close(): void
}

/**
 * Keeps records in a folder, which is made (mode 0700, files 0600) where there is none. It must be on a disk of this
 * machine: file systems of the network do not promise what is needed between processes. The verbs throw (or reject)
 * when the disk fails; a full one leaves every record as it was.
 *
 * @throws TypeError when `folder` is no path, or a folder with other things in it, or `durability` is neither.
 * @throws Error when the folder cannot be made.
 */
export function file<D extends Durability = 'normal'>(folder: string, options: FileOptions<D> = {}): FileStore<D> {
  if (typeof folder !== 'string' || folder === '')
    throw new TypeError("file: the folder's path is text that is not empty; give one, such as 'data/sessions'")
  const { durability = 'normal', clock = () => Date.now() } = options
  if (durability !== 'normal' && durability !== 'full') throw new TypeError("file: `durability` is 'normal' or 'full'")
  const layout = new Layout(resolve(folder))
  const records = new Records(layout, clock)
  const sweeper = new Sweeper(layout, clock)
  const write = <T>(steps: Steps<T>) => (durability === 'full' ? flushed(steps) : atOnce(steps)) as Written<D, T>
  let closed = false
  const open = () => {
    if (closed) throw new Error('file: the store is closed')
    return records
  }

  return {
    get: (id) => open().get(id),
    set: (id, record, was) => write(open().set(id, record, was)),
    delete: (id) => write(open().delete(id)),
    list: ((userId?: string) => (userId === undefined ? open().all() : open().ofUser(userId))) as FileStore['list'],
    endAll: (userId, except) => write(open().endAll(userId, except)),
    sweep(now) {
      open()
      return sweeper.sweep(now)
    },
    close() {
      closed = true
      sweeper.stop()
    },
  }
}

function atOnce<T>(steps: Steps<T>): T {
  let step = steps.next()
  while (!step.done) step = steps.next()
  return step.value
}

async function flushed<T>(steps: Steps<T>): Promise<T> {
  let step = steps.next()
  while (!step.done) {
    try {
      await flush(step.value)
    } catch (error) {
      step = steps.throw(error)
      continue
    }
    step = steps.next()
  }
  return step.value
}
