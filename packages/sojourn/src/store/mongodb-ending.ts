/**
 * Ending all sessions of a user, so that nothing issued before is honoured after, without a transaction.
 *
 * `deleteMany` alone does not do it. It walks an index, and a session that is given a new identifier meanwhile can slip
 * past: the successor B is inserted behind the walk, then A, which the walk has not reached, stops being the user's.
 * So a mark stands in the collection for as long as an ending is under way, and a record that becomes a user's is
 * acknowledged only when, after it was written, there is no mark:
 *
 *     endAll   M: put up the mark    D: delete the user's records    U: take the mark down
 *     begin    I: insert B           C: look for a mark              and only then may the caller replace A (R)
 *
 *     I C M D U     B is there before the walk begins, and no longer changes hands unseen: it is deleted.
 *     I M C …       the mark is seen. B is withdrawn, the ending carried out, and B begun anew (below).
 *     M I C …       the same.
 *     I M D U C     no mark is seen, B may have slipped past. A did not: while the mark stood, nobody was let through to R.
 *     M I D U C     So R finds A gone, and whoever wanted B in its place withdraws it. A login, which replaces nothing,
 *     M D I U C     is honoured: it came while others were ended, and counts as after.
 *     M D U I C     after, in any case.
 *
 * Nobody waits for anybody: whoever finds a mark carries the ending out, which does no harm when it is done twice, and
 * takes the mark down. So a process that dies between M and U locks nobody out, and no clock has a part in it.
 * Marks of several endings stand side by side in one document, since each spares another session.
 */
import { randomUUID } from 'node:crypto'
import { isDuplicate, type MongodbCollection, READ, WRITE } from './mongodb-driver.js'

/** An ending that is under way. */
interface Ending {
  readonly token: string
  /** The `_id` that is spared. */
  readonly except?: string
}

/**
 * A mark nobody took down is forgotten after so long, milliseconds: whoever put it up was told that it failed, or died. It
 * is MongoDB's clock that tells, so it must be longer than any other is behind.
 */
const FORGOTTEN = 86_400_000
/** So often a mark is put up anew because another one was just made or taken down. */
const ROUNDS = 16
/** How many ids a delete names at most. */
const SLICE = 500

/** Ends what is a user's in a collection, and helps others to. All names are as `textOf` makes them. */
export class Endings {
  readonly #collection: MongodbCollection
  readonly #clock: () => number

  constructor(collection: MongodbCollection, clock: () => number) {
    this.#collection = collection
    this.#clock = clock
  }

  /** Ends all records of a user but one, and says how many were in use. Four commands. */
  async endAll(user: string, except: string | undefined): Promise<number> {
    const ending: Ending = { token: randomUUID(), ...(except === undefined ? {} : { except }) }
    await this.#putUp(user, ending)
    const inUse = { expiresAt: { $gt: new Date(this.#clock()) }, data: { $gt: '' } }
    const { deletedCount } = await this.#collection.deleteMany({ ...theirs(user, ending), ...inUse }, WRITE)
    await this.#collection.deleteMany(theirs(user, ending), WRITE)
    await this.#takeDown(user, ending)
    return deletedCount
  }

  /** The endings of a user's records that are under way. One command. */
  async underWay(user: string): Promise<readonly Ending[]> {
    const mark = (await this.#collection.findOne({ _id: markOf(user) }, READ)) as { endings?: Ending[] } | null
    return mark?.endings ?? []
  }

  /** Carries out an ending that another began. */
  async finish(user: string, ending: Ending): Promise<void> {
    const found = await this.#collection.find(theirs(user, ending), { ...READ, projection: { _id: 1 } }).toArray()
    // By now the other may be done, and the user signed in again: only what was there under the mark is ended.
    if (!(await this.underWay(user)).some(({ token }) => token === ending.token)) return
    const ids = (found as { _id: string }[]).map(({ _id }) => _id)
    for (let from = 0; from < ids.length; from += SLICE)
      await this.#collection.deleteMany({ _id: { $in: ids.slice(from, from + SLICE) }, user }, WRITE)
    await this.#takeDown(user, ending)
  }

  async #putUp(user: string, ending: Ending): Promise<void> {
    const expiresAt = new Date(this.#clock() + FORGOTTEN)
    const put = () =>
      this.#collection.updateOne(
        { _id: markOf(user) },
        { $push: { endings: ending }, $set: { expiresAt } },
        { ...WRITE, upsert: true },
      )
    // Two that found no document both insert one; the second then finds the first's, unless that was taken down already.
    for (let round = 1; ; round++) {
      try {
        return void (await put())
      } catch (error) {
        if (!isDuplicate(error)) throw error
        // What MongoDB says of it quotes the user's id.
        if (round === ROUNDS) throw new Error('mongodb: too many others end the sessions of this user at the same time')
      }
    }
  }

  async #takeDown(user: string, { token }: Ending): Promise<void> {
    const last = { _id: markOf(user), 'endings.token': token, endings: { $size: 1 } }
    if ((await this.#collection.deleteOne(last, WRITE)).deletedCount > 0) return
    // Beside others, or taken down already. Should the list be empty then, it says that nothing is under way.
    await this.#collection.updateOne({ _id: markOf(user) }, { $pull: { endings: { token } } }, WRITE)
  }
}

/** An object, where records have a string: no id is taken for it, and no list and no delete of records finds it. */
function markOf(user: string): object {
  return { ending: user }
}

function theirs(user: string, { except }: Ending): object {
  return except === undefined ? { user } : { user, _id: { $ne: except } }
}
