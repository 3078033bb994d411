/** One measurement: a fresh server, checked, filled with sessions, warmed up, loaded, and asked for its processor time. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { load, pin } from './load/load.mjs'

/** Starts `servers/<name>.mjs`; throws with its complaint when it does not come up. */
export async function start(name, ...rest) {
  const file = fileURLToPath(new URL(`servers/${name}.mjs`, import.meta.url))
  const [program, ...args] = pin(1, [process.execPath, file, ...rest])
  const child = spawn(program, args, {
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

/** Starts a server and sees to it that two users are told apart, nobody is nobody, and a changed counter counts. */
export async function verify(name, variant) {
  const server = await start(name, variant)
  try {
    const { url } = server
    const step = variant === 'modified' ? 1 : 0
    let [one, two] = [await login(url, 'user-one'), await login(url, 'user-two')]
    one = await expect(url, one, `user-one ${step}`)
    two = await expect(url, two, `user-two ${step}`)
    await expect(url, one, `user-one ${2 * step}`)
    await expect(url, two, `user-two ${2 * step}`)
    await expect(url, '', 'guest 0')
  } finally {
    await server.stop()
  }
}

async function logins(url, count) {
  const cookies = []
  for (let at = 0; at < count; at += 20) {
    const batch = Array.from({ length: Math.min(20, count - at) }, (_, n) => login(url, `user-${at + n}`))
    cookies.push(...(await Promise.all(batch)))
  }
  return cookies
}

/** Loads the server with as many sessions as `times` says, in turn. They are still recognised afterwards, or it throws. */
async function loaded(server, bare, { sessions, warmup, seconds }) {
  const cookies = bare ? ['theme=dark'] : await logins(server.url, sessions)
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-load-'))
  const file = join(folder, 'cookies')
  writeFileSync(file, `${cookies.join('\n')}\n`)
  try {
    await load(server.url, warmup, file)
    const before = await server.cpu()
    const { requests, seconds: took } = await load(server.url, seconds, file)
    const result = { cpu: ((await server.cpu()) - before) / requests, rate: requests / took }
    const body = await (await fetch(server.url, { headers: { cookie: cookies.at(-1) } })).text()
    if (bare || body.startsWith(`user-${sessions - 1} `)) return result
    throw new Error(`after the load a session is not recognised: "${body.slice(0, 80)}"`)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/**
 * Measures `servers/<name>.mjs`: microseconds of processor time per request, requests per second, and the facts that
 * the server told of itself when it came up.
 */
export async function measure(name, args, times) {
  const server = await start(name, ...args)
  try {
    return { ...(await loaded(server, args[0] === 'bare', times)), facts: server.facts }
  } finally {
    await server.stop()
  }
}
