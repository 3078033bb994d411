/**
 * What a memory store costs when it holds a million sessions: bytes of each, nanoseconds of a verb, and how long the
 * event loop stands still while the million fills in, is listed, ended and expires.
 *
 *   node bench/memory-million.mjs [--json] [--sessions 1000000]
 *
 * A pause is the time between two ticks of a 1 ms timer. Garbage collections that fall into it are told apart; and it
 * counts no more than the CPU time that the process had in it, so that a busy machine is not taken for a slow store.
 */
import { createHash } from 'node:crypto'
import { PerformanceObserver, performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { memory } from 'sojourn/store/memory'

const { values: flags } = parseArgs({
  options: { json: { type: 'boolean', default: false }, sessions: { type: 'string', default: '1000000' } },
})
const million = Number(flags.sessions)
const say = (figure, value, unit) =>
  console.log(flags.json ? JSON.stringify({ figure, value, unit }) : `${figure.padEnd(52)} ${value} ${unit}`)

const collections = []
new PerformanceObserver((list) => {
  for (const { startTime, duration } of list.getEntries()) collections.push({ startTime, duration })
}).observe({ entryTypes: ['gc'] })

/** Runs `work` and tells the longest time that the loop stood still in it, with and without garbage collection. */
async function pauses(work) {
  const gaps = []
  const began = performance.now()
  let from = began
  let used = process.cpuUsage()
  const probe = setInterval(() => {
    const to = performance.now()
    const { user, system } = process.cpuUsage(used)
    gaps.push({ from, to, cpu: (user + system) / 1000 })
    used = process.cpuUsage()
    from = to
  }, 1)
  await work()
  await new Promise((resolve) => setTimeout(resolve, 20))
  clearInterval(probe)
  const charged = (gap) =>
    collections.reduce(
      (sum, { startTime: at, duration }) => sum + Math.max(0, Math.min(gap.to, at + duration) - Math.max(gap.from, at)),
      0,
    )
  return {
    total: round(performance.now() - began - 20),
    all: round(Math.max(...gaps.map((gap) => gap.to - gap.from))),
    own: round(Math.max(...gaps.map((gap) => Math.min(gap.cpu, gap.to - gap.from - charged(gap))))),
    gc: round(
      Math.max(0, ...collections.filter(({ startTime }) => startTime >= began).map(({ duration }) => duration)),
    ),
  }
}
const round = (value) => Math.round(value * 10) / 10
const tick = () => new Promise((resolve) => setImmediate(resolve))

const start = Date.now()
let now = start
const clock = () => now
const idle = 30 * 60_000

// Ids as the opaque strategy makes them, 43 characters; JSON of some 230 bytes, no two the same.
const idOf = (i) => createHash('sha256').update(`session ${i}`).digest('base64url')
const dataOf = (i) =>
  JSON.stringify({ cart: [{ sku: `sku-${i}`, quantity: 2 }], csrf: idOf(-i), note: 'x'.repeat(137) })
const recordOf = (i) => ({
  userId: `user-${i}`,
  data: dataOf(i),
  createdAt: now,
  seenAt: now,
  authenticatedAt: now,
  expiresAt: now + idle + (i % 600_000),
  version: 1,
})

async function fill(store, count) {
  for (let i = 0; i < count; i++) {
    store.set(idOf(i), recordOf(i), 0)
    if (i % 500 === 0) await tick()
  }
}

/** Nanoseconds of a call: the median of nine rounds over ids in an order that no cache foresees. */
function nanoseconds(count, call) {
  const ids = Array.from({ length: 20_000 }, (_, i) => idOf((i * 7919) % count))
  const rounds = Array.from({ length: 9 }, () => {
    const from = process.hrtime.bigint()
    for (const id of ids) call(id)
    return Number(process.hrtime.bigint() - from) / ids.length
  })
  return Math.round(rounds.sort((a, b) => a - b)[4])
}

function verbs(store, count, label) {
  say(
    `get at ${label}`,
    nanoseconds(count, (id) => store.get(id)),
    'ns',
  )
  const slide = (id) => {
    const record = store.get(id)
    now += 1
    store.set(id, { ...record, expiresAt: now + 2 * idle, version: record.version + 1 }, record.version)
  }
  say(`get and set that slides at ${label}`, nanoseconds(count, slide), 'ns')
  now = start
}

const settle = async () => {
  for (let i = 0; i < 20; i++) {
    globalThis.gc?.()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const small = memory({ clock })
await fill(small, 10_000)
verbs(small, 10_000, '10 thousand')
small.close()

await settle()
const before = process.memoryUsage.rss()
const store = memory({ clock, max: million })
const filling = await pauses(() => fill(store, million))
if (store.size !== million) throw new Error(`held ${store.size} of ${million}`)
say(
  `memory of a session (data of ${dataOf(1).length} bytes)`,
  Math.round((process.memoryUsage.rss() - before) / million),
  'bytes',
)
verbs(store, million, '1 million')

const tell = (what, { total, all, own, gc }) => {
  say(`longest pause, ${what}`, own, 'ms')
  say(`longest pause with garbage collection, ${what}`, all, 'ms')
  say(`longest garbage collection, ${what}`, gc, 'ms')
  say(`time it took, ${what}`, total, 'ms')
}
tell('filling a million', filling)
tell(
  'list and endAll of a user',
  await pauses(async () => {
    for (let i = 0; i < 1000; i++) {
      const [first] = store.list(`user-${i}`)
      if (first === undefined || store.endAll(`user-${i}`) !== 1) throw new Error('a user lost a session')
      if (i % 20 === 0) await tick()
    }
  }),
)
now = start + 24 * 60 * 60_000
tell(
  'a million expire',
  await pauses(async () => {
    while (store.size > 0) await new Promise((resolve) => setTimeout(resolve, 10))
  }),
)
store.close()

const swept = memory({ clock, max: million })
await fill(swept, million)
now += 24 * 60 * 60_000
tell('sweep of a million', await pauses(() => swept.sweep(now)))
swept.close()
