/** Who is measured: the frameworks bare, and the sessions on top of them. */
import { existsSync, readFileSync } from 'node:fs'
import { stop } from '../scripts/setup.mjs'

/** `name version` of a package, the benchmark's own or the workspace's; `undefined` where it is not installed. */
export function versionOf(name) {
  const manifest = [`node_modules/${name}/package.json`, `../node_modules/${name}/package.json`]
    .map((path) => new URL(path, import.meta.url))
    .find((url) => existsSync(url))
  if (!manifest) return undefined
  const { name: real, version } = JSON.parse(readFileSync(manifest, 'utf8'))
  return `${real} ${version}`
}

/** `label` is what the tables say; `over` names the framework that sessions run on, and are measured over. */
export const frameworks = [
  { name: 'node-http', label: 'node:http', packages: [] },
  { name: 'express', label: 'Express', packages: ['express'] },
  { name: 'fastify', label: 'Fastify', packages: ['fastify'] },
  { name: 'hono', label: 'Hono', packages: ['hono', '@hono/node-server'] },
]

const [major, minor] = process.versions.node.split('.').map(Number)

/** The newest iron-session that this Node may run. */
export const iron = major > 22 || (major === 22 && minor >= 13) ? 'iron-session-9' : 'iron-session-8'

/** Each has its sessions read, and changed, unless it says otherwise. */
const READ = ['unmodified']
const sojourn = { over: 'node-http', packages: ['sojourn'] }

/** The stores, as `servers/stores.mjs` names them. `once`: a read is one command of the engine's, and nothing else is sent. */
const STORES = {
  memory: { label: 'memory', packages: [] },
  sqlite: { label: 'SQLite', packages: [] },
  file: { label: 'files', packages: [] },
  redis: { label: 'Redis', packages: ['ioredis'], engine: 'redis', once: true },
  'redis-auto': { label: 'Redis, `enableAutoPipelining`', packages: ['ioredis'], engine: 'redis', once: true },
  'node-redis': { label: 'Redis', packages: ['redis'], engine: 'redis', once: true },
  postgres: { label: 'PostgreSQL', packages: ['pg'], engine: 'postgres' },
  'postgres-push': { label: 'PostgreSQL that pushes', packages: ['pg'], engine: 'postgres' },
}

/** Sojourn on a framework, with a store. */
function over(framework, kind) {
  const { packages, engine, once } = STORES[kind]
  return { over: framework, packages: ['sojourn', ...packages], engine, once, args: [kind] }
}

/** What stands behind `cached`: whatever the store is, a hit costs the same. */
const CACHED = { sqlite: 'sqlite', file: 'file', redis: 'redis', postgres: 'postgres-push' }

const stores = [
  ...['memory', 'sqlite', 'file'].map((kind) => direct(kind)),
  { ...rawStore('redis', 'ioredis'), label: 'floor: `GET` and `JSON.parse`' },
  direct('redis'),
  direct('redis-auto', READ),
  direct('node-redis'),
  { ...rawStore('pg', 'pg', 'postgres'), label: 'floor: a prepared `SELECT` and `JSON.parse`' },
  direct('postgres'),
  ...Object.entries(CACHED).map(([name, kind]) => ({
    ...over('node-http', kind),
    name: `sojourn-cached-${name}`,
    server: 'sojourn-store',
    args: [kind, 'cached'],
    label: `**Sojourn**, ${STORES[kind].label} through \`cached\``,
    once: false,
    variants: READ,
  })),
]

function direct(kind, variants = ['unmodified', 'modified']) {
  const label = `**Sojourn**, ${STORES[kind].label}`
  return { ...over('node-http', kind), name: `sojourn-${kind}`, server: 'sojourn-store', label, variants }
}

function rawStore(name, driver, engine = name) {
  return { name: `raw-${name}`, over: 'node-http', packages: [driver], engine, once: name === 'redis', variants: READ }
}

/** More credentials than anything remembers, so that each is verified whenever it comes. */
const firstSight = { distinct: true, variants: READ }

/** Sojourn's sessions without a database; `ends`: a logout is to be honoured, though no store is asked. */
const stateless = [
  {
    ...sojourn,
    ...firstSight,
    name: 'sojourn-sealed-first',
    server: 'sojourn-sealed',
    label: '**Sojourn**, sealed cookie, first sight',
  },
  { ...sojourn, name: 'sojourn-sealed', label: '**Sojourn**, sealed cookie, seen again', ends: true },
  ...['HS256', 'Ed25519'].flatMap((algorithm) => {
    const jwt = { ...sojourn, server: 'sojourn-jwt', args: [algorithm, 'revocations'], variants: READ }
    const [name, label] = [`sojourn-${algorithm.toLowerCase()}`, `**Sojourn**, JWT ${algorithm}`]
    const again = { ...jwt, name, label: `${label}, seen again`, ends: true }
    const unrevoked = {
      ...jwt,
      name: `${name}-unrevoked`,
      args: [algorithm, 'none'],
      label: `${label}, seen again, revocation given up`,
    }
    const first = { ...jwt, ...firstSight, name: `${name}-first`, label: `${label}, first sight` }
    return algorithm === 'HS256' ? [first, again, unrevoked] : [first, again]
  }),
]

/** Libraries that verify tokens, and keep no session: no list of what was ended. */
const tokens = [
  { name: 'fast-jwt', label: 'fast-jwt, HS256', args: ['plain'] },
  { name: 'fast-jwt-cache', label: 'fast-jwt, HS256, its cache', server: 'fast-jwt', args: ['cache'] },
  { name: 'jsonwebtoken', label: 'jsonwebtoken, HS256, KeyObject', args: ['object'] },
  { name: 'jsonwebtoken-text', label: 'jsonwebtoken, HS256, text', server: 'jsonwebtoken', args: ['text'] },
  { name: 'jose', label: 'jose, HS256', args: ['HS256'] },
  { name: 'jose-ed25519', label: 'jose, Ed25519', server: 'jose', args: ['Ed25519'] },
].map((library) => ({ ...library, over: 'node-http', packages: [library.server ?? library.name], variants: READ }))

export const contenders = [
  { name: 'floor', label: 'floor: a Map and one SHA-256', over: 'node-http', packages: [] },
  ...stores,
  { name: 'better-auth', label: 'better-auth, memory', over: 'node-http', packages: ['better-auth'], optional: true },
  ...stateless,
  { name: 'iron-session', label: 'iron-session, sealed cookie', over: 'node-http', packages: [iron] },
  ...tokens,
  {
    name: 'express-middleware',
    label: 'floor: one middleware that does nothing',
    over: 'express',
    packages: [],
    variants: ['bare'],
  },
  ...['memory', 'redis', 'postgres'].map((kind) => ({
    ...over('express', kind),
    name: kind === 'memory' ? 'sojourn-express' : `sojourn-express-${kind}`,
    server: 'sojourn-express',
    label: `**Sojourn**, ${STORES[kind].label}`,
  })),
  { name: 'express-session', label: 'express-session, MemoryStore', over: 'express', packages: ['express-session'] },
  {
    name: 'connect-redis',
    label: 'express-session, connect-redis',
    over: 'express',
    packages: ['connect-redis', 'redis'],
    engine: 'redis',
  },
  {
    name: 'connect-pg-simple',
    label: 'express-session, connect-pg-simple',
    over: 'express',
    packages: ['connect-pg-simple', 'pg'],
    engine: 'postgres',
  },
  { name: 'cookie-session', label: 'cookie-session, signed cookie', over: 'express', packages: ['cookie-session'] },
  { name: 'fastify-session', label: '@fastify/session, memory', over: 'fastify', packages: ['@fastify/session'] },
  { name: 'sojourn-fetch', label: '**Sojourn**, memory', over: 'hono', packages: ['sojourn'] },
  { name: 'hono-sessions', label: 'hono-sessions, MemoryStore', over: 'hono', packages: ['hono-sessions'] },
].map((contender) => ({ server: contender.name, args: [], variants: ['unmodified', 'modified'], ...contender }))

/** Pairs of which one does a single thing more, and what that thing is. */
export const differences = [
  { what: 'a revocation check, of 1,000 ended', with: 'sojourn-hs256', without: 'sojourn-hs256-unrevoked' },
]

/** Stops where `--only` names somebody who is not among these. */
export function refuseStrangers(only, known) {
  const names = known.map(({ name }) => name)
  const stranger = only.find((name) => !names.includes(name))
  if (stranger) stop(`--only ${stranger}: there is ${names.join(', ')}`)
}
