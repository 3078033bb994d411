/**
 * What a session takes in each store, and what a read and a sliding write take of the engine's own processor: the
 * figures of docs/billion.md. Prints a table, as Markdown.
 *
 *   npm run bench:sizes                  100,000 sessions, each of a user of its own
 *   npm run bench:sizes -- --write-docs  the table into docs/billion.md as well
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { writeDocs } from './docs.mjs'
import { install } from './install.mjs'

const { values: flags } = parseArgs({ options: { 'write-docs': { type: 'boolean', default: false } } })
const COUNT = 100_000
/** Calls under way at once. */
const LANES = 64
const HOUR = 3_600_000

install()
// Not before: these need what the installation brings.
const { engines, noEngine, startEngines, stopEngines } = await import('./engines.mjs')
const { filled } = await import('./servers/host.mjs')
const { disconnect, open } = await import('./servers/stores.mjs')

const ids = Array.from({ length: COUNT }, () => randomBytes(32).toString('base64url'))
const userAgent = 'Mozilla/5.0 (X11; Linux x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36'
const data = JSON.stringify(filled())
const began = Date.now()

function record(n, version) {
  const [createdAt, seenAt] = [began, began + version]
  const device = { userAgent, ip: `203.0.113.${n % 256}` }
  const expiresAt = seenAt + HOUR
  return { userId: `user-${n}`, data, createdAt, seenAt, authenticatedAt: createdAt, expiresAt, version, device }
}

/** Calls `work` with each number, and gives the seconds that it took. */
async function each(work) {
  const from = performance.now()
  let next = 0
  const lane = async () => {
    while (next < COUNT) await work(next++)
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  return (performance.now() - from) / 1000
}

const must = async (answer) => {
  if (!(await answer)) throw new Error('a session was not written, or not found')
}
const create = (store) => each((n) => must(store.set(ids[n], record(n, 1), 0)))
const read = (store) => each((n) => must(store.get(ids[n])))
const slide = (store, was) => each((n) => must(store.set(ids[n], record(n, was + 1), was)))

/** The processor time of an engine over `work`, microseconds for each session. */
async function engineTime(cpu, work) {
  const before = await cpu()
  await work()
  return ((await cpu()) - before) / COUNT
}

async function ofRedis() {
  const { client } = engines.get('redis')
  const field = async (section, name) =>
    Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(await client.info(section))[1])
  const cpu = async () => 1e6 * ((await field('cpu', 'used_cpu_user')) + (await field('cpu', 'used_cpu_sys')))
  const empty = await field('memory', 'used_memory')
  const store = await open('redis')
  await create(store)
  const usage = async (key) => {
    const sizes = await Promise.all(ids.map((id, n) => client.memory('USAGE', key(id, n))))
    return sizes.reduce((total, size) => total + size, 0) / COUNT
  }
  return {
    memory: ((await field('memory', 'used_memory')) - empty) / COUNT,
    record: await usage((id) => `sojourn:record:${id}`),
    index: await usage((_, n) => `sojourn:user:user-${n}`),
    read: await engineTime(cpu, () => read(store)),
    slide: await engineTime(cpu, () => slide(store, 1)),
  }
}

async function ofPostgres() {
  const { client } = engines.get('postgres')
  const one = async (text) => Number(Object.values((await client.query(text)).rows[0])[0])
  const size = (what) => one(`SELECT ${what}('sojourn_sessions')`)
  const store = await open('postgres')
  await create(store)
  const table = (await size('pg_table_size')) / COUNT
  const index = (await size('pg_indexes_size')) / COUNT
  const master = readFileSync(join(await dataFolder(client), 'postmaster.pid'), 'utf8').split('\n')[0]
  const cpu = () => backends(master)
  const reading = await engineTime(cpu, () => read(store))
  // The first update after a checkpoint writes whole pages to the log; the second is what goes on from there.
  await slide(store, 1)
  const lsn = () => one("SELECT pg_current_wal_lsn() - '0/0'")
  const from = await lsn()
  const sliding = await engineTime(cpu, () => slide(store, 2))
  const wal = ((await lsn()) - from) / COUNT
  return { table, index, wal, read: reading, slide: sliding }
}

const dataFolder = async (client) => (await client.query('SHOW data_directory')).rows[0].data_directory

/** Microseconds that the processes of a server have used, which Linux counts in hundredths of a second. */
function backends(master) {
  let ticks = 0
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
      if (fields[1] === master || pid === master) ticks += Number(fields[11]) + Number(fields[12])
    } catch {
      // It has just ended.
    }
  }
  return ticks * 10_000
}

async function ofSqlite() {
  const place = mkdtempSync(join(tmpdir(), 'sojourn-bench-'))
  try {
    const store = await open('sqlite', { place })
    await create(store)
    await store.close()
    return { file: statSync(join(place, 'sessions.db')).size / COUNT }
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
}

const whole = (value) => Math.round(value).toLocaleString('en')
const lines = []
const print = (line) => {
  lines.push(line)
  console.log(line)
}
print('| each of 100,000 sessions | |')
print('| --- | --: |')
const add = (what, value, unit) => print(`| ${what} | ${unit === 'µs' ? value.toFixed(1) : whole(value)} ${unit} |`)
const absent = (what, engine) => print(`| ${what} | not measured: ${noEngine(engine)} |`)
try {
  if (noEngine('redis')) absent('Redis', 'redis')
  else {
    await startEngines(['redis'])
    const found = await ofRedis()
    add('Redis, memory in all (`used_memory`)', found.memory, 'bytes')
    add('the record alone (`MEMORY USAGE`)', found.record, 'bytes')
    add("its entry in the user's index (`MEMORY USAGE`)", found.index, 'bytes')
    add('a read, processor time of Redis', found.read, 'µs')
    add('a sliding write, processor time of Redis', found.slide, 'µs')
  }
  if (noEngine('postgres')) absent('PostgreSQL', 'postgres')
  else {
    await startEngines(['postgres'])
    const found = await ofPostgres()
    add('PostgreSQL, the table', found.table, 'bytes')
    add('its two indexes', found.index, 'bytes')
    add('a read, processor time of PostgreSQL', found.read, 'µs')
    add('a sliding write, processor time of PostgreSQL', found.slide, 'µs')
    add('a sliding write, in the log (WAL)', found.wal, 'bytes')
  }
  const { file } = await ofSqlite()
  add('SQLite, the file', file, 'bytes')
} finally {
  await disconnect()
  await stopEngines()
}
if (flags['write-docs']) writeDocs('sizes', lines.join('\n'), 'billion.md')
process.exit()
