/**
 * What `endAll` promises, on a real Cluster where a session and its user's index are on different servers: every order of
 * the commands is drawn, and any of those who take part may break off between two of them.
 */
import fc from 'fast-check'
import { Cluster } from 'ioredis'
import { type RedisStore, redis } from 'sojourn/store/redis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startCluster, useRedis } from './engines/redis.js'
import { listed, record } from './fixtures/redis.js'
import { Turns } from './fixtures/turns.js'

const servers = useRedis(() => startCluster(3))
let cluster: Cluster
beforeAll(() => {
  if (servers()) cluster = new Cluster(servers().masters.map(({ host, port }) => ({ host, port })))
})
afterAll(() => cluster?.disconnect())

const NOW = Date.now()
const LIFE = 60_000

type Op =
  | { kind: 'create'; id: string; user: string }
  | { kind: 'slide'; id: string; far: boolean }
  | { kind: 'move'; id: string; user: string }
  | { kind: 'replace' | 'delete'; id: string }
  | { kind: 'endAll'; user: string; except: string | undefined }

const OLD = ['s0', 's1', 's2', 's3'] as const
const OWNER: Record<string, string | undefined> = { s0: 'ada', s1: 'ada', s2: 'bob' }
const user = fc.constantFrom('ada', 'ada', 'ada', 'bob')
const old = fc.constantFrom(...OLD)
const operation: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('create' as const), id: fc.constantFrom('n0', 'n1', 'n2'), user }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('slide' as const), id: old, far: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('move' as const), id: old, user }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('replace' as const, 'delete' as const), id: old }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('endAll' as const),
      user,
      except: fc.option(fc.constantFrom('s0', 'n0'), { nil: undefined, freq: 3 }),
    }),
  },
)

/** What an actor does; `true` and `false` are what it was told. */
async function act(store: RedisStore, op: Op): Promise<boolean | undefined> {
  if (op.kind === 'create') return store.set(op.id, record({ userId: op.user }, NOW), 0)
  if (op.kind === 'delete') return store.delete(op.id)
  if (op.kind === 'endAll') return void (await store.endAll(op.user, op.except))
  const found = await store.get(op.id)
  if (!found) return undefined
  const next = { ...found, version: found.version + 1 }
  if (op.kind === 'slide') next.expiresAt += op.far ? 10 * LIFE : 1000
  if (op.kind === 'move') next.userId = op.user
  if (op.kind === 'replace') next.data = ''
  return store.set(op.id, next, found.version)
}

let runs = 0
const seen = { refused: 0, crashed: 0, raced: 0 }

interface Live {
  readonly user: string | undefined
  readonly token: string
  readonly replaced: boolean
}

/** What stands in Redis, by hand. */
async function live(prefix: string): Promise<Map<string, Live>> {
  const all = new Map<string, Live>()
  for (const id of [...OLD, 'n0', 'n1', 'n2']) {
    const value = await cluster.get(`${prefix}record:${id}`)
    if (value === null) continue
    const [head, data] = value.split('\n') as [string, string]
    const [, , , , token, user] = JSON.parse(head) as [number, number, number, string, string, string | null]
    all.set(id, { user: user ?? undefined, token, replaced: data === '' })
  }
  return all
}

async function trial(
  ops: readonly Op[],
  order: readonly number[],
  crashes: ReadonlyMap<number, number>,
): Promise<void> {
  const prefix = `run${runs++}:`
  const bystander = redis(cluster, { prefix })
  for (const id of OLD) await bystander.set(id, record({ userId: OWNER[id], expiresAt: NOW + LIFE }, NOW), 0)

  const turns = new Turns()
  const said: (boolean | undefined)[] = []
  const done = new Set<number>()
  ops.forEach((op, actor) => {
    void act(redis(turns.client(cluster, actor), { prefix }), op).then((answer) => {
      said[actor] = answer
      done.add(actor)
    })
  })
  let step = 0
  await turns.play((n) => order[step++ % order.length]! % n, crashes)
  expect(done.size + ops.filter((_, actor) => turns.crashed(actor)).length).toBe(ops.length)

  const now = await live(prefix)
  const entered = (words: readonly string[]) => words.find((word) => /^[\w-]+:[sn]\d$/.test(word) && word.length > 10)
  const touches = (id: string) => (op: Op) => op.kind !== 'endAll' && op.id === id
  const ends = (who: string | undefined, id: string) => (op: Op) =>
    op.kind === 'endAll' && op.user === who && op.except !== id

  for (const [actor, op] of ops.entries()) {
    if (op.kind !== 'endAll' || !done.has(actor)) continue
    // Its first command marks the index: what was entered before that is over, whoever wrote it, and whenever.
    const taken = turns.log.findIndex(([by]) => by === actor)
    const before = new Set<string>()
    const crashed = new Set<string>()
    for (const [at, [by, words]] of turns.log.entries()) {
      const token = entered(words)?.split(':')[0]
      if (token !== undefined && at < taken) before.add(token)
      if (token !== undefined && turns.crashed(by)) crashed.add(token)
    }
    for (const [id, { user, token }] of now) {
      if (user !== op.user || id === op.except || crashed.has(token)) continue
      expect(before.has(token), `${id} was entered before endAll(${op.user}) and lives on`).toBe(false)
      // What was there from the beginning, and is the user's still, has no excuse.
      if (OWNER[id] === op.user)
        expect(
          ops.some((other) => other.kind === 'move' && other.id === id),
          id,
        ).toBe(true)
    }
  }

  for (const [actor, op] of ops.entries()) {
    if (op.kind !== 'create' || ops.filter(touches(op.id)).length > 1) continue
    const ended = ops.some(ends(op.user, op.id))
    if (said[actor] === true && !ended) expect(now.get(op.id)?.user, 'a login that was told it was done').toBe(op.user)
    if (said[actor] === false) {
      expect(now.has(op.id), 'a login that was told it failed').toBe(false)
      expect(ended, 'a login failed for no reason').toBe(true)
      seen.refused++
    }
  }
  for (const [actor, op] of ops.entries()) {
    if (op.kind !== 'move' || said[actor] !== true || ops.filter(touches(op.id)).length > 1) continue
    const last = turns.log.findLastIndex(([by]) => by === actor)
    const meanwhile = ops.some(
      (other, by) => ends(OWNER[op.id], op.id)(other) && turns.log.findIndex(([a]) => a === by) < last,
    )
    if (meanwhile || ops.some(ends(op.user, op.id))) continue
    expect(now.get(op.id)?.user, `${op.id} was ended with those of the user whose it was before`).toBe(op.user)
  }
  for (const id of OLD) {
    if (ops.some(touches(id)) || ops.some(ends(OWNER[id], id))) continue
    expect(now.get(id)?.user, `${id} was ended with somebody else's`).toBe(OWNER[id])
    expect(now.has(id)).toBe(true)
  }
  // The index forgets nothing that lives, whoever broke off where.
  for (const who of ['ada', 'bob']) {
    const theirs = [...now].filter(([, { user, replaced }]) => user === who && !replaced).map(([id]) => id)
    expect(await listed(bystander, who)).toEqual(theirs.sort())
  }
  for (const who of ['ada', 'bob']) await bystander.endAll(who)
  for (const [id, { user }] of await live(prefix)) expect(user, `${id} outlives the next endAll`).toBeUndefined()

  seen.crashed += turns.log.length > 0 && crashes.size > 0 ? 1 : 0
  seen.raced += ops.some(({ kind }) => kind === 'endAll') && ops.some(({ kind }) => kind !== 'endAll') ? 1 : 0
}

const orders = fc.array(fc.nat(11), { minLength: 8, maxLength: 24 })

describe('endAll on a Cluster', () => {
  test('7.4.3, A-69: in any order, nothing that was entered before it lives on after it', {
    timeout: 120_000,
  }, async () => {
    const ops = fc.array(operation, { minLength: 2, maxLength: 5 })
    const property = fc.asyncProperty(ops, orders, (ops, order) => trial(ops, order, new Map()))
    await fc.assert(property, { numRuns: 400, endOnFailure: false })
    // So that the runs are known to have hit something.
    expect(seen.refused).toBeGreaterThan(5)
    expect(seen.raced).toBeGreaterThan(50)
  })

  test('whoever breaks off between two commands, the next endAll ends what was left', {
    timeout: 120_000,
  }, async () => {
    const ops = fc.array(operation, { minLength: 2, maxLength: 4 })
    const crashes = fc.array(fc.tuple(fc.nat(3), fc.nat(5)), { minLength: 1, maxLength: 2 })
    const property = fc.asyncProperty(ops, orders, crashes, (ops, order, crashes) =>
      trial(ops, order, new Map(crashes)),
    )
    await fc.assert(property, { numRuns: 400, endOnFailure: false })
  })
})
