/**
 * The copies that a cached store reads from, and what keeps each of them right: a copy is filled only by a call to the
 * backend that nothing has overtaken since it began. Whatever changes a record takes both its copy and the right to
 * fill it away, so that an answer that comes late finds that it is no longer awaited.
 *
 * Bounded by size: two generations of which the older is dropped whole, so that nothing is ever scanned.
 */
import type { SessionRecord } from '../types.js'

/** What a copy takes besides its text, bytes, about. */
const OVERHEAD = 600

interface Copy {
  readonly record: SessionRecord
  /** When the call began that brought it, on the clock that nobody sets. */
  readonly asked: number
  readonly size: number
}

/** A call to the backend on its way, which may fill the copy if nothing overtakes it. A read may be shared. */
export interface Call {
  readonly asked: number
  /** The copy that it takes the place of. */
  readonly before: SessionRecord | undefined
  answer?: Promise<SessionRecord | undefined>
}

/** Copies of records by their ids. */
export class Copies {
  readonly #generation: number
  #young = new Map<string, Copy>()
  #old = new Map<string, Copy>()
  #size = 0
  /** The one call for each id that may fill its copy. */
  #calls = new Map<string, Call>()

  /** `bytes`: what the copies may take, about. */
  constructor(bytes: number) {
    this.#generation = bytes / 2
  }

  /** The copy, if it is younger than `staleness`. */
  get(id: string, staleness: number): SessionRecord | undefined {
    let copy = this.#young.get(id)
    if (copy === undefined) {
      copy = this.#old.get(id)
      if (copy === undefined) return undefined
      this.#old.delete(id)
      this.#put(id, copy)
    }
    return performance.now() - copy.asked < staleness ? copy.record : undefined
  }

  /** The read of this record that is on its way, if it may still be believed and began not `longer` ago. */
  reading(id: string, longer: number): Promise<SessionRecord | undefined> | undefined {
    const call = this.#calls.get(id)
    return call && performance.now() - call.asked < longer ? call.answer : undefined
  }

  /** A call begins: the copy is gone, and no call that began before may fill it. */
  begin(id: string): Call {
    const call: Call = { before: this.drop(id), asked: performance.now() }
    this.#calls.set(id, call)
    return call
  }

  /** The call is over, and has brought this record, or none to keep. `false`: it was overtaken, and filled nothing. */
  end(id: string, call: Call, record: SessionRecord | undefined): boolean {
    if (this.#calls.get(id) !== call) return false
    this.#calls.delete(id)
    if (record) this.#put(id, { record, asked: call.asked, size: OVERHEAD + 2 * (id.length + record.data.length) })
    return true
  }

  /** The record changed, or may have. Gives the copy that is gone. */
  drop(id: string): SessionRecord | undefined {
    const copy = this.#young.get(id) ?? this.#old.get(id)
    this.#calls.delete(id)
    this.#old.delete(id)
    if (this.#young.delete(id)) this.#size -= copy!.size
    return copy?.record
  }

  /** Any record may have changed. */
  clear(): void {
    this.#calls = new Map()
    this.#old = new Map()
    this.#young = new Map()
    this.#size = 0
  }

  #put(id: string, copy: Copy): void {
    if (copy.size > this.#generation) return
    if (this.#size + copy.size > this.#generation) {
      this.#old = this.#young
      this.#young = new Map()
      this.#size = 0
    }
    this.#size += copy.size
    this.#young.set(id, copy)
  }
}
