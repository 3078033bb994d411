/**
 * Records in Redis or Valkey, shared by any number of processes on any number of machines: a single server, Sentinel, or
 * a Cluster. A read is one GET; a write is one script.
 *
 * ## What `endAll` rests on
 *
 * On a Cluster a session's key and its user's index are on different servers, and nothing happens on both at once. So:
 *
 * - A live record of a user has an entry in the user's index, which is **entered first**. An entry is named by the write
 *   that made it (its token), is never altered, and never made anew: to remove one that is not needed any more, however
 *   late, can take away nothing that is.
 * - An entry is forgotten an hour after its horizon; until then it counts. A record whose expiry would move beyond the
 *   horizon is entered anew, first. The horizon lies twice as far ahead as the expiry, so that few writes do so.
 * - No process whose clock is wrong takes an entry away from the others: it is forgotten when its time is over by the clock
 *   of Redis as well. A record that a clock far behind writes over another's is entered anew, too.
 * - `endAll` **marks** all entries at once, deletes the records that are the user's, and then removes the entries of
 *   those that it deleted. What it found no record for stays marked until its time is over: somebody may be about to
 *   write that record. So the next `endAll` finds what this one left undone, and what a writer left that died.
 * - A session that gets a new identifier has its successor entered before it is marked as replaced, but maybe after the
 *   entries were marked. Where `endAll` finds a record replaced, or gone, it marks and deletes once more.
 * - Whoever entered a record and wrote it **looks again**: where the entry is not there as it was, an `endAll` came by
 *   between the two and may have found no record yet, so the writer deletes it, and answers `false`.
 *
 * A record that was there before `endAll` began is deleted by it, whatever is written meanwhile: writes overwrite, and
 * insert nothing. A writer that dies before it looked again leaves a record whose credential was not given to anybody,
 * and which the next `endAll` ends. Guests have no index.
 */
import { randomBytes } from 'node:crypto'
import { escaped, unescaped } from '../escape.js'
import type { SessionRecord, UserStore } from '../types.js'
import { Feed } from './redis-feed.js'
import {
  astray,
  decode,
  digits,
  encode,
  entry,
  type Head,
  headOf,
  idOf,
  literal,
  type Token,
  userText,
} from './redis-layout.js'
import { END, ENTER, FORGET, type Script, TAKE, TRIM, WRITE } from './redis-scripts.js'
import { type RedisClient, type Wire, wireOf } from './redis-wire.js'

export type { IoredisClient, NodeRedisClient, RedisClient } from './redis-wire.js'

/** How a Redis store names its keys, and what it takes the time from. */
export interface RedisOptions {
  /** What each key begins with, default `sojourn:`. Two stores with two prefixes share a server. */
  prefix?: string
  /**
   * Tells the time, epoch milliseconds. Default `Date.now`, and Redis forgets a record on the millisecond. With a clock
   * of your own Redis keeps it for an hour more, so that this clock has the last word; reads always ask it.
   */
  clock?: () => number
}

/** A store over Redis. */
export interface RedisStore extends UserStore {
  get(id: string): Promise<SessionRecord | undefined>
  set(id: string, record: SessionRecord, was: number): Promise<boolean>
  delete(id: string): Promise<boolean>
  /** Pages of 100. A user's: one command and one read each. Everybody's: SCAN, so that one may come twice while Redis resizes. */
  list(userId?: string): AsyncIterable<[id: string, record: SessionRecord]>
  endAll(userId: string, except?: string): Promise<number>
  /** Walks all keys. Redis forgets by itself what has expired, so that nobody needs to call it. */
  sweep(now: number): Promise<number>
  /** Heard over a connection of its own, opened with the first watch. `onCut` comes when it is lost, every second until it is back, and when it stands. */
  watch(onChange: (id: string) => void, onCut?: () => void): () => void
  /** Ends what the store opened, which is the connection of `watch`. The client stays open. */
  close(): Promise<void>
}

/** How many keys are asked for together. */
const PAGE = 100
/** What clocks may differ by without harm, milliseconds. */
const SLACK = 3_600_000

/**
 * How often an `endAll` looks at most. A session from before it would have to be rotated between two of its steps each time;
 * without a bound, somebody who signs in again and again would keep it from ever being done.
 */
const LOOKS = 12

/** `WRITE` says: the version was another. */
const LOST = 0
/** `WRITE` says: the user's index must know of it first. */
const UNKNOWN = -1

/**
 * Keeps records in Redis, through a client of ioredis 5 or 6, iovalkey, or node-redis 5 or 6 that is open.
 * Round trips: `get` 1; `set` 1; 2 for a record that is replaced; 3 where it makes a session a user's (a login); 5 about once in an idle timeout;
 * `delete` 1, a user's 2. The verbs reject when Redis cannot be asked, with what the driver said, but never with keys or data.
 *
 * @throws TypeError on a client that is none of them, or that reads from replicas, which may not know yet of a login or logout.
 */
export function redis(client: RedisClient, options: RedisOptions = {}): RedisStore {
  const { prefix = 'sojourn:', clock } = options
  if (typeof prefix !== 'string' || prefix === '') {
    throw new TypeError("redis: `prefix` must be a text that no other key of the database begins with, as 'sojourn:'")
  }
  return new Redis(wireOf(client), prefix, clock ?? Date.now, clock === undefined ? 0 : SLACK)
}

class Redis implements RedisStore {
  readonly #wire: Wire
  readonly #records: string
  readonly #users: string
  readonly #channel: string
  readonly #clock: () => number
  readonly #longer: number
  readonly #feed: Feed
  /** Tells the writes of this store from all others. */
  readonly #name = randomBytes(9).toString('base64url')
  #writes = 0

  constructor(wire: Wire, prefix: string, clock: () => number, longer: number) {
    this.#wire = wire
    this.#records = `${prefix}record:`
    this.#users = `${prefix}user:`
    this.#channel = `${prefix}changes`
    this.#clock = clock
    this.#longer = longer
    const source = {
      listen: (onMessage: (message: string) => void, onLost: () => void) =>
        wire.listen(this.#channel, onMessage, onLost),
      publish: (message: string) => wire.publish(this.#channel, message),
    }
    this.#feed = new Feed(source, this.#name)
  }

  get(id: string): Promise<SessionRecord | undefined> {
    return this.#wire.get(this.#records + escaped(id)).then(
      (value) => (value === null ? undefined : decode(id, String(value), this.#clock())),
      (error) => Promise.reject(plain(error)),
    )
  }

  async set(id: string, record: SessionRecord, was: number): Promise<boolean> {
    const now = this.#clock()
    // Written so that a time which is no number counts as past.
    if (!(record.expiresAt > now)) {
      if (was === 0) return (await this.get(id)) === undefined
      return (await this.#end(id, { now, was: String(was) })) !== undefined
    }
    const write = this.#token()
    const { userId } = record
    if (userId === undefined || was !== 0) {
      const said = await this.#write(id, record, was, now, write, undefined)
      if (said === LOST) return false
      if (said !== UNKNOWN) {
        // It will not be slid any more: its entry need not be kept for as long as if it were.
        if (typeof said === 'string') await this.#shorten(userId!, id, said, record.expiresAt)
        return true
      }
    }
    return this.#enter(id, record as SessionRecord & { userId: string }, was, now, write)
  }

  async delete(id: string): Promise<boolean> {
    return (await this.#end(id, { now: this.#clock() })) !== undefined
  }

  async *list(userId?: string): AsyncGenerator<[id: string, record: SessionRecord]> {
    for await (const ids of userId === undefined ? this.#all() : this.#of(userId)) {
      const records = await Promise.all(ids.map((id) => this.get(id)))
      for (const [i, record] of records.entries())
        if (record && record.data !== '' && (userId === undefined || record.userId === userId)) yield [ids[i]!, record]
    }
  }

  async endAll(userId: string, except?: string): Promise<number> {
    const key = this.#users + escaped(userId)
    const args = except === undefined ? [] : [escaped(except)]
    const gone = new Set<string>()
    let ended = 0
    for (let again = true, looks = 0; again && looks < LOOKS; looks++) {
      again = false
      const members = ((await this.#run(TAKE, key, args)) as unknown[]).map(String)
      for (const page of pages([...new Set(members.map(idOf))])) {
        const heads = await Promise.all(page.map((id) => this.#end(id, { now: 0, user: userText(userId) }, false)))
        // The time after the last of them: what expired meanwhile was not ended by this.
        const now = this.#clock()
        ended += heads.filter((head) => head && !head.replaced && head.expiresAt > now).length
        for (const [i, head] of heads.entries()) {
          if (head ? head.replaced : !gone.has(page[i]!)) again = true
          if (!head) gone.add(page[i]!)
        }
        await this.#tidy(
          userId,
          heads.flatMap((head, i) => (head ? [`!${entry(head.token, page[i]!)}`] : [])),
        )
      }
    }
    return ended
  }

  async sweep(now: number): Promise<number> {
    let swept = 0
    for await (const keys of this.#scan(this.#users))
      await Promise.all(keys.map((key) => this.#run(TRIM, this.#users + key, [String(now)])))
    for await (const keys of this.#scan(this.#records)) {
      const gone = await Promise.all(keys.map((key) => this.#run(FORGET, this.#records + key, [String(now)])))
      swept += gone.filter((one) => Number(one) === 1).length
    }
    return swept
  }

  watch(onChange: (id: string) => void, onCut: () => void = () => {}): () => void {
    return this.#feed.watch({ onChange: (message) => onChange(unescaped(message)), onCut })
  }

  async close(): Promise<void> {
    this.#feed.close()
  }

  /** Enters the session in its user's index, writes it, and looks whether an `endAll` came by in between. */
  async #enter(
    id: string,
    record: SessionRecord & { userId: string },
    was: number,
    now: number,
    token: Token,
  ): Promise<boolean> {
    const { userId, expiresAt, data } = record
    const horizon = data === '' ? expiresAt : now + 2 * (expiresAt - now)
    const key = this.#users + escaped(userId)
    const member = entry(token, id)
    const score = horizon + SLACK
    await this.#run(ENTER, key, [String(now), digits(score), member, digits(score - now + SLACK)])
    const said = await this.#write(id, record, was, now, token, horizon)
    // The entry stays: where a driver sends twice, this write may have been done, and have been built upon since.
    if (said === LOST) return false
    if ((await this.#send('ZSCORE', key, [member])) === null) {
      await this.#end(id, { now: 0, token }, false)
      await this.#tidy(userId, [`!${member}`])
      return false
    }
    if (typeof said === 'string') await this.#tidy(userId, [entry(said, id), `!${entry(said, id)}`])
    return true
  }

  /** See `WRITE`. With a horizon the record is entered under the name of this write. */
  async #write(
    id: string,
    record: SessionRecord,
    was: number,
    now: number,
    write: Token,
    horizon: number | undefined,
  ): Promise<number | string> {
    const { version, expiresAt, user, rest } = encode(id, record)
    const { userId } = record
    const ttl = Math.max(1, record.expiresAt - now) + this.#longer
    const said = await this.#run(WRITE, this.#records + escaped(id), [
      String(was),
      String(now),
      digits(ttl),
      version,
      expiresAt,
      write,
      user,
      rest,
      horizon === undefined ? '' : write,
      digits(horizon ?? (record.data === '' && userId !== undefined ? record.expiresAt : 0)),
      record.data === '' ? '1' : '',
      this.#channel,
      escaped(id),
    ])
    const text = String(said)
    // Drivers can be told to give numbers as text; a token is longer than any of these.
    if (/^(?:-1|0|1)$/.test(text)) return Number(text)
    if (!/^[\w-]{12,}$/.test(text)) throw astray()
    return text
  }

  /** Deletes a record that is as said, and tells what it was. `tidies`: its entry is removed, too. */
  async #end(
    id: string,
    { now, was = '', token = '', user = '' }: { now: number; was?: string; token?: Token; user?: string },
    tidies = true,
  ): Promise<Head | undefined> {
    const args = [String(now), was, token, user, this.#channel, escaped(id)]
    const said = await this.#run(END, this.#records + escaped(id), args)
    if (said === null || said === undefined) return undefined
    const head = headOf(id, String(said))
    if (tidies && head.userId !== undefined) await this.#tidy(head.userId, [entry(head.token, id)])
    return head
  }

  async #shorten(userId: string, id: string, token: Token, expiresAt: number): Promise<void> {
    const args = ['XX', digits(expiresAt + SLACK), entry(token, id)]
    await this.#send('ZADD', this.#users + escaped(userId), args).catch(() => {})
  }

  /** An entry that stays behind does no harm, and is forgotten in time; what was asked for is done already. */
  async #tidy(userId: string, members: readonly string[]): Promise<void> {
    if (members.length === 0) return
    await this.#send('ZREM', this.#users + escaped(userId), members).catch(() => {})
  }

  async *#of(userId: string): AsyncGenerator<string[]> {
    const members = (await this.#send('ZRANGE', this.#users + escaped(userId), ['0', '-1'])) as unknown[]
    yield* pages([...new Set(members.map((member) => idOf(String(member))))])
  }

  async *#all(): AsyncGenerator<string[]> {
    for await (const keys of this.#scan(this.#records)) yield keys.map(unescaped)
  }

  /** The keys of all servers that begin with `start`, without it. */
  async *#scan(start: string): AsyncGenerator<string[]> {
    const masters = await this.#wire.masters().catch((error) => Promise.reject(plain(error)))
    const whole = this.#wire.keyPrefix + start
    for (const send of masters) {
      let cursor = '0'
      do {
        const args = ['SCAN', cursor, 'MATCH', `${literal(whole)}*`, 'COUNT', String(PAGE)]
        const said = await send(args).catch((error) => Promise.reject(plain(error)))
        const [next, keys] = said as [unknown, unknown[]]
        cursor = String(next)
        yield [...new Set(keys.map((key) => String(key).slice(whole.length)))]
      } while (cursor !== '0')
    }
  }

  async #run(script: Script, key: string, args: readonly string[]): Promise<unknown> {
    try {
      return await this.#wire.run('EVALSHA', script.sha, key, args)
    } catch (error) {
      // New, restarted, failed over to, or flushed.
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw plain(error)
    }
    return this.#wire.run('EVAL', script.text, key, args).catch((error) => Promise.reject(plain(error)))
  }

  #send(command: string, key: string, args: readonly string[]): Promise<unknown> {
    return this.#wire.send(command, key, args).catch((error) => Promise.reject(plain(error)))
  }

  #token(): Token {
    this.#writes++
    return this.#name + this.#writes.toString(36)
  }
}

function* pages<T>(all: readonly T[]): Generator<T[]> {
  for (let i = 0; i < all.length; i += PAGE) yield all.slice(i, i + PAGE)
}

/** Drivers hang the command on their errors, and Redis quotes from one that it does not know: hashes, and data. */
function plain(error: unknown): Error {
  if (error instanceof TypeError || !(error instanceof Error)) return error as Error
  const { code } = error as { code?: unknown }
  const told = new Error(`redis: ${error.message.split(', with args')[0]}`)
  return typeof code === 'string' ? Object.assign(told, { code }) : told
}
