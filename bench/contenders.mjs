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

export const contenders = [
  { name: 'floor', label: 'floor: a Map and one SHA-256', over: 'node-http', packages: [] },
  { name: 'sojourn-memory', label: '**Sojourn**, memory', over: 'node-http', packages: ['sojourn'] },
  { name: 'sojourn-sqlite', label: '**Sojourn**, SQLite', over: 'node-http', packages: ['sojourn'] },
  { name: 'iron-session', label: 'iron-session, sealed cookie', over: 'node-http', packages: [iron] },
  { name: 'better-auth', label: 'better-auth, memory', over: 'node-http', packages: ['better-auth'], optional: true },
  { name: 'sojourn-express', label: '**Sojourn**, memory', over: 'express', packages: ['sojourn'] },
  { name: 'express-session', label: 'express-session, MemoryStore', over: 'express', packages: ['express-session'] },
  { name: 'cookie-session', label: 'cookie-session, signed cookie', over: 'express', packages: ['cookie-session'] },
  { name: 'fastify-session', label: '@fastify/session, memory', over: 'fastify', packages: ['@fastify/session'] },
  { name: 'sojourn-fetch', label: '**Sojourn**, memory', over: 'hono', packages: ['sojourn'] },
  { name: 'hono-sessions', label: 'hono-sessions, MemoryStore', over: 'hono', packages: ['hono-sessions'] },
]
