/** Who is measured: the frameworks bare, and the sessions on top of them. */
import { existsSync, readFileSync } from 'node:fs'

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
  { ...sojourn, name: 'sojourn-memory', label: '**Sojourn**, memory' },
  { ...sojourn, name: 'sojourn-sqlite', label: '**Sojourn**, SQLite' },
  { ...sojourn, name: 'sojourn-cached', label: '**Sojourn**, SQLite through `cached`' },
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
  { name: 'sojourn-express', label: '**Sojourn**, memory', over: 'express', packages: ['sojourn'] },
  {
    name: 'sojourn-front',
    label: '**Sojourn**, memory, node adapter in front of Express',
    over: 'express',
    packages: ['sojourn'],
  },
  { name: 'express-session', label: 'express-session, MemoryStore', over: 'express', packages: ['express-session'] },
  { name: 'cookie-session', label: 'cookie-session, signed cookie', over: 'express', packages: ['cookie-session'] },
  { name: 'fastify-session', label: '@fastify/session, memory', over: 'fastify', packages: ['@fastify/session'] },
  { name: 'sojourn-fetch', label: '**Sojourn**, memory', over: 'hono', packages: ['sojourn'] },
  { name: 'hono-sessions', label: 'hono-sessions, MemoryStore', over: 'hono', packages: ['hono-sessions'] },
].map((contender) => ({ server: contender.name, args: [], variants: ['unmodified', 'modified'], ...contender }))

/** Pairs of which one does a single thing more, and what that thing is. */
export const differences = [
  { what: 'a revocation check, of 1,000 ended', with: 'sojourn-hs256', without: 'sojourn-hs256-unrevoked' },
]
