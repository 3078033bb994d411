/** Where records live, as one line of text says it. Such a line may hold a password, so that no message repeats it. */
import { join, resolve } from 'node:path'

/** A checked place. */
export type Place = MemoryPlace | PathPlace | RedisPlace | ServerPlace

/** This process's memory. */
export interface MemoryPlace {
  readonly kind: 'memory'
}

/** A SQLite file, or a folder of files. */
export interface PathPlace {
  readonly kind: 'sqlite' | 'file'
  /** Absolute; absent: in the data folder. */
  readonly path: string | undefined
}

/** PostgreSQL or MongoDB, by the address that their drivers take. */
export interface ServerPlace {
  readonly kind: 'postgres' | 'mongodb'
  readonly url: string
}

/** Redis or Valkey. */
export interface RedisPlace {
  readonly kind: 'redis'
  /** One server, the nodes of a Cluster, or the Sentinels that know the master. */
  readonly as: 'single' | 'cluster' | 'sentinel'
  readonly nodes: readonly { readonly host: string; readonly port: number }[]
  readonly username: string | undefined
  readonly password: string | undefined
  readonly db: number
  readonly tls: boolean
  /** The name that Sentinels know the master by. */
  readonly master: string | undefined
}

/** What a place is called in messages and in the log. */
export const NAMES: Readonly<Record<Place['kind'], string>> = {
  memory: 'memory',
  sqlite: 'SQLite',
  file: 'the folder',
  redis: 'Redis',
  postgres: 'PostgreSQL',
  mongodb: 'MongoDB',
}

/** Whether several machines can share what is there. */
export function isShared({ kind }: Place): boolean {
  return kind === 'redis' || kind === 'postgres' || kind === 'mongodb'
}

/** Where the sessions of such a place are on the disk. `data` is the data folder. */
export function pathOf({ kind, path }: PathPlace, data: string): string {
  return path ?? join(data, kind === 'sqlite' ? 'sessions.db' : 'records')
}

/** Reads where sessions live. Throws a `TypeError` that says what to write instead, and repeats nothing. */
export function storePlace(text: string): Place {
  return (
    read(text, 'memory', 'sqlite', 'file', 'redis', 'postgres', 'mongodb') ??
    refuse('is no store; write sqlite:, memory:, file:, redis://…, postgres://… or mongodb://…')
  )
}

/** Reads where accounts live, which must outlive everything. */
export function accountsPlace(text: string): PathPlace | ServerPlace {
  const place = read(text, 'sqlite', 'postgres', 'mongodb')
  return (place ?? refuse('is no place for accounts; write sqlite:, postgres://… or mongodb://…')) as
    | PathPlace
    | ServerPlace
}

function read(text: string, ...kinds: Place['kind'][]): Place | undefined {
  const [, scheme = '', rest = ''] = /^([a-z][a-z0-9+-]*):(.*)$/s.exec(text) ?? []
  const kind = SCHEMES[scheme]
  if (kind === undefined || !kinds.includes(kind)) return undefined
  if (kind === 'memory') return rest === '' ? { kind } : refuse('has something after memory:; write memory: alone')
  if (kind === 'sqlite' || kind === 'file') {
    const path = rest.replace(/^\/\/(?=\/)/, '')
    if (path.startsWith('//')) return refuse(`names a machine; write ${scheme}: and a path of this one`)
    return { kind, path: path === '' ? undefined : resolve(path) }
  }
  if (!rest.startsWith('//')) return refuse(`is no address; write ${scheme}://host and what belongs to it`)
  if (kind === 'redis') return redis(scheme, rest.slice(2))
  // Several hosts, as MongoDB has them, are beyond URL; the drivers read the rest, and what they refuse stops the start.
  const named = /^\/\/(?:[^@/?#]*@)?[^/?#]+(?:[/?]|$)/.test(rest) || /^\/\/(?:[^@/?#]*@)?\/.*[?&]host=/.test(rest)
  return named ? { kind, url: text } : refuse(`names no host; write ${scheme}://user:password@host/database`)
}

const SCHEMES: Readonly<Record<string, Place['kind']>> = {
  memory: 'memory',
  sqlite: 'sqlite',
  file: 'file',
  redis: 'redis',
  rediss: 'redis',
  'redis-sentinel': 'redis',
  'rediss-sentinel': 'redis',
  postgres: 'postgres',
  postgresql: 'postgres',
  mongodb: 'mongodb',
  'mongodb+srv': 'mongodb',
}

/**
 * The addresses of Redis in the forms that its other clients take: one host, several of a Cluster with `cluster=true`, or
 * Sentinels with the master's name in `sentinelMasterId`, as Lettuce writes it.
 */
function redis(scheme: string, text: string): RedisPlace {
  const sentinel = scheme.endsWith('-sentinel')
  const [, user, hosts = '', path = '', search = ''] =
    /^(?:([^@/?#]*)@)?([^@/?#]+)(\/[0-9]*)?(?:\?([^#]*))?$/.exec(text) ??
    refuse(
      `is no address of Redis; write ${scheme}://user:password@host:port/0, with characters like @ and / as %40 and %2F`,
    )
  const nodes = hosts.split(',').map((host) => {
    const [, name, port = sentinel ? '26379' : '6379'] =
      /^(\[[0-9a-f:.]+\]|[^:[\]\s]+)(?::([0-9]{1,5}))?$/i.exec(host) ??
      refuse('has a host that is none; write host:port')
    if (Number(port) < 1 || Number(port) > 65_535) refuse('has a port that is none; write one from 1 to 65535')
    return { host: name!.replace(/^\[|\]$/g, ''), port: Number(port) }
  })
  const said = new URLSearchParams(search)
  const cluster = said.get('cluster') === 'true'
  const master = said.get('sentinelMasterId') || undefined
  for (const [name, value] of said)
    if (!(name === 'cluster' && /^(true|false)$/.test(value)) && !(name === 'sentinelMasterId' && sentinel))
      refuse('has a parameter that is not known; cluster=true and, for Sentinel, sentinelMasterId=… are')
  if (sentinel && master === undefined)
    refuse('names no master; add ?sentinelMasterId= and the name that Sentinel has for it')
  if (sentinel && cluster) refuse('is Sentinel and Cluster at once; it is one of them')
  if (nodes.length > 1 && !sentinel && !cluster)
    refuse('has several hosts; add ?cluster=true, or write redis-sentinel://')
  const db = Number(path.slice(1))
  if (cluster && db !== 0) refuse('chooses a database, and a Cluster has one; drop its number')
  const [username, password] = credentials(user)
  const as = sentinel ? 'sentinel' : cluster ? 'cluster' : 'single'
  return { kind: 'redis', as, nodes, username, password, db, tls: scheme.startsWith('rediss'), master }
}

function credentials(user: string | undefined): [string | undefined, string | undefined] {
  if (user === undefined) return [undefined, undefined]
  const [name = '', ...rest] = user.split(':')
  try {
    const decoded = [name, rest.join(':')].map(decodeURIComponent)
    return [decoded[0] || undefined, decoded[1] || undefined]
  } catch {
    return refuse('has a % that nothing belongs to; write % in a password as %25')
  }
}

function refuse(why: string): never {
  throw new TypeError(why)
}
