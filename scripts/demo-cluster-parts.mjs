/** What the cluster demo is made of: processes of its own, on free ports of this machine, that end with it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { root } from './setup.mjs'

export const HOST = '127.0.0.1'

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set()

/** Ends all that was started, at once. */
export async function endAll() {
  const ending = [...running].map((child) => {
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    return gone
  })
  await Promise.all(ending)
}

/**
 * @param {string} program
 * @param {string[]} args
 * @param {Record<string, string>} [env]
 */
function start(program, args, env = {}) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
  running.add(child)
  child.once('exit', () => running.delete(child))
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (text) => {
      // The end of it, for the message of one that does not start.
      said = (said + text).slice(-4_000)
    })
  return { child, said: () => said }
}

/**
 * @param {() => unknown} what
 * @param {string} name
 * @param {() => string} [said]
 */
export async function until(what, name, said = () => '') {
  const end = performance.now() + 30_000
  while (!(await what())) {
    if (performance.now() > end) throw new Error(`it did not come about: ${name}\n${said()}`)
    await pause(25)
  }
}

/** @param {number} wanted */
async function listenable(wanted) {
  const server = createServer()
  server.listen(wanted, HOST)
  try {
    await once(server, 'listening')
  } catch {
    return 0
  }
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  server.close()
  await once(server, 'close')
  return port
}

/** A port that was free a moment ago; a node of a Cluster needs the one 10 000 above, too. */
async function freePort(bus = false) {
  for (;;) {
    const port = await listenable(0)
    if (!bus || (port < 55_000 && (await listenable(port + 10_000)))) return port
  }
}

/**
 * One command to Redis; the reply as it came.
 * @param {number} port
 * @param {string} line
 * @returns {Promise<string>}
 */
function ask(port, line) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, HOST, () => socket.write(`${line}\r\nQUIT\r\n`))
    let text = ''
    socket.setTimeout(2_000, () => socket.destroy(new Error('no answer')))
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(text.replace(/^\$\d+\r\n/, '').replace(/(\r\n)?\+OK\r\n$/, '')))
  })
}

/**
 * Three masters, each with a replica that takes over.
 * @param {string} program
 * @param {string} folder
 */
export async function startCluster(program, folder) {
  const nodes = await Promise.all(
    Array.from({ length: 6 }, async (_, n) => {
      const port = await freePort(true)
      const dir = join(folder, `redis-${n}`)
      mkdirSync(dir)
      const settings = `--port ${port} --bind ${HOST} --dir ${dir} --save "" --appendonly yes --cluster-enabled yes --cluster-node-timeout 1500`
      const { child, said } = start(program, settings.replace('""', '').split(' ').filter(Boolean))
      const up = () =>
        ask(port, 'PING').then(
          (text) => text.includes('PONG'),
          () => false,
        )
      await until(up, 'a Redis node', said)
      return { port, child }
    }),
  )
  const ports = nodes.map(({ port }) => port)
  const [first = 0] = ports
  for (const port of ports.slice(1)) await ask(first, `CLUSTER MEET ${HOST} ${port}`)
  const ends = [0, 5461, 10923, 16384]
  for (const n of [0, 1, 2]) await ask(ports[n] ?? 0, `CLUSTER ADDSLOTSRANGE ${ends[n]} ${(ends[n + 1] ?? 0) - 1}`)
  for (const n of [0, 1, 2]) {
    const id = (await ask(ports[n] ?? 0, 'CLUSTER MYID')).trim()
    await until(async () => (await ask(ports[n + 3] ?? 0, `CLUSTER REPLICATE ${id}`)).includes('OK'), 'a replica')
  }
  const agrees = async (/** @type {number} */ port) => {
    const [info, table] = [await ask(port, 'CLUSTER INFO'), await ask(port, 'CLUSTER NODES')]
    return info.includes('cluster_state:ok') && table.split('\n').filter((line) => line.includes('slave')).length === 3
  }
  await until(async () => (await Promise.all(ports.map(agrees))).every(Boolean), 'a Cluster that agrees')
  const linked = async (/** @type {number} */ port) =>
    (await ask(port, 'INFO replication')).includes('master_link_status:up')
  await until(async () => (await Promise.all(ports.slice(3).map(linked))).every(Boolean), 'replicas that follow')
  return nodes
}

/**
 * One server process; gives its address.
 * @param {Record<string, string>} env
 */
export async function startServer(env) {
  const cli = join(root, 'packages', 'server', 'dist', 'cli.js')
  const { child, said } = start(process.execPath, [cli, 'serve', '--port', '0'], env)
  let address = ''
  child.stdout.on('data', (text) => {
    address ||= /"url":"http:\/\/([^"]+)"/.exec(text)?.[1] ?? ''
  })
  await until(() => address, 'a server', said)
  return address
}

/**
 * The proxy: each request to the next server; `X-Server` of a request chooses one, and of an answer says which it was.
 * @param {string} program
 * @param {string} folder
 * @param {number} port
 * @param {string[]} servers
 */
export async function startProxy(program, folder, port, servers) {
  const file = join(folder, 'nginx.conf')
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  // One process, which is gone when it is killed.
  writeFileSync(
    file,
    `daemon off; master_process off; pid ${folder}/nginx.pid; error_log stderr error;
events { worker_connections 512; }
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${folder}/nginx-${name};`).join(' ')}
  upstream all { ${servers.map((server) => `server ${server};`).join(' ')} keepalive 16; }
  ${servers.map((server, n) => `upstream server-${n + 1} { server ${server}; }`).join('\n  ')}
  map $http_x_server $chosen { ${servers.map((_, n) => `${n + 1} server-${n + 1};`).join(' ')} default all; }
  map $upstream_addr $served { ${servers.map((server, n) => `"${server}" ${n + 1};`).join(' ')} default "-"; }
  server {
    listen ${HOST}:${port};
    location / {
      proxy_pass http://$chosen;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      add_header X-Server $served always;
    }
  }
}
`,
  )
  const { said } = start(program, ['-p', folder, '-c', file])
  const up = () =>
    fetch(`http://${HOST}:${port}/healthz`).then(
      ({ ok }) => ok,
      () => false,
    )
  await until(up, 'nginx', said)
}

export { freePort }
