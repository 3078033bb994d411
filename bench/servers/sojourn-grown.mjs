/**
 * Sojourn with many sessions in its store: fills it, tells what a verb costs there, then serves. Arguments: `memory` or
 * `sqlite`, how many sessions, how many calls to time.
 */
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { createSessions, opaque } from 'sojourn'
import { node } from 'sojourn/adapter/node'
import { handle } from './handle.mjs'
import { filled, listen, secret } from './host.mjs'
import { open } from './stores.mjs'

const [kind, count, calls] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])]

const store = await open(kind, { max: 2 * count })
const now = Date.now()
const data = JSON.stringify(filled())
const record = (i, version) => ({
  userId: `user-${i}`,
  // The text differs from one write to the next, as it would; the same bytes again may cost a store nothing.
  data: `${data}${version}`,
  createdAt: now,
  seenAt: now,
  authenticatedAt: now,
  expiresAt: now + 6 * 60 * 60_000 + i,
  version,
})

const ids = Array.from({ length: count }, () => randomBytes(32).toString('base64url'))
ids.forEach((id, i) => {
  store.set(id, record(i, 1), 0)
})

/** Nanoseconds of a call, over ids in an order that no cache foresees. */
function nanoseconds(call) {
  const from = process.hrtime.bigint()
  for (let n = 0; n < calls; n++) call((n * 7919) % count)
  return Number(process.hrtime.bigint() - from) / calls
}

const missed = { gets: 0, sets: 0 }
const versions = new Uint32Array(count).fill(1)
const get = () =>
  nanoseconds((i) => {
    if (store.get(ids[i]) === undefined) missed.gets++
  })
const set = () =>
  nanoseconds((i) => {
    const was = versions[i]++
    if (!store.set(ids[i], record(i, was + 1), was)) missed.sets++
  })

// Once to warm up, once to count.
get()
set()
const facts = { get: get(), set: set() }
if (missed.gets + missed.sets > 0) throw new Error(`${missed.gets} reads and ${missed.sets} writes found nothing`)

const sessions = createSessions({ keys: secret, strategy: opaque({ store }) })
const attach = node(sessions)
listen(
  createServer((req, res) => attach(req, res, () => handle(sessions, req, res))),
  facts,
)
