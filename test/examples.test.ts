/** Every example is started as its first lines say, and does what they say. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import createExpress from 'express'
import session from 'express-session'
// @ts-expect-error It has no types.
import fileStore from 'session-file-store'
import { generateSecret } from 'sojourn'
import { describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { useBrowser } from '../packages/server/test/browser.js'
import { usePostgres } from '../packages/sojourn/test/engines/postgres.js'
import { startRedis, useRedis } from '../packages/sojourn/test/engines/redis.js'
import { listening } from '../packages/sojourn/test/fixtures/servers.js'
import { OCTOCAT, startGithub } from '../packages/sojourn/test/providers/github.js'
import { freePort } from './ports.js'
import { files, root } from './tree.js'

const EXAMPLES = files('examples', /\.mjs$/).map((file) => file.replace('examples/', ''))
const started = new Set<string>()

test.each(EXAMPLES)('%s is short, and begins with how to run it', (name) => {
  const lines = readFileSync(join(root, 'examples', name), 'utf8')
    .trimEnd()
    .split('\n')
  expect(lines.length).toBeLessThanOrEqual(51)
  expect(lines.slice(0, 3).every((line) => line.startsWith('// '))).toBe(true)
  expect(lines[1]).toContain(`node examples/${name}`)
  expect(readFileSync(join(root, 'examples', 'README.md'), 'utf8')).toContain(`(${name})`)
})

describe.each(['node-http', 'hono'])('%s', (name) => {
  test('counts the visits of each visitor', async () => {
    const { visitor } = await start(`${name}.mjs`)
    const [ann, bob] = [visitor(), visitor()]
    expect([await ann.text('/'), await ann.text('/'), await bob.text('/')]).toEqual([
      'Visit 1\n',
      'Visit 2\n',
      'Visit 1\n',
    ])
  })
})

test('express-sqlite.mjs lists the devices, ends them all, and outlives a restart', async () => {
  const first = await start('express-sqlite.mjs')
  const [desktop, phone] = [first.visitor(), first.visitor()]
  for (const device of [desktop, phone]) expect((await device.go('/sign-in', { method: 'POST' })).status).toBe(303)
  expect(await desktop.text('/')).toContain('ada, visit 1, devices: 2')
  await first.stop()
  const second = await start('express-sqlite.mjs', { ...first.env, cwd: first.cwd })
  expect(await desktop.text('/')).toContain('ada, visit 2, devices: 2')
  await desktop.go('/sign-out', { method: 'POST' })
  expect(await desktop.text('/')).toContain('guest')
  expect(await phone.text('/')).toContain('ada, visit 1, devices: 1')
  const thief = second.visitor(phone.cookies)
  await phone.go('/sign-out-everywhere', { method: 'POST' })
  expect(await thief.text('/')).toContain('guest')
})

test('stateless.mjs keeps no record, and a copied cookie is worth nothing after the sign-out', async () => {
  const { visitor } = await start('stateless.mjs')
  const ann = visitor()
  await ann.text('/')
  expect(await ann.text('/sign-in', { method: 'POST' })).toBe('ada, visit 1\n')
  const thief = visitor(ann.cookies)
  expect(await thief.text('/')).toBe('ada, visit 2\n')
  await ann.text('/sign-out', { method: 'POST' })
  expect(await visitor(thief.cookies).text('/')).toBe('guest, visit 1\n')
})

describe('on Redis', () => {
  const engine = useRedis(startRedis)
  test('redis.mjs: two servers share the sessions', () =>
    shared('redis.mjs', { REDIS_URL: `redis://127.0.0.1:${engine().port}` }))
})

describe('on PostgreSQL', () => {
  const engine = usePostgres()
  test('postgres.mjs: two servers share the sessions', () => shared('postgres.mjs', { DATABASE_URL: engine().url }))
})

describe.each(['github.mjs', 'github-stateless.mjs'])('%s', (name) => {
  test('signs in at GitHub and calls its API', async () => {
    const port = await freePort()
    const github = await startGithub({ origin: `http://localhost:${port}` })
    onTestFinished(() => github.close())
    const { visitor } = await start(name, {
      PORT: String(port),
      GITHUB_ID: github.clientId,
      GITHUB_SECRET: github.clientSecret,
      GITHUB_URL: github.url,
      VAULT_KEY: generateSecret(),
    })
    const ann = visitor()
    expect(await ann.text('/')).toContain('/sign-in')
    const there = (await ann.go('/sign-in')).headers.get('location')!
    expect(there).toMatch(new RegExp(`^${github.url}/login/oauth/authorize\\?`))
    const page = await (await fetch(there)).text()
    const back = /id="authorize" href="([^"]+)"/.exec(page)![1]!.replaceAll('&amp;', '&')
    const { pathname, search } = new URL(back)
    const arrived = await ann.go(pathname + search)
    expect([arrived.status, arrived.headers.get('location')]).toEqual([303, `http://localhost:${port}/`])
    expect(JSON.parse(await ann.text('/'))).toMatchObject({ login: OCTOCAT.login })
    const thief = visitor(ann.cookies)
    expect(await ann.text('/sign-out', { method: 'POST' })).toContain('/sign-in')
    expect(await thief.text('/'), 'a copy of the cookie').toContain('/sign-in')
  })
})

test('websocket.mjs lets in by a ticket, once, and closes when the session ends', async () => {
  const { visitor, origin } = await start('websocket.mjs')
  const ann = visitor()
  expect(await ann.text('/')).toContain('<script')
  const { ticket } = JSON.parse(await ann.text('/ticket', { method: 'POST' })) as { ticket: string }
  const open = (query: string, from = origin) =>
    new WebSocket(`${origin.replace('http', 'ws')}/live${query}`, { origin: from })
  const refused = async (socket: WebSocket) => {
    const [error] = (await once(socket, 'error')) as [Error]
    return error.message
  }
  expect(await refused(open(''))).toMatch(/hang up|ECONNRESET/)
  const socket = open(`?ticket=${ticket}`)
  const [greeting] = (await once(socket, 'message')) as [Buffer]
  expect(String(greeting)).toBe('connected as a guest')
  expect(await refused(open(`?ticket=${ticket}`))).toMatch(/hang up|ECONNRESET/)
  const fresh = JSON.parse(await ann.text('/ticket', { method: 'POST' })) as { ticket: string }
  expect(await refused(open(`?ticket=${fresh.ticket}`, 'https://evil.example'))).toMatch(/hang up|ECONNRESET/)
  const closed = once(socket, 'close')
  await ann.text('/sign-out', { method: 'POST' })
  expect((await closed)[0]).toBe(4401)
})

test('from-express-session.mjs: who was signed in there goes on here', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-old-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const [secret, key] = [generateSecret(), generateSecret()]
  const old = createExpress()
  const store = new (fileStore(session))({ path: folder, retries: 0, logFn: () => {} })
  old.use(session({ secret, store, resave: false, saveUninitialized: false }))
  old.get('/', (req, res) => {
    Object.assign(req.session, { userId: 'ada', cart: ['kettle'] })
    res.end()
  })
  const server = await listening((await import('node:http')).createServer(old))
  const ann = new Visitor(() => `http://localhost:${server.port}`)
  await ann.go('/')
  await server.close()
  expect([...ann.cookies.keys()]).toEqual(['connect.sid'])

  const { visitor } = await start('from-express-session.mjs', {
    SESSION_KEY: key,
    OLD_SESSION_SECRET: secret,
    OLD_SESSIONS: folder,
  })
  const here = visitor(ann.cookies)
  const goesOn = { userId: 'ada', cart: ['kettle'] }
  expect(JSON.parse(await here.text('/'))).toEqual(goesOn)
  expect([...here.cookies.keys()], 'a new cookie in the place of the old').toEqual(['session'])
  expect(JSON.parse(await here.text('/'))).toEqual(goesOn)
  expect(JSON.parse(await visitor(ann.cookies).text('/')), 'the old one again').toEqual({ userId: null, cart: [] })
})

describe('token-pair.mjs', () => {
  const open = useBrowser()
  test('a page signs in, is signed in after a reload, and out again', async () => {
    const { origin } = await start('token-pair.mjs')
    const { page, complaints } = await open(origin, { javaScriptEnabled: true })
    const who = () => page.textContent('#who')
    await page.goto('/')
    await expect.poll(who).toBe('nobody')
    await page.click('#in')
    await expect.poll(who).toBe('ada')
    await page.reload()
    await expect.poll(who).toBe('ada')
    expect(await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]))).not.toMatch(
      /ey[\w-]+\./,
    )
    await page.click('#out')
    await expect.poll(who).toBe('nobody')
    await page.reload()
    await expect.poll(who).toBe('nobody')
    expect(complaints.filter((line) => !/favicon|40[014]/.test(line))).toEqual([])
  })
})

test('no example was left out', () => expect([...started].toSorted()).toEqual(EXAMPLES.toSorted()))

/** Two servers, one store: a visit here counts there. */
async function shared(name: string, env: Record<string, string>): Promise<void> {
  const SESSION_KEY = generateSecret()
  const [a, b] = [await start(name, { ...env, SESSION_KEY }), await start(name, { ...env, SESSION_KEY })]
  const ann = a.visitor()
  expect(await ann.text('/')).toBe('Visit 1\n')
  expect(await b.visitor(ann.cookies).text('/')).toBe('Visit 2\n')
  const parallel = Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? a : b).visitor(ann.cookies).go('/'))
  expect((await Promise.all(parallel)).map(({ status }) => status)).toEqual(Array(20).fill(200))
  expect(await ann.text('/'), 'no visit is lost').toBe('Visit 23\n')
}

/** Starts one on a port of its own, in an empty folder; stopped when the test is done. */
async function start(name: string, settings: Record<string, string> = {}) {
  started.add(name)
  const { cwd = mkdtempSync(join(tmpdir(), 'sojourn-example-')), ...more } = settings
  const env = { PORT: String(await freePort()), SESSION_KEY: generateSecret(), ...more }
  const child = spawn(process.execPath, [join(root, 'examples', name)], {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk))
  const gone = once(child, 'exit')
  const stop = async () => {
    child.kill()
    await gone
  }
  onTestFinished(async () => {
    await stop()
    rmSync(cwd, { recursive: true, force: true })
  })
  const origin = `http://localhost:${env.PORT}`
  for (let attempt = 0; ; attempt++) {
    if (await fetch(`${origin}/not-there`).catch(() => undefined)) break
    if (child.exitCode !== null || attempt > 150) throw new Error(`${name} did not answer:\n${said}`)
    await sleep(100)
  }
  return {
    origin,
    env,
    cwd,
    stop,
    visitor: (cookies?: ReadonlyMap<string, string>) => new Visitor(() => origin, cookies),
  }
}

/** A program with a cookie jar, which follows no redirect. */
class Visitor {
  readonly cookies: Map<string, string>
  readonly #origin: () => string

  constructor(origin: () => string, cookies: ReadonlyMap<string, string> = new Map()) {
    this.#origin = origin
    this.cookies = new Map(cookies)
  }

  async go(path: string, init: RequestInit = {}): Promise<Response> {
    const cookie = [...this.cookies].map((pair) => pair.join('=')).join('; ')
    const response = await fetch(this.#origin() + path, { ...init, headers: { cookie }, redirect: 'manual' })
    for (const line of response.headers.getSetCookie()) {
      const [name, value] = line.split(';', 1)[0]!.split(/=(.*)/s) as [string, string]
      if (/; Max-Age=0(;|$)/.test(line)) this.cookies.delete(name)
      else this.cookies.set(name, value)
    }
    return response
  }

  async text(path: string, init: RequestInit = {}): Promise<string> {
    return (await this.go(path, init)).text()
  }
}
