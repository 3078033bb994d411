/**
 * `npm run demo:cluster`: a Redis Cluster of three masters and their replicas, two servers, and nginx before them without
 * stickiness. Shows that a session is everywhere at once, and what becomes of visitors when a master is killed.
 * `--keep` leaves it all running until Ctrl-C.
 */
import { randomBytes } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { providePrograms } from './debian.mjs'
import { Browser } from './demo-cluster-browser.mjs'
import { endAll, freePort, HOST, startCluster, startProxy, startServer } from './demo-cluster-parts.mjs'
import { find } from './programs.mjs'
import { build, checkNode, install, say, stop } from './setup.mjs'

const SHOPPERS = 12
const PASSWORD = 'a few words in a row'

checkNode()
// The test has built already what it tests.
if (!process.argv.includes('--built')) {
  install()
  build()
}
if (!find('redis') || !find('nginx')) providePrograms()
const programs = { redis: find('redis'), nginx: find('nginx') }
if (!programs.redis || !programs.nginx)
  stop('The demo needs redis-server and nginx: install them, or set REDIS_SERVER and NGINX to where they are.')

const folder = mkdtempSync(join(tmpdir(), 'sojourn-demo-'))
// The workers of an nginx that root starts are somebody else.
chmodSync(folder, 0o755)
let ending = false
const end = async (/** @type {number} */ code) => {
  if (ending) return
  ending = true
  await endAll()
  rmSync(folder, { recursive: true, force: true })
  process.exit(code)
}
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => void end(130))

try {
  await show()
} catch (error) {
  if (!ending) console.error(error)
  await end(1)
}
if (process.argv.includes('--keep')) await new Promise(() => setInterval(() => {}, 60_000))
await end(0)

async function show() {
  say('Starting six Redis nodes, two servers and nginx')
  const nodes = await startCluster(programs.redis ?? '', folder)
  const port = await freePort()
  const origin = `http://${HOST}:${port}`
  const env = {
    SOJOURN_STORE: `redis://${nodes.map((node) => `${HOST}:${node.port}`).join(',')}?cluster=true`,
    SOJOURN_ACCOUNTS: 'sqlite:',
    SOJOURN_DATA: join(folder, 'data'),
    SOJOURN_KEYS: randomBytes(32).toString('base64'),
    SOJOURN_ORIGIN: origin,
    SOJOURN_TRUST_PROXY: '1',
  }
  const servers = [await startServer(env), await startServer(env)]
  await startProxy(programs.nginx ?? '', folder, port, servers)
  console.log(`Redis Cluster    ${nodes.map((node) => node.port).join(' ')}, three masters and their replicas`)
  console.log(`servers          ${servers.join(' and ')}`)
  console.log(`nginx            ${origin}, each request to the next server\n`)

  const ada = new Browser(origin)
  await ada.expect(201, 'POST', '/api/signup', { server: 1, body: { username: 'ada', password: PASSWORD } })
  await ada.expect(200, 'POST', '/api/cart/items', { server: 2, body: { sku: await aProduct(ada), quantity: 2 } })
  const cart = await ada.expect(200, 'GET', '/api/cart', { server: 1 })
  console.log(
    `signed in on server 1, shopped on server 2: the cart on server 1 has ${cart.items[0].quantity} of ${cart.items[0].sku}`,
  )

  const times = []
  for (let n = 0; n < 5; n++) times.push(await endElsewhere(ada, origin))
  times.sort((a, b) => a - b)
  console.log(
    `a session ended on server 1 is refused on server 2: ${times.map((ms) => ms.toFixed(1)).join(', ')} ms after the answer`,
  )

  say('Killing a master while twelve guests and ada go shopping')
  const figures = await shopThrough(origin, ada, () => nodes[0]?.child.kill('SIGKILL'))
  console.log(`a master is killed (kill -9, port ${nodes[0]?.port}):`)
  console.log(`  requests ${figures.requests}, answered 503 ${figures.failed}, other answers ${figures.strange}`)
  console.log(`  longest pause of one visitor ${figures.pause} ms, slowest answer ${figures.slowest} ms`)
  console.log(`  last 503 ${figures.recovered} ms after the kill`)
  console.log(
    `  additions acknowledged ${figures.kept}, lost ${figures.lost}, visitors signed out or forgotten ${figures.out}`,
  )
  console.log(
    `\n${origin}${process.argv.includes('--keep') ? ' stays up until Ctrl-C' : ' is gone now; --keep leaves it running'}`,
  )
}

/** @param {Browser} browser */
async function aProduct(browser) {
  const { products } = await browser.expect(200, 'GET', '/api/products')
  return products[0].sku
}

/**
 * Signs ada in on server 2, ends that session from hers on server 1, and asks server 2 until it is refused.
 * @param {Browser} ada
 * @param {string} origin
 */
async function endElsewhere(ada, origin) {
  const other = new Browser(origin)
  await other.expect(200, 'POST', '/api/login', { server: 2, body: { username: 'ada', password: PASSWORD } })
  const { session } = await other.expect(200, 'GET', '/api/session', { server: 2 })
  await ada.expect(204, 'DELETE', `/api/sessions/${session.id}`, { server: 1 })
  const began = performance.now()
  while ((await other.expect(200, 'GET', '/api/session', { server: 2 })).user !== null) await pause(1)
  return performance.now() - began
}

/**
 * Guests, whose carts are in their sessions, and ada, who looks whether she is still signed in; `kill` comes a second in.
 * @param {string} origin
 * @param {Browser} ada
 * @param {() => unknown} kill
 */
async function shopThrough(origin, ada, kill) {
  const sku = await aProduct(ada)
  const all = { requests: 0, failed: 0, strange: 0, pause: 0, slowest: 0, recovered: 0, kept: 0, lost: 0, out: 0 }
  let [over, killed, last] = [false, 0, 0]
  const visit = async (/** @type {() => Promise<Answer>} */ ask, /** @type {(answer: Answer) => unknown} */ look) => {
    let served = performance.now()
    while (!over) {
      const began = performance.now()
      const answer = await ask()
      const now = performance.now()
      all.requests++
      all.slowest = Math.max(all.slowest, Math.round(now - began))
      if (answer.status === 200) {
        all.pause = Math.max(all.pause, Math.round(now - served))
        served = now
        look(answer)
      } else if (answer.status === 503) {
        all.failed++
        last = now
        // As `Retry-After` has it, but for the hurry of a demo.
        await pause(100)
      } else all.strange++
      await pause(10)
    }
  }
  const shoppers = Array.from({ length: SHOPPERS }, () => ({ browser: new Browser(origin), kept: 0 }))
  const shopping = shoppers.map(async (shopper) => {
    const add = () => shopper.browser.ask('POST', '/api/cart/items', { body: { sku, quantity: 1 } })
    await visit(add, () => shopper.kept++)
  })
  shopping.push(
    visit(
      () => ada.ask('GET', '/api/session'),
      ({ body }) => (all.out += body.user === null ? 1 : 0),
    ),
  )
  await pause(1_000)
  killed = performance.now()
  kill()
  await pause(4_000)
  while (performance.now() < Math.max(last, killed) + 2_000 && performance.now() < killed + 40_000) await pause(100)
  over = true
  await Promise.all(shopping)
  for (const { browser, kept } of shoppers) {
    const { items } = await browser.expect(200, 'GET', '/api/cart')
    const quantity = items[0]?.quantity ?? 0
    all.kept += kept
    all.lost += Math.max(0, kept - quantity)
    if (quantity === 0) all.out++
  }
  all.recovered = Math.max(0, Math.round(last - killed))
  return all
}

/** @typedef {import('./demo-cluster-browser.mjs').Answer} Answer */
