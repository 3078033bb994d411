/**
 * Two stores as one. Of each session one of them is right at any moment:
 *
 * - **the old one**, as long as it has the record there;
 * - **the new one**, from the moment at which the old one has a signpost instead.
 *
 * A session moves in three compare-and-sets: a copy of version *m* is put into the new store, where it does not count;
 * the record in the old store is replaced by the signpost *m*, which is the one moment at which the session moves; the
 * copy is made the record. *m* is drawn anew for each copy. So a copy counts only with its own signpost, of which there
 * is one: whoever stood still on the way and comes late puts down a copy that has none, and brings nothing back. Whoever
 * finds a move half done can finish it.
 */
import { type Flow, wait } from '../awaitable.js'
import type { SessionRecord, UserStore } from '../types.js'
import { BEGUN, copied, copyOf, gone, isCopy, isSignpost, markVersion, signpost } from './moving-marks.js'

/** What became of a session that was to be moved: it is in the new store now, was not in the old one, or was refused. */
export type Carried = 'moved' | 'absent' | 'refused'

/** Each round that fails has seen another writer succeed. */
const ROUNDS = 256

/** The old store and the new one. */
export class Pair {
  readonly from: UserStore
  readonly to: UserStore
  #begun = false

  constructor(from: UserStore, to: UserStore) {
    this.from = from
    this.to = to
  }

  /** The record, wherever it is. One store call where it is in the new one, two in the old one, three where it is in neither. */
  *get(id: string): Flow<SessionRecord | undefined> {
    const first = yield* wait(this.to.get(id))
    if (first && isRecord(first)) return first
    const old = yield* wait(this.from.get(id))
    if (old && !isSignpost(old)) return old
    // It may have moved between the two. What moves goes this way only.
    const last = first && isTheCopy(first, old) ? first : yield* wait(this.to.get(id))
    if (!last || isRecord(last)) return last
    return isTheCopy(last, old) ? copied(last) : undefined
  }

  /** Overwrites it wherever it is. One store call in the new store, two in the old one, up to six where it just moved. */
  *overwrite(id: string, record: SessionRecord, was: number): Flow<boolean> {
    if (yield* wait(this.to.set(id, record, was))) return true
    if (yield* wait(this.from.set(id, record, was))) return true
    const old = yield* wait(this.from.get(id))
    if (!old || !isSignpost(old)) return false
    // Moved between the two, at the version that it had: whoever read it has not been overtaken by that.
    yield* this.#settle(id, yield* wait(this.to.get(id)), old)
    return yield* wait(this.to.set(id, record, was))
  }

  /** Two store calls before the move has begun, three afterwards. */
  *create(id: string, record: SessionRecord): Flow<boolean> {
    if (this.#begun) return yield* this.#createInNew(id, record)
    // Where servers that know the old store alone find it.
    const created = yield* wait(this.from.set(id, record, 0))
    if (!(yield* this.hasBegun())) return created
    if (!created) return yield* this.#createInNew(id, record)
    // It came too late for whoever walks the old store.
    return (yield* this.carry(id)) !== 'refused'
  }

  *#createInNew(id: string, record: SessionRecord): Flow<boolean> {
    for (let round = 0; round < ROUNDS; round++) {
      const there = yield* wait(this.to.get(id))
      if (there && isRecord(there)) return false
      const old = yield* wait(this.from.get(id))
      if (old && (!isSignpost(old) || (there && isTheCopy(there, old)))) return false
      if (yield* wait(this.to.set(id, record, there?.version ?? 0))) return true
    }
    throw busy()
  }

  /** Whether the move has begun. No store call once it is known to have. */
  *hasBegun(): Flow<boolean> {
    this.#begun ||= (yield* wait(this.from.get(BEGUN))) !== undefined
    return this.#begun
  }

  /**
   * Moves a session, or finishes the move of one. Five store calls. `refused`: the new store has another session of this
   * name, made while the one in the old store was being made; that one, which nobody was told of, is ended.
   */
  *carry(id: string): Flow<Carried> {
    for (let round = 0; round < ROUNDS; round++) {
      // In this order: whoever made a copy had the record before, so that a copy without one now has lost it for good.
      const there = yield* wait(this.to.get(id))
      const old = yield* wait(this.from.get(id))
      // What was replaced is on its way out, and stays where it is.
      if (!old || old.data === '') {
        yield* this.#settle(id, there, old)
        return 'absent'
      }
      if (there && isRecord(there)) {
        if (yield* wait(this.from.set(id, gone(old), old.version))) return 'refused'
        continue
      }
      const copy = yield* this.#copy(id, old, there)
      if (copy && (yield* wait(this.from.set(id, signpost(old, copy.version), old.version)))) {
        yield* wait(this.to.set(id, copied(copy), copy.version))
        return 'moved'
      }
    }
    throw busy()
  }

  /** A copy of what the old store has, in the new one: the one that is there, if it is of this version, else a new one. */
  *#copy(id: string, old: SessionRecord, there: SessionRecord | undefined): Flow<SessionRecord | undefined> {
    if (there && isCopy(there) && copied(there).version === old.version) return there
    const copy = copyOf(old, markVersion())
    return (yield* wait(this.to.set(id, copy, there?.version ?? 0))) ? copy : undefined
  }

  /** A copy whose signpost stands becomes the record; one that can have none any more goes. */
  *#settle(id: string, there: SessionRecord | undefined, old: SessionRecord | undefined): Flow<void> {
    if (!there || !isCopy(there)) return
    yield* wait(this.to.set(id, isTheCopy(there, old) ? copied(there) : gone(there), there.version))
  }
}

/** Whether the new store has a session there, or the mark of one that was replaced: no trace of a move. */
function isRecord(record: SessionRecord): boolean {
  return !isCopy(record) && !isSignpost(record)
}

/** Whether `there`, of the new store, is the copy that the signpost in the old one leads to. */
function isTheCopy(there: SessionRecord, old: SessionRecord | undefined): boolean {
  return old !== undefined && isSignpost(old) && isCopy(there) && there.version === old.version
}

function busy(): Error {
  return new Error(`moving: a session was written by others ${ROUNDS} times while it was being moved or made`)
}
