/** One measurement: a fresh server, checked, filled with sessions, warmed up, loaded, and asked for its processor time. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { counted, onePerRead } from './commands.mjs'
import { engines } from './engines.mjs'
import { load, pin } from './load/load.mjs'

/** Starts `servers/<name>.mjs`, by another command if you like; throws with its complaint when it does not come up. */
export async function start(name, args, command = [process.execPath]) {
  const file = fileURLToPath(new URL(`servers/${name}.mjs`, import.meta.url))
  const [program, ...rest] = pin(1, [...command, file, ...args])
  const child = spawn(program, rest, {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: { ...process.env, NODE_ENV: 'production' },
  })
  let complaint = ''
  child.stderr.on('data', (chunk) => {
    complaint = (complaint + chunk).slice(-4000)
  })
  const reply = async () => {
    const [message] = await Promise.race([once(child, 'message'), once(child, 'exit').then(() => [undefined])])
    if (message) return message
    throw new Error(/^\w*Error.*$/m.exec(complaint)?.[0] ?? `the server ended: ${complaint.slice(-200)}`)
  }
  const { port, ...facts } = await reply()
  return {
    url: `http://127.0.0.1:${port}`,
    facts,
    pid: child.pid,
    async cpu() {
      child.send('cpu')
      return (await reply()).cpu
    },
    async stop() {
      child.disconnect()
      await once(child, 'exit')
    },
  }
}

/** Logs a user in and returns the `Cookie` header of the session. */
async function login(url, user) {
  const response = await fetch(`${url}/login?${user}`)
  await response.arrayBuffer()
  const cookie = jar('', response)
  if (!response.ok || !cookie)
    throw new Error(`the login answered ${response.status} with ${cookie ? 'a' : 'no'} cookie`)
  return cookie
}

/** The `Cookie` header after this response. */
function jar(cookie, response) {
  const pairs = new Map(cookie.split('; ').map((pair) => [pair.split('=')[0], pair]))
  for (const line of response.headers.getSetCookie()) pairs.set(line.split('=')[0], line.split(';')[0])
  return [...pairs.values()].filter(Boolean).join('; ')
}

/** Asks with a session, expects an answer, and returns the session's cookie as it is then. */
async function expect(url, cookie, wanted) {
  const response = await fetch(url, { headers: { cookie } })
  const body = await response.text()
  if (body !== wanted) throw new Error(`expected "${wanted}", was answered ${response.status} "${body.slice(0, 80)}"`)
  return jar(cookie, response)
}

/** The cookie with one character of its signature, or of what is sealed, changed. */
function forged(cookie) {
  const at = cookie.length - 10
  return `${cookie.slice(0, at)}${cookie[at] === 'A' ? 'B' : 'A'}${cookie.slice(at + 1)}`
}

/**
 * Starts a contender's server and sees to it that two users are told apart, nobody and a forger are nobody, a changed
 * counter counts, and, where the contender says so, that a session is over once it has ended.
 */
export async function verify({ server: name, args, ends, engine, once }, variant) {
  await engines.get(engine)?.empty()
  const server = await start(name, [variant, ...args])
  try {
    const { url } = server
    const step = variant === 'modified' ? 1 : 0
    let [one, two] = [await login(url, 'user-one'), await login(url, 'user-two')]
    one = await expect(url, one, `user-one ${step}`)
    two = await expect(url, two, `user-two ${step}`)
    await expect(url, one, `user-one ${2 * step}`)
    await expect(url, two, `user-two ${2 * step}`)
    await expect(url, '', 'guest 0')
    await expect(url, forged(one), 'guest 0')
    if (once && variant === 'unmodified') await verifyReads(url, one)
    if (!ends) return
    await (await fetch(`${url}/logout`, { headers: { cookie: one } })).arrayBuffer()
    await expect(url, one, 'guest 0')
    await expect(url, two, `user-two ${2 * step}`)
  } finally {
    await server.stop()
  }
}

/** Each read of a session is one command, to the last one. */
async function verifyReads(url, cookie) {
  const { commands } = await counted(async () => {
    for (let n = 0; n < 50; n++) await expect(url, cookie, 'user-one 0')
  })
  onePerRead(commands, 50)
}

/** The `Cookie` headers of as many sessions. */
export async function logins(url, count) {
  const heads = await inTurn(count, (n) => ({ url: `${url}/login?user-${n}` }))
  return heads.map(({ 'set-cookie': lines = [] }) => lines.map((line) => line.split(';')[0]).join('; '))
}

/** Reads so many times, with the sessions in turn. */
export async function reads(url, cookies, count) {
  await inTurn(count, (n) => ({ url, cookie: cookies[n % cookies.length] }))
}

/** How many requests are under way at once where nothing is timed. */
export const AT_ONCE = 20

/** The headers of as many answers; `fetch` takes four times as long. */
async function inTurn(count, request) {
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE })
  const ask = ({ url, ...headers }) =>
    new Promise((resolve, reject) => {
      const answered = (response) => response.resume().on('end', () => resolve(response.headers))
      get(url, { agent, headers }, answered).on('error', reject)
    })
  const heads = []
  let begun = 0
  const one = async () => {
    while (begun < count) {
      const n = begun++
      heads[n] = await ask(request(n))
    }
  }
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, one))
    return heads
  } finally {
    agent.destroy()
  }
}

/** Characters of credentials that Sojourn remembers at the most; fewer than these would be seen again. */
const REMEMBERED = 4_000_000

/** Seconds of the bare framework at a time. */
const BARE = 1

/** Loads a server whenever it is asked to, with a file of its own that holds the `Cookie` headers. */
function driven(server, cookies, folder) {
  const file = join(folder, `cookies-${server.pid}`)
  writeFileSync(file, `${cookies.join('\n')}\n`)
  let sent = 0
  const work = async (seconds) => {
    const done = await load(server.url, seconds, file, sent)
    sent += done.requests
    return done
  }
  return {
    warm: work,
    /** Microseconds of processor time per request, and what the load saw of them. */
    async slice(length) {
      const before = await server.cpu()
      const { requests, seconds } = await work(length)
      return { cpu: ((await server.cpu()) - before) / requests, rate: requests / seconds, requests }
    },
  }
}

/**
 * Measures a server with as many sessions as `times` says, in turn, between two slices of its framework bare: what slows
 * the machine for a while slows both. Its own are longer, as copies grow old meanwhile. The sessions are still recognised
 * afterwards, or it throws.
 */
async function loaded(server, bare, variant, { sessions, distinct, warmup, slices, seconds, engine, once }) {
  const cookies = variant === 'bare' ? ['theme=dark'] : await logins(server.url, sessions)
  const length = cookies.reduce((sum, cookie) => sum + cookie.length, 0)
  if (distinct && length < 1.2 * REMEMBERED) throw new Error(`${sessions} credentials are too few to be forgotten`)
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-load-'))
  try {
    const [it, below] = [driven(server, cookies, folder), driven(bare, ['theme=dark'], folder)]
    await below.warm(warmup)
    await it.warm(warmup)
    const work = async () => {
      const pairs = []
      let before = await below.slice(BARE)
      for (let slice = 0; slice < slices; slice++) {
        const own = await it.slice(seconds)
        const after = await below.slice(BARE)
        pairs.push({ own, bare: { cpu: (before.cpu + after.cpu) / 2, rate: (before.rate + after.rate) / 2 } })
        before = after
      }
      return pairs
    }
    const counts = engine === 'redis' && variant === 'unmodified'
    const { result: pairs, commands } = counts ? await counted(work) : { result: await work() }
    const requests = pairs.reduce((sum, { own }) => sum + own.requests, 0)
    if (once && counts) onePerRead(commands, requests)
    const body = await (await fetch(server.url, { headers: { cookie: cookies.at(-1) } })).text()
    if (variant === 'bare' || body.startsWith(`user-${sessions - 1} `)) return { pairs, requests, commands }
    throw new Error(`after the load a session is not recognised: "${body.slice(0, 80)}"`)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/**
 * Measures `servers/<name>.mjs` beside `servers/<below>.mjs`: pairs of slices, the commands that Redis was sent, and the
 * facts that the server told of itself when it came up.
 */
export async function measure(name, args, below, times) {
  await engines.get(times.engine)?.empty()
  const server = await start(name, args)
  try {
    const bare = await start(below, ['bare'])
    try {
      return { ...(await loaded(server, bare, args[0], times)), facts: server.facts }
    } finally {
      await bare.stop()
    }
  } finally {
    await server.stop()
  }
}

/** What the session added in each slice, microseconds per request. */
export const extras = ({ pairs }) => pairs.map(({ own, bare }) => own.cpu - bare.cpu)
